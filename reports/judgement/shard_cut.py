# SPDX-License-Identifier: GPL-2.0-or-later
"""Cuts the tests of a run into shards: pieces of their order that take about the same time.

A shard is a contiguous piece, because tests are sorted by kernel and by boot: as few shards as possible then fetch
the same kernel, or boot it in the same way.  The longest piece is as short as it can be.  The cut depends on nothing
but the tests and the seconds that they are known to take, so every machine makes the same one without asking another.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from reports.model.document import Document

BOOT_S = 5.5
"""Seconds that a boot takes, where no report says it: a cloud kernel on two cores without KVM (docs/results.md)."""
UNKNOWN_S = 0.3
"""Seconds that a test takes, where nothing at all is known."""

_SHARD = re.compile(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,3})", re.ASCII)


@dataclass(frozen=True)
class Shard:
    """One of the pieces: the first is 1."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The shard that `2/5` names.  ValueError for anything else."""
        found = _SHARD.fullmatch(text)
        if not found or int(found[1]) > int(found[2]):
            raise ValueError(f"{text!r} is not a shard")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


@dataclass(frozen=True)
class Timings:
    """How long tests and boots have taken, in seconds."""

    tests: Mapping[str, float] = field(default_factory=dict)
    """By name, with the kernel."""
    functions: Mapping[str, float] = field(default_factory=dict)
    """By the name of the function, on average of its cases that were not skipped."""
    boot_s: float = BOOT_S

    @classmethod
    def of(cls, documents: Iterable[Document]) -> Timings:
        """What former runs have recorded."""
        tests: dict[str, float] = {}
        cases: dict[str, list[float]] = {}
        boots, boot_s = 0, 0.0
        for document in documents:
            for result in document.tests():
                attempts = len(result.repetition.attempts) if result.repetition else 1
                tests[result.nodeid] = result.duration_s / attempts
                if result.verdict != "skip":
                    cases.setdefault(function_of(result.nodeid), []).append(result.duration_s / attempts)
            for kernel in document.kernels.values():
                if kernel.preparation is not None:
                    boots += kernel.preparation.boots
                    boot_s += kernel.preparation.boot_s
        functions = {name: round(statistics.fmean(each), 3) for name, each in cases.items()}
        return cls(tests, functions, round(boot_s / boots, 3) if boots else BOOT_S)

    def seconds(self, nodeid: str) -> float:
        """How long a test will take: as it did, else as its function did, else as the others do."""
        known = self.tests.get(nodeid, self.functions.get(function_of(nodeid)))
        return self._usual if known is None else known

    @cached_property
    def _usual(self) -> float:
        return statistics.median(self.functions.values()) if self.functions else UNKNOWN_S


class Recorded(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The durations that come with the suites."""

    boot_s: float
    functions: dict[str, float]


def render(timings: Timings) -> str:
    """The text of their file, one function in a line."""
    recorded = Recorded(boot_s=timings.boot_s, functions=dict(sorted(timings.functions.items())))
    return msgspec.json.format(msgspec.json.encode(recorded), indent=1).decode() + "\n"


def function_of(nodeid: str) -> str:
    """The name of the test function, without its case and kernel."""
    return nodeid.partition("[")[0]


def cut(tests: Sequence[tuple[str, Hashable]], of: int, timings: Timings) -> list[range]:
    """The tests of each shard, by their places.  `tests` are names, each with the boot that it needs; None: no boot.

    Shards are empty only if there are fewer tests than shards.
    """
    # Whole milliseconds: sums of floating-point numbers depend on their order.
    costs, booted = [], set()
    for nodeid, boot in tests:
        cost = timings.seconds(nodeid)
        if boot is not None and boot not in booted:
            booted.add(boot)
            cost += timings.boot_s
        costs.append(max(1, round(cost * 1000)))
    least, most = max(costs, default=0), sum(costs)
    while least < most:
        middle = (least + most) // 2
        if len(_pieces(costs, middle)) <= of:
            most = middle
        else:
            least = middle + 1
    pieces = _pieces(costs, least)
    while len(pieces) < of:
        longest = max(pieces, key=len, default=range(0))
        if len(longest) < 2:
            break
        at, half = pieces.index(longest), (longest.start + longest.stop) // 2
        pieces[at : at + 1] = [range(longest.start, half), range(half, longest.stop)]
    return pieces + [range(len(costs), len(costs))] * (of - len(pieces))


def _pieces(costs: Sequence[int], most: int) -> list[range]:
    """As few pieces as possible, none of which costs more than `most`."""
    pieces, start, total = [], 0, 0
    for place, cost in enumerate(costs):
        if total + cost > most:
            pieces.append(range(start, place))
            start, total = place, 0
        total += cost
    return [*pieces, range(start, len(costs))] if costs else []
