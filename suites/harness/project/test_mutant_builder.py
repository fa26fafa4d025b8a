# SPDX-License-Identifier: GPL-2.0-or-later
"""Mutants of a tree with a fake compiler: nothing of one is left in the next, and tests decide what was detected."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from common.errors import KconformError
from kconfigs.architectures import architecture
from kconfigs.build import kbuild
from kconfigs.cache import Cache
from kconfigs.image import Image
from kconfigs.image_config import find_config
from kconfigs.kconfig import Config
from kconfigs.kernel_folder import find_modules
from suites.coverage.line_map import load_map
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.project.line_map_sample import LINES
from suites.mutation import mutant_tester
from suites.mutation.executing_tests import Execution
from suites.mutation.mutant_builder import MutantBuilder, NoEffectError
from suites.mutation.mutant_table import Edit, EditMismatchError, Mutant
from suites.mutation.mutant_tester import MutantTester

IMAGE = architecture().image
SOURCE = "int scope = 1;\nint other = 1;\n"


def mutant(*edits: tuple[str, str], first: str = "") -> Mutant:
    """A mutant that edits a.c, and b.c if there is a second edit."""
    files = zip(("a.c", "b.c"), edits, strict=False)
    return Mutant("an-id", "What it breaks.", tuple(Edit(file, *edit) for file, edit in files), first=first)


SEVEN = mutant(("scope = 1", "scope = 7"))


@pytest.fixture
def linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree whose image is what a.c and b.c say, without comments, and whose module is b.c."""

    def compile_kernel(job: kbuild.Job, objects: Path, _: Config, on_line: Callable[[str], None]) -> None:
        on_line("  CC      a.o")
        sources = [(job.tree.path / name).read_text() for name in ("a.c", "b.c")]
        if any("broken" in source for source in sources):
            raise KconformError("a.c:1: error: broken")
        (objects / IMAGE).parent.mkdir(parents=True, exist_ok=True)
        (objects / IMAGE).write_text("".join(sources).replace("/* comment */", ""))
        (objects / "modules.order").write_text("lib/b.o\n")
        (objects / "lib").mkdir(exist_ok=True)
        (objects / "lib/b.ko").write_text(sources[1])

    monkeypatch.setattr(kbuild, "compile_kernel", compile_kernel)
    tree = fakes.tree(tmp_path / "linux")
    for name in ("a.c", "b.c"):
        (tree / name).write_text(SOURCE)
    return tree


@pytest.fixture
def builder(linux: Path, tmp_path: Path) -> MutantBuilder:
    objects = tmp_path / "objects"
    objects.mkdir()
    (objects / ".config").write_text("CONFIG_64BIT=y\n")
    return MutantBuilder(linux, objects, Cache(tmp_path / "cache"))


def sources(tree: Path) -> list[str]:
    return [(tree / name).read_text() for name in ("a.c", "b.c")]


class TestBuild:
    def test_images_are_kept_and_the_source_is_restored(self, builder: MutantBuilder) -> None:
        edits = [mutant(("scope = 1", f"scope = {scope}"), ("other = 1", "other = 2")) for scope in (7, 8)]
        images = [builder.build_unchanged(), *(builder.build_mutant(each) for each in edits)]
        assert images[0].read_text() == SOURCE * 2
        assert images[2].read_text() == "int scope = 8;\nint other = 1;\nint scope = 1;\nint other = 2;\n"
        assert sources(builder.tree.path) == [SOURCE] * 2

    def test_config_and_modules_are_those_of_the_image(self, builder: MutantBuilder) -> None:
        """The next build may have replaced its modules while it is tested."""
        image = builder.build_mutant(mutant(("scope = 1", "scope = 7"), ("other = 1", "other = 2")))
        builder.build_unchanged()
        modules = find_modules(image, "6.12.7")
        assert modules
        assert (modules / "lib/b.ko").read_text() == "int scope = 1;\nint other = 2;\n"
        assert find_config(Image(image, "x86_64", "6.12.7"), "6.12.7") == Config.load(builder.objects / ".config")

    @pytest.mark.parametrize(
        ("edited", "error", "message"),
        [
            (mutant(("other", "some"), ("scope = 1", "broken")), KconformError, "error: broken"),
            (mutant(("other", "some"), ("missing", "")), EditMismatchError, "b.c has 0 places"),
            (mutant(("scope", "/* comment */scope")), NoEffectError, "the same kernel of the edited a.c"),
        ],
        ids=["not-compiled", "no-match", "no-effect"],
    )
    def test_the_source_is_restored_after_an_error(
        self, builder: MutantBuilder, edited: Mutant, error: type[KconformError], message: str
    ) -> None:
        builder.build_unchanged()
        with pytest.raises(error, match=message):
            builder.build_mutant(edited)
        assert sources(builder.tree.path) == [SOURCE] * 2

    def test_a_change_of_a_module_is_an_effect(self, builder: MutantBuilder) -> None:
        builder.build_unchanged()
        image = builder.build_mutant(mutant(("other", "other"), ("scope", "/* comment */scope")))
        assert image.read_text() == SOURCE * 2

    def test_a_restored_file_is_compiled_again(self, builder: MutantBuilder) -> None:
        """Its objects were built from the mutant, and make compares modification times."""
        before = (builder.tree.path / "a.c").stat().st_mtime_ns
        builder.build_mutant(SEVEN)
        assert (builder.tree.path / "a.c").stat().st_mtime_ns > before

    def test_options_that_the_configuration_lacks(self, builder: MutantBuilder) -> None:
        wanting = Mutant("an-id", "What it breaks.", config=("64BIT=y", "CONFIG_NUMA=y", "AUDIT=n"))
        assert builder.lacks(wanting) == "CONFIG_NUMA=y"


