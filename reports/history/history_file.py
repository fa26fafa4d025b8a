# SPDX-License-Identifier: GPL-2.0-or-later
"""The records of history.json, one class for each kind of object.

`python -m reports.history.history_file > reports/history.schema.json` writes its schema; a test compares the two.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from reports.model.result import Count, PromiseStatus, Seconds, Time
from reports.model.run_record import RunState
from reports.model.schema import render, schema_of

HISTORY_SCHEMA = 1
"""Version of history.json.  It grows when a reader of the former version could be misled."""

BreakageKind = Literal["broken", "flaky", "waived"]
Column = Annotated[Count, Meta(description="The place in `columns` of the series.")]


class HistoryRun(Struct, frozen=True, kw_only=True):
    """A run whose results are in the history."""

    path: Annotated[str, Meta(description="Its results.json.")]
    id: str
    state: RunState
    started: Time
    duration_s: Seconds
    exit_status: int | None
    suite: Annotated[str | None, Meta(description="The commit of the suite, or else the version of kconform.")]
    selection: Annotated[str | None, Meta(description="Which tests were chosen; null: all.")]
    whole: Annotated[bool, Meta(description="All tests were to run, on one machine, and all have a result.")]
    results: Count
    without_kernel: Annotated[
        Count, Meta(description="Results of tests without a kernel, which are in no series: often a failed build.")
    ]


class LeftOut(Struct, frozen=True, kw_only=True):
    """A file that is not in the history, and why."""

    path: str
    why: str
    counted: Annotated[
        bool,
        Meta(description="Its results are in the history by another file: it is a copy, or a part of a merged one."),
    ] = False


class HistoryPromise(Struct, frozen=True, kw_only=True):
    """A promise, in the words of the latest run."""

    id: str
    area: str
    text: str


class Build(Struct, frozen=True, kw_only=True):
    """A kernel that was built once; equal digests are the same build."""

    label: Annotated[str, Meta(description="Its version, with a piece of the digest if others have the same.")]
    release: str | None
    identity: Annotated[str | None, Meta(description="What it was made from.")]
    digest: str | None


class BuildRun(Struct, frozen=True, kw_only=True):
    """A build in a run: a column."""

    run: Annotated[Count, Meta(description="The place in `runs`.")]
    build: Annotated[Count, Meta(description="The place in `builds` of the series.")]
    kernel: Annotated[str, Meta(description="The kernel's id in that run.")]
    accel: str | None
    tests: Count
    seconds: Annotated[dict[str, Seconds], Meta(description="The duration of its tests, by area.")]
    preparation_s: Annotated[Seconds, Meta(description="Download, build, trials of KVM and boots.")]


class PromiseRow(Struct, frozen=True, kw_only=True):
    """What a promise was in each column."""

    id: str
    statuses: Annotated[list[PromiseStatus], Meta(description="One for each column; untested if no test ran.")]


class Breakage(Struct, frozen=True, kw_only=True):
    """The time from when a promise began to break up to when it was fixed."""

    promise: str
    kind: Annotated[
        BreakageKind,
        Meta(
            description="flaky: only in some attempts, or in some runs of a build with one suite; waived: all of it"
            " was excused."
        ),
    ]
    held: Annotated[Column | None, Meta(description="The last column before in which it was held; null: none.")]
    first: Column
    last: Column
    columns: Annotated[Count, Meta(description="In how many columns it did not hold.")]
    fixed: Annotated[Column | None, Meta(description="null: it has not been seen to hold since.")]
    same_tests: Annotated[
        bool, Meta(description="The tests that broke it ran again, and held.  False if it is not fixed.")
    ]
    test: Annotated[str, Meta(description="A test that broke it first, without the kernel's id.")]
    reason: str


class FlakyTest(Struct, frozen=True, kw_only=True):
    """A test that gave different answers about one build."""

    test: Annotated[str, Meta(description="Its name without the kernel's id.")]
    promises: list[str]
    builds: Annotated[list[Count], Meta(description="The places in `builds` of those in which it was flaky.")]
    of: Annotated[Count, Meta(description="Builds in which it passed or failed.")]
    columns: Annotated[list[Count], Meta(description="The columns in which it was flaky, failed or was waived.")]


class Series(Struct, frozen=True, kw_only=True):
    """A kernel through time: the builds that have its name, flavor and options."""

    id: str
    flavor: str | None
    arch: str | None
    machine_options: str | None
    target: str | None
    builds: list[Build]
    columns: Annotated[list[BuildRun], Meta(description="In the order in which the runs began.")]
    promises: list[PromiseRow]
    breakages: Annotated[list[Breakage], Meta(description="In the order in which they began.")]
    flaky: Annotated[list[FlakyTest], Meta(description="The most often flaky first.")]


class HistoryFilters(Struct, frozen=True, kw_only=True):
    """What the command was asked for."""

    kernel: str | None = None
    promise: str | None = None
    since: str | None = None


class HistoryFile(Struct, frozen=True, kw_only=True):
    """The whole of history.json."""

    schema: int
    filters: HistoryFilters
    runs: Annotated[list[HistoryRun], Meta(description="In the order in which they began.")]
    left_out: list[LeftOut]
    promises: list[HistoryPromise]
    series: list[Series]


def schema() -> dict[str, Any]:
    """The schema, as JSON Schema 2020-12."""
    return schema_of(HistoryFile, "history.json", HISTORY_SCHEMA)


if __name__ == "__main__":
    print(render(schema()), end="")
