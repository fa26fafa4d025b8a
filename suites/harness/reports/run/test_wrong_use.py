# SPDX-License-Identifier: GPL-2.0-or-later
"""Wrong use of pytest's command line or of the project."""

from __future__ import annotations

from pathlib import Path

import pytest

from suites.harness.reports.run.inner_runs import HOLDS, WRONG, document, run, suite

pytestmark = pytest.mark.usefixtures("_inner_project")

EXIT = "import pytest\ndef pytest_collection_modifyitems(): pytest.exit('no kernel', 4)"
WRONG_USE = "import pytest\ndef pytest_%s(config): raise pytest.UsageError('no such kernel')"


class TestWrongUse:
    """Noticed before any test ran, it leaves no report."""

    @pytest.mark.parametrize(
        ("conftest", "args"),
        [
            pytest.param(WRONG_USE % "configure", (), id="before-the-session"),
            pytest.param(WRONG_USE % "collection_modifyitems", (), id="at-collection"),
            pytest.param(EXIT, (), id="by-an-exit"),
            pytest.param("", ("no/such/file",), id="no-such-file"),
            pytest.param("", ("-k", "and and"), id="bad-expression"),
            pytest.param("", ("--report-dir=results.json/x",), id="bad-directory"),
        ],
    )
    def test_the_former_report_stays_the_latest(
        self, pytester: pytest.Pytester, workers: tuple[str, ...], conftest: str, args: tuple[str, ...]
    ) -> None:
        suite(pytester, HOLDS)
        Path("results.json").touch()
        assert run(pytester).ret == 0
        before = {path.name for path in Path("reports/out").iterdir()}
        pytester.makeconftest(conftest)
        done = run(pytester, *workers, *args)
        assert done.ret == 4
        assert {path.name for path in Path("reports/out").iterdir()} == before
        assert "report: " not in done.stdout.str().partition("= kconform =")[2]
        assert "INTERNALERROR" not in done.stdout.str() + done.stderr.str()

    def test_a_named_directory_stays_as_it_was(self, pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
        suite(pytester, HOLDS)
        assert run(pytester, "--report-dir=out").ret == 0
        before = {path.name: path.read_bytes() for path in Path("out").iterdir()}
        for directory in ("out", "new"):
            done = run(pytester, *workers, f"--report-dir={directory}", "no/such/file")
            assert done.ret == 4
        assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == before
        assert not Path("new").exists()

    def test_in_a_fixture_it_is_a_result(self, pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
        suite(pytester, WRONG)
        assert run(pytester, *workers).ret == 4
        assert document()["run"]["exit_status"] == 4
