# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the report of a run while it runs, says at its end what it came to, and sets the exit status.

There is one in each run, in the process that the user started: the workers of pytest-xdist have none.
A report that cannot be written is an error of ours, said once; the verdicts reach the terminal all the same.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

from reports.formats import derived_files as files
from reports.formats import index_html as matrix
from reports.formats import junit_xml as junit
from reports.formats.report_html import PATHS, Page
from reports.judgement import exit_status as status
from reports.judgement.coverage import WORKER_OUTPUT
from reports.judgement.waivers import Waiver, not_needed, waivers_of
from reports.model import evidence
from reports.model import report_directory as folder
from reports.model import store as results
from reports.model.document import BadInputError, parse
from reports.model.requirements import Requirement
from reports.model.result import JSON, OUTCOMES, REPORT_ATTRIBUTE, Result, run_description, utc
from reports.run import assembler as assemble
from reports.run import baseline, resume
from reports.run.environment import about_host, about_suite, selection, versions
from reports.run.terminal import Summary

T = TypeVar("T")
_SUBTEST_REPORT: tuple[type, ...] = (pytest.SubtestReport,) if hasattr(pytest, "SubtestReport") else ()


class Reporter:
    """The hooks of a run's report."""

    def __init__(self, config: pytest.Config, directory: Path, requirements: Mapping[str, Requirement]) -> None:
        self._config = config
        self._directory = directory
        self._requirements = requirements
        self._selection = selection(config)
        self._shown = folder.shown(directory, config.invocation_params.dir)
        path = directory / results.FILE_NAME
        self._path = path
        self._baseline = baseline.Compared(None, [])
        self._store = results.Store(path, requirements, time.monotonic, owner=os.getpid())
        self._assembler = assemble.Assembler()
        self._page = Page(config, directory, requirements, self._store.statuses)
        self._session: pytest.Session | None = None
        self._began = time.time()
        self._ended: float | None = None
        self._about: dict[str, JSON] = {}
        self._error_statuses: set[int] = set()
        self._problems: list[str] = []
        self._wrong_use: list[str] = []
        self._interrupted = self._internal_error = False
        self._asked_for = 0
        self._status: int | None = None
        config.pluginmanager.register(self._page, "kconform-page")

    # -- the beginning ------------------------------------------------------------------------------------

    def pytest_report_header(self) -> list[str]:
        return [f"kconform {versions()['kconform']}: report in {self._shown}", *resume.lines(self._config)]

    @property
    def _former(self) -> resume.Former | None:
        return self._config.stash.get(resume.FORMER, None)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._session = session
        self._about = {
            "argv": [str(arg) for arg in self._config.invocation_params.args],
            "selection": self._selection,
            "host": about_host(),
            "suite": about_suite(self._config.rootpath),
        }
        try:
            if self._former is None:
                folder.clear_former(self._directory)
            else:
                resume.take_up(self._directory, self._former, self._store)
            self._store.write(self._run())
        except OSError as error:
            raise pytest.UsageError(f"the report cannot be written to {self._shown}: {error}") from error
        if self._config.option.report_dir is None:
            try:
                folder.update_latest(self._directory)
            except OSError as error:
                self._problem(f"{folder.DEFAULT / folder.LATEST} does not point to this run: {error}")

    def pytest_unconfigure(self) -> None:
        if self._session is None:
            folder.release(self._directory)

    # -- while it runs ------------------------------------------------------------------------------------

    def pytest_collection_finish(self) -> None:
        """So that a run that is killed in its first test has said how many there were to be."""
        self._write()

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, report: pytest.TestReport) -> None:
        """A worker died in the middle of a test, so this report is its last.

        xdist calls the phase `???`.  Called a teardown, the test reaches the HTML page and JUnit's
        properties, which both wait for one.
        """
        report.when = "teardown"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """First, so that the terminal, JUnit and the page see what is added to the report here."""
        note = assemble.note_of(report)
        phases = self._assembler.phases(report)
        if note.exit_status is not None:
            self._error_statuses.add(note.exit_status)
        if isinstance(report, _SUBTEST_REPORT):
            phases.take_subtest(note)
            return
        note = phases.with_subtests(report, note)
        try:
            evidence.write(self._directory, report.nodeid, note.evidence, phases.paths)
        except OSError as error:
            self._problem(f"evidence of {report.nodeid}: {error}")
        run_description(self._config).update(note.run)
        result = self._assembler.add(report, note)
        report.user_properties += assemble.properties(report.nodeid, phases, note)
        if report.failed:
            report.sections += assemble.sections(note)
        # One and the same mapping for all phases: the page shows it when the last has filled it.
        setattr(report, REPORT_ATTRIBUTE, note.to_json() | {PATHS: phases.paths})
        if result is not None:
            self._take(result, phases.kernel)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if not report.passed:
            if report.failed:
                self._error_statuses.add(status.OURS)
            self._take(assemble.collection_result(report, time.time()), None)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Every worker collects the same tests, and so finds the same fault."""
        said = getattr(node, "workeroutput", {}).get(WORKER_OUTPUT)
        if said is not None and said not in self._wrong_use:
            self._wrong_use.append(said)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        raised = excinfo.value
        if isinstance(raised, pytest.exit.Exception):
            self._asked_for = raised.returncode or 0
            self._interrupted = raised.returncode is None
        else:
            # pytest and xdist end a run by an exception of this kind too: for -x, --maxfail, and when
            # collecting failed.  Then the results say what the run came to.
            self._interrupted = type(raised) is KeyboardInterrupt or "keyboard-interrupt" in str(raised)

    def pytest_internalerror(self) -> None:
        self._internal_error = True

    def _take(self, result: Result, kernel: Mapping[str, JSON] | None) -> None:
        self._store.add(result, kernel)
        if self._store.due():
            self._write()

    def _write(self) -> None:
        try:
            self._store.write(self._run())
        except OSError as error:
            self._problem(f"{results.FILE_NAME}: {error}")

    def _problem(self, text: str) -> None:
        """Remember the first problem: a full disk would make as many as there are files."""
        if not self._problems:
            self._problems.append(text)

    # -- the end ------------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, T, T]:
        """Outermost: whatever else looks at the exit status has done so."""
        summary = self._summary()
        said = [*summary.chosen(), *summary.totals()]
        self._page.lines = [line.text for line in said] + resume.lines(self._config)
        try:
            return (yield)
        finally:
            if session.exitstatus == pytest.ExitCode.MAX_WARNINGS_ERROR and self._status == status.HELD:
                self._status = status.OURS
            if self._status is not None:
                session.exitstatus = self._status
            self._write()

    @pytest.hookimpl(wrapper=True, trylast=True, specname="pytest_sessionfinish")
    def pytest_sessionfinish_files(self, exitstatus: int) -> Generator[None, T, T | None]:
        """Innermost: the other files are written inside of this, the terminal's summary outside."""
        result: T | None = None
        try:
            result = yield
            if self._junit_file.exists():  # not so with -p no:junitxml
                junit.correct(self._junit_file)
        except (OSError, Warning) as error:
            # pytest writes its files here too, and a full disk would take the summary with it.
            self._problem(str(error))
        self._ended = time.time()
        self._status = self._exit_status(exitstatus)
        self._write_other_formats()
        self._write()
        self._status = self._exit_status(exitstatus)
        return result

    @property
    def _junit_file(self) -> Path:
        return Path(os.path.expandvars(self._config.option.xmlpath)).expanduser()

    def _write_other_formats(self) -> None:
        """Those that are made of the whole results.json, and what it says beside the baseline."""
        try:
            document = parse(self._store.document(self._run()), self._path)
            self._baseline = baseline.compared(self._config, document)
        except BadInputError as error:
            self._problem(str(error))
            return
        try:
            files.write(document, self._baseline.comparison, origin=self._config.option.kcidb_origin)
            if self._former is not None:  # pytest has written of its own tests only
                junit.write(document, self._junit_file)
        except OSError as error:
            self._problem(str(error))
        try:
            # Last, for it links what lies beside it.
            matrix.write(document, self._baseline.comparison)
        except OSError as error:
            self._problem(f"{folder.MATRIX}: {error}")

    def _exit_status(self, pytest_status: int) -> int:
        ending = status.Ending(
            interrupted=self._interrupted,
            internal_error=self._internal_error,
            wrong_use=bool(self._wrong_use) or pytest_status == pytest.ExitCode.USAGE_ERROR,
            write_failed=bool(self._problems),
            asked_for=self._asked_for,
            strictness=self._config.option.strict_waivers,
            idle_waivers=bool(self._idle_waivers()),
        )
        return status.exit_status(self._store.counts, frozenset(self._error_statuses), ending)

    def _idle_waivers(self) -> list[Waiver]:
        """Those that something was tested for, and nothing needed.  Of a part of the tests nobody can tell."""
        if self._selection:
            return []
        return not_needed(waivers_of(self._config), self._store.results, self._store.kernels)

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if getattr(self._config.option, "no_summary", False):
            return
        terminalreporter.section("kconform")
        for text in self._wrong_use:
            terminalreporter.write_line(f"ERROR: {text}", red=True)
        for line in self._summary().lines(verbosity=self._config.option.verbose):
            terminalreporter.write_line(line.text, **line.markup)

    def _summary(self) -> Summary:
        return Summary(
            results=self._store.results,
            kernels=self._store.kernels,
            requirements=self._requirements,
            report_dir=self._shown,
            status=status.NOTHING if self._status is None else self._status,
            problems=self._problems,
            selection=self._selection,
            baseline=self._baseline.lines,
            resumed=resume.lines(self._config),
            idle_waivers=[
                f"{waiver.requirement}: {waiver.reason} ({waiver.place})" for waiver in self._idle_waivers()
            ],
        )

    def _run(self) -> dict[str, JSON]:
        """The `run` part of results.json, as of now."""
        stopped = self._interrupted or self._internal_error
        end = time.time() if self._ended is None else self._ended
        former = self._former
        return {
            "id": self._directory.name,
            "state": "running" if self._ended is None else "interrupted" if stopped else "finished",
            "started": utc(self._began),
            "finished": None if self._ended is None else utc(self._ended),
            "duration_s": round(end - self._began, 3),
            "exit_status": self._status,
            "collected": (0 if self._session is None else self._session.testscollected)
            + (len(former.results) if former else 0),
            "counts": {outcome: self._store.counts[outcome] for outcome in OUTCOMES},
            **self._about,
            "baseline": baseline.described(self._config),
            "resumed": former.described() if former else None,
            "versions": {**versions(), **run_description(self._config)},
        }
