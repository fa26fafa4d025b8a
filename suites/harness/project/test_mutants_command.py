# SPDX-License-Identifier: GPL-2.0-or-later
"""`kconform mutants`: which mutants are built and tested, what is written, and the exit status.

Builds and tests are faked: the image is the source, and a test fails if there is a 7 in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from common.errors import KconformError
from kconfigs.architectures import architecture
from kconfigs.build import kbuild
from kconfigs.build.build_job import Job
from kconfigs.cache import Cache
from kconfigs.kconfig import Config
from suites.coverage.line_map import save_map
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.project import line_map_sample
from suites.harness.project.line_map_sample import DENIED, line_map
from suites.mutation import __main__ as command
from suites.mutation import mechanical_mutants, mutant_table
from suites.mutation.executing_tests import UNKNOWN, Execution
from suites.mutation.mutant_builder import UNCHANGED, MutantBuilder, discard_image
from suites.mutation.mutant_table import Mutant
from suites.mutation.mutant_tester import MutantResult, MutantTester

FILE = "security/yama/yama_lsm.c"
SOURCE = "static int f(int a)\n{\n\tif (a == 1)\n\t\treturn g(a);\n\treturn 0;\n}\n"


def edit(find: str, replace: str, kind: str = "") -> str:
    return f'{kind}file = "{FILE}"\nfind = "{find}"\nreplace = "{replace}"\n'


def made_up(name: str, find: str, replace: str, more: str = "") -> str:
    return f'[[mutant]]\nid = "{name}"\ntext = "It is wrong."\n{edit(find, replace)}{more}\n'


def bug(name: str, find: str, replace: str, more: str = "") -> str:
    head = (
        f'[[bug]]\nid = "{name}"\ntitle = "yama: Fix it"\ncommit = "0123456789ab"\nfixed = "5.2"\nseen = "It hung."\n'
    )
    return head + more + edit(find, replace, "[[bug.edit]]\n")


class Bench:
    """A tree, the tables of the area yama, and what was done."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tree = fakes.tree(folder / "linux")
        (self.tree / FILE).parent.mkdir(parents=True)
        (self.tree / FILE).write_text(SOURCE)
        self.area = folder / "suites" / "yama"
        self.area.mkdir(parents=True)
        self.results = folder / "results.json"
        self.tested: list[str] = []
        self.all_areas: set[bool] = set()
        self.executions: list[Execution] = []
        self.flavors: set[str] = set()
        self.objects: set[str] = set()
        self.arguments: list[str] = []
        """For pytest with an area's tests."""
        self.first: list[str] | None = []
        """The same with those that a mutant names as its first."""
        self.fails_unchanged = False
        for module in (mutant_table, mechanical_mutants):
            monkeypatch.setattr(module, "SUITES", folder / "suites")
        monkeypatch.setattr("common.project_files.areas", lambda: ["yama"])
        monkeypatch.setattr(kbuild, "compile_kernel", self._compile)
        monkeypatch.setattr(MutantBuilder, "preprocessed", lambda *_: f'# 1 "{FILE}"\n{SOURCE}')
        monkeypatch.setattr(command, "MutantTester", self._tester)
        monkeypatch.setattr(command, "run", lambda wanted: self._run(wanted))
        monkeypatch.setenv("KCONFORM_CACHE", str(folder / "cache"))

    def __call__(self, *arguments: str) -> int:
        self.tested.clear()
        return command.main(["yama", f"--source={self.tree}", f"--results={self.results}", *arguments])

    def statuses(self) -> dict[str, str]:
        return {row["id"]: row["status"] for row in json.loads(self.results.read_text())}

    @staticmethod
    def _run(wanted: Callable[[], int]) -> int:
        """Without a handler for SIGTERM, which would stay."""
        try:
            return wanted()
        except KconformError as error:
            print(f"error: {error}")
            return error.exit_status

    def _compile(self, job: Job, objects: Path, _: Config, on_line: Callable[[str], None]) -> None:
        self.flavors.add(job.flavor.name)
        self.objects.add(objects.name)
        on_line("  CC      a.o")
        source = (job.tree.path / FILE).read_text()
        if "broken" in source or "||" in source:
            raise KconformError("error: broken")
        image = objects / architecture().image
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_text(source.replace("==", ">="))

    def _tester(self, objects: Path, area: str, arguments: Sequence[str], **options: Any) -> MutantTester:
        self.all_areas.add(options["all_areas"])
        self.arguments, self.first = list(arguments), options["first"]
        tester = MutantTester(objects, area, arguments, **options)

        def test(mutant: Mutant, image: Path, execution: Execution = UNKNOWN) -> MutantResult:
            self.executions.append(execution)
            self.tested.append(mutant.id)
            content = image.read_text()
            if mutant is UNCHANGED:
                return MutantResult(mutant, "detected" if self.fails_unchanged else "SURVIVED", "test_a")
            discard_image(image)
            return MutantResult(mutant, *(("detected", "test_a") if "7" in content else ("SURVIVED", "")))

        tester.test = test  # type: ignore[method-assign]
        return tester


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

    def test_bugs_that_need_several_processors_are_among_them(self, bench: Bench) -> None:
        """Not those that need more, or are not in the table of history."""
        smp, more = 'needs = ["smp"]\n', 'needs = ["smp", "kvm"]\n'
        bugs = bug("b", "1", "7", smp) + bug("c", "1", "7", more) + bug("d", "1", "7")
        (bench.area / "history.toml").write_text(bugs)
        assert bench("--races") == 0
        assert bench.statuses() == {"a": "detected", "b": "detected"}

    def test_the_kernel_is_for_several_processors(self, bench: Bench) -> None:
        assert bench("--races") == 0
        assert bench.flavors == {"races"}
        assert bench.objects == {"objects-races"}

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
