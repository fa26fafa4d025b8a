# SPDX-License-Identifier: GPL-2.0-or-later
"""The waivers of a run: those beside the tests, and those of --waivers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from common.commandline import say
from common.deprecation import current_promise
from common.paths import users_path
from common.workers import is_worker
from reports.judgement import waivers
from reports.judgement.verdict import Judgement
from reports.judgement.waivers import FILE_NAME, SplatWaivers, Waiver, load
from reports.model.result import JSON, KernelRecord
from reports.run.notes import kernel_of
from reports.run.requirement_marker import registry, requirements_of
from reports.run.wrong_use import as_wrong_use

WAIVERS = pytest.StashKey[Sequence[Waiver]]()


def read(config: pytest.Config) -> None:
    """Read the files.  pytest.UsageError for what is not as it should be."""
    if config.option.no_waivers:
        if config.option.waivers:
            raise pytest.UsageError("--waivers and --no-waivers exclude one another")
        config.stash[WAIVERS] = ()
        return
    with as_wrong_use():
        ours = sorted((config.rootpath / "suites").glob(f"*/{FILE_NAME}"))
        theirs = [users_path(path, config.invocation_params.dir) for path in config.option.waivers]
        config.stash[WAIVERS] = [_current(config, waiver) for path in (*ours, *theirs) for waiver in load(path)]


def _current(config: pytest.Config, waiver: Waiver) -> Waiver:
    """The waiver; if it names a promise that is deprecated, with the one that takes its place, and with a warning."""
    identifier, warning = current_promise(waiver.requirement)
    if warning and not is_worker(config):
        say(f"{warning} ({waiver.place})")
    return replace(waiver, requirement=identifier)


def waivers_of(config: pytest.Config) -> Sequence[Waiver]:
    """All waivers of this run."""
    return config.stash[WAIVERS]


def check(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """pytest.UsageError for a waiver of a test or a promise that does not exist."""
    narrowed = any("::" in argument for argument in config.args) or config.getoption("lf", False)
    with as_wrong_use():
        waivers.check_subjects(
            waivers_of(config),
            [item.nodeid for item in items],
            registry(config),
            config.rootpath.resolve(),
            whole=not narrowed,
        )


def check_kernels(config: pytest.Config, flavors: Collection[str], arches: Collection[str]) -> None:
    """pytest.UsageError for a waiver of a flavor or an architecture that does not exist."""
    with as_wrong_use():
        waivers.check_kernels(waivers_of(config), flavors, arches)


def splat_waivers(config: pytest.Config, kernel: Mapping[str, JSON]) -> SplatWaivers:
    """What says which complaints of this kernel are waived; `kernel` as for `notes.set_kernel`."""
    return SplatWaivers(waivers_of(config), KernelRecord.of(kernel), datetime.now(UTC).date())


def excused(item: pytest.Item, report: pytest.TestReport, judgement: Judgement) -> Judgement:
    """The judgement after the waivers; pytest then treats what is waived as an expected failure."""
    known, requirements, kernel = waivers_of(item.config), requirements_of(item), kernel_of(item)
    if judgement.verdict == "fail":
        waiver = waivers.waiver_for_failure(known, item.nodeid, requirements, kernel, judgement)
    else:
        waiver = waivers.waiver_for(known, item.nodeid, requirements, kernel)
    if waiver is None or (judgement.verdict == "pass" and report.when != "call"):
        return judgement
    judgement = waiver.excuse(judgement, datetime.now(UTC).date())
    if judgement.verdict == "waived":
        report.outcome = "skipped"
    if judgement.verdict in ("waived", "unexpected-pass"):
        report.wasxfail = judgement.reason
    return judgement
