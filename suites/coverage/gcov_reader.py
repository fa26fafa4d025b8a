# SPDX-License-Identifier: GPL-2.0-or-later
"""From counters to lines and branches: the programs gcov and gcov-tool, of the gcc that has built the kernel."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from common.errors import KconformError
from suites.coverage.counter_folder import CounterFolder
from suites.coverage.execution_counts import FileCounts, FunctionExtent, LineCounts

_STRANGE_COUNT = 1 << 63
"""A count beyond this is a negative number: a counter was read while the kernel changed it."""


class GcovReader:
    """Reads the counters of one kernel.  A scratch folder has its notes, beside which gcov looks for counters."""

    def __init__(self, folder: CounterFolder, scratch: Path) -> None:
        self._folder = folder
        self._scratch = scratch
        self._files = {file.source: file for file in folder.files}
        lay_out_notes(folder, scratch)

    def read(self, counters: Mapping[str, bytes]) -> dict[str, FileCounts]:
        """By source file.  KconformError if gcov cannot read them."""
        return parse(self._said(counters), list(counters))

    def tree(self, counters: Mapping[str, bytes]) -> Path:
        """The tree that the kernel was built from, as gcc has noted it."""
        for document in map(json.loads, filter(str.strip, self._said(counters).splitlines())):
            for file in document["files"]:
                path = Path(document["current_working_directory"], file["file"])
                if source := _source_of(str(path), list(counters)):
                    return Path(os.path.normpath(str(path).removesuffix(source)))
        raise KconformError("gcov names no source file", hint="do the notes belong to this kernel?")

    def _said(self, counters: Mapping[str, bytes]) -> str:
        names = []
        for source, content in counters.items():
            names.append(f"{self._files[source].stem}.gcda")
            (self._scratch / names[-1]).write_bytes(content)
        return _run([self._folder.gcov, "--json-format", "--stdout", "--branch-probabilities", *names], self._scratch)


def lay_out_notes(folder: CounterFolder, where: Path) -> None:
    """Put the notes of all files there, under the names of their sources."""
    for file in folder.files:
        (where / file.source).parent.mkdir(parents=True, exist_ok=True)
        (where / f"{file.stem}.gcno").symlink_to((folder.notes / f"{file.stem}.gcno").absolute())


def parse(said: str, sources: Sequence[str]) -> dict[str, FileCounts]:
    """gcov's JSON, one document for each file of counters (gcov(1), --json-format).

    What comes from a header is left out: of a function in it, each source file has a copy.
    """
    found: dict[str, FileCounts] = {}
    for document in said.splitlines():
        if document.strip():
            for file in json.loads(document)["files"]:
                if source := _source_of(file["file"], sources):
                    found[source] = _file_counts(file)
    if missing := [name for name in sources if name not in found]:
        raise KconformError(
            f"gcov says nothing about {', '.join(missing)}", hint="do the notes belong to this kernel?"
        )
    return found


def _source_of(path: str, sources: Sequence[str]) -> str | None:
    return next((name for name in sources if f"/{path}".endswith(f"/{name}")), None)


def _file_counts(file: Mapping[str, Any]) -> FileCounts:
    lines: dict[int, LineCounts] = {}
    for line in file["lines"]:
        number, counts = line["line_number"], [branch["count"] for branch in line["branches"]]
        before = lines.get(number, LineCounts(line.get("function_name", ""), 0))
        # A line that several functions share is there several times.
        lines[number] = LineCounts(
            before.function, before.count + _plain(line["count"]), (*before.branches, *map(_plain, counts))
        )
    functions = {each["name"]: FunctionExtent(each["start_line"], each["end_line"]) for each in file["functions"]}
    for each in functions.values():
        # The first line of a function has no condition: gcov shows a block's branches at each piece of the block
        # that code of a header has cut out, and the first block begins there.
        if each.first in lines and each.first < each.last:
            lines[each.first] = replace(lines[each.first], branches=())
    return FileCounts(lines, functions)


def _plain(count: int) -> int:
    return count if count < _STRANGE_COUNT else 0


def merge(folder: CounterFolder, counters: Iterable[Mapping[str, bytes]], into: Path) -> None:
    """Add up counters with gcov-tool, and leave the sums with the notes in a folder, as gcovr expects them."""
    tool = str(PurePath(folder.gcov).with_name(re.sub(r"gcov", "gcov-tool", PurePath(folder.gcov).name)))
    stems = {file.source: file.stem for file in folder.files}
    with tempfile.TemporaryDirectory(prefix="kconform-gcov-") as scratch:
        total = None
        for number, one in enumerate(counters):
            added, summed = Path(scratch, f"added-{number}"), Path(scratch, f"sum-{number}")
            for source, content in one.items():
                path = added / f"{stems[source]}.gcda"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            if total is None:
                total = added
                continue
            _run([tool, "merge", str(total), str(added), "--output", str(summed)], Path(scratch))
            for former in (total, added):
                shutil.rmtree(former)
            total = summed
        lay_out_notes(folder, into)
        if total is not None:
            shutil.copytree(total, into, dirs_exist_ok=True)


def _run(command: Sequence[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, encoding="utf-8", errors="replace", check=False
        )
    except OSError as error:
        raise KconformError(
            f"{command[0]} cannot be run: {error.strerror}",
            hint="install the gcc that has built the kernel: its package has gcov, too",
        ) from error
    # gcov warns, and goes on, where notes and counters do not belong together.
    if done.returncode or "mismatch" in done.stderr:
        raise KconformError(
            f"{PurePath(command[0]).name} cannot read the counters: {done.stderr.strip() or done.returncode}",
            hint="is it the gcov of the gcc that has built the kernel?",
        )
    return done.stdout
