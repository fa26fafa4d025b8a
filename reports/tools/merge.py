# SPDX-License-Identifier: GPL-2.0-or-later
"""One report from several: from the shards that a CI ran on different machines, or at different times.

The rules, which docs/gate-a-ci.md has too:

- A kernel id stands for one kernel.  Two that have the same id and differ in their digest are not merged.
- Of a test that is in more than one shard, the most severe verdict counts, with its evidence.
- A shard that was interrupted or killed, or is still running, makes the whole interrupted.
- So does one of `--shard K/N` that is missing, or that was cut in other places than the others.
- The exit status is the one that a single run with all these results would have had.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from common.errors import UsageError
from reports.formats import report_files
from reports.judgement import exit_status
from reports.judgement.exit_status import BROKEN, UNDETERMINED, WRONG_USE, Ending
from reports.model.document import Document, load
from reports.model.report_directory import RESULTS, clear_former, locked
from reports.model.requirements import Requirement
from reports.model.result import SEVERITY, VERDICTS, PromiseRecord, Result, Verdict
from reports.model.run_record import CertaintyRecord, MergedRecord, RunRecord, SuiteRecord
from reports.model.store import Store
from reports.tools.copied_evidence import copy_evidence

MOST = 5
"""Promises that a remark names; the others are counted."""


@dataclass(frozen=True)
class Merged:
    """The merged report."""

    document: Document
    remarks: Sequence[str]

    @property
    def exit_status(self) -> int:
        """What a single run with all these results would have ended with."""
        return int(self.document.run.exit_status or 0)


def merge(paths: Sequence[Path], output: Path, *, origin: str) -> Merged:
    """Merge the reports at `paths` into the directory `output`, in their order.

    UsageError for what cannot be read, merged or written.
    """
    shards = [load(path) for path in paths]
    for shard in shards:
        if shard.directory.resolve() == output.resolve():
            raise UsageError(f"--output {output}: this is one of the reports to be merged")
    kept, remarks = choose(shards)
    remarks += missing_shards([shard.run for shard in shards])
    requirements: dict[str, Requirement] = {}
    for shard in shards:
        others = [
            identifier
            for identifier, promise in shard.promises.items()
            if requirements.setdefault(identifier, _requirement(promise)) != _requirement(promise)
        ]
        if others:
            more = f" and {len(others) - MOST} more" if len(others) > MOST else ""
            remarks.append(
                f"{shard.path}: promises that read differently in an earlier report: {', '.join(others[:MOST])}{more}"
            )
    try:
        output.mkdir(parents=True, exist_ok=True)
        with locked(output):
            store = Store(output, requirements, time.monotonic)
            document = _write(shards, kept, store, remarks, origin)
    except OSError as error:
        raise UsageError(f"{output}: cannot be written: {error}") from error
    return Merged(document, [*(remark for shard in shards for remark in shard.remarks(whole=False)), *remarks])


def _write(
    shards: Sequence[Document],
    kept: Iterable[tuple[Document, Result]],
    store: Store,
    remarks: list[str],
    origin: str,
) -> Document:
    """Write the report into the store's directory.  OSError if that fails."""
    output = store.path.parent
    clear_former(output)
    (output / RESULTS).unlink(missing_ok=True)
    for shard in shards:
        for kernel in shard.kernels.values():
            store.add_kernel(kernel)
    for shard, result in kept:
        copied, lost = copy_evidence(result, shard.directory, output)
        if lost:
            remarks.append(f"{shard.path}: evidence of {result.nodeid} is missing: {', '.join(lost)}")
        store.add(msgspec.structs.replace(result, evidence=copied), None)
    run = describe(shards, store.results, output.resolve().name)
    document = store.document(run)
    # Late: while there is no results.json, the report is not complete.
    store.write(run)
    for problem in report_files.write(document, None, origin=origin):
        raise UsageError(f"{output}: cannot be written: {problem}")
    return document


def _requirement(promise: PromiseRecord) -> Requirement:
    return Requirement(promise.id, promise.text, promise.source, promise.since, promise.until, promise.note)


def choose(shards: Iterable[Document]) -> tuple[list[tuple[Document, Result]], list[str]]:
    """One result for each test, with the shard that it is from, and a remark on each that is left out.

    UsageError if one kernel id stands for two kernels.
    """
    digests: dict[str, tuple[str, Document]] = {}
    chosen: dict[str, tuple[Document, Result]] = {}
    remarks = []
    for shard in shards:
        for identifier, kernel in shard.kernels.items():
            digest = kernel.digest
            if digest is None:
                continue
            known, other = digests.setdefault(identifier, (digest, shard))
            if known != digest:
                raise UsageError(
                    f"{shard.path}: the kernel {identifier} is not the one in {other.path}: "
                    f"its digest is {digest[:12]}, the other's {known[:12]}",
                    hint="merge only results of the same kernel, and compare two kernels with `diff`",
                )
        for result in shard.results:
            if result.nodeid not in chosen:
                chosen[result.nodeid] = (shard, result)
                continue
            other, former = chosen[result.nodeid]
            worse = SEVERITY[result.verdict] > SEVERITY[former.verdict]
            if worse:
                chosen[result.nodeid] = (shard, result)
            if result.verdict != former.verdict:
                winner = result.verdict if worse else former.verdict
                remarks.append(
                    f"{result.nodeid}: {former.verdict} in {other.path}, {result.verdict} in {shard.path}: "
                    f"{winner} counts"
                )
            else:
                remarks.append(f"{result.nodeid}: {result.verdict} in {other.path} and in {shard.path}")
    return list(chosen.values()), remarks


