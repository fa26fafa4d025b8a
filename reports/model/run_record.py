# SPDX-License-Identifier: GPL-2.0-or-later
"""The records of the run itself in results.json, and of the whole file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from reports.model.result import Count, KernelRecord, PromiseRecord, Result, Seconds, Time

RunState = Literal["running", "finished", "interrupted"]

FlakyPolicy = Literal["broken", "undetermined"]
"""What a flaky test counts as in the exit status of a run."""


class SuiteRecord(Struct, frozen=True):
    """Which state of the suite was run."""

    commit: Annotated[str | None, Meta(description="The git commit, with -dirty for a changed tree.")]


class BaselineRecord(Struct, frozen=True):
    """The run that this one was compared with (--baseline)."""

    path: str
    id: str
    started: str


class ResumedRecord(Struct, frozen=True):
    """The run that this one continued (--resume), and how many of its results still count."""

    started: Time
    state: RunState
    results: Count


class ShardRecord(Struct, frozen=True):
    """Which part of the tests the run had (--shard)."""

    number: Annotated[Count, Meta(description="From 1.")]
    of: Count
    tests: Annotated[Count, Meta(description="Tests of all shards together.")]
    plan: Annotated[
        str, Meta(description="Shards that have the same were cut from the same tests in the same places.")
    ]


class MergedRecord(Struct, frozen=True):
    """A run that is part of a merged report."""

    path: str
    id: str
    state: RunState
    started: Time
    exit_status: int | None
    shard: ShardRecord | None = None


class CertaintyRecord(Struct, frozen=True, kw_only=True):
    """How often tests were run (--repeat, --confirm), and what a flaky one counts as (--flaky)."""

    repeat: Annotated[Count, Meta(description="Attempts at each test.")] = 1
    confirm: Annotated[Count, Meta(description="Further attempts at each test that fails.")] = 0
    flaky: Annotated[
        FlakyPolicy, Meta(description="The exit status is then 1, broken, or 3, undetermined; never 0.")
    ] = "broken"


class RunRecord(Struct, frozen=True, kw_only=True):
    """The run itself."""

    id: Annotated[str, Meta(description="The name of the report directory.")]
    state: Annotated[
        RunState, Meta(description="A file that says running and no longer changes was left by a killed run.")
    ]
    started: Time
    finished: Time | None
    duration_s: Annotated[Seconds, Meta(description="Of a merged report: the sum of its parts.")]
    exit_status: Annotated[
        int | None,
        Meta(
            description="0 all promises held; 1 a promise was broken; 2 interrupted; 3 something could not be"
            " determined; 4 wrong use; 5 nothing ran; null while the run goes on."
        ),
    ]
    collected: Annotated[Count, Meta(description="Tests that were to run; with fewer results, the run ended early.")]
    counts: dict[str, Count]
    argv: list[str]
    host: Annotated[dict[str, str], Meta(description="uname of the machine.")]
    suite: SuiteRecord
    versions: Annotated[
        dict[str, Any], Meta(description="Of whatever a result depends on, such as qemu, virtme-ng, accel.")
    ]
    selection: Annotated[
        str | None, Meta(description="Which tests were chosen, as pytest's options and arguments; null: all.")
    ] = None
    baseline: BaselineRecord | None = None
    resumed: ResumedRecord | None = None
    certainty: CertaintyRecord = CertaintyRecord()
    shard: ShardRecord | None = None
    merged: Annotated[
        list[MergedRecord] | UnsetType, Meta(description="The runs that were merged into this report.")
    ] = UNSET


class ResultsFile(Struct, frozen=True, kw_only=True):
    """The whole of results.json."""

    schema: int
    run: RunRecord
    kernels: list[KernelRecord]
    requirements: list[PromiseRecord]
    results: list[Result]


def partial_run_remark(selection: str | None) -> list[str]:
    """A line for whoever reads the results of a part of the tests; none if all were to run."""
    return [f"not all tests were chosen, only: {selection}"] if selection else []


def shard_remark(shard: ShardRecord | None) -> list[str]:
    """A line for whoever reads the results of one shard."""
    return [f"only shard {shard.number} of {shard.of}, which together have {shard.tests} tests"] if shard else []
