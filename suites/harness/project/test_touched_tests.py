# SPDX-License-Identifier: GPL-2.0-or-later
"""--touched and --since: from what has changed in the kernel to the tests that execute it, and their order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from common.errors import UsageError
from kconfigs.cache import Cache
from reports.run import environment
from suites.coverage.line_map import save_map
from suites.coverage.touched_tests import BOOT_S, Touched, choose, named
from suites.harness.checkout import ROOT
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.project.line_map_sample import DENIED, FILE, GRANTED, LINES, OTHER, SOURCE, TALK, line_map


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


class TestNaming:
    def test_a_function_is_its_lines_with_code(self) -> None:
        assert named(LINES, [f"{FILE}:scope"]).lines == {FILE: frozenset({3, 6, 7, 8, 9})}

    def test_places_are_added_up(self) -> None:
        assert named(LINES, [f"{FILE}:7", f"{FILE}:13"]).lines == {FILE: frozenset({7, 13})}

    @pytest.mark.parametrize(
        ("places", "said"),
        [
            ([f"{FILE}:7"], f"{FILE}: line 7 (as in 6.12.7)"),
            ([f"{FILE}:scope", f"{FILE}:13"], f"{FILE}: lines 3, 6-9, 13 (as in 6.12.7)"),
        ],
    )
    def test_the_run_says_what_is_touched(self, places: list[str], said: str) -> None:
        lines = line_map({DENIED: (0.5, [3, 6, 7, 9])}, unmeasured={OTHER: 0.1})
        touched = named(lines, places).plus(Touched(unknown=("kernel/fork.c",)))
        assert list(touched.sentences(lines)) == [
            said,
            "1 of 1 recorded tests execute that; 1 gave no counters",
            "warning: no test is recorded for kernel/fork.c",
        ]

    @pytest.mark.parametrize(
        ("place", "said"),
        [
            (f"{FILE}:5", "line 5 of security/yama/yama_lsm.c has no code in 6.12.7"),
            (f"{FILE}:skope", "has no function skope with code"),
            ("kernel/fork.c:copy_process", "no test is recorded for kernel/fork.c"),
            ("scope", "no test is recorded for"),
        ],
    )
    def test_what_is_not_there_is_named(self, place: str, said: str) -> None:
        with pytest.raises(UsageError, match=said):
            named(LINES, [place])


class TestChoice:
    def boots(self, *names: str) -> dict[str, str]:
        return dict.fromkeys(names, "default")

    def test_tests_that_execute_little_else_come_first(self) -> None:
        touched = Touched({FILE: frozenset({6})})
        assert choose(LINES, touched, self.boots(DENIED, GRANTED, OTHER)) == [DENIED, GRANTED, OTHER]

    def test_one_case_of_each_function_comes_before_the_second_of_any(self) -> None:
        first, second, single = "suites/a/a.py::test_a[1]", "suites/a/a.py::test_a[2]", "suites/a/a.py::test_b"
        lines = line_map({first: (0.5, [6]), second: (0.4, [6]), single: (0.6, [6, 7, 8])})
        touched = Touched({FILE: frozenset({6})})
        assert choose(lines, touched, self.boots(first, second, single)) == [second, single, first]

    def test_tests_that_do_not_execute_it_are_not_chosen(self) -> None:
        assert choose(LINES, Touched({FILE: frozenset({7})}), self.boots(DENIED, GRANTED, OTHER)) == [DENIED]

    def test_tests_that_are_not_there_are_not_chosen(self) -> None:
        assert choose(LINES, Touched({FILE: frozenset({6})}), self.boots(OTHER)) == [OTHER]

    def test_what_exceeds_the_budget_is_left_out(self) -> None:
        touched, there = Touched({FILE: frozenset({6})}), self.boots(DENIED, GRANTED, OTHER)
        assert choose(LINES, touched, there, BOOT_S + 0.65) == [DENIED, OTHER]
        assert choose(LINES, touched, there, 0.01) == [DENIED]

    def test_tests_without_counters_come_last(self) -> None:
        lines = line_map({OTHER: (0.1, [6])}, unmeasured={DENIED: 0.5})
        assert choose(lines, Touched({FILE: frozenset({6})}), self.boots(DENIED, OTHER)) == [OTHER, DENIED]

    def test_a_test_that_was_written_since_comes_after_them(self) -> None:
        case, new, elsewhere = f"{DENIED}[a]", f"{TALK}::test_new", "suites/seccomp/test_talk.py::test_new"
        lines = line_map({OTHER: (0.1, [6])}, unmeasured={DENIED: 0.5})
        there = self.boots(new, elsewhere, case, DENIED, OTHER)
        assert choose(lines, Touched({FILE: frozenset({6})}), there) == [OTHER, DENIED, new]

    @pytest.mark.parametrize(
        ("executed", "chosen"), [([8], [DENIED]), ([13], [DENIED]), ([], [])], ids=["function", "file", "nothing"]
    )
    def test_what_no_test_executes_is_widened(self, executed: list[int], chosen: list[str]) -> None:
        """The boot executes it, or nobody."""
        lines = line_map({DENIED: (0.5, executed)})
        touched = Touched({FILE: frozenset({7})}).widened(lines)
        assert choose(lines, touched, self.boots(DENIED)) == chosen

    def test_what_a_test_executes_is_not_widened(self) -> None:
        touched = Touched({FILE: frozenset({7})})
        assert touched.widened(LINES) == touched

    def test_a_boot_costs_its_time_once(self) -> None:
        touched = Touched({FILE: frozenset({6})})
        there = {DENIED: "default", GRANTED: "scope 3", OTHER: "default"}
        assert choose(LINES, touched, there, BOOT_S + 2.0) == [DENIED, OTHER]


class TestRun:
    """The options of a run, on a tree that is not built: tests are only collected."""

    @pytest.fixture
    def tree(self, tmp_path: Path) -> Path:
        made = fakes.tree(tmp_path / "linux")
        (made / FILE).parent.mkdir(parents=True)
        (made / FILE).write_text(SOURCE)
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "before"]):
            identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
            subprocess.run(["git", "-C", made, *identity, *command], check=True)
        return made

    @staticmethod
    def collect(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-p", "no:cacheprovider"]
        return subprocess.run(
            [*command, "--collect-only", "-q", TALK, *arguments],
            cwd=ROOT,
            env={"KCONFORM_CACHE": str(tmp_path / "cache"), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/"},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    @staticmethod
    def recorded(done: subprocess.CompletedProcess[str]) -> list[str]:
        """The chosen tests that the map knows; it does not know the others of the file, so they are always chosen."""
        names = [line.partition("[")[0] for line in done.stdout.splitlines() if "::" in line]
        assert names, done.stdout + done.stderr
        return [name for name in names if name in (DENIED, GRANTED)]

    def test_touched_runs_the_tests_that_execute_a_place(self, tree: Path, cache: Cache, tmp_path: Path) -> None:
        save_map(LINES, cache)
        done = self.collect(tmp_path, f"--kernel={tree}", f"--touched={FILE}:scope", "--touched-seconds=0")
        assert self.recorded(done) == [DENIED, GRANTED]

    def test_since_runs_the_tests_that_execute_a_change(self, tree: Path, cache: Cache, tmp_path: Path) -> None:
        save_map(LINES, cache)
        (tree / FILE).write_text(SOURCE.replace("return -1;", "return -2;"))
        done = self.collect(tmp_path, f"--kernel={tree}", "--since=HEAD")
        assert self.recorded(done) == [DENIED]

    def test_a_change_of_other_files_alone_is_refused(self, tree: Path, cache: Cache, tmp_path: Path) -> None:
        save_map(LINES, cache)
        (tree / "kernel.c").write_text("int a;\n")
        done = self.collect(tmp_path, f"--kernel={tree}", "--since=HEAD")
        assert done.returncode == 4
        assert "no test is recorded for what has changed: kernel.c" in done.stdout + done.stderr

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--since=HEAD"], "nothing has changed in"),
            (["--since=v9.9"], "git cannot compare"),
            (["--since=--output=x"], "git cannot compare"),
            (["--touched=kernel/fork.c:fork"], "no test is recorded for kernel/fork.c"),
        ],
    )
    def test_wrong_use_ends_with_4(
        self, tree: Path, cache: Cache, tmp_path: Path, arguments: list[str], said: str
    ) -> None:
        save_map(LINES, cache)
        done = self.collect(tmp_path, f"--kernel={tree}", *arguments)
        assert done.returncode == 4
        assert (done.stdout + done.stderr).count(said) == 1
        assert "Traceback" not in done.stdout + done.stderr

    def test_the_report_says_that_not_all_tests_were_chosen(self) -> None:
        given = {"touched": [f"{FILE}:scope", f"{FILE}:7"], "since": "v6.12"}
        config: Any = SimpleNamespace(
            args=["."],
            rootpath=ROOT,
            invocation_params=SimpleNamespace(dir=ROOT),
            getini=lambda _: ["suites/yama"],
            getoption=lambda name, _: given.get(name),
        )
        places = f"--touched {FILE}:scope --touched {FILE}:7"
        assert environment.selection(config) == f"{places} --since v6.12"

    def test_without_a_map_the_message_says_how_to_make_one(self, tree: Path, tmp_path: Path) -> None:
        done = self.collect(tmp_path, f"--kernel={tree}", f"--touched={FILE}:scope")
        assert done.returncode == 4
        assert "hint: ./kconform coverage boot ptrace yama loadpin seccomp records it" in done.stdout + done.stderr
