# SPDX-License-Identifier: GPL-2.0-or-later
"""Mutants of a tree with a fake compiler: nothing of one is left in the next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import KconformError
from kconfigs.architectures import ARCHITECTURES, architecture
from kconfigs.build import kbuild
from kconfigs.build.build_job import Job
from kconfigs.cache import Cache
from kconfigs.image import Image
from kconfigs.image_config import find_config
from kconfigs.kconfig import Config
from kconfigs.kernel_folder import find_modules
from suites.harness.kconfigs import fake_kernels as fakes
from suites.mutation.mutant import Edit, EditMismatchError, Mutant
from suites.mutation.mutant_builder import MutantBuilder, NoEffectError, discard_image

IMAGE = architecture().image
SOURCE = "int scope = 1;\nint other = 1;\n"


def mutant(*edits: tuple[str, str]) -> Mutant:
    """A mutant that edits a.c, and b.c if there is a second edit."""
    files = zip(("a.c", "b.c"), edits, strict=False)
    return Mutant("an-id", "What it breaks.", tuple(Edit(file, *edit) for file, edit in files))


SEVEN = mutant(("scope = 1", "scope = 7"))


@pytest.fixture
def linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree whose image is what a.c and b.c say, without comments, and whose module is b.c."""

    def compile_kernel(job: Job, objects: Path, _: Config, on_line: Callable[[str], None]) -> None:
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

    def test_what_is_kept_of_a_mutant_is_discarded_and_nothing_else(self, linux: Path, tmp_path: Path) -> None:
        """On ppc64le, the image has no folder of its own."""
        builder = MutantBuilder(linux, tmp_path / "objects", Cache(tmp_path / "cache"), arch="ppc64le")
        assert builder._job.toolchain.cross_compile == "powerpc64le-linux-gnu-"
        kept = tmp_path / "objects" / "kconform-mutants" / "an-id"
        kept.mkdir(parents=True)
        discard_image(kept / ARCHITECTURES["ppc64le"].image)
        assert not kept.exists()
        assert kept.parent.exists()

    @pytest.mark.parametrize(
        ("files", "foreign"),
        [
            (["arch/arm64/kernel/ptrace.c", "arch/arm64/kernel/syscall.c"], "arch/arm64"),
            (["arch/x86/entry/common.c"], ""),
            (["arch/arm64/kernel/ptrace.c", "kernel/ptrace.c"], ""),
            ([], ""),
        ],
    )
    def test_mutants_of_another_architecture(self, builder: MutantBuilder, files: list[str], foreign: str) -> None:
        edits = tuple(Edit(file, "a", "b") for file in files)
        assert builder.foreign(Mutant("an-id", "What it breaks.", edits)) == foreign

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

    @pytest.mark.parametrize(
        ("ended_by", "stays"), [(KeyboardInterrupt, False), (KconformError, True)], ids=["a signal", "the compiler"]
    )
    def test_objects_of_a_killed_build_are_not_used(
        self,
        linux: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        ended_by: type[BaseException],
        stays: bool,
    ) -> None:
        """If make has ended by itself, it has removed what was not complete."""

        def compile_kernel(*_: object, **__: object) -> None:
            raise ended_by("half a file is left")

        cache = Cache(tmp_path / "cache")
        builder = MutantBuilder.prepare(linux, cache)
        (builder.objects / "a.o").touch()
        with monkeypatch.context() as replaced:
            replaced.setattr(kbuild, "compile_kernel", compile_kernel)
            with pytest.raises(ended_by):
                builder.build()
        again = MutantBuilder.prepare(linux, cache)
        assert (again.objects / "a.o").exists() == stays
        again.build()
        assert MutantBuilder.prepare(linux, cache).objects == builder.objects

    def test_each_configuration_has_its_objects(self, linux: Path, tmp_path: Path) -> None:
        """The options are added to those of the flavor, and stay when another is prepared."""
        cache = Cache(tmp_path / "cache")
        configs = [
            Config.load(MutantBuilder.prepare(linux, cache, name, config).objects / ".config")
            for name, config in (("objects", ()), ("objects-history-1", ["KSM=y"]))
        ]
        assert [config["KSM"] for config in configs] == ["n", "y"]
        assert [config["SECURITY_YAMA"] for config in configs] == ["y", "y"]
        assert not Config.load(MutantBuilder.prepare(linux, cache).objects / ".config").enabled("KSM")

    def test_the_preprocessor_is_make_s(self, linux: Path, tmp_path: Path) -> None:
        makefile = (linux / "Makefile").read_text()
        (linux / "Makefile").write_text(makefile + "%.i:\n\t@echo 'of $@' > $(O)/$@\n")
        builder = MutantBuilder.prepare(linux, Cache(tmp_path / "cache"))
        assert builder.preprocessed("a.c") == "of a.i\n"

    def test_what_cannot_be_preprocessed(self, linux: Path, tmp_path: Path) -> None:
        builder = MutantBuilder.prepare(linux, Cache(tmp_path / "cache"))
        with pytest.raises(KconformError, match=r"c\.c could not be preprocessed"):
            builder.preprocessed("c.c")
