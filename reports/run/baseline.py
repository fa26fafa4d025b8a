# SPDX-License-Identifier: GPL-2.0-or-later
"""`--baseline results.json`: says at the end of a run what has changed since another one.

It changes no exit status: a broken promise fails the run with and without it.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from common.errors import UsageError
from common.paths import users_path
from reports.judgement.comparison import KINDS, Comparison, compare
from reports.model.document import Document, load
from reports.model.run_record import BaselineRecord
from reports.run.wrong_use import as_wrong_use

MOST = 5
"""Tests and promises that the terminal names; the others are counted."""

BASELINE = pytest.StashKey[Document]()


@dataclass(frozen=True)
class Compared:
    """The comparison of a run with its baseline, or why there is none."""

    comparison: Comparison | None
    lines: list[str]
    """For the terminal."""


def read(config: pytest.Config) -> None:
    """Read it before the run writes anything: it may be in the directory that the run will write to."""
    if config.option.baseline is not None:
        with as_wrong_use("--baseline"):
            config.stash[BASELINE] = load(users_path(config.option.baseline, config.invocation_params.dir))


def record(config: pytest.Config) -> BaselineRecord | None:
    """What results.json says about the baseline."""
    baseline = config.stash.get(BASELINE, None)
    if baseline is None:
        return None
    return BaselineRecord(str(baseline.path), baseline.run.id, baseline.run.started)


def compared(config: pytest.Config, document: Document) -> Compared:
    """The run against its baseline; empty if there is none."""
    baseline = config.stash.get(BASELINE, None)
    if baseline is None:
        return Compared(None, [])
    title = f"since the baseline {baseline.path} (run {baseline.run.id})"
    try:
        comparison = compare(baseline, document)
    except UsageError as error:
        return Compared(None, [f"{title}: not compared: {error.message}", f"  hint: {error.hint}"])
    return Compared(comparison, lines(comparison, title))


def lines(comparison: Comparison, title: str) -> list[str]:
    """A few lines: how much has changed in each way, and the most important changes by name."""
    found = [f"{title}: {comparison.totals()}"]
    for kind in ("failing", "flaky", "passing"):
        changes = comparison.changes[kind]
        found += [f"  {KINDS[kind]}: {change.nodeid} ({change.verdicts})" for change in changes[:MOST]]
        found += [f"  ... and {len(changes) - MOST} more"] if len(changes) > MOST else []
    promises = [each for each in comparison.promises if {each.old, each.new} & {"broken", "flaky"}]
    found += [f"  promise {each.id} on {each.kernel}: {each.old} -> {each.new}" for each in promises[:MOST]]
    found += [f"  ... and {len(promises) - MOST} more promises"] if len(promises) > MOST else []
    return found + [f"  {remark}" for remark in comparison.old.remarks()]
