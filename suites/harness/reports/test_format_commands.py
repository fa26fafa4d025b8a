# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands that write a report in another format."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kconform import main
from suites.harness.checkout import ROOT
from suites.harness.reports.documents import write
from suites.harness.reports.formats.format_samples import SAMPLE


class TestCommands:
    @pytest.fixture
    def report(self, tmp_path: Path) -> str:
        return str(write(tmp_path / "report", *SAMPLE, state="running", exit_status=None))

    def test_each_writes_its_format_and_remarks_on_a_run_that_goes_on(
        self, report: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for command, begins in (
            (["ktap", report], "KTAP version 1\n"),
            (["kcidb", report, "--origin=my_ci"], "{\n"),
            (["annotations", report], "::error title="),
            (["summary", report], "## kconform\n\n**the run is still going on**"),
            (["summary", report, "--baseline", report], "## kconform\n"),
        ):
            assert main(command) == 0
            said = capsys.readouterr()
            assert said.out.startswith(begins)
            assert "the run is still going on or was killed" in said.err

    def test_a_page_is_made_beside_the_results(self, report: str, capsys: pytest.CaptureFixture[str]) -> None:
        """For example of a run that was killed before it could make it."""
        page = Path(report, "index.html")
        for command, compared in ((["page", report], False), (["page", report, "--baseline", report], True)):
            assert main(command) == 0
            said = capsys.readouterr()
            assert said.out == f"{page}\n"
            assert "the run is still going on or was killed" in said.err
            assert "the run has not ended" in page.read_text()
            assert ('"comparison":null' not in page.read_text()) == compared

    @pytest.mark.parametrize("command", ["ktap", "summary", "diff"])
    def test_a_full_disk_behind_standard_output_is_said(self, report: str, command: str) -> None:
        """Exit status 1 of a diff would say that something newly fails."""
        arguments = [command, report, *([report] if command == "diff" else [])]
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "kconform", *arguments],
                cwd=ROOT,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
            )
        assert done.returncode == 4
        assert done.stderr.endswith("kconform: error: standard output cannot be written: No space left on device\n")

    def test_a_page_that_cannot_be_written_is_wrong_use(
        self, report: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path(report, "index.html").mkdir()
        assert main(["page", report]) == 4
        assert capsys.readouterr().err.endswith(f"kconform: error: {report}: cannot be written: Is a directory\n")
        assert sorted(path.name for path in Path(report).iterdir()) == ["index.html", "results.json"]

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (["kcidb"], "--origin"),
            (["kcidb", "--origin=My CI"], "lower-case letters, digits and underscores"),
            (["ktap", "--output=/none/x"], "/none/x: cannot be written"),
            (["summary", "--baseline=/none"], "/none: cannot be read"),
        ],
    )
    def test_wrong_use_is_4_and_a_sentence(
        self, report: str, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
    ) -> None:
        try:
            status = main([arguments[0], report, *arguments[1:]])
        except SystemExit as ended:
            status = int(str(ended.code))
        assert status == 4
        assert re.search(re.escape(complaint), capsys.readouterr().err)
