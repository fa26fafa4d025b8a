# SPDX-License-Identifier: GPL-2.0-or-later
"""The pytest plugin (`-p reports.run.plugin`): every hook of the package, and the order in which it calls the others.

A test runs in the only process of a run or in a worker of pytest-xdist.  Its exceptions exist only there, so there it
is judged, and the `Phase` is put on pytest's report.  In the process that the user started, the `Recorder` takes the
phases and writes the report, and `RunProgress` says how far the run is.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from common.deprecation import warn_of_arguments
from common.paths import users_path
from common.project_files import IS_CHECKOUT
from common.workers import is_worker, run_in_one_process
from reports.formats.kcidb import check_origin
from reports.judgement.exit_status import HELD, INTERRUPTED, UNDETERMINED, WRONG_USE
from reports.model.display import one_line
from reports.model.report_directory import claim
from reports.run import (
    apply_waivers,
    baseline,
    case_sampling,
    ci_command_escape,
    early_end,
    environment,
    notes,
    options,
    own_errors,
    preparation_times,
    printed_reports,
    quick_marker,
    repeat,
    requirement_marker,
    resume,
    shard,
)
from reports.run.judging import judged
from reports.run.phases import drop, phase_of, put
from reports.run.progress import RunProgress
from reports.run.recorder import Recorder
from reports.run.wrong_use import as_wrong_use

T = TypeVar("T")

ENDED = "kconform_ended"
"""The key under which a worker tells the controller why it has ended before any test: exit status and message."""


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add(parser)


def pytest_cmdline_main(config: pytest.Config) -> None:
    """--requirements needs the tests themselves, which only a process that collects has."""
    if config.option.requirements:
        run_in_one_process(config)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """First, because wrong use ends the run here, and because pytest's JUnit plugin must not see --junitxml."""
    config.addinivalue_line("markers", requirement_marker.DESCRIPTION)
    config.addinivalue_line("markers", quick_marker.DESCRIPTION)
    early_end.begin(config)
    # Otherwise pytest puts control characters of its own into messages, which would then be spelled out.
    config.option.code_highlight = "no"
    requirement_marker.registry(config)
    apply_waivers.read(config)
    repeat.asked_for(config)
    recorder = None
    if not is_worker(config):
        warn_of_arguments(config.invocation_params.args)
        with as_wrong_use("--kcidb-origin"):
            check_origin(config.option.kcidb_origin)
        baseline.read(config)
        if options.runs_tests(config):
            recorder = _new_recorder(config)
    config.pluginmanager.register(Hooks(config, recorder), "kconform-reports")


def _new_recorder(config: pytest.Config) -> Recorder:
    invoked_in = config.invocation_params.dir
    root = config.rootpath if IS_CHECKOUT else invoked_in
    with as_wrong_use():
        if config.option.resume:
            config.option.report_dir = resume.directory(root, config.option.report_dir)
            resume.begin(config, users_path(config.option.report_dir, invoked_in))
        claimed = claim(root, invoked_in, config.option.report_dir, datetime.now(UTC))
    notes.set_report_directory(config, claimed.path)
    junit = getattr(config.option, "xmlpath", None)
    config.option.xmlpath = None
    path = None if junit is None else invoked_in / Path(os.path.expandvars(junit)).expanduser()
    return Recorder(config, claimed, requirement_marker.registry(config), path)


