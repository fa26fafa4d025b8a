# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the report of a run while it runs, and decides the exit status.

There is one in each run, in the process that the user started; the workers of pytest-xdist have none.  A report that
cannot be written is said once, as an error; the verdicts reach the terminal all the same.

Nothing is written before it is known which tests are to run.  Wrong use that is noticed until then leaves no report,
and the former one untouched.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

from common.project_files import REPORTS
from reports.formats import report_files
from reports.judgement import exit_status
from reports.judgement.exit_status import HELD, UNDETERMINED, WRONG_USE, Ending
from reports.judgement.waivers import Waiver, not_needed
from reports.model import evidence, report_directory
from reports.model.report_directory import RESULTS, Claimed
from reports.model.requirements import Requirement
from reports.model.result import VERDICTS, KernelRecord, Preparation, Result, clean_text, not_run_remark, utc
from reports.model.run_record import RunRecord
from reports.model.store import Store
from reports.run import baseline, environment, own_errors, repeat, resume, shard
from reports.run.apply_waivers import waivers_of
from reports.run.notes import run_versions
from reports.run.phases import Assembler, Phase, collection_result
from reports.run.run_end import RunEnd
from reports.run.terminal_summary import Summary, SummaryLine

_SUBTEST_REPORT: tuple[type, ...] = (pytest.SubtestReport,) if hasattr(pytest, "SubtestReport") else ()


