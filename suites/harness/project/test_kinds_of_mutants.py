# SPDX-License-Identifier: GPL-2.0-or-later
"""`kconform mutants` with --history, --races and --mechanical: what each chooses, and how it is built and tested."""

from __future__ import annotations

from pathlib import Path

import pytest

from kconfigs.kconfig import Config
from suites.harness.project.mutants_bench import Bench, bug, made_up


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


class TestHistory:
    def test_statuses(self, bench: Bench) -> None:
        """All areas are asked, and what cannot be seen here is not built."""
        table = bug("a", "1", "7") + bug("b", "1", "2", 'needs = ["smp"]\n') + bug("c", "1", "2", 'unseen = "No."\n')
        (bench.area / "history.toml").write_text(table)
        assert bench("--history") == 0
        assert bench.statuses() == {"a": "detected", "b": "not here", "c": "argued"}
        assert bench.tested == ["unchanged", "a"]
        assert bench.all_areas == {True}
        assert bench("--history", "--no-all-areas", "--only=a") == 0
        assert bench.all_areas == {True, False}

    def test_options_are_set_for_all(self, bench: Bench, tmp_path: Path) -> None:
        """For one area and one bug as for all of them; a contradiction is built apart."""
        table = [bug(name, "1", "7", f'config = ["{name.upper()}=y"]\n') for name in "ab"]
        (bench.area / "history.toml").write_text(
            "".join(table) + bug("c", "1", "7", 'config = ["SECURITY_YAMA=n"]\n')
        )
        assert bench("--history") == 0
        assert bench.tested == ["unchanged", "a", "b", "unchanged", "c"]
        assert bench("--history", "--only=b") == 0
        configs = [Config.load(path) for path in sorted((tmp_path / "cache").glob(".mutants/*/objects-*/.config"))]
        assert [(each["A"], each["B"], each["SECURITY_YAMA"]) for each in configs] == [
            ("y", "y", "y"),
            ("n", "n", "n"),
        ]

    def test_a_given_object_directory_stays_as_it_is(self, bench: Bench, tmp_path: Path) -> None:
        """What needs options that it lacks is not for it."""
        table = bug("a", "1", "7") + bug("b", "1", "7", 'config = ["NUMA=y"]\n')
        (bench.area / "history.toml").write_text(table)
        (tmp_path / "objects").mkdir()
        (tmp_path / "objects/.config").write_text("CONFIG_64BIT=y\n")
        assert bench("--history", f"--objects={tmp_path / 'objects'}") == 0
        assert bench.statuses() == {"a": "detected", "b": "not here"}

    def test_the_table_is_written(self, bench: Bench, tmp_path: Path) -> None:
        (bench.area / "history.toml").write_text(bug("a", "1", "7"))
        assert bench("--history", f"--table={tmp_path / 'table.md'}") == 0
        row = "| `a` | yama: Fix it (`0123456789ab`) | 5.2 | It hung. | `test_a` |"
        assert (tmp_path / "table.md").read_text().splitlines()[2:] == [row]


class TestRaces:
    @pytest.fixture(autouse=True)
    def table(self, bench: Bench) -> None:
        (bench.area / "races.toml").write_text(made_up("a", "1", "7"))

    def test_bugs_that_need_several_processors_are_among_them(
        self, bench: Bench, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Not those that need more, or nothing.  A check of all tables has each once."""
        smp, more = 'needs = ["smp"]\n', 'needs = ["smp", "kvm"]\n'
        bugs = bug("b", "1", "7", smp) + bug("c", "1", "7", more) + bug("d", "1", "7")
        (bench.area / "history.toml").write_text(bugs)
        assert bench("--races") == 0
        assert bench.statuses() == {"a": "detected", "b": "detected"}
        assert bench("--check") == 0
        assert "4 of 4 match" in capsys.readouterr().out

    def test_the_kernel_is_for_several_processors(self, bench: Bench) -> None:
        assert bench("--races") == 0
        assert bench.flavors == {"races"}
        assert bench.objects == {"objects-races"}

    def test_nothing_is_built_beside_them(self, bench: Bench) -> None:
        """The processors of the host are for those of the guest; other tests run beside the next build."""
        assert bench("--races") == 0
        assert not bench.beside_builds
        (bench.area / "mutants.toml").write_text(made_up("a", "1", "7"))
        assert bench() == 0
        assert bench.beside_builds

    def test_the_tests_are_repeated(self, bench: Bench) -> None:
        """Those that a mutant names are alone for a third of the time; with --pytest, that alone decides."""
        assert bench("--races", "--seconds=60") == 0
        assert bench.arguments == ["--cpus=2", "--race-seconds=60", "-mraces"]
        assert bench.first == ["--cpus=2", "--race-seconds=20"]
        assert bench("--races", "--pytest=-m races --cpus 4") == 0
        assert bench.arguments == ["-m", "races", "--cpus", "4"]
        assert bench.first is None


class TestMechanical:
    @pytest.fixture(autouse=True)
    def parser(self) -> None:
        pytest.importorskip(
            "tree_sitter", reason="tree_sitter is not installed: pip install tree-sitter tree-sitter-c"
        )

    def test_what_does_not_count_is_drawn_again(self, bench: Bench) -> None:
        """A mutant that is not compiled, or is the same kernel, is no part of the sample, and no error."""
        assert bench("--mechanical=99", "--keep-going") == 1
        everything = bench.statuses()
        assert bench("--mechanical=4", "--keep-going") == 1
        sample = bench.statuses()
        assert list(sample) == list(everything)[: len(sample)]
        assert list(sample.values()).count("SURVIVED") == 4

    def test_an_argument_counts(self, bench: Bench) -> None:
        assert bench("--mechanical=1") == 1
        (name,) = [name for name, status in bench.statuses().items() if status == "SURVIVED"]
        (bench.area / "argued.toml").write_text(f'[[argued]]\nid = "{name}"\nwhy = "No effect."\n')
        bench.results.unlink()
        assert bench("--mechanical=1") == 0
        assert bench.statuses()[name] == "argued"
        assert bench("--mechanical=1", "--check") == 0

    def test_one_of_the_sample(self, bench: Bench) -> None:
        """It need not be among the first."""
        bench("--mechanical=99", "--keep-going")
        last = [name for name, status in bench.statuses().items() if status == "SURVIVED"][-1]
        assert bench("--mechanical=1", f"--only={last}") == 1
        assert bench.tested == ["unchanged", last]