class Hooks:
    """All other hooks.  `recorder` is None in workers, and where no test is run."""

    def __init__(self, config: pytest.Config, recorder: Recorder | None) -> None:
        self._config = config
        self._recorder = recorder
        self._progress = RunProgress(config)
        self._repeated = printed_reports.RepeatedErrors()
        self._gaps = 0
        """How many gaps --requirements has found."""

    # -- the beginning ------------------------------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        resume.tell_worker(node)
        notes.tell_worker(node)
        early_end.tell_worker(node)

    def pytest_report_header(self) -> list[str]:
        if self._recorder is None:
            return []
        version = environment.versions()["kconform"]
        return [
            f"kconform {version}: report in {self._recorder.shown_directory}",
            *map(one_line, resume.lines(self._config)),
        ]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        if self._recorder is not None:
            self._recorder.start(session)
            ci_command_escape.stop(self._config)

    # -- collection ---------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection(self) -> Generator[None, T, T]:
        """A worker ends silently: hand the controller what it would say."""
        try:
            return (yield)
        except pytest.UsageError as error:
            self._tell_controller(WRONG_USE, "\n".join(map(str, error.args)))
            raise
        except pytest.exit.Exception as ended:
            self._tell_controller(INTERRUPTED if ended.returncode is None else ended.returncode, ended.msg)
            raise

    def _tell_controller(self, status: int, message: str) -> None:
        if is_worker(self._config):
            self._config.workeroutput[ENDED] = [status, message]  # type: ignore[attr-defined]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, T, T]:
        """Check before anything is deselected: a wrong id is wrong even in a test that does not run now."""
        try:
            requirement_marker.check_markers(items, requirement_marker.registry(self._config))
            apply_waivers.check(self._config, items)
            quick_marker.mark(self._config, items)
            result = yield  # kconfigs checks the kernels, pytest deselects, conftest.py sorts
            case_sampling.deselect_others(self._config, items)
            shard.deselect_others(self._config, items)
            resume.deselect_done(self._config, items)
            return result
        except (pytest.UsageError, pytest.exit.Exception):
            # Nothing will run.  To xdist, a worker that offers tests and does not run them is an internal error.
            items.clear()
            raise

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if self._recorder is not None:
            self._recorder.take_collection(report)
            printed_reports.make_printable(report)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Also called after wrong use, then without items."""
        preparation_times.number_boots(session.items)
        self._begin([item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """With workers, only they collect, and all of them the same."""
        self._begin(ids)

    def _begin(self, collected: Sequence[str]) -> None:
        if self._recorder is not None and collected:
            self._recorder.begin()
            self._progress.begin(collected)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """With --requirements, list what the tests prove instead of running them."""
        if not self._config.option.requirements:
            return None
        self._gaps = requirement_marker.list_coverage(session)
        return True

    # -- where a test runs --------------------------------------------------------------------------------

    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        return repeat.run(item, nextitem) or None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Outermost, after pytest has dealt with xfail and conftest.py has attached its evidence."""
        try:
            report = yield
            put(report, judged(item, call, report))
        except Exception as error:
            report = own_errors.report_of(item, call, error)
        return report

    # -- where the user started the run -------------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, report: pytest.TestReport) -> None:
        """A worker died during a test.  xdist calls the phase `???`; pytest knows what an error at teardown is."""
        report.when = "teardown"

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, T, T]:
        """Outermost, so that the terminal sees what is changed here, and has shown the test before progress is."""
        if self._recorder is None:
            result = yield
            drop(report)
            return result
        try:
            phase = self._recorder.take(report, phase_of(report))
            put(report, phase)
        except Exception as error:
            phase = self._recorder.take_failure(report, error)
        with self._recorder.guarded(f"{report.nodeid} is not printed"):
            printed_reports.prepare(report, phase, self._repeated)
        result = yield
        with self._recorder.guarded("the progress"):
            self._progress.take(report, phase)
        drop(report)
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.TestReport | pytest.CollectReport
    ) -> tuple[str, str, str] | None:
        return printed_reports.status_words(report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        shard.take_from_worker(self._config, node)
        ended = getattr(node, "workeroutput", {}).get(ENDED)
        if self._recorder is not None and ended is not None:
            self._recorder.end.take_worker_end(*ended)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        if self._recorder is not None:
            self._recorder.end.take_interrupt(excinfo.value)

    def pytest_internalerror(self) -> None:
        if self._recorder is not None:
            self._recorder.end.internal_error = True

    # -- the end ------------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None, T, T]:
        """Outermost: the report is complete before the terminal says so, and nobody changes the status afterwards."""
        if self._recorder is not None:
            self._recorder.finish(exitstatus)
        try:
            return (yield)
        finally:
            if self._recorder is not None:
                if session.exitstatus == pytest.ExitCode.MAX_WARNINGS_ERROR and self._recorder.status == HELD:
                    self._recorder.settle(UNDETERMINED)
                if self._recorder.status is not None:
                    session.exitstatus = self._recorder.status
            elif self._gaps and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._recorder is None or getattr(self._config.option, "no_summary", False):
            return
        printed_reports.show_flaky(terminalreporter)
        terminalreporter.section("kconform")
        for line in self._recorder.summary_lines(self._config.option.verbose):
            terminalreporter.write_line(line.text, **line.markup)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        if self._recorder is not None:
            self._recorder.release()
        ci_command_escape.resume(self._config)
        early_end.end(self._config)
