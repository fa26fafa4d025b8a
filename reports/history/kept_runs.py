# SPDX-License-Identifier: GPL-2.0-or-later
"""What is kept of each run: a few bytes for each result, so that years of runs fit into memory.

Names and reasons are numbers in a list that all runs share.  Everything else of a results.json is forgotten before
the next one is read.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import structs

from common.errors import UsageError
from reports.history.history_file import HistoryPromise, HistoryRun
from reports.history.run_files import BriefFile, BriefResult
from reports.model.names_of_tests import without_kernel
from reports.model.result import (
    SEVERITY,
    STATUSES,
    VERDICTS,
    KernelRecord,
    PromiseRecord,
    PromiseStatus,
    Verdict,
    clean_text,
)
from reports.model.run_record import RunRecord

KEPT_LIMIT = 20_000_000
"""Values that are kept of all runs: results and statuses, 5 bytes each, and what takes more room in proportion.  A
run on one kernel has 2,500."""
COLUMN_COST, FAILURE_COST, AREA_COST = 300, 20, 20
"""The room, in values, of a kernel in a run; of a failure with its reason; and of an area in a column."""
TEXT_LIMIT = 64 << 20
"""Characters of all names, reasons and sentences.  A thousand runs of one suite have a million."""
NAME_COST = 100
"""Characters for which a name counts in addition to its own."""
SHORT = 300
"""Characters of a reason, and of whatever else is only shown, that are kept."""
HINT = "read fewer runs: name fewer folders, or use --since and --promise"

DID_NOT_HOLD: tuple[Verdict, ...] = ("fail", "flaky", "waived")
_VERDICT_NUMBER = {verdict: number for number, verdict in enumerate(VERDICTS)}
_STATUS_NUMBER = {status: number for number, status in enumerate(STATUSES)}
_NOT_HELD = frozenset(_VERDICT_NUMBER[verdict] for verdict in DID_NOT_HOLD)


@dataclass
class Allowance:
    """What has been kept.  UsageError if it is not enough: files from anywhere must not take all memory."""

    values: int = 0
    characters: int = 0

    def take(self, values: int) -> None:
        self.values += values
        if self.values > KEPT_LIMIT:
            raise UsageError(f"more than {KEPT_LIMIT:,} results and other values", hint=HINT)

    def take_text(self, text: str) -> None:
        self.characters += len(text) + NAME_COST
        if self.characters > TEXT_LIMIT:
            raise UsageError(f"more than {TEXT_LIMIT:,} characters in names and reasons", hint=HINT)


@dataclass
class Names:
    """Texts by number."""

    room: Allowance
    texts: list[str] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)

    def number(self, text: str) -> int:
        known = self._numbers.get(text)
        if known is None:
            self.room.take_text(text)
            known = self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return known


@dataclass
class KeptColumn:
    """One kernel in one run."""

    run: HistoryRun
    kernel: KernelRecord
    promises: array[int]
    statuses: bytearray
    """The status of each of `promises`, as a place in STATUSES."""
    tests: array[int]
    verdicts: bytearray
    """The verdict of each of `tests`, as a place in VERDICTS."""
    broke: dict[int, list[tuple[int, int]]]
    """Of a promise that did not hold: the tests that say so, each with its reason."""
    seconds: dict[str, float]

    def status_of(self) -> dict[int, PromiseStatus]:
        """The status of each promise, by its number."""
        return {promise: STATUSES[status] for promise, status in zip(self.promises, self.statuses, strict=True)}

    def verdict_of(self) -> dict[int, Verdict]:
        """The verdict of each test, by its number; of one with several results, the most severe."""
        found: dict[int, Verdict] = {}
        for test, number in zip(self.tests, self.verdicts, strict=True):
            verdict = VERDICTS[number]
            if test not in found or SEVERITY[verdict] > SEVERITY[found[test]]:
                found[test] = verdict
        return found


class KeptRuns:
    """All runs that have been read."""

    def __init__(self, only: Callable[[str], bool] | None = None) -> None:
        """`only`: whether a promise, given by its id, is to be kept, and with it its tests; None for everything."""
        self._only = only
        self._room = Allowance()
        self.runs: list[HistoryRun] = []
        self.columns: list[KeptColumn] = []
        self.promises, self.tests, self.reasons, self._areas = (Names(self._room) for _ in range(4))
        self.subjects: dict[int, tuple[str, ...]] = {}
        """The promises of each test, as the run that was read last says."""
        self.words: dict[str, HistoryPromise] = {}
        """Each promise in the words of the latest run."""
        self._when: dict[str, str] = {}
        """When the run began that each promise's words are from."""
        self._parts: dict[tuple[str, str], set[str]] = {}
        """Parts of merged reports, by id and beginning, with the paths of the reports that they are a part of."""
        self._seen: set[int] = set()
        """The hashes of what tells the runs apart."""

    def wants(self, promise: str) -> bool:
        """Whether a promise is to be kept."""
        return self._only is None or self._only(promise)

    def add(self, path: Path, file: BriefFile) -> bool:
        """Keep a run.  False if it is known already, as a copy of the same file."""
        run = file.run
        same = hash((run.id, run.started, run.finished, run.duration_s, run.host.get("node"), len(file.results)))
        if same in self._seen:
            return False
        self._seen.add(same)
        statuses = sum(len(promise.status) for promise in file.requirements)
        self._room.take(len(file.results) + statuses + COLUMN_COST * (1 + len(file.kernels)))
        # A kernel that could not be fetched or built is known only by its name, and belongs to no series.
        kernels = [kernel for kernel in file.kernels if kernel.digest]
        summary = _summary(path, file, {kernel.id for kernel in kernels})
        self.runs.append(summary)
        for part in run.merged or ():
            self._room.take(COLUMN_COST)
            self._parts.setdefault((_short(part.id), part.started), set()).add(summary.path)
        columns = {kernel.id: _column(summary, kernel) for kernel in kernels}
        self._take_promises(run, columns, file.requirements)
        for result in file.results:
            if (column := columns.get(result.kernel or "")) is not None:
                self._take_result(column, result)
        self.columns += [column for column in columns.values() if column.tests or column.promises]
        return True

    def forget_parts(self) -> list[HistoryRun]:
        """Drop the runs of which a merged report was read as well, and return them."""
        # A merged report may have the id and the beginning of one of its own parts.
        dropped = [run for run in self.runs if self._parts.get((run.id, run.started), set()) - {run.path}]
        gone = set(map(id, dropped))
        self.runs = [run for run in self.runs if id(run) not in gone]
        self.columns = [column for column in self.columns if id(column.run) not in gone]
        return dropped

    def _take_promises(
        self, run: RunRecord, columns: dict[str, KeptColumn], promises: Sequence[PromiseRecord]
    ) -> None:
        for promise in promises:
            if not self.wants(promise.id):
                continue
            if self._when.get(promise.id, "") < run.started:
                self._take_words(promise)
                self._when[promise.id] = run.started
            number = self.promises.number(promise.id)
            for kernel, status in promise.status.items():
                if (column := columns.get(kernel)) is not None:
                    column.promises.append(number)
                    column.statuses.append(_STATUS_NUMBER[status])

    def _take_words(self, promise: PromiseRecord) -> None:
        known = self.words.get(promise.id)
        if known is None or (known.area, known.text) != (promise.area, promise.text):
            self._room.take_text(promise.text)
            self._room.take_text(promise.area)
            self.words[promise.id] = HistoryPromise(id=promise.id, area=promise.area, text=promise.text)

    def _take_result(self, column: KeptColumn, result: BriefResult) -> None:
        subjects = result.requirements
        if self._only is not None and not any(map(self._only, subjects)):
            return
        test = self.tests.number(without_kernel(result.nodeid, result.kernel))
        if self.subjects.get(test) != subjects:
            self._room.take(len(subjects))
            self.subjects[test] = subjects
        verdict = _VERDICT_NUMBER[result.verdict]
        column.tests.append(test)
        column.verdicts.append(verdict)
        if result.area not in column.seconds:
            self._room.take(AREA_COST)
            self._areas.number(result.area)
        column.seconds[result.area] = column.seconds.get(result.area, 0.0) + result.duration_s
        if verdict in _NOT_HELD:
            reason = self.reasons.number(_short(result.reason))
            broken = [promise for promise in result.breaks or subjects if self.wants(promise)]
            self._room.take(FAILURE_COST * (1 + len(broken)))
            for promise in broken:
                column.broke.setdefault(self.promises.number(promise), []).append((test, reason))


