# SPDX-License-Identifier: GPL-2.0-or-later
"""The options that the package adds to pytest."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.commandline import whole_number
from common.project_files import REPORTS
from reports.formats.kcidb import ORIGIN
from reports.judgement.promise_coverage import KERNEL_AREAS
from reports.model.report_directory import LATEST
from reports.run import repeat, shard

NO_RUN = (
    "help",
    "version",
    "markers",
    "collectonly",
    "showfixtures",
    "show_fixtures_per_test",
    "setuponly",
    "setupplan",
    "cacheshow",
    "requirements",
)
"""Options with which pytest runs no test: these leave no report, and keep pytest's own exit status."""


def runs_tests(config: pytest.Config) -> bool:
    """Whether the run will test anything."""
    return not any(getattr(config.option, name, False) for name in NO_RUN)


def add(parser: pytest.Parser) -> None:
    """Add them all."""
    group = parser.getgroup("kconform")
    group.addoption(
        "--report-dir",
        metavar="DIR",
        default=None,
        help="where results.json, index.html, junit.xml and the evidence go "
        f"(default: {REPORTS}/<run>, also known as {REPORTS}/{LATEST})",
    )
    group.addoption(
        "--resume",
        action="store_true",
        help="continue the run whose report is in --report-dir (default: the latest): "
        "run only tests that have no verdict, or an error",
    )
    group.addoption(
        "--cases",
        type=whole_number("cases", 1),
        metavar="N",
        help="run at most N cases of each test, different ones for each kernel: a sample, for many kernels",
    )
    group.addoption(
        "--baseline",
        type=Path,
        metavar="RESULTS",
        help="an earlier run's results.json, or its directory: show at the end what has changed since; "
        "the exit status does not depend on it",
    )
    repeat.add_options(group)
    shard.add_options(group)
    group.addoption(
        "--kcidb-origin",
        default=ORIGIN,
        metavar="NAME",
        help=f"the name by which KCIDB knows this CI system, for kcidb.json (default: {ORIGIN})",
    )
    group.addoption(
        "--waivers",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="known failures, each with a reason and the last day on which it is excused; repeatable",
    )
    group.addoption(
        "--no-waivers", action="store_true", help="excuse nothing, not even the known failures that the suites list"
    )
    group.addoption("--strict-waivers", action="store_true", help="exit with 1 if a waived test passes")
    group.addoption(
        "--requirements",
        action="store_true",
        help="run nothing: list every requirement with its tests, and exit with 1 if one has no test, or a "
        f"test in {', '.join(KERNEL_AREAS)} has no requirement",
    )