class Recorder:
    """Collects the results of a run, and keeps its report up to date."""

    def __init__(
        self, config: pytest.Config, claimed: Claimed, requirements: Mapping[str, Requirement], junit: Path | None
    ) -> None:
        """`junit` is where the JUnit file goes, if not into the report directory."""
        self._config = config
        self._claimed = claimed
        self._directory = claimed.path
        self._requirements = requirements
        self._junit = junit
        self._selection = environment.selection(config)
        self._host, self._suite = environment.host(), environment.suite(config.rootpath)
        self._baseline = baseline.Compared(None, [])
        self._store = Store(self._directory, requirements, time.monotonic)
        self._assembler = Assembler()
        self._session: pytest.Session | None = None
        self._began = time.time()
        self._began_at = time.monotonic()
        self._ended: float | None = None
        self._has_report = False
        self._error_statuses: set[int] = set()
        self._failures: dict[str, str] = {}
        """Tests of which a phase could not be taken, and why."""
        self._problems: list[str] = []
        self.end = RunEnd()
        self._status: int | None = None

    @property
    def shown_directory(self) -> str:
        """The report directory as a user would type it."""
        return report_directory.shown(self._directory, self._config.invocation_params.dir)

    @property
    def status(self) -> int | None:
        """The exit status of the run, once it has ended."""
        return self._status

    # -- while it runs ------------------------------------------------------------------------------------

    def start(self, session: pytest.Session) -> None:
        """The session has started; which tests it has is not known yet."""
        self._session = session

    def begin(self) -> None:
        """Begin the report: the tests are known, or the first result is.  Later calls do nothing."""
        if self._has_report:
            return
        self._has_report = True
        former = self._config.stash.get(resume.FORMER, None)
        with self.guarded("the former report"):
            if former is None:
                report_directory.clear_former(self._directory)
            else:
                resume.take_up(self._directory, former, self._store)
        self._write()
        if self._config.option.report_dir is None:
            latest = REPORTS / report_directory.LATEST
            with self.guarded(f"{latest} does not point to this run"):
                report_directory.update_latest(self._directory)

    def take(self, report: pytest.TestReport, phase: Phase) -> Phase:
        """Take one phase of a test, and write its evidence.  Returns the phase as its subtests let it be."""
        self.begin()
        test = self._assembler.test_of(report)
        if phase.exit_status is not None:
            self._error_statuses.add(phase.exit_status)
        for kernel, more in phase.preparation.items():
            self._store.prepare(kernel, more)
        if isinstance(report, _SUBTEST_REPORT):
            test.take_subtest(phase)
            return phase
        phase = test.with_subtests(report, phase)
        with self.guarded(f"evidence of {report.nodeid}"):
            evidence.write(self._directory, report.nodeid, phase.evidence, test.paths)
        run_versions(self._config).update(phase.versions)
        result = self._assembler.add(report, phase)
        if result is not None:
            self._add(result, test.kernel)
        return phase

    def take_failure(self, report: pytest.TestReport, error: Exception) -> Phase:
        """Take a phase that `take` failed to take: its test is an error.  Returns the phase."""
        phase = own_errors.undetermined(report, error)
        self._error_statuses.add(UNDETERMINED)
        self._failures[clean_text(report.nodeid)] = phase.reason
        with self.guarded(report.nodeid):
            result = self._assembler.add(report, phase)
            if result is not None:
                self._add(result, None)
        return phase

    @contextlib.contextmanager
    def guarded(self, what: str) -> Iterator[None]:
        """Take an exception in this block for a problem of the report; `what` is then missing."""
        try:
            yield
        except Exception as error:
            self._problem(f"{what}: {own_errors.reason_of(error)}")

    def take_collection(self, report: pytest.CollectReport) -> None:
        """Take a file that could not be collected, or that skipped itself as a whole."""
        if report.passed:
            return
        if report.failed:
            self._error_statuses.add(UNDETERMINED)
        self._store.add(collection_result(report, time.time()), None)

    def _add(self, result: Result, kernel: KernelRecord | None) -> None:
        if result.nodeid in self._failures and result.verdict not in ("fail", "error"):
            result = msgspec.structs.replace(result, verdict="error", reason=self._failures[result.nodeid])
        self._store.add(result, kernel)
        if kernel is not None:
            self._store.prepare(kernel.id, Preparation())
        if self._store.due():
            self._write()

    def _write(self) -> None:
        if not self._has_report:
            return
        with self.guarded(RESULTS):
            self._store.write(self._run())

    def _problem(self, text: str) -> None:
        """Keep the first problem: a full disk would make as many as there are files."""
        if not self._problems:
            self._problems.append(text)

    # -- the end ------------------------------------------------------------------------------------------

    def finish(self, pytest_status: int) -> None:
        """Write the other files, and decide the exit status: before the terminal says them."""
        if not self._has_report:
            self._status = self._exit_status(pytest_status)
            if self._status == WRONG_USE:
                return
            self.begin()  # nothing ran, but a resumed run has results
        self._ended = self._now()
        self._status = self._exit_status(pytest_status)
        try:
            with self.guarded("files of the report"):
                self._write_derived_files()
        except KeyboardInterrupt:
            self.end.interrupted = True
            self._problem("the run was interrupted while its report was written")
        self._write()
        self._status = self._exit_status(pytest_status)
        self._write()

    def _write_derived_files(self) -> None:
        document = self._store.document(self._run())
        self._baseline = baseline.compared(self._config, document)
        for problem in report_files.write(
            document, self._baseline.comparison, origin=self._config.option.kcidb_origin, junit=self._junit
        ):
            self._problem(problem)

    def settle(self, status: int) -> None:
        """End with another exit status than `finish` has decided on."""
        self._status = status
        self._write()

    def release(self) -> None:
        """Let others have the directory."""
        self._claimed.release()

    def _came_early(self) -> bool:
        incomplete = bool(not_run_remark(self._collected(), self._store.results))
        return self.end.came_early(self._store.counts, incomplete=incomplete)

    def _exit_status(self, pytest_status: int) -> int:
        ending = Ending(
            interrupted=self._came_early(),
            internal_error=self.end.internal_error,
            wrong_use=pytest_status == pytest.ExitCode.USAGE_ERROR,
            write_failed=bool(self._problems),
            asked_for=self.end.asked_for,
            strict_waivers=self._config.option.strict_waivers,
            idle_waivers=bool(self._idle_waivers()),
            flaky=self._config.option.flaky,
        )
        return exit_status.exit_status(self._store.counts, frozenset(self._error_statuses), ending)

    def _idle_waivers(self) -> list[Waiver]:
        """Those that no test needed.  A part of the tests cannot tell."""
        partial = self._selection or self._config.option.shard
        return [] if partial else not_needed(waivers_of(self._config), self._store.results, self._store.kernels)

    def summary_lines(self, verbosity: int) -> list[SummaryLine]:
        """What the terminal says at the end."""
        try:
            return self._summary().lines(verbosity=verbosity)
        except Exception as error:
            if self._status == HELD:
                self.settle(UNDETERMINED)
            text = f"the summary failed: {own_errors.reason_of(error)}; the exit status is {self._status}"
            return [SummaryLine(text, {"red": True, "bold": True})]

    def _summary(self) -> Summary:
        return Summary(
            results=self._store.results,
            kernels=self._store.kernels,
            requirements=self._requirements,
            report_dir=self.shown_directory if self._has_report else None,
            status=exit_status.NOTHING_RAN if self._status is None else self._status,
            problems=self._problems,
            messages=self.end.messages,
            selection=self._selection,
            shard=shard.record(self._config),
            collected=self._collected(),
            baseline=self._baseline.lines,
            resumed=resume.lines(self._config),
            idle_waivers=[
                f"{waiver.requirement}: {waiver.reason} ({waiver.place})" for waiver in self._idle_waivers()
            ],
        )

    def _now(self) -> float:
        """The time, in seconds since the epoch, whatever happens to the machine's clock during the run."""
        return self._began + time.monotonic() - self._began_at

    def _collected(self) -> int:
        """How many tests were to run, including those whose results were taken over."""
        former = self._config.stash.get(resume.FORMER, None)
        collected = 0 if self._session is None else self._session.testscollected
        return collected + (len(former.results) if former else 0)

    def _run(self) -> RunRecord:
        """The `run` part of results.json, as of now."""
        stopped = self.end.internal_error or (self._ended is not None and self._came_early())
        end = self._now() if self._ended is None else self._ended
        former = self._config.stash.get(resume.FORMER, None)
        return RunRecord(
            id=self._directory.name,
            state="running" if self._ended is None else "interrupted" if stopped else "finished",
            started=utc(self._began),
            finished=None if self._ended is None else utc(self._ended),
            duration_s=round(end - self._began, 3),
            exit_status=self._status,
            collected=self._collected(),
            counts={verdict: self._store.counts[verdict] for verdict in VERDICTS},
            argv=[str(arg) for arg in self._config.invocation_params.args],
            host=self._host,
            suite=self._suite,
            versions={**environment.versions(), **run_versions(self._config)},
            selection=self._selection,
            baseline=baseline.record(self._config),
            resumed=former.record() if former else None,
            certainty=repeat.asked_for(self._config),
            shard=shard.record(self._config),
        )
