# SPDX-License-Identifier: GPL-2.0-or-later
"""The document: a whole results.json, read back for a comparison, a merge, or another format.

What is read may come from anywhere: another machine, a broken download, another tool.  So everything that is relied
on is checked here, once, and what is wrong is one sentence with its place.  Unknown keys are let through, so that a
later version may say more without being refused.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

import msgspec

from common import bounded
from common.errors import UsageError
from reports.model.display import one_line
from reports.model.report_directory import RESULTS, SIZE_LIMIT
from reports.model.result import (
    SCHEMA,
    SEVERITY,
    KernelRecord,
    PromiseRecord,
    Result,
    clean,
    not_run_remark,
)
from reports.model.run_record import ResultsFile, RunRecord, partial_run_remark, shard_remark

VALUES_LIMIT = 4_000_000
"""Texts, numbers, lists and objects, each of which takes memory of its own.

They are counted by commas and opening brackets, also those in texts.  A result has 21, and with three attempts 40: a
matrix of 40 kernels with 2,000 tests each has 1,700,000, and the texts of its failures 1,000,000 at most.
"""
DEPTH_LIMIT = 16
"""Lists and objects in each other, in what a run says about versions.  Ours are two."""
_HINT = "name a results.json that kconform wrote, or merge fewer runs into one"
_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")
QUOTED = 60
"""Characters that a message quotes of a value."""
MESSAGE = 200
"""Characters of a message of msgspec, which quotes a value as it is."""


@dataclass(frozen=True)
class Document:
    """The content of a results.json."""

    path: Path
    """The file itself, not its directory."""
    run: RunRecord
    kernels: Mapping[str, KernelRecord]
    """By id, in the order in which they were tested."""
    promises: Mapping[str, PromiseRecord]
    """By id: each requirement, and what it is on each kernel."""
    results: Sequence[Result]

    @classmethod
    def of(cls, path: Path, file: ResultsFile) -> Document:
        """The document that was, or will be, at `path`."""
        kernels = {kernel.id: kernel for kernel in file.kernels}
        return cls(path, file.run, kernels, {each.id: each for each in file.requirements}, file.results)

    @property
    def directory(self) -> Path:
        """What the paths of evidence are relative to."""
        return self.path.parent

    def tests(self) -> list[Result]:
        """One result for each name, in their order: of a test that ran more than once, the most severe."""
        worst: dict[str, Result] = {}
        for result in self.results:
            known = worst.get(result.nodeid)
            if known is None or SEVERITY[result.verdict] > SEVERITY[known.verdict]:
                worst[result.nodeid] = result
        return list(worst.values())

    def remarks(self, *, whole: bool = True) -> list[str]:
        """What a reader has to know before the results mean what they seem to mean.

        Without `whole`, not that they are those of one shard: its reader has the others.
        """
        found = []
        if self.run.state == "running":
            found.append(f"{self.path}: the run is still going on or was killed; these are its results so far")
        if self.run.state == "interrupted":
            found.append(f"{self.path}: the run was interrupted; these are the results that it had")
        found += [f"{self.path}: {remark}" for remark in partial_run_remark(self.run.selection)]
        found += [f"{self.path}: {remark}" for remark in shard_remark(self.run.shard if whole else None)]
        if self.run.state != "running":
            found += [f"{self.path}: {remark}" for remark in not_run_remark(self.run.collected, self.results)]
        return found


class LargeReportError(UsageError):
    """A results.json has more than is ever read: an older version may have written it, and it may be no report."""


def load(path: Path) -> Document:
    """The document at `path`: a results.json, or the report directory that holds one.

    UsageError for whatever is not a results.json of ours, and LargeReportError for one that is too large.
    """
    try:
        if path.is_dir():
            path = path / RESULTS
            if not path.exists():
                raise UsageError(f"{path.parent}: this directory has no {RESULTS}")
        try:
            content = bounded.read(path, SIZE_LIMIT, RESULTS)
        except UsageError as error:
            raise LargeReportError(error.message, hint=error.hint) from error
        if sum(map(content.count, (b",", b"[", b"{"))) > VALUES_LIMIT:
            raise LargeReportError(f"{path}: more than {VALUES_LIMIT:,} values, which no {RESULTS} has", hint=_HINT)
        text = content.decode("utf-8-sig")  # a program that copied it may have put a mark in front
        del content
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not a {RESULTS}: no UTF-8 text at byte {error.start}") from error
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        raise UsageError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return parse(_decode(text, path), path)


def _decode(text: str, path: Path) -> Any:
    """The JSON value that `text` is, or UsageError with line and column."""
    if not text.strip():
        raise UsageError(f"{path}: the file is empty")
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_object)
        # JSON can spell half a character, which no file can be written with.
        return clean(value) if _HALF_CHARACTER.search(text) else value
    except json.JSONDecodeError as error:
        place = f"{path}: line {error.lineno}, column {error.colno}"
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
            raise UsageError(f"{place}: the file ends in the middle: it was not written or copied whole") from error
        raise UsageError(f"{place}: this is not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: this JSON cannot be read: {error}", hint=_HINT) from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number in JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different: what two readers take from the others is not the same."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"an object has the key {_quoted(key)} twice")
        found[key] = value
    return found


def _finite(text: str) -> float:
    """A number.  1e999 is one in JSON, and infinite in Python."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{_quoted(text)} is too large for a number")
    return number