class TestPrepare:
    """The private tree in the cache."""

    def test_the_given_tree_is_not_touched(self, linux: Path, tmp_path: Path) -> None:
        builder = MutantBuilder.prepare(linux, Cache(tmp_path / "cache"))
        builder.build_mutant(SEVEN)
        assert builder.tree.path != linux
        assert sources(linux) == [SOURCE] * 2

    def test_what_a_killed_run_has_edited_is_restored(self, linux: Path, tmp_path: Path) -> None:
        """All files, also of an entry that is not in a table any more."""
        cache = Cache(tmp_path / "cache")
        private = MutantBuilder.prepare(linux, cache).tree.path
        for name in ("a.c", "b.c"):
            (private / name).unlink()
            (private / name).write_text("broken")
        assert MutantBuilder.prepare(linux, cache).tree.path == private
        assert sources(private) == [SOURCE] * 2

    def test_each_configuration_has_its_objects(self, linux: Path, tmp_path: Path) -> None:
        """The options are added to those of the flavor, and stay when another is prepared."""
        cache = Cache(tmp_path / "cache")
        configs = [
            Config.load(MutantBuilder.prepare(linux, cache, name, config).objects / ".config")
            for name, config in (("objects", ()), ("objects-history-1", ["USERFAULTFD=y"]))
        ]
        assert [config["USERFAULTFD"] for config in configs] == ["n", "y"]
        assert [config["SECURITY_YAMA"] for config in configs] == ["y", "y"]
        assert not Config.load(MutantBuilder.prepare(linux, cache).objects / ".config").enabled("USERFAULTFD")

    def test_the_preprocessor_is_make_s(self, linux: Path, tmp_path: Path) -> None:
        makefile = (linux / "Makefile").read_text()
        (linux / "Makefile").write_text(makefile + "%.i:\n\t@echo 'of $@' > $(O)/$@\n")
        builder = MutantBuilder.prepare(linux, Cache(tmp_path / "cache"))
        assert builder.preprocessed("a.c") == "of a.i\n"

    def test_what_cannot_be_preprocessed(self, linux: Path, tmp_path: Path) -> None:
        builder = MutantBuilder.prepare(linux, Cache(tmp_path / "cache"))
        with pytest.raises(KconformError, match=r"c\.c could not be preprocessed"):
            builder.preprocessed("c.c")


class FakeRuns:
    """Runs of pytest.  Each has one test, which passes, except where `outcomes` says something else.

    That has the exit status of pytest, and the outcome of the test, by the first path that pytest is given.
    """

    def __init__(self) -> None:
        self.paths: list[list[str]] = []
        """What each run was given."""
        self.commands: list[list[str]] = []
        self.cache = Path()
        self.outcomes: dict[str, tuple[int, str]] = {}

    def __call__(self, command: Sequence[str], environment: Mapping[str, str], _: float) -> tuple[int, str]:
        self.commands.append(list(command))
        self.cache = Path(environment["KCONFORM_CACHE"])
        self.paths.append([word for word in command if word.startswith("suites/")])
        status, outcome = self.outcomes.get(self.paths[-1][0], (0, "pass"))
        report = Path(command[command.index("--report-dir") + 1])
        report.mkdir()
        result = {"nodeid": "suites/a.py::test_a[k/full-x]", "outcome": outcome, "reason": "why", "breaks": ["a.b"]}
        (report / "results.json").write_text(json.dumps({"results": [result]}))
        return status, "output"


