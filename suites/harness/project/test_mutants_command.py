# SPDX-License-Identifier: GPL-2.0-or-later
"""`kconform mutants`: which mutants are built and tested, what is written, and the exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from kconfigs.cache import Cache
from suites.coverage.line_map import save_map
from suites.harness.project import line_map_sample
from suites.harness.project.line_map_sample import DENIED, line_map
from suites.harness.project.mutants_bench import FILE, SOURCE, Bench, bug, made_up
from suites.mutation.executing_tests import UNKNOWN, Execution


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


class TestMadeUp:
    def test_all_are_detected(self, bench: Bench) -> None:
        """One that is argued is not built."""
        argued = made_up("c", "return", "return", 'equivalent = "It has no effect."')
        (bench.area / "mutants.toml").write_text(made_up("a", "1", "7") + made_up("b", "0", "7") + argued)
        assert bench() == 0
        assert bench.tested == ["unchanged", "a", "b"]
        assert bench.statuses() == {"a": "detected", "b": "detected", "c": "argued"}
        assert bench.all_areas == {False}

    def test_what_is_recorded_is_of_the_same_version(self, bench: Bench) -> None:
        """The lines of another may be others."""
        (bench.tree / FILE).write_text(line_map_sample.SOURCE)
        (bench.area / "mutants.toml").write_text(made_up("a", "return -1", "return 7"))
        for version, executed in (
            ("6.12.8", UNKNOWN),
            ("6.12.7", Execution((f"{FILE}:7",), frozenset({"yama"}), True)),
        ):
            save_map(line_map({DENIED: (0.5, [7])}, version), Cache())
            bench.executions.clear()
            assert bench() == 0
            assert bench.executions[-1] == executed

    def test_a_table_that_cannot_be_written_is_refused_before_anything_is_built(self, bench: Bench) -> None:
        (bench.area / "mutants.toml").write_text(made_up("a", "1", "7"))
        assert bench("--table=/nonexistent/table.md") == 4
        assert bench.tested == []

    def test_the_first_survivor_is_the_last(self, bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
        table = made_up("a", "1", "2") + made_up("b", "1", "3") + made_up("c", "1", "7") + made_up("d", "1", "7")
        (bench.area / "mutants.toml").write_text(table)
        assert bench() == 1
        assert bench.statuses() == {"a": "SURVIVED"}
        assert bench("--keep-going") == 1
        assert bench.statuses() == {"a": "SURVIVED", "b": "SURVIVED", "c": "detected", "d": "detected"}
        assert "mutants: 2 detected, 2 SURVIVED\n  SURVIVED: a\n  SURVIVED: b" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("find", "replace", "status"),
        [("missing", "", "no match"), ("(a == 1)", "(a >= 1)", "no effect"), ("1", "broken", "error")],
    )
    def test_what_cannot_be_judged(self, bench: Bench, find: str, replace: str, status: str) -> None:
        """The others are, and the status tells."""
        (bench.area / "mutants.toml").write_text(made_up("a", find, replace) + made_up("b", "1", "7"))
        assert bench() == 3
        assert bench.statuses() == {"a": status, "b": "detected"}

    def test_a_kernel_that_fails_without_a_fault(self, bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
        """Nothing can be found out."""
        (bench.area / "mutants.toml").write_text(made_up("a", "1", "7"))
        bench.fails_unchanged = True
        assert bench() == 3
        assert "already fail on the unmodified kernel: test_a" in capsys.readouterr().out

    def test_only_some_and_further_ones_later(self, bench: Bench) -> None:
        """With --resume, what an earlier run found out stays, but what --only names is built again."""
        (bench.area / "mutants.toml").write_text("".join(made_up(name, "1", "7") for name in "abc"))
        assert bench("--only=b") == 0
        assert bench("--resume") == 0
        assert bench.tested == ["unchanged", "a", "c"]
        assert bench("--resume", "--only=c") == 0
        assert bench.tested == ["unchanged", "c"]
        assert list(bench.statuses()) == ["a", "b", "c"]

    def test_each_architecture_has_its_mutants(self, bench: Bench) -> None:
        """An edit of what Linux compiles for another one cannot be seen."""
        (bench.tree / "arch/arm64").mkdir(parents=True)
        (bench.tree / "arch/arm64/a.c").write_text(SOURCE)
        of_arm64 = made_up("a", "1", "7").replace(FILE, "arch/arm64/a.c")
        (bench.area / "mutants.toml").write_text(of_arm64 + made_up("b", "1", "7"))
        assert bench() == 0
        assert bench.statuses() == {"a": "not here", "b": "detected"}

    def test_wrong_use(self, bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
        (bench.area / "mutants.toml").write_text(made_up("a", "1", "7"))
        assert (bench("--only=b"), bench("--history"), bench("--resume")) == (4, 4, 4)
        assert bench("--arch=arm64", "--mechanical=1") == 4
        assert bench("--seconds=60") == 4
        said = capsys.readouterr().out
        assert "no mutant has the id b" in said
        assert "yama has no history.toml" in said
        assert "--seconds is for the tests of --races" in said
        assert "results.json has no results of mutants" in said


class TestCheck:
    def test_both_tables(self, bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
        """Nothing is built."""
        (bench.area / "mutants.toml").write_text(made_up("a", "1", "7") + made_up("b", "missing", ""))
        (bench.area / "history.toml").write_text(bug("c", "return", "") + bug("d", "0", "7"))
        assert bench("--check") == 3
        assert [line for line in capsys.readouterr().out.splitlines() if line] == [
            f"mutants: b: {FILE} has 0 places that match 'missing', expected one",
            f"mutants: c: {FILE} has 2 places that match 'return', expected one",
            f"mutants: 2 of 4 match {bench.tree}",
        ]
        assert bench("--check", "--history", "--only=d") == 0
        assert bench.tested == []

    def test_no_table(self, bench: Bench) -> None:
        assert bench("--check") == 4

    def test_arguments_without_a_place(self, bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
        pytest.importorskip(
            "tree_sitter", reason="tree_sitter is not installed: pip install tree-sitter tree-sitter-c"
        )
        (bench.area / "argued.toml").write_text('[[argued]]\nid = "gone"\nwhy = "Was."\n')
        assert bench("--check", "--mechanical=1") == 3
        assert "mutants: gone: no place has this id" in capsys.readouterr().out
