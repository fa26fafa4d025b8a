# SPDX-License-Identifier: GPL-2.0-or-later
"""A results.json that is read back: for a comparison, a merge, or another format.

What is read may come from anywhere: another machine, a broken download, another tool.  So all that is relied on is
looked at here, by hand and once, and what is not as it should be is one sentence with its place.  What is not relied
on is let through, so that a later version may say more without being refused.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from reports.judgement.verdict import SEVERITY
from reports.model.requirements import Requirement
from reports.model.result import JSON, OUTCOMES, SCHEMA, Result, plain
from reports.model.store import FILE_NAME, STATUSES
from reports.run.environment import not_all

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
STATES = ("running", "finished", "interrupted")


class BadInputError(Exception):
    """Wrong use: what was handed to us cannot be used.  The message is one sentence with its place."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message} (hint: {hint})" if hint else message)


@dataclass(frozen=True)
class Document:
    """The content of a results.json."""

    path: Path
    """The file itself, not its directory."""
    run: Mapping[str, Any]
    kernels: Mapping[str, Mapping[str, JSON]]
    """By id, in the order in which they were tested."""
    requirements: Mapping[str, Requirement]
    statuses: Mapping[str, Mapping[str, str]]
    """Requirement -> kernel -> held, broken, unknown, waived, skipped or untested."""
    results: Sequence[Result]
    raw: Mapping[str, Any]
    """All of it, as it was decoded."""

    @property
    def directory(self) -> Path:
        """What the paths of evidence are relative to."""
        return self.path.parent

    def tests(self) -> list[Result]:
        """One result for each name, in their order: of a test that ran more than once, the worst."""
        worst: dict[str, Result] = {}
        for result in self.results:
            known = worst.get(result.nodeid)
            if known is None or SEVERITY[result.outcome] > SEVERITY[known.outcome]:
                worst[result.nodeid] = result
        return list(worst.values())

    def remarks(self) -> list[str]:
        """What a reader has to know before the results mean what they seem to."""
        found = []
        if self.run["state"] == "running":
            found.append(f"{self.path}: the run goes on or was killed; this is what it had")
        if self.run["state"] == "interrupted":
            found.append(f"{self.path}: the run was interrupted; this is what it had")
        found += [f"{self.path}: {words}" for words in not_all(self.run.get("selection"))]
        missing = self.run["collected"] - len(self.results)
        if self.run["state"] == "finished" and missing > 0:
            found.append(f"{self.path}: {missing} of {self.run['collected']} tests did not run")
        return found


def load(path: Path) -> Document:
    """The document at `path`: a results.json, or the report directory that one lies in.

    Raises BadInputError for whatever is no results.json of ours.
    """
    try:
        if path.is_dir():
            path = path / FILE_NAME
            if not path.exists():
                raise BadInputError(f"{path.parent}: there is no {FILE_NAME} in this directory")
        text = path.read_text(encoding="utf-8-sig")  # whatever copied it may have put a mark in front
    except UnicodeDecodeError as error:
        raise BadInputError(f"{path}: no text in UTF-8, at byte {error.start}: it is no {FILE_NAME}") from error
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        raise BadInputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return parse(decode(text, path), path)


