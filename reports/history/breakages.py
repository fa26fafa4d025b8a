# SPDX-License-Identifier: GPL-2.0-or-later
"""When each promise of a series began to break and when it was fixed, and which of its tests are flaky.

A promise that was broken is fixed when it is held again, and the tests that broke it ran and held. A run of a part
of the tests, in which these did not run, proves nothing; a whole run without them ends the breakage too, because they
may have been renamed or removed, but the breakage says so.

A test is flaky if it says so itself, after several attempts, or if it gave different answers about one build.  They
must come from one suite: if the suite has changed, so may have its judgement.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from reports.history.history_file import Breakage, BreakageKind, FlakyTest
from reports.history.kept_runs import DID_NOT_HOLD, KeptColumn, KeptRuns
from reports.history.kernel_series import KernelSeries
from reports.model.result import PromiseStatus, Verdict

HELD: tuple[Verdict, ...] = ("pass", "unexpected-pass")
NOT_HELD: tuple[PromiseStatus, ...] = ("broken", "flaky", "waived")


@dataclass
class _Open:
    """A breakage that is not fixed yet."""

    held: int | None
    first: int
    last: int
    columns: int
    kinds: set[BreakageKind]
    tests: set[int]
    """Those that broke it, in whatever column."""
    test: int | None
    reason: int | None


@dataclass
class _Flakiness:
    """A test, and where it was flaky."""

    builds: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)


def breakages(kernel: KernelSeries, kept: KeptRuns) -> tuple[list[Breakage], list[FlakyTest]]:
    """All breakages of a series, in the order in which they began, and its flaky tests, the most flaky first."""
    flaky, of = _flaky_tests(kernel)
    unsteady = {(test, build) for test, each in flaky.items() for build in each.builds}
    found: list[Breakage] = []
    held: dict[int, int] = {}
    is_open: dict[int, _Open] = {}
    for place, column in enumerate(kernel.columns):
        verdicts: dict[int, Verdict] | None = None
        for promise, status in column.status_of().items():
            known = is_open.get(promise)
            if status in NOT_HELD:
                tests = column.broke.get(promise, [])
                if known is None:
                    test, reason = tests[0] if tests else (None, None)
                    known = _Open(held.get(promise), place, place, 0, set(), set(), test, reason)
                    is_open[promise] = known
                known.last = place
                known.columns += 1
                known.tests.update(test for test, _ in tests)
                steady = any((test, kernel.build_of[place]) not in unsteady for test, _ in tests) or not tests
                known.kinds.add("waived" if status == "waived" else "broken" if _steady(status, steady) else "flaky")
            elif status == "held":
                if known is not None:
                    verdicts = column.verdict_of() if verdicts is None else verdicts
                    same = _ran_again(known, verdicts)
                    if not (same or column.run.whole):
                        continue
                    found.append(_breakage(kept, promise, is_open.pop(promise), place, same))
                held[promise] = place
    found += [_breakage(kept, promise, known, None, False) for promise, known in is_open.items()]
    found.sort(key=lambda each: (each.first, each.promise))
    return found, _records(flaky, of, kept)


def _steady(status: PromiseStatus, steady: bool) -> bool:
    return status == "broken" and steady


def _ran_again(known: _Open, verdicts: dict[int, Verdict]) -> bool:
    """Whether some of the tests that broke the promise hold now, and none of them does not."""
    now = {verdicts[test] for test in known.tests if test in verdicts}
    return bool(now & set(HELD)) and not now & set(DID_NOT_HOLD)


def _breakage(kept: KeptRuns, promise: int, known: _Open, fixed: int | None, same_tests: bool) -> Breakage:
    kinds: tuple[BreakageKind, ...] = ("broken", "flaky", "waived")
    return Breakage(
        promise=kept.promises.texts[promise],
        kind=next(kind for kind in kinds if kind in known.kinds),
        held=known.held,
        first=known.first,
        last=known.last,
        columns=known.columns,
        fixed=fixed,
        same_tests=same_tests,
        test="" if known.test is None else kept.tests.texts[known.test],
        reason="" if known.reason is None else kept.reasons.texts[known.reason],
    )


def _flaky_tests(kernel: KernelSeries) -> tuple[dict[int, _Flakiness], dict[int, int]]:
    """The flaky tests, and in how many builds each test passed or failed."""
    flaky: dict[int, _Flakiness] = {}
    of: dict[int, int] = {}
    for build, places in enumerate(_by_build(kernel)):
        answers: dict[int, dict[str, list[tuple[int, Verdict]]]] = {}
        for place in places:
            column = kernel.columns[place]
            for test, verdict in _answers(column):
                answers.setdefault(test, {}).setdefault(_suite(column), []).append((place, verdict))
        for test, by_suite in answers.items():
            of[test] = of.get(test, 0) + 1
            columns = [place for some in by_suite.values() for place in _unsteady(some)]
            if columns:
                known = flaky.setdefault(test, _Flakiness())
                known.builds.append(build)
                known.columns += sorted(columns)
    return flaky, of


def _by_build(kernel: KernelSeries) -> list[list[int]]:
    places: list[list[int]] = [[] for _ in kernel.builds]
    for place, build in enumerate(kernel.build_of):
        places[build].append(place)
    return places


def _answers(column: KeptColumn) -> Iterator[tuple[int, Verdict]]:
    """The tests that held or did not, which skipped tests and errors do not say."""
    for test, verdict in column.verdict_of().items():
        if verdict in HELD or verdict in DID_NOT_HOLD:
            yield test, verdict


def _suite(column: KeptColumn) -> str:
    """What is the same for runs of one suite.  Nobody knows whether a changed checkout is the same as another."""
    suite = column.run.suite
    return suite if suite and not suite.endswith("-dirty") else column.run.path


def _unsteady(answers: list[tuple[int, Verdict]]) -> list[int]:
    """The columns that show a test flaky, of what one suite said about one build."""
    differ = any(verdict in HELD for _, verdict in answers) and any(verdict in DID_NOT_HOLD for _, verdict in answers)
    return [place for place, verdict in answers if verdict == "flaky" or (differ and verdict in DID_NOT_HOLD)]


def _records(flaky: dict[int, _Flakiness], of: dict[int, int], kept: KeptRuns) -> list[FlakyTest]:
    found = [
        FlakyTest(
            test=kept.tests.texts[test],
            promises=[each for each in kept.subjects[test] if kept.wants(each)],
            builds=each.builds,
            of=of[test],
            columns=each.columns,
        )
        for test, each in flaky.items()
    ]
    return sorted(found, key=lambda each: (-len(each.builds), -len(each.columns), each.test))
