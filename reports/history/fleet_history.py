# SPDX-License-Identifier: GPL-2.0-or-later
"""The history of many runs: paths in, a `HistoryFile` out."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from common.errors import UsageError
from reports.history import run_files
from reports.history.breakages import breakages
from reports.history.history_file import (
    HISTORY_SCHEMA,
    BuildRun,
    HistoryFile,
    HistoryFilters,
    LeftOut,
    PromiseRow,
    Series,
)
from reports.history.kept_runs import HINT, KeptColumn, KeptRuns
from reports.history.kernel_series import KernelSeries, series
from reports.model.result import Preparation, PromiseStatus, clean_text

COPY = "a copy of a run that was read already"
CELLS_LIMIT = 10_000_000
"""Promises times columns, of all series together.  500 promises in 1,000 runs on ten kernels have 5 million."""
PART = "a part of a merged report that was read as well"


def history(
    paths: Iterable[Path],
    *,
    kernel: str | None = None,
    promise: str | None = None,
    since: datetime.date | None = None,
) -> HistoryFile:
    """The history of all runs in and below the paths.

    `kernel` and `promise` are patterns with `*` and `?`, of the ids of kernels or series, and of promises.  Runs that
    began before `since`, in UTC, are ignored.  A file that is no results.json, or a damaged one, is left out by name.
    UsageError if nothing remains, or as from `find` and `KeptRuns.add`.
    """
    named = list(paths)
    kept = KeptRuns(None if promise is None else lambda identifier: fnmatchcase(identifier, promise))
    left_out = []
    before = 0
    for path in run_files.find(named):
        try:
            file = run_files.read(path)
        except UsageError as error:
            left_out.append(_left_out(path, error.message.removeprefix(f"{path}: ")))
            continue
        if since is not None and file.run.started < since.isoformat():
            before += 1
        elif not _added(kept, path, file):
            left_out.append(_left_out(path, COPY, counted=True))
    left_out += [_left_out(Path(run.path), PART, counted=True) for run in kept.forget_parts()]
    if not kept.runs:
        raise _nothing(left_out, before, since)
    return _assembled(
        kept,
        left_out,
        HistoryFilters(kernel=kernel, promise=promise, since=None if since is None else since.isoformat()),
    )


def _added(kept: KeptRuns, path: Path, file: run_files.BriefFile) -> bool:
    try:
        return kept.add(path, file)
    except UsageError as error:
        raise error.at(f"{path}, with the runs before") from error


def _left_out(path: Path, why: str, *, counted: bool = False) -> LeftOut:
    return LeftOut(path=clean_text(str(path)), why=clean_text(why), counted=counted)


def _nothing(left_out: list[LeftOut], before: int, since: datetime.date | None) -> UsageError:
    if since is not None and before:
        return UsageError(f"no run began on {since} or later; {before} began before")
    first = left_out[0]
    return UsageError(f"none of {len(left_out)} files can be read; the first: {first.path}: {first.why}")


def _assembled(kept: KeptRuns, left_out: list[LeftOut], filters: HistoryFilters) -> HistoryFile:
    kept.runs.sort(key=lambda run: (run.started, run.path))
    place_of = {id(run): place for place, run in enumerate(kept.runs)}
    every = series(kept.columns)
    pattern = filters.kernel
    wanted = [
        each
        for each in every
        if pattern is None
        or fnmatchcase(each.id, pattern)
        or any(fnmatchcase(column.kernel.id, pattern) for column in each.columns)
    ]
    if not wanted and every:
        raise UsageError(f"no kernel matches {pattern!r}", hint=f"there are {', '.join(each.id for each in every)}")
    promises = {number for each in wanted for column in each.columns for number in column.promises}
    if filters.promise is not None and not promises:
        raise UsageError(f"no promise matches {filters.promise!r}", hint="promises have names such as yama.scope-1")
    _refuse_too_large(wanted)
    names = sorted(kept.promises.texts[number] for number in promises)
    return HistoryFile(
        schema=HISTORY_SCHEMA,
        filters=filters,
        runs=kept.runs,
        left_out=left_out,
        promises=[kept.words[name] for name in names],
        series=[_series(each, kept, place_of) for each in wanted],
    )


def _refuse_too_large(every: Iterable[KernelSeries]) -> None:
    """UsageError if the tables of all series together would take too much memory."""
    cells = 0
    for each in every:
        cells += len(each.columns) * len({promise for column in each.columns for promise in column.promises})
    if cells > CELLS_LIMIT:
        raise UsageError(f"more than {CELLS_LIMIT:,} cells: promises of a kernel times its runs", hint=HINT)


def _series(kernel: KernelSeries, kept: KeptRuns, place_of: dict[int, int]) -> Series:
    latest = kernel.columns[-1].kernel
    broken, flaky = breakages(kernel, kept)
    return Series(
        id=kernel.id,
        flavor=latest.flavor,
        arch=latest.arch,
        machine_options=latest.machine_options,
        target=latest.target,
        builds=kernel.builds,
        columns=[
            _build_run(column, build, place_of[id(column.run)])
            for column, build in zip(kernel.columns, kernel.build_of, strict=True)
        ],
        promises=_rows(kernel, kept),
        breakages=broken,
        flaky=flaky,
    )


def _build_run(column: KeptColumn, build: int, run: int) -> BuildRun:
    took = column.kernel.preparation or Preparation()
    return BuildRun(
        run=run,
        build=build,
        kernel=column.kernel.id,
        accel=column.kernel.accel,
        tests=len(column.tests),
        seconds={area: round(seconds, 3) for area, seconds in sorted(column.seconds.items())},
        preparation_s=round(took.fetch_s + took.build_s + took.probe_s + took.boot_s, 3),
    )


def _rows(kernel: KernelSeries, kept: KeptRuns) -> list[PromiseRow]:
    """The promises that were tested at all, by their ids."""
    rows: dict[int, list[PromiseStatus]] = {}
    for place, column in enumerate(kernel.columns):
        for promise, status in column.status_of().items():
            if promise not in rows:
                rows[promise] = ["untested"] * len(kernel.columns)
            rows[promise][place] = status
    made = [
        PromiseRow(id=kept.promises.texts[promise], statuses=statuses)
        for promise, statuses in rows.items()
        if set(statuses) != {"untested"}
    ]
    return sorted(made, key=lambda row: row.id)