def _short(text: str) -> str:
    return clean_text(text[:SHORT])


def _column(run: HistoryRun, kernel: KernelRecord) -> KeptColumn:
    # What a boot complained of may be long, and nothing here asks for it.
    known = structs.replace(kernel, accel_why=None, boot_complaint=None, lost_options=None)
    texts = {name: _short(value) for name, value in structs.asdict(known).items() if isinstance(value, str)}
    return KeptColumn(run, structs.replace(known, **texts), array("I"), bytearray(), array("I"), bytearray(), {}, {})


def _summary(path: Path, file: BriefFile, kernels: Collection[str]) -> HistoryRun:
    """What is said of the run as a whole; `kernels` are the ids of those that were there."""
    run = file.run
    have = len({result.nodeid for result in file.results})
    suite = run.suite.commit or str(run.versions.get("kconform") or "")
    return HistoryRun(
        path=clean_text(str(path)),
        id=_short(run.id),
        state=run.state,
        started=run.started,
        duration_s=run.duration_s,
        exit_status=run.exit_status,
        suite=_short(suite) or None,
        selection=None if run.selection is None else _short(run.selection),
        whole=run.state == "finished" and run.selection is None and run.shard is None and have >= run.collected,
        results=len(file.results),
        without_kernel=sum(result.kernel not in kernels for result in file.results),
    )