class TestTester:
    @pytest.fixture
    def runs(self, monkeypatch: pytest.MonkeyPatch) -> FakeRuns:
        runs = FakeRuns()
        monkeypatch.setattr(mutant_tester, "_run", runs)
        monkeypatch.setattr(mutant_tester, "tested_areas", lambda: ["boot", "seccomp", "yama"])
        return runs

    def test_own_tests_are_first(self, builder: MutantBuilder, runs: FakeRuns) -> None:
        tester = MutantTester(builder.objects, "yama", all_areas=True)
        tested = mutant(("scope = 1", "scope = 7"), first="test_log.py")
        result = tester.test(tested, builder.build_mutant(tested))
        assert runs.paths == [["suites/yama/test_log.py"], ["suites/yama"], ["suites/boot", "suites/seccomp"]]
        assert (result.status, result.by) == ("SURVIVED", "")

    @pytest.mark.parametrize("complete", [True, False])
    @pytest.mark.parametrize("touched_only", [True, False])
    def test_those_that_execute_the_change_come_next(
        self, builder: MutantBuilder, runs: FakeRuns, complete: bool, touched_only: bool
    ) -> None:
        """They are all if the map is complete, and if this was asked for.  The map is in the cache of the tests."""
        execution = Execution(("a.c:1", "a.c:2"), frozenset({"seccomp", "yama"}), complete)
        tester = MutantTester(builder.objects, "yama", ["-n2"], touched_only=touched_only, lines=LINES)
        tester.test(SEVEN, builder.build_mutant(SEVEN), execution)
        assert runs.paths == [["suites/yama"]] * (1 if complete and touched_only else 2)
        assert runs.commands[0][-4:] == ["-n2", "--touched-seconds=0", "--touched=a.c:1", "--touched=a.c:2"]
        assert load_map(cache=Cache(runs.cache)) == LINES

    def test_an_area_that_does_not_execute_the_change(self, builder: MutantBuilder, runs: FakeRuns) -> None:
        """pytest, which would find no test there, is not started for it."""
        execution = Execution(("a.c:1",), frozenset({"seccomp"}))
        MutantTester(builder.objects, "yama").test(SEVEN, builder.build_mutant(SEVEN), execution)
        assert "--touched=a.c:1" not in runs.commands[0]

    def test_chosen_tests_are_the_only_ones(self, builder: MutantBuilder, runs: FakeRuns) -> None:
        execution = Execution(("a.c:1",), frozenset({"yama"}))
        MutantTester(builder.objects, "yama", ["-m", "walks"]).test(SEVEN, builder.build_mutant(SEVEN), execution)
        assert [command[-2:] for command in runs.commands] == [["-m", "walks"]]

    def test_the_area_alone(self, builder: MutantBuilder, runs: FakeRuns) -> None:
        MutantTester(builder.objects, "yama").test(SEVEN, builder.build_mutant(SEVEN))
        assert runs.paths == [["suites/yama"]]

    def test_an_area_without_tests(self, builder: MutantBuilder, runs: FakeRuns) -> None:
        """The other areas are asked; without them, nothing was found out."""
        result = MutantTester(builder.objects, "ptrace", all_areas=True).test(SEVEN, builder.build_mutant(SEVEN))
        assert (result.status, runs.paths) == ("SURVIVED", [["suites/boot", "suites/seccomp", "suites/yama"]])
        with pytest.raises(KconformError, match="ptrace has no tests"):
            MutantTester(builder.objects, "ptrace")

    @pytest.mark.parametrize("detecting", ["suites/yama", "suites/boot"])
    def test_the_first_failure_is_the_last_run(
        self,
        builder: MutantBuilder,
        runs: FakeRuns,
        detecting: str,
    ) -> None:
        runs.outcomes[detecting] = (1, "fail")
        image = builder.build_mutant(SEVEN)
        result = MutantTester(builder.objects, "yama", all_areas=True).test(SEVEN, image)
        assert (result.status, result.by) == ("detected", "test_a[x] (a.b)")
        assert runs.paths[-1][0] == detecting
        assert not image.exists()

    def test_an_error_is_not_forgotten(self, builder: MutantBuilder, runs: FakeRuns) -> None:
        """If the other areas hold, the test that could not be run might have detected it."""
        runs.outcomes["suites/yama"] = (3, "error")
        tester = MutantTester(builder.objects, "yama", all_areas=True)
        result = tester.test(SEVEN, builder.build_mutant(SEVEN))
        assert (result.status, result.by) == ("error", "pytest ended with 3: why")
        runs.outcomes["suites/boot"] = (1, "fail")
        assert tester.test(SEVEN, builder.build_mutant(SEVEN)).status == "detected"

    def test_the_unchanged_kernel_must_hold(self, builder: MutantBuilder, runs: FakeRuns) -> None:
        """Its image stays: it is the control for mutants that do not boot."""
        tester = MutantTester(builder.objects, "yama")
        image = builder.build_unchanged()
        tester.check_unchanged(image)
        assert image.exists()
        runs.outcomes["suites/yama"] = (1, "fail")
        with pytest.raises(KconformError, match="already fail on the unmodified kernel: test_a"):
            tester.check_unchanged(image)

    def test_tests_that_do_not_end_are_an_error(self, builder: MutantBuilder) -> None:
        """Their processes are killed, and the table goes on."""
        impatient = MutantTester(builder.objects, "yama", deadline_s=0.01)
        result = impatient.test(SEVEN, builder.build_mutant(SEVEN))
        assert (result.status, result.by) == ("error", "the tests did not end within 0 s")

    def test_a_run_without_results_is_an_error(self, builder: MutantBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
        """What pytest said last is the reason."""
        monkeypatch.setattr(mutant_tester, "_run", lambda *_: (4, "usage\nno such option\n\n"))
        result = MutantTester(builder.objects, "yama").test(SEVEN, builder.build_mutant(SEVEN))
        assert (result.status, result.by) == ("error", "pytest ended with 4: no such option")

    def test_the_areas_are_those_with_promises(self) -> None:
        assert {"boot", "loadpin", "seccomp", "yama"} <= set(mutant_tester.tested_areas())
        assert "harness" not in mutant_tester.tested_areas()
