# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests marked with requirements, and the list that `--requirements` prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from suites.harness.reports.run.inner_runs import FAIL, HOLDS, requirements_toml, run, suite

pytestmark = pytest.mark.usefixtures("_inner_project")


class TestRequirements:
    MARKED = "@pytest.mark.requirement('yama.scope-1')\n" + HOLDS

    def promise(self, *names: str) -> None:
        Path("suites/yama/requirements.toml").write_text(requirements_toml(*(f"yama.{name}" for name in names)))

    def test_an_unknown_one_is_wrong_use_and_names_the_nearest(
        self, pytester: pytest.Pytester, workers: tuple[str, ...]
    ) -> None:
        suite(pytester, self.MARKED, "yama")
        self.promise("scope-2", "ptracer")
        done = run(pytester, *workers)
        assert done.ret == 4
        output = done.stdout.str() + done.stderr.str()
        assert output.count("unknown requirement 'yama.scope-1'; did you mean 'yama.scope-2'") == 1
        assert "crashed" not in output
        assert not Path("reports/out/latest").exists()

    def test_a_bad_file_is_wrong_use(self, pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
        suite(pytester, self.MARKED, "yama")
        Path("suites/yama/requirements.toml").write_text("[[requirement]")
        done = run(pytester, *workers)
        assert done.ret == 4
        done.stderr.fnmatch_lines(["ERROR: */suites/yama/requirements.toml:1: *"])

    def test_the_list_shows_what_is_tested_by_what(self, pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
        suite(pytester, self.MARKED, "yama")
        self.promise("scope-1")
        done = run(pytester, "--requirements", *workers)
        assert done.ret == 0
        done.stdout.fnmatch_lines(
            ["yama.scope-1: It holds.", "*suites/yama/test_it.py::test_pass", "requirements: 1, gaps: 0"]
        )

    def test_only_the_areas_that_were_asked_for_have_gaps(self, pytester: pytest.Pytester) -> None:
        suite(pytester, self.MARKED, "yama")
        self.promise("scope-1")
        Path("suites/loadpin").mkdir()
        Path("suites/loadpin/requirements.toml").write_text(requirements_toml("loadpin.pin"))
        assert run(pytester, "--requirements").ret == 1
        for argument in ("suites/yama", "suites/yama/test_it.py", "suites/yama/test_it.py::test_pass"):
            done = run(pytester, "--requirements", argument)
            assert done.ret == 0
            done.stdout.fnmatch_lines(["requirements: 1, gaps: 0"])
        assert run(pytester, "--requirements", "suites/loadpin").ret == 1

    @pytest.mark.parametrize(
        ("text", "names", "gap"),
        [
            (MARKED, ("scope-1", "scope-2"), "no test: yama.scope-2"),
            (MARKED + FAIL, ("scope-1",), "no requirement: suites/yama/test_it.py::test_fail"),
        ],
    )
    def test_a_gap_is_named_and_ends_with_1(
        self, pytester: pytest.Pytester, text: str, names: tuple[str, ...], gap: str
    ) -> None:
        suite(pytester, text, "yama")
        self.promise(*names)
        done = run(pytester, "--requirements")
        assert done.ret == 1
        done.stdout.fnmatch_lines(["gaps:", f"*{gap}", "requirements: *, gaps: 1"])
