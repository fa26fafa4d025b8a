# SPDX-License-Identifier: GPL-2.0-or-later
"""`--baseline results.json`: says at the end of a run what has changed since another.

It tells, and judges nothing: a promise that is broken fails the run with and without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from reports.formats.kcidb import ORIGIN, ORIGIN_PATTERN
from reports.formats.markdown import line
from reports.judgement.comparison import KINDS, Comparison, compare
from reports.model import report_directory as folder
from reports.model.document import BadInputError, Document, load
from reports.model.result import JSON
from reports.tools.diff import totals

MOST = 5
"""Tests and promises that the terminal names; the rest is counted."""

BASELINE_KEY = pytest.StashKey[Document]()


@dataclass(frozen=True)
class Compared:
    """What came of comparing the run with its baseline: a comparison, or why there is none."""

    comparison: Comparison | None
    lines: list[str]
    """For the terminal."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kconform")
    group.addoption(
        "--baseline",
        type=Path,
        metavar="RESULTS",
        help="a former run's results.json, or its directory: say at the end what has changed since; "
        "the exit status does not depend on it",
    )
    group.addoption(
        "--kcidb-origin",
        default=ORIGIN,
        metavar="NAME",
        help=f"the name that KCIDB knows this CI system by, for kcidb.json (default: {ORIGIN})",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Read it now: it may lie in the very directory that this run will write to, and a wrong one ends the run."""
    if hasattr(config, "workerinput"):
        return
    if not ORIGIN_PATTERN.fullmatch(config.option.kcidb_origin):
        raise pytest.UsageError(
            f"--kcidb-origin {config.option.kcidb_origin!r}: an origin is small letters, digits and underscores"
        )
    if config.option.baseline is not None:
        try:
            path = folder.named(config.option.baseline, config.invocation_params.dir)
            config.stash[BASELINE_KEY] = load(path)
        except BadInputError as error:
            raise pytest.UsageError(f"--baseline: {error}") from error


def described(config: pytest.Config) -> Mapping[str, JSON] | None:
    """What results.json says of the baseline: which file, and which run wrote it."""
    baseline = config.stash.get(BASELINE_KEY, None)
    if baseline is None:
        return None
    return {"path": str(baseline.path), "id": baseline.run["id"], "started": baseline.run["started"]}


def compared(config: pytest.Config, document: Document) -> Compared:
    """The run against its baseline; nothing if there is none."""
    baseline = config.stash.get(BASELINE_KEY, None)
    if baseline is None:
        return Compared(None, [])
    title = f"against the baseline {baseline.path} (run {baseline.run['id']})"
    try:
        comparison = compare(baseline, document)
    except BadInputError as error:
        return Compared(None, [f"{title}: not compared: {error}", "  python -m reports diff --kernel can"])
    return Compared(comparison, [line(each) for each in lines(comparison, title)])


def lines(comparison: Comparison, title: str) -> list[str]:
    """A few lines: how much of each kind, and by name what weighs most."""
    said = [f"{title}: {totals(comparison)}"]
    for kind in ("failing", "passing"):
        changes = comparison.changes[kind]
        said += [f"  {KINDS[kind]}: {change.nodeid} ({change.was})" for change in changes[:MOST]]
        said += [f"  ... and {len(changes) - MOST} more"] if len(changes) > MOST else []
    promises = [each for each in comparison.promises if "broken" in (each.old, each.new)]
    said += [f"  promise {each.id} on {each.kernel}: {each.old} -> {each.new}" for each in promises[:MOST]]
    said += [f"  ... and {len(promises) - MOST} promises more"] if len(promises) > MOST else []
    return said + [f"  {remark}" for remark in comparison.old.remarks()]