def decode(text: str, path: Path) -> Any:
    """The JSON value that `text` is, or BadInputError with line and column."""
    if not text.strip():
        raise BadInputError(f"{path}: the file is empty")
    try:
        value = json.loads(text)
        # JSON can spell half a character, which no file can be written with.
        return plain(value) if isinstance(value, dict) else value
    except json.JSONDecodeError as error:
        place = f"{path}: line {error.lineno}, column {error.colno}"
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
            raise BadInputError(
                f"{place}: the file ends in the middle: it was not written or copied whole"
            ) from error
        raise BadInputError(f"{place}: this is no JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"{path}: this is no JSON that we can read: {error}") from error


def parse(value: Any, path: Path) -> Document:
    """The document that a decoded results.json is; `path` is for messages, and for its evidence."""
    look = _Looker(path)
    if not isinstance(value, dict) or not {"schema", "run", "results"} <= set(value):
        raise BadInputError(
            f"{path}: this is JSON, but no {FILE_NAME} of kconform: it has no schema, run and results"
        )
    schema = value["schema"]
    if type(schema) is not int or schema < 1:
        look.wrong("$.schema", "a version number of the format", schema)
    if schema > SCHEMA:
        raise BadInputError(
            f"{path}: $.schema: written by a newer kconform (format {schema}, this one reads {SCHEMA})",
            "read it with a kconform that is as new as the one that wrote it",
        )
    run = look.run(value["run"])
    kernels: dict[str, Mapping[str, JSON]] = {}
    for place, kernel in look.each(value, "kernels"):
        identifier = look.text(kernel, "id", place)
        if identifier in kernels:
            raise BadInputError(f"{path}: {place}.id: the kernel {identifier!r} is there twice")
        for key in ("name", "flavor", "release", "arch", "digest", "identity", "accel"):
            look.maybe_text(kernel, key, place)
        kernels[identifier] = kernel
    requirements: dict[str, Requirement] = {}
    statuses: dict[str, Mapping[str, str]] = {}
    for place, each in look.each(value, "requirements"):
        requirement = look.requirement(each, place)
        if requirement.id in requirements:
            raise BadInputError(f"{path}: {place}.id: the promise {requirement.id!r} is there twice")
        requirements[requirement.id] = requirement
        statuses[requirement.id] = look.texts(each, "status", place)
        for name in statuses[requirement.id]:
            look.word(each["status"], name, f"{place}.status", STATUSES)
    results = [look.result(each, place) for place, each in look.each(value, "results")]
    for number, result in enumerate(results):
        if result.kernel is not None and result.kernel not in kernels:
            raise BadInputError(f"{path}: $.results[{number}].kernel: {result.kernel!r} is not one of $.kernels")
    return Document(path, run, kernels, requirements, statuses, results, value)


class _Looker:
    """Takes values out of decoded JSON and says where one is not what it must be."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def wrong(self, place: str, wanted: str, value: Any) -> NoReturn:
        shown = json.dumps(value, ensure_ascii=True)
        shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
        raise BadInputError(f"{self._path}: {place}: must be {wanted}, not {shown}")

    def get(self, table: Mapping[str, Any], key: str, place: str) -> Any:
        if key not in table:
            raise BadInputError(f"{self._path}: {place}: {key!r} is missing")
        return table[key]

    def text(self, table: Mapping[str, Any], key: str, place: str) -> str:
        value = self.get(table, key, place)
        if not isinstance(value, str):
            self.wrong(f"{place}.{key}", "text", value)
        return value

    def maybe_text(self, table: Mapping[str, Any], key: str, place: str) -> str | None:
        return None if self.get(table, key, place) is None else self.text(table, key, place)

    def word(self, table: Mapping[str, Any], key: str, place: str, words: Sequence[str]) -> str:
        value = self.get(table, key, place)
        if value not in words:
            self.wrong(f"{place}.{key}", f"one of {', '.join(words)}", value)
        return str(value)

    def time(self, table: Mapping[str, Any], key: str, place: str) -> str:
        value = self.text(table, key, place)
        if not _TIME.fullmatch(value):
            self.wrong(f"{place}.{key}", "a time such as 2026-11-22T01:17:49.660Z", value)
        return value

    def number(self, table: Mapping[str, Any], key: str, place: str) -> float:
        value = self.get(table, key, place)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
            self.wrong(f"{place}.{key}", "a number that is not negative", value)
        if value > sys.maxsize:
            self.wrong(f"{place}.{key}", "a number of a size that means something", value)
        return value

    def list_of_text(self, table: Mapping[str, Any], key: str, place: str) -> tuple[str, ...]:
        value = self.get(table, key, place)
        if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
            self.wrong(f"{place}.{key}", "a list of texts", value)
        return tuple(value)

    def table(self, table: Mapping[str, Any], key: str, place: str) -> dict[str, Any]:
        value = self.get(table, key, place)
        if not isinstance(value, dict):
            self.wrong(f"{place}.{key}", "an object", value)
        return value

    def texts(self, table: Mapping[str, Any], key: str, place: str) -> dict[str, str]:
        value = self.table(table, key, place)
        for name in value:
            self.text(value, name, f"{place}.{key}")
        return value

    def each(self, document: Mapping[str, Any], key: str) -> list[tuple[str, Mapping[str, Any]]]:
        """The objects of a list at the top, each with its place."""
        value = self.get(document, key, "$")
        if not isinstance(value, list):
            self.wrong(f"$.{key}", "a list", value)
        for number, entry in enumerate(value):
            if not isinstance(entry, dict):
                self.wrong(f"$.{key}[{number}]", "an object", entry)
        return [(f"$.{key}[{number}]", entry) for number, entry in enumerate(value)]

    def run(self, run: Any) -> Mapping[str, Any]:
        if not isinstance(run, dict):
            self.wrong("$.run", "an object", run)
        self.word(run, "state", "$.run", STATES)
        self.text(run, "id", "$.run")
        self.time(run, "started", "$.run")
        if self.get(run, "finished", "$.run") is not None:
            self.time(run, "finished", "$.run")
        for key in ("duration_s", "collected"):
            self.number(run, key, "$.run")
        self.list_of_text(run, "argv", "$.run")
        if "selection" in run:
            self.maybe_text(run, "selection", "$.run")
        self.texts(run, "host", "$.run")
        self.maybe_text(self.table(run, "suite", "$.run"), "commit", "$.run.suite")
        self.table(run, "versions", "$.run")
        status = self.get(run, "exit_status", "$.run")
        if status is not None and type(status) is not int:
            self.wrong("$.run.exit_status", "a number or null", status)
        return run

    def requirement(self, table: Mapping[str, Any], place: str) -> Requirement:
        texts = {key: self.text(table, key, place) for key in ("id", "text", "source", "since", "note")}
        self.text(table, "area", place)
        return Requirement(until=self.maybe_text(table, "until", place), **texts)

    def result(self, table: Mapping[str, Any], place: str) -> Result:
        for field in fields(Result):
            self.get(table, field.name, place)
        reason = self.text(table, "reason", place)
        if "\n" in reason:
            self.wrong(f"{place}.reason", "one line", reason)
        evidence = self.texts(table, "evidence", place)
        for title, path in evidence.items():
            # It will be copied and linked to: nobody's results shall lead out of their own directory.
            if not path or "\0" in path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
                self.wrong(f"{place}.evidence.{title}", "a path within the report directory", path)
        return Result(
            nodeid=self.text(table, "nodeid", place),
            area=self.text(table, "area", place),
            requirements=self.list_of_text(table, "requirements", place),
            kernel=self.maybe_text(table, "kernel", place),
            flavor=self.maybe_text(table, "flavor", place),
            outcome=self.word(table, "outcome", place, OUTCOMES),
            reason=reason,
            duration_s=self.number(table, "duration_s", place),
            accel=self.maybe_text(table, "accel", place),
            worker=self.maybe_text(table, "worker", place),
            started=self.time(table, "started", place),
            longrepr=self.text(table, "longrepr", place),
            evidence=evidence,
        )
