# SPDX-License-Identifier: GPL-2.0-or-later
"""The command `diff`: its formats, its exit status, and its complaints."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kconform import main
from reports.judgement.comparison import KINDS, compare
from reports.tools import diff
from suites.harness.checkout import ROOT
from suites.harness.reports.documents import FULL, NEXT, TIME, read, result, write

NASTY = "<script>alert(1)</script> | `code` *x*\x1b[2J @all"


class TestFormats:
    OLD = (result("yama/a"), result("yama/b", "fail"), *(result(f"yama/gone{n}") for n in range(60)))
    NEW = (result("yama/a", "fail", NASTY), result("yama/b"))

    @pytest.mark.parametrize("form", diff.FORMATS)
    def test_each_says_what_changed_and_what_it_comes_to(self, form: str) -> None:
        text = diff.FORMATS[form](compare(read(*self.OLD), read(*self.NEW)))
        for words in ("newly failing: 1", "newly passing: 1", "gone: 60", "exit status 1: something newly fails"):
            assert words in text
        assert f"test_a[{FULL}]" in text
        assert "... and 10 more" in text
        assert "\x1b" not in text

    def test_nothing_is_left_out_if_all_is_asked_for(self) -> None:
        assert "test_gone59" in diff.as_text(compare(read(*self.OLD), read(*self.NEW)), most=None)

    def test_words_of_a_guest_are_no_markup(self) -> None:
        text = diff.as_markdown(compare(read(*self.OLD), read(*self.NEW)))
        assert r"\<script\>alert(1)\</script\> \| \`code\` \*x\*\\x1b\[2J \@all" in text

    def test_a_failure_of_another_promise_says_which(self) -> None:
        both = ("yama.a", "yama.log")
        old, new = (result("yama/a", "fail", f"why {each}", requirements=both, breaks=[each]) for each in both)
        text = diff.as_text(compare(read(old), read(new)))
        for words in ("newly failing: 1", "fail: why yama.log", "newly breaks yama.log", "was: why yama.a"):
            assert words in text

    def test_every_kind_has_a_title(self) -> None:
        assert set(KINDS) == set(compare(read(*self.OLD), read(*self.NEW)).changes)


class TestCommand:
    @pytest.fixture
    def runs(self, tmp_path: Path) -> tuple[str, str]:
        old = write(tmp_path / "old", result("yama/scope"))
        new = write(tmp_path / "new", result("yama/scope", "fail", "evil \udcff \u2192 OK", on=NEXT))
        return str(old), str(new / "results.json")

    def test_the_exit_status_is_a_gates(self, runs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["diff", *runs]) == 1
        assert f"kernel: {FULL} -> {NEXT}" in capsys.readouterr().out
        assert main(["diff", runs[0], runs[0]]) == 0
        assert "1 as before" in capsys.readouterr().out

    def test_a_file_is_written(
        self, runs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["diff", *runs, "--format=markdown", f"--output={tmp_path / 'd.md'}"]) == 1
        assert "evil \\\\udcff \u2192 OK" in (tmp_path / "d.md").read_text(encoding="utf-8")
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            pytest.param(lambda runs: ["diff", runs[0]], "required: NEW", id="one-run"),
            pytest.param(lambda runs: ["diff", *runs, "--format=pdf"], "invalid choice: 'pdf'", id="format"),
            pytest.param(lambda runs: ["diff", *runs, "--kernel=x"], "write OLD=NEW", id="no-pair"),
            pytest.param(lambda runs: ["diff", *runs, "--kernel=x=y"], "the old run has no kernel 'x'", id="kernel"),
            pytest.param(lambda runs: ["diff", runs[0], "/none"], "/none: cannot be read", id="no-file"),
            pytest.param(lambda runs: ["diff", *runs, "--output=/none/x"], "/none/x: cannot be written", id="output"),
            pytest.param(lambda runs: ["diff", runs[0], "a\0b"], "cannot be read", id="nul"),
        ],
    )
    def test_wrong_use_is_4_and_a_sentence(
        self,
        runs: tuple[str, str],
        capsys: pytest.CaptureFixture[str],
        change: Callable[[tuple[str, str]], list[str]],
        complaint: str,
    ) -> None:
        try:
            status = main(change(runs))
        except SystemExit as ended:
            status = int(str(ended.code))
        said = capsys.readouterr().err
        assert status == 4
        assert complaint in said
        assert "Traceback" not in said

    def test_it_is_a_program_for_any_locale(self, runs: tuple[str, str]) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "kconform", "diff", *runs],
            cwd=ROOT,
            env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 1, done.stderr
        assert b"evil \\udcff \\u2192 OK" in done.stdout
        assert TIME.encode() in done.stdout
