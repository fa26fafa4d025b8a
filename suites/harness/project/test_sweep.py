# SPDX-License-Identifier: GPL-2.0-or-later
"""`kconform sweep`: the kernels that it asks for, and what it makes of their results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from common.errors import UsageError
from kconfigs import kernel_matrix
from kconfigs.config_changes import parse_changes
from reports.judgement.exit_status import HELD, NOTHING_RAN, UNDETERMINED, WRONG_USE
from suites import report_of_run
from suites.harness.reports import documents
from suites.harness.reports.documents import result
from suites.sweep import __main__ as sweep
from suites.sweep.__main__ import as_markdown, judge, listed, main, matrix_of, options_of

PLAIN, NO_AUDIT, SMP = "d-6.12/full", "d-6.12/full+AUDIT=n", "d-6.12/full+SMP=y"
GOOD = [
    result("yama/a", on=PLAIN),
    result("yama/b", "skip", "needs CONFIG_X", on=PLAIN),
    result("yama/a", "skip", "needs CONFIG_AUDIT", on=NO_AUDIT),
    result("yama/b", "skip", "needs CONFIG_X", on=NO_AUDIT),
    result("yama/a", on=SMP),
    result("yama/b", "waived", on=SMP),
]


def outcomes(*results: dict[str, Any]) -> list[sweep.SweptKernel]:
    return judge(documents.read(*results).tests())


class TestTable:
    def test_each_change_of_the_table_is_one(self) -> None:
        changes = listed()
        assert len(changes) == len(set(changes)) >= 40
        for change in changes:
            assert parse_changes(options_of(change)) is not None

    @pytest.mark.parametrize(
        "entry", ['set = "A=y"\n', 'why = "x"\n', 'set = "A=y"\nwhy = ""\n', 'set = "A=y"\nwhy = "x"\nmore = 1\n']
    )
    def test_a_wrong_table_is_refused_with_the_place(self, tmp_path: Path, entry: str) -> None:
        (tmp_path / "options.toml").write_text(f"[[option]]\n{entry}")
        with pytest.raises(UsageError, match=r"options.toml:\d"):
            listed(tmp_path / "options.toml")

    def test_the_matrix(self, tmp_path: Path) -> None:
        (tmp_path / "kconform.toml").write_text(matrix_of('deb:a"b', ["AUDIT=n", 'LSM="yama"', "A=y+LSM=b+c"]))
        plain, *changed = kernel_matrix.load(tmp_path / "kconform.toml")
        assert plain.changes is None
        assert [each.changes and each.changes.label for each in changed] == ["AUDIT=n", "LSM=-yama", "A=y+LSM=b-c"]
        assert [len(each.changes.fragments) for each in changed if each.changes] == [1, 1, 2]
        assert {each.spec.text for each in (plain, *changed)} == {'deb:a"b'}


class TestJudging:
    def test_what_does_not_apply_any_more_is_told(self) -> None:
        plain, no_audit, smp = outcomes(*GOOD)
        assert (plain.change, no_audit.change, smp.change) == ("", "AUDIT=n", "SMP=y")
        assert [each.verdict for each in (plain, no_audit, smp)] == ["held"] * 3
        assert (no_audit.held, no_audit.skipped, no_audit.remark) == (0, 2, "needs CONFIG_AUDIT (1)")
        assert (smp.held, smp.waived, smp.remark) == (1, 1, "")

    def test_what_would_not_apply_without_the_change_either_is_not_told(self) -> None:
        """With --cases, another case of a test may be skipped for a reason that is not due to the change."""
        others = [
            result("yama/c", "skip", "needs CONFIG_X", on=SMP),
            result("yama/d", "skip", "since Linux 6.18, this is 6.12.117", on=SMP),
        ]
        assert outcomes(*GOOD[:2], *others)[1].remark == ""

    def test_the_kernel_without_a_change_comes_first(self) -> None:
        assert [each.change for each in outcomes(*reversed(GOOD))] == ["", "SMP=y", "AUDIT=n"]

    def test_a_broken_promise(self) -> None:
        outcome = outcomes(*GOOD, result("yama/c", "fail", "1 == 2", on=SMP))[2]
        assert (outcome.verdict, outcome.remark) == ("broken", f"test_c[{SMP}]: 1 == 2")

    def test_an_error(self) -> None:
        outcome = outcomes(*GOOD, result("yama/c", "error", "no room", on=SMP))[2]
        assert (outcome.verdict, outcome.remark) == ("error", f"test_c[{SMP}]: no room")

    @pytest.mark.parametrize(
        "reason",
        [
            "with these changes, Kconfig drops 1 of the 99 options asked for",
            "d-6.12/full+SMP=y cannot be tested: it lacks CONFIG_TTY",
            "d-6.12/full+SMP=y could not be compiled (make ended with status 2)",
        ],
    )
    def test_a_kernel_that_there_cannot_be_is_not_a_failure(self, reason: str) -> None:
        outcome = outcomes(GOOD[0], result("yama/a", "error", reason, on=SMP))[1]
        assert (outcome.verdict, outcome.remark) == ("not tested", reason)

    def test_as_markdown(self) -> None:
        lines = as_markdown(outcomes(*GOOD, result("yama/c", "fail", "a | b", on=SMP)))
        assert lines[2] == "| none | held | 1 | 0 | 1 |  |"
        assert lines[4] == f"| `SMP=y` | broken | 1 | 1 | 0 | test_c[{SMP}]: a \\| b |"
        assert all(line.replace("\\|", "").count("|") == 7 for line in lines)


class PytestRun:
    """Stands in for pytest: keeps its command lines, and leaves these results and this exit status."""

    def __init__(self) -> None:
        self.commands: list[Sequence[str]] = []
        self.results: Sequence[dict[str, Any]] = ()
        self.status = 0

    def __call__(self, command: Sequence[str]) -> int:
        self.commands.append(command)
        if self.results:
            [report] = [word.removeprefix("--report-dir=") for word in command if word.startswith("--report-dir=")]
            documents.write(Path(report), *self.results)
        return self.status


class TestCommand:
    @pytest.fixture
    def pytest_run(self, monkeypatch: pytest.MonkeyPatch) -> PytestRun:
        ran = PytestRun()
        monkeypatch.setattr(report_of_run, "wait_for_tests", ran)
        return ran

    @pytest.mark.parametrize(
        ("more", "status"),
        [
            ((), 0),
            ((result("yama/c", "error", on=SMP),), 3),
            ((result("yama/c", "error", on=SMP), result("yama/d", "fail", on=NO_AUDIT)), 1),
        ],
        ids=["good", "error", "broken"],
    )
    def test_the_exit_status_and_the_files(
        self, tmp_path: Path, pytest_run: PytestRun, more: tuple[dict[str, Any], ...], status: int
    ) -> None:
        pytest_run.results = (*GOOD, *more)
        options = [f"--report-dir={tmp_path / 'report'}", f"--table={tmp_path / 'sweep.md'}", "--pytest=-m 'a b'"]
        assert main(["AUDIT=n", *options]) == status
        (command,) = pytest_run.commands
        assert command[-2:] == ["-m", "a b"]
        assert "--allow-dropped" in command
        assert len((tmp_path / "sweep.md").read_text().splitlines()) == 2 + 3

    @pytest.mark.parametrize("change", ["AUDIT", "audit=n", "/nonexistent", "A=$(id)", "A=y+B=$(id)"])
    def test_a_wrong_change_is_refused_before_anything_is_built(
        self, pytest_run: PytestRun, capsys: pytest.CaptureFixture[str], change: str
    ) -> None:
        assert main([change]) == 4
        assert capsys.readouterr().err.startswith("kconform: error: ")
        assert pytest_run.commands == []

    @pytest.mark.parametrize("former", [False, True], ids=["no-report", "former-report"])
    @pytest.mark.parametrize(
        ("ended", "status"), [(HELD, UNDETERMINED), (WRONG_USE, WRONG_USE), (NOTHING_RAN, NOTHING_RAN)]
    )
    def test_a_run_without_results_is_not_judged_by_those_of_a_former_one(
        self,
        tmp_path: Path,
        pytest_run: PytestRun,
        capsys: pytest.CaptureFixture[str],
        former: bool,
        ended: int,
        status: int,
    ) -> None:
        if former:
            documents.write(tmp_path / "report", *GOOD)
        pytest_run.status = ended
        assert main(["AUDIT=n", f"--report-dir={tmp_path / 'report'}"]) == status
        assert f"no test ran: pytest ended with {ended}" in capsys.readouterr().err

    def test_a_table_that_cannot_be_written_is_refused_before_anything_is_built(
        self, tmp_path: Path, pytest_run: PytestRun
    ) -> None:
        assert main(["AUDIT=n", f"--table={tmp_path / 'none' / 'sweep.md'}"]) == WRONG_USE
        assert pytest_run.commands == []

    def test_tests_that_are_all_skipped_are_no_result(self, pytest_run: PytestRun) -> None:
        pytest_run.results, pytest_run.status = [result("yama/b", "skip", "needs CONFIG_X", on=PLAIN)], NOTHING_RAN
        assert main(["AUDIT=n"]) == NOTHING_RAN

    def test_a_kernel_that_cannot_be_built_is_a_result(self, pytest_run: PytestRun) -> None:
        """The run ends with wrong use then, but has a report."""
        dropped = result("yama/a", "error", "with these changes, Kconfig drops 1 of the 99 options", on=SMP)
        pytest_run.results, pytest_run.status = [*GOOD[:4], dropped], WRONG_USE
        assert main(["SMP=y"]) == HELD