def parse(value: Any, path: Path) -> Document:
    """The document that a decoded results.json is; `path` is for messages, and for its evidence."""
    if not isinstance(value, dict) or not {"schema", "run", "results"} <= set(value):
        raise UsageError(f"{path}: this is JSON, but not a {RESULTS} of kconform: it has no schema, run and results")
    version = value["schema"]
    if type(version) is not int or version < 1:
        raise UsageError(f"{path}: $.schema: expected a version number, not {_quoted(version)}")
    if version > SCHEMA:
        raise UsageError(
            f"{path}: $.schema: written by a newer kconform (format {version}, this one reads {SCHEMA})",
            hint="read it with a kconform that is as new as the one that wrote it",
        )
    try:
        file = msgspec.convert(value, ResultsFile)
    except RecursionError as error:
        raise UsageError(f"{path}: the values are nested too deeply", hint=_HINT) from error
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at ")
        shown = one_line(f"{message[:1].lower()}{message[1:MESSAGE]}")
        raise UsageError(f"{path}: {place.strip('`')[:MESSAGE] or '$'}: {shown}") from error
    if _depth(file.run.versions) > DEPTH_LIMIT:
        raise UsageError(f"{path}: $.run.versions: nested more than {DEPTH_LIMIT} deep", hint=_HINT)
    _check_names(file, path)
    for number, result in enumerate(file.results):
        _check_evidence(result, f"{path}: $.results[{number}].evidence")
    return Document.of(path, file)


def _depth(value: Any) -> int:
    """How many lists and objects are in each other."""
    deepest, level = 0, [value]
    while level := [each for each in level if isinstance(each, (dict, list))]:
        deepest += 1
        level = [part for each in level for part in (each.values() if isinstance(each, dict) else each)]
    return deepest


def _check_names(file: ResultsFile, path: Path) -> None:
    """Each kernel and each promise exists once, and a result has one of the kernels."""
    kernels = [kernel.id for kernel in file.kernels]
    for key, identifiers in (("kernels", kernels), ("requirements", [each.id for each in file.requirements])):
        seen = set()
        for number, identifier in enumerate(identifiers):
            if identifier in seen:
                raise UsageError(f"{path}: $.{key}[{number}].id: {_quoted(identifier)} is used twice")
            seen.add(identifier)
    known = {None, *kernels}
    for number, result in enumerate(file.results):
        if result.kernel not in known:
            raise UsageError(f"{path}: $.results[{number}].kernel: {_quoted(result.kernel)} is not one of $.kernels")


def _check_evidence(result: Result, place: str) -> None:
    """Evidence is copied and linked to: its path must not lead out of the report directory."""
    for title, name in result.evidence.items():
        if not name or "\0" in name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise UsageError(
                f"{place}: {_quoted(title)}: expected a path in the report directory, not {_quoted(name)}"
            )


def _quoted(value: object) -> str:
    shown = one_line(json.dumps(value, ensure_ascii=False))
    return shown if len(shown) <= QUOTED else f"{shown[: QUOTED - 3]}..."
