# SPDX-License-Identifier: GPL-2.0-or-later
"""`--resume`: continue a run that was interrupted or killed, in its own report.

What has a verdict is not tested again, unless that was an error, or depends on a waiver, which may be another one
now; everything else is, as if the run had never stopped.  A verdict counts only for the very kernel that it was
about; conftest.py, which knows the kernels, says which those are.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from common.errors import UsageError
from common.project_files import REPORTS
from common.text import printable
from common.workers import handed_over
from reports.model import evidence
from reports.model.document import Document, load
from reports.model.report_directory import EVIDENCE, LATEST
from reports.model.result import KernelRecord, Result
from reports.model.run_record import CertaintyRecord, ResumedRecord
from reports.model.store import Store
from reports.run import repeat
from reports.run.wrong_use import as_wrong_use

WORKER_INPUT = "kconform_resumed"
PROFILES = "profiles"
"""The key in `run.versions` of the name of each kernel's profile."""
WAIVED_SPLATS = "waived splats"
"""The title of a piece of evidence: the splats that would have made the test fail without a waiver."""


@dataclass(frozen=True)
class Former:
    """The run that is continued."""

    document: Document
    kernels: Mapping[str, KernelRecord]
    results: tuple[Result, ...]
    """Those that still count."""
    lost: tuple[str, ...] = ()
    """Kernels whose results do not count, because these kernels no longer exist."""

    def record(self) -> ResumedRecord:
        """What results.json says about it."""
        return ResumedRecord(self.document.run.started, self.document.run.state, len(self.results))


FORMER = pytest.StashKey[Former]()
DONE = pytest.StashKey[frozenset[str]]()


def directory(root: Path, report_dir: str | None) -> str:
    """The report directory of the run to continue: the latest, if none is named."""
    return report_dir or str((root / REPORTS / LATEST).resolve())


def begin(config: pytest.Config, path: Path) -> None:
    """Read the report at `path`.  pytest.UsageError if there is none."""
    with as_wrong_use("--resume"):
        document = load(path)
        former, now = document.run.certainty, repeat.asked_for(config)
        if (former.repeat, former.confirm) != (now.repeat, now.confirm):
            raise UsageError(
                f"the run to be continued had {_options(former)}, and this one has {_options(now)}",
                hint="give it the same options, or leave --resume out",
            )
    kept = tuple(result for result in document.tests() if result.verdict != "error" and not _needs_waiver(result))
    config.stash[FORMER] = Former(document, document.kernels, kept)


def _needs_waiver(result: Result) -> bool:
    """Whether the verdict is due to a waiver: of the test, of a promise, or of a splat."""
    return result.verdict in ("waived", "unexpected-pass") or WAIVED_SPLATS in result.evidence


def _options(certainty: CertaintyRecord) -> str:
    return f"--repeat={certainty.repeat} and --confirm={certainty.confirm}"


def keep(config: pytest.Config, asked: Collection[tuple[str, str]], is_there: Callable[[str, str], bool]) -> None:
    """Keep only results without a kernel, or of one for which `is_there(id, digest)` is true.

    `asked` has the SPEC and the flavor of each kernel that the options ask for.  A tree may have become another
    version since, but a SPEC or a flavor that is missing was forgotten, and the results of hours would be lost
    without a question: pytest.UsageError.
    """
    former = config.stash[FORMER]
    others = [one for one, kernel in former.kernels.items() if (kernel.spec, one.partition("/")[2]) not in asked]
    if others:
        options = " ".join(former.document.run.argv)
        raise pytest.UsageError(
            f"--resume: the run to be continued also had {', '.join(others)}, which no option asks for now\n"
            f"  hint: its options were {options or 'none'}; leave --resume out to test other kernels"
        )
    kernels = {
        identifier: kernel
        for identifier, kernel in former.kernels.items()
        if is_there(identifier, str(kernel.digest))
    }
    config.stash[FORMER] = replace(
        former,
        kernels=kernels,
        results=tuple(result for result in former.results if result.kernel is None or result.kernel in kernels),
        lost=tuple(one for one in former.kernels if one not in kernels and former.kernels[one].digest),
    )


def require_same_machine(config: pytest.Config, machine_options: str | None) -> None:
    """pytest.UsageError if the run was of guests with another machine: its results would be mixed with others."""
    for kernel in config.stash[FORMER].kernels.values():
        if kernel.digest and kernel.machine_options != machine_options:
            raise pytest.UsageError(
                f"--resume: the run to be continued had {kernel.machine_options or 'no options for the machine'},"
                f" and this one has {machine_options or 'none'}\n"
                "  hint: give it the same options, or leave --resume out"
            )


def require_same_profiles(config: pytest.Config, profiles: Mapping[str, str]) -> None:
    """pytest.UsageError if a kernel whose results count had another profile: it decides what applies, and what holds.

    `profiles` has the name of the profile of each kernel that has one now.
    """
    former = config.stash[FORMER]
    recorded = former.document.run.versions.get(PROFILES)
    had = recorded if isinstance(recorded, Mapping) else {}
    for kernel in former.kernels:
        if had.get(kernel) != profiles.get(kernel):
            before, now = (
                f"profile {printable(str(each[kernel]))}" if kernel in each else "no profile"
                for each in (had, profiles)
            )
            raise pytest.UsageError(
                f"--resume: in the run to be continued, {kernel} had {before}, and in this one it has {now}\n"
                "  hint: give it the same options, or leave --resume out"
            )


def take_up(path: Path, former: Former, store: Store) -> None:
    """Store what still counts, and remove the evidence of what is tested again.  OSError if that fails."""
    kept = {result.nodeid for result in former.results}
    for result in former.document.results:
        if result.nodeid not in kept:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(path / EVIDENCE / evidence.slug(result.nodeid))
    for kernel in former.kernels.values():
        store.add_kernel(kernel)
    for result in former.results:
        store.add(result, None)


def lines(config: pytest.Config) -> list[str]:
    """For the head and the end of a run."""
    former = config.stash.get(FORMER, None)
    if former is None:
        return []
    said = [f"resumed: {len(former.results)} results of the run that began at {former.document.run.started}"]
    if former.lost:
        said.append(f"tested again, because the kernel has changed: {', '.join(former.lost)}")
    return said


def tell_worker(node: Any) -> None:
    """Tell a worker of xdist which tests are done: all workers must leave out the same."""
    node.workerinput[WORKER_INPUT] = sorted(_done(node.config))


def deselect_done(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests whose results still count."""
    done = _done(config)
    left = [item for item in items if item.nodeid not in done]
    if len(left) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in done])
        items[:] = left


def _done(config: pytest.Config) -> frozenset[str]:
    if DONE not in config.stash:
        names = handed_over(config, WORKER_INPUT)
        if names is None:
            former = config.stash.get(FORMER, None)
            names = [result.nodeid for result in former.results] if former else []
        config.stash[DONE] = frozenset(names)
    return config.stash[DONE]