def describe(shards: Sequence[Document], found: Sequence[Result], name: str) -> RunRecord:
    """The `run` part of the merged results.json."""
    runs = [shard.run for shard in shards]
    counts: dict[Verdict, int] = {verdict: sum(result.verdict == verdict for result in found) for verdict in VERDICTS}
    complete = all(run.state == "finished" for run in runs) and not missing_shards(runs)
    ends = [run.finished for run in runs if run.finished is not None]
    repeated = sum(len(shard.results) for shard in shards) - len(found)
    return RunRecord(
        id=name,
        state="finished" if complete else "interrupted",
        started=min(run.started for run in runs),
        # Nobody knows when a killed shard ended; the file needs a time all the same.
        finished=max(ends, default=max(run.started for run in runs)),
        duration_s=round(sum(run.duration_s for run in runs), 3),
        exit_status=_exit_status(shards, counts),
        collected=max(_collected(runs) - repeated, len(found)),
        counts={str(verdict): count for verdict, count in counts.items()},
        argv=runs[0].argv if all(run.argv == runs[0].argv for run in runs) else [],
        selection=_selections([run.selection for run in runs]),
        host={key: str(value) for key, value in _joined([run.host for run in runs]).items() if value is not None},
        suite=SuiteRecord(_joined([{"commit": run.suite.commit} for run in runs])["commit"]),
        versions=_joined([run.versions for run in runs]),
        certainty=certainty(runs),
        merged=[
            MergedRecord(str(shard.path), run.id, run.state, run.started, run.exit_status, run.shard)
            for shard, run in zip(shards, runs, strict=True)
        ],
    )


def _exit_status(shards: Sequence[Document], counts: dict[Verdict, int]) -> int:
    """What a single run with these verdicts would have ended with.

    A shard's exit status says what its verdicts do not explain: an internal error, wrong use, a report that could not
    be written, and waivers that are not needed where the user wants none of these.
    """
    internal = wrong_use = unwritten = strict = False
    interrupted = bool(missing_shards([shard.run for shard in shards]))
    asked: set[int] = set()
    for shard in shards:
        ended, state = shard.run.exit_status, shard.run.state
        verdicts = {result.verdict for result in shard.results}
        unsure = shard.run.certainty.flaky == "undetermined"
        broken = "fail" in verdicts or ("flaky" in verdicts and not unsure)
        internal |= state == "interrupted" and ended == UNDETERMINED
        interrupted |= state != "finished" and ended != UNDETERMINED
        if ended == WRONG_USE and "error" in verdicts:
            asked.add(WRONG_USE)
        elif ended == WRONG_USE:
            wrong_use = True
        unwritten |= ended == UNDETERMINED and "error" not in verdicts and not (unsure and "flaky" in verdicts)
        strict |= ended == BROKEN and not broken
    return exit_status.exit_status(
        counts,
        frozenset(asked),
        Ending(
            interrupted=interrupted,
            internal_error=internal,
            wrong_use=wrong_use,
            write_failed=unwritten,
            strict_waivers=strict,
            idle_waivers=strict,
            flaky=certainty([shard.run for shard in shards]).flaky,
        ),
    )


def missing_shards(runs: Sequence[RunRecord]) -> list[str]:
    """A sentence for each shard of --shard that the others were cut with, and that is not there."""
    plans: dict[tuple[str, int], set[int]] = {}
    for run in runs:
        if run.shard is not None:
            plans.setdefault((run.shard.plan, run.shard.of), set()).add(run.shard.number)
    return [
        f"shard {number} of {of} is missing (plan {plan}, of which there is {', '.join(map(str, sorted(there)))}):"
        " it was not given, or it had other tests or timings than the others"
        for (plan, of), there in plans.items()
        for number in range(1, of + 1)
        if number not in there
    ]


def _collected(runs: Sequence[RunRecord]) -> int:
    """Tests that were to run, also those of missing shards."""
    plans = {run.shard.plan: run.shard.tests for run in runs if run.shard is not None}
    return sum(plans.values()) + sum(run.collected for run in runs if run.shard is None)


def certainty(runs: Sequence[RunRecord]) -> CertaintyRecord:
    """What all shards have in common: the fewest attempts, and the stricter view of flaky tests."""
    each = [run.certainty for run in runs]
    return CertaintyRecord(
        repeat=min(one.repeat for one in each),
        confirm=min(one.confirm for one in each),
        flaky="broken" if any(one.flaky == "broken" for one in each) else "undetermined",
    )


def _selections(chosen: Sequence[str | None]) -> str | None:
    """The selections of all shards; None if each had all tests."""
    return " and ".join(dict.fromkeys(one or "all" for one in chosen)) if any(chosen) else None


def _joined(tables: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One table: a value on which all agree, or all different values in one text."""
    joined: dict[str, Any] = {}
    for key in dict.fromkeys(key for table in tables for key in table):
        values = [table[key] for table in tables if table.get(key) is not None]
        same = bool(values) and all(value == values[0] for value in values)
        joined[key] = values[0] if same else ", ".join(dict.fromkeys(map(str, values))) or None
    return joined
