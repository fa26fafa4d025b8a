# SPDX-License-Identifier: GPL-2.0-or-later
"""The result of a folder of counters: sums by area, and the lines that each test executes."""

from __future__ import annotations

import contextlib
import os
import queue
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from common.errors import UsageError
from reports.model.names_of_tests import without_kernel
from suites.coverage.counter_folder import CounterFolder
from suites.coverage.execution_counts import FileCounts
from suites.coverage.gcov_reader import GcovReader
from suites.coverage.line_map import LineMap, area, make_map

Counted = dict[str, FileCounts]
"""By source file."""


@dataclass(frozen=True)
class Measurement:
    """The counters of one kernel's tests, read and added up."""

    kernel: str
    version: str
    sources: Mapping[str, str]
    areas: Mapping[str, Counted]
    """The sums of the tests of each area, boots included."""
    total: Counted
    executed: Mapping[str, Mapping[str, set[int]]]
    """Of each test, by its name without the kernel, the lines that it executes beyond its boot, by file."""
    missing: Mapping[str, str]
    """Of the tests without counters, the reason."""

    def map(self, seconds: Mapping[str, float]) -> LineMap:
        """The map of lines; `seconds` are the durations of tests, by the same name."""
        return make_map(
            self.kernel,
            self.version,
            self.sources,
            {file: counts.functions for file, counts in self.total.items()},
            {file: counts.lines for file, counts in self.total.items()},
            {name: (seconds.get(name, 0.0), lines) for name, lines in self.executed.items()},
            {name: seconds.get(name, 0.0) for name in self.missing},
        )


def measure(folder: CounterFolder) -> Measurement:
    """Read all counters of a folder.  UsageError if no guest has left any."""
    kernel = folder.kernel()
    tests = folder.tests()
    missing = {without_kernel(test.nodeid, kernel["id"]): test.missing for test in tests if test.missing}
    tests = [test for test in tests if not test.missing]
    if not tests:
        raise UsageError(f"no guest of {kernel['id']} has left counters", hint=next(iter(missing.values()), ""))
    with _readers(folder) as read, ThreadPoolExecutor(_processors()) as threads:
        boots = dict(
            zip(folder.boots(), threads.map(lambda key: read(folder.boot(key)), folder.boots()), strict=True)
        )
        areas: dict[str, Counted] = {}
        total: Counted = {}
        executed: dict[str, dict[str, set[int]]] = {}
        for test, counts in zip(tests, threads.map(lambda test: read(test.counters), tests), strict=True):
            name = area(test.nodeid)
            areas[name] = _plus(areas.get(name, {}), counts)
            total = _plus(total, counts)
            idle = boots[test.boot]
            lines = {file: of_it.beyond(idle[file]) for file, of_it in counts.items()}
            executed[without_kernel(test.nodeid, kernel["id"])] = lines
    sources = {
        file.source: (folder.notes / file.source).read_text(encoding="utf-8", errors="replace")
        for file in folder.files
    }
    return Measurement(kernel["id"], kernel["version"], sources, areas, total, executed, missing)


class _Read:
    """Reads counters in any thread: each reader is used by one at a time."""

    def __init__(self, readers: queue.SimpleQueue[GcovReader]) -> None:
        self._readers = readers

    def __call__(self, counters: Mapping[str, bytes]) -> Counted:
        reader = self._readers.get()
        try:
            return reader.read(counters)
        finally:
            self._readers.put(reader)


@contextlib.contextmanager
def _readers(folder: CounterFolder) -> Iterator[_Read]:
    readers: queue.SimpleQueue[GcovReader] = queue.SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="kconform-gcov-") as scratch:
        for number in range(_processors()):
            own = Path(scratch, str(number))
            own.mkdir()
            readers.put(GcovReader(folder, own))
        yield _Read(readers)


def _processors() -> int:
    return len(os.sched_getaffinity(0))


def _plus(sums: Counted, more: Counted) -> Counted:
    return {file: sums.get(file, FileCounts()).plus(counts) for file, counts in more.items()}
