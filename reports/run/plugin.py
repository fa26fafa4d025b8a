# SPDX-License-Identifier: GPL-2.0-or-later
"""The pytest plugin (`-p reports.run.plugin`): options, and what has to happen where a test runs.

A test runs in the one process of a run or in an xdist worker.  There its exceptions are still exceptions,
so there it is judged, and a `Note` is put on pytest's report.  `reports.run.recorder` reads the notes where
the report directory is written.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from datetime import UTC, datetime

import pytest

from reports.judgement import coverage as promises
from reports.judgement import quick_choice as quick
from reports.judgement import waivers
from reports.judgement.verdict import Verdict, classify
from reports.model import report_directory as folder
from reports.model.result import ATTACHED_KEY, KERNEL_KEY, REPORT_ATTRIBUTE, Attached, Note, attach, run_description
from reports.run import baseline, resume
from reports.run.progress import Live
from reports.run.recorder import Reporter

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

STATUS_WORDS = {("call", "error"): ("error", "E", "ERROR")} | {
    (when, "fail"): ("failed", "F", "FAILED") for when in ("setup", "teardown")
}
"""Where our verdict is not what pytest would guess from the phase."""


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.register(promises, "kconform-promises")
    pluginmanager.register(quick, "kconform-quick")
    pluginmanager.register(waivers, "kconform-waivers")
    pluginmanager.register(baseline, "kconform-baseline")
    pluginmanager.register(resume, "kconform-resume")
    parser.getgroup("kconform").addoption(
        "--report-dir",
        metavar="DIR",
        default=None,
        help="where results.json, the HTML page, JUnit XML and the evidence go "
        f"(default: {folder.DEFAULT}/<run>, also known as {folder.DEFAULT}/{folder.LATEST})",
    )


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is one of pytest-xdist's workers."""
    return hasattr(config, "workerinput")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """First of all, since pytest's JUnit and pytest-html read their paths when they are configured."""
    if is_worker(config) or any(getattr(config.option, name, False) for name in NO_RUN):
        return
    requirements = promises.registry(config)
    invoked_in = config.invocation_params.dir
    if config.option.resume:
        config.option.report_dir = resume.directory(config.rootpath, config.option.report_dir)
        resume.begin(config, folder.named(config.option.report_dir, invoked_in))
    path = folder.claim(config.rootpath, invoked_in, config.option.report_dir, datetime.now(UTC))
    held = folder.hold(path)
    config.add_cleanup(lambda: os.close(held))
    if not getattr(config.option, "xmlpath", None):
        config.option.xmlpath = str(path / folder.JUNIT)
    if not getattr(config.option, "htmlpath", None):
        config.option.htmlpath = str(path / folder.PAGE)
        config.option.self_contained_html = True
    config.pluginmanager.register(Reporter(config, path, requirements), "kconform-reporter")
    config.pluginmanager.register(Live(config), "kconform-live")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Outermost, so that xfail has had its say and conftest.py has attached its evidence."""
    report = yield
    raised = None if call.excinfo is None else call.excinfo.value
    names_exception = any("raises" in mark.kwargs for mark in item.iter_markers("xfail"))
    verdict = classify(report, raised, xfail_raises=names_exception)
    if verdict.outcome == "error" and hasattr(report, "wasxfail"):
        # An expected failure is one of the kernel; that we could not find out was not expected.
        del report.wasxfail
        report.outcome = "failed"
    verdict = _excused(item, report, verdict)
    for title, text in verdict.evidence.items():
        attach(item, title, text)
    note = Note(
        outcome=verdict.outcome,
        reason=verdict.reason,
        exit_status=verdict.exit_status,
        requirements=promises.requirements_of(item),
        kernel=item.stash.get(KERNEL_KEY, None),
        evidence=_evidence(item, report),
        # The controller's own process needs no telling.
        run=run_description(item.config) if is_worker(item.config) else {},
    )
    setattr(report, REPORT_ATTRIBUTE, note.to_json())
    return report


def _excused(item: pytest.Item, report: pytest.TestReport, verdict: Verdict) -> Verdict:
    """The verdict, if there is a waiver for it; pytest then knows it as an expected failure."""
    waiver = waivers.waiver_for(item, promises.requirements_of(item), item.stash.get(KERNEL_KEY, None))
    if waiver is None or (verdict.outcome == "pass" and report.when != "call"):
        return verdict
    verdict = waiver.excuse(verdict, datetime.now(UTC).date())
    if verdict.outcome == "waived":
        report.outcome = "skipped"
    if verdict.outcome in ("waived", "unexpected-pass"):
        report.wasxfail = verdict.reason
    return verdict


def _evidence(item: pytest.Item, report: pytest.TestReport) -> tuple[tuple[str, str], ...]:
    """What this phase takes along: a call all that there is, a teardown what came after it."""
    attached = item.stash.get(ATTACHED_KEY, None) or Attached()
    if report.when == "setup" and report.passed:
        return ()
    # A call with subtests is reported several times; its own report is the last and must be complete.
    first = attached.sent if report.when == "teardown" else 0
    attached.sent = len(attached.pieces)
    return tuple(attached.pieces[first:])


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport | pytest.CollectReport) -> tuple[str, str, str] | None:
    """Let the progress dots and pytest's totals use the same words as the report."""
    note = getattr(report, REPORT_ATTRIBUTE, None)
    if note is None or not report.failed:
        return None
    return STATUS_WORDS.get((str(report.when), note["outcome"]))
