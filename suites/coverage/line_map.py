# SPDX-License-Identifier: GPL-2.0-or-later
"""The map of lines: which tests execute which lines of the kernel's files, as recorded by `kconform coverage`.

It is kept in the cache, one for each version of the kernel, where neither the cache's limit nor `cache clear` affects
it.  The sources are part of it, so that lines of another version can be compared with them.

A test executes a line if its guest has executed it more often than a guest that did nothing after the same boot.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from common import atomic
from common.errors import UsageError
from common.project_files import COMMAND
from common.versions import Version, parse_version
from kconfigs.cache import Cache
from suites.coverage.execution_counts import FunctionExtent

_NONE_HINT = f"{COMMAND} coverage boot ptrace yama loadpin seccomp records it"


def area(name: str) -> str:
    """The area of a node id such as suites/AREA/test_a.py::test_b."""
    return name.split("/")[1]


class MappedTest(msgspec.Struct, frozen=True):
    """A test, by its node id without the kernel, and how long it takes."""

    name: str
    seconds: float


class MappedFile(msgspec.Struct, frozen=True):
    source: str
    """The text of the file."""
    functions: dict[str, tuple[int, int]]
    """First and last line."""
    lines: dict[int, int]
    """Of each line with code, the place of its tests in `LineMap.sets`."""


class LineMap(msgspec.Struct, frozen=True):
    """Which tests execute which lines."""

    kernel: str
    version: str
    tests: list[MappedTest]
    sets: list[str]
    """Sets of tests, each a hexadecimal number that has a bit for each of its tests."""
    files: dict[str, MappedFile]
    unmeasured: list[MappedTest]
    """The tests whose guests gave no counters: nobody knows what they execute."""

    def file(self, name: str) -> MappedFile:
        """UsageError if there is no such file."""
        if name not in self.files:
            raise UsageError(f"no test is recorded for {name}", hint=f"files: {', '.join(sorted(self.files))}")
        return self.files[name]

    def function(self, file: str, name: str) -> range:
        """The lines of a function.  UsageError if there is none of that name."""
        extents = self.file(file).functions
        if name not in extents:
            raise UsageError(f"{file} has no function {name} with code", hint="name a line instead: FILE:LINE")
        first, last = extents[name]
        return range(first, last + 1)

    def tests_of(self, file: str, lines: Iterable[int]) -> dict[MappedTest, int]:
        """The tests that execute any of these lines, and how many of them each executes."""
        known = self.file(file).lines
        found: dict[MappedTest, int] = {}
        for line in lines:
            for test in self._members(known[line]) if line in known else ():
                found[test] = found.get(test, 0) + 1
        return found

    def sizes(self) -> Counter[MappedTest]:
        """How many lines each test executes."""
        found: Counter[MappedTest] = Counter()
        for place, lines in Counter(at for file in self.files.values() for at in file.lines.values()).items():
            for test in self._members(place):
                found[test] += lines
        return found

    def _members(self, place: int) -> Iterator[MappedTest]:
        """The tests of a set, by its place in `sets`."""
        bits = int(self.sets[place], 16)
        while bits:
            low = bits & -bits
            yield self.tests[low.bit_length() - 1]
            bits ^= low

    def executed_by(self, name: str) -> dict[str, set[int]]:
        """The lines that a test executes, by file."""
        bit = 1 << [test.name for test in self.tests].index(name)
        has = [bool(int(members, 16) & bit) for members in self.sets]
        return {file: {line for line, at in each.lines.items() if has[at]} for file, each in self.files.items()}


def make_map(
    kernel: str,
    version: str,
    sources: Mapping[str, str],
    functions: Mapping[str, Mapping[str, FunctionExtent]],
    lines: Mapping[str, Iterable[int]],
    executed: Mapping[str, tuple[float, Mapping[str, Iterable[int]]]],
    unmeasured: Mapping[str, float],
) -> LineMap:
    """From the sources, their functions and lines with code, and of each test its seconds and executed lines.

    Of tests that are not measured, only the seconds are known.
    """
    names = sorted(executed)
    bits: dict[tuple[str, int], int] = {(file, line): 0 for file in sources for line in lines[file]}
    for number, name in enumerate(names):
        for file, of_it in executed[name][1].items():
            for line in of_it:
                bits[file, line] |= 1 << number
    sets = sorted(set(bits.values()))
    at = {members: place for place, members in enumerate(sets)}
    files = {
        file: MappedFile(
            source=text,
            functions={name: (each.first, each.last) for name, each in functions[file].items()},
            lines={line: at[bits[file, line]] for line in sorted(lines[file])},
        )
        for file, text in sources.items()
    }
    tests = [MappedTest(name, round(executed[name][0], 3)) for name in names]
    others = [MappedTest(name, round(seconds, 3)) for name, seconds in sorted(unmeasured.items())]
    return LineMap(kernel, version, tests, [f"{members:x}" for members in sets], files, others)


def joined(new: LineMap, old: LineMap | None) -> LineMap:
    """The new map, with the tests of the old one that it does not have, if both are of the same sources."""
    sources = {file: each.source for file, each in new.files.items()}
    if old is None or {file: each.source for file, each in old.files.items()} != sources:
        return new
    executed = {
        test.name: (test.seconds, of_it.executed_by(test.name)) for of_it in (old, new) for test in of_it.tests
    }
    functions = {
        file: {name: FunctionExtent(*lines) for name, lines in each.functions.items()}
        for file, each in new.files.items()
    }
    lines = {file: each.lines.keys() for file, each in new.files.items()}
    others = {test.name: test.seconds for of_it in (old, new) for test in of_it.unmeasured}
    of_new = {test.name for test in new.tests}
    unmeasured = {name: seconds for name, seconds in others.items() if name not in of_new}
    executed = {name: of_it for name, of_it in executed.items() if name not in {test.name for test in new.unmeasured}}
    return make_map(new.kernel, new.version, sources, functions, lines, executed, unmeasured)


# In the cache


def save_map(found: LineMap, cache: Cache | None = None) -> Path:
    path = _folder(cache) / f"{found.version}.json.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(path, gzip.compress(msgspec.json.encode(found), mtime=0))
    return path


def find_map(version: str, cache: Cache | None = None) -> LineMap | None:
    """The map of exactly this version; None if there is none, or none that can be read."""
    return _read(_folder(cache) / f"{version}.json.gz")


def load_map(version: Version = (), cache: Cache | None = None) -> LineMap:
    """The map of this version, or else of the next older one, or else of the oldest; without a version, the newest.

    UsageError if there is none.
    """
    known = {parse_version(path.name.removesuffix(".json.gz")): path for path in _folder(cache).glob("*.json.gz")}
    older = [one for one in known if not version or one <= version]
    for one in [*sorted(older, reverse=True), *sorted(known)]:
        if found := _read(known[one]):
            return found
    raise UsageError("no run has recorded yet which tests execute which lines of the kernel", hint=_NONE_HINT)


def _read(path: Path) -> LineMap | None:
    try:
        return msgspec.json.decode(gzip.decompress(path.read_bytes()), type=LineMap)
    except (OSError, EOFError, ValueError, msgspec.MsgspecError):
        return None


def _folder(cache: Cache | None) -> Path:
    return (cache or Cache()).root / ".coverage"
