# SPDX-License-Identifier: GPL-2.0-or-later
"""Mutants: the tables fit the kernel's source, and a mutant is detected by a broken promise and by nothing else.

No kernel is built here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import KconformError
from kconfigs.architectures import architecture
from kconfigs.build import kbuild
from kconfigs.build.kernel_tree import open_tree
from kconfigs.cache import Cache
from kconfigs.fetch import source_tree
from kconfigs.image import Image
from kconfigs.image_config import find_config
from kconfigs.kconfig import Config
from kconfigs.resolve import packaged_source
from suites.harness.kconfigs import fake_kernels as fakes
from suites.mutation.__main__ import summary
from suites.mutation.mutant_builder import MutantBuilder, MutantResult, unfit
from suites.mutation.mutant_table import Mutant, MutantTableError, areas, load

SUITES = Path(__file__).parents[2]

IMAGE = architecture().image
TABLES_ARE_FOR = (6, 12)
SOURCE = "int scope = 1;\nint other = 1;\n"


def mutant(find: str, replace: str = "") -> Mutant:
    return Mutant("an-id", "What it breaks.", "a.c", find, replace)


@pytest.mark.parametrize("area", areas())
def test_table(area: str) -> None:
    """There are at least 25 for each area, each with a sentence, an edit with an effect, and tests that exist."""
    mutants = load(area)
    assert len(mutants) >= 25
    for each in mutants:
        assert each.text.endswith(".")
        assert each.find != each.replace
        assert not each.first or (SUITES / area / each.first).is_file()
        assert each.first or each.equivalent


@pytest.mark.parametrize("area", areas())
def test_table_fits_its_source(area: str) -> None:
    """Each edit has exactly one place in the distribution's source, if the tables are for that version."""
    tree = open_tree(source_tree(packaged_source()))
    if tree.version[:2] != TABLES_ARE_FOR:
        pytest.skip(f"the source of this distribution is {tree.text_version}, and the tables are for 6.12")
    assert [result.by for result in unfit(tree.path, load(area))] == []


def test_edit() -> None:
    """An edit changes the one place that it specifies."""
    assert mutant("scope = 1", "scope = 0").apply(SOURCE) == "int scope = 0;\nint other = 1;\n"


@pytest.mark.parametrize("find", ["missing", "= 1"], ids=["no-place", "two-places"])
def test_edit_without_its_place(find: str) -> None:
    """An edit that matches nowhere, or twice, is an error; it must not count as a surviving mutant."""
    with pytest.raises(MutantTableError, match="an-id"):
        mutant(find).apply(SOURCE)


def test_unknown_area() -> None:
    """The error lists the existing areas."""
    with pytest.raises(MutantTableError, match="yama"):
        load("nonsense")


def test_summary_names_survivors_and_edits_without_a_place() -> None:
    results = [MutantResult(mutant("a"), status) for status in ("detected", "SURVIVED", "no match")]
    assert summary(results) == ("mutants: 1 detected, 1 SURVIVED, 1 no match\n  SURVIVED: an-id\n  no match: an-id")


def test_edits_for_another_source_are_named(tmp_path: Path) -> None:
    """A newer source has moved or removed some places, and the other mutants can still be built."""
    (tmp_path / "a.c").write_text(SOURCE)
    gone = replace(mutant("scope = 1"), id="gone", file="gone.c")
    found = list(unfit(tmp_path, [mutant("scope = 1"), mutant("missing"), gone]))
    assert [(result.mutant.id, result.status) for result in found] == [("an-id", "no match"), ("gone", "no match")]
    assert found[1].by == "gone: this source has no gone.c"


@pytest.mark.parametrize("failing", ["compared", "booted"])
@pytest.mark.parametrize("workers", ["0", "2"])
def test_errors_do_not_end_the_tests_of_a_mutant(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: str, failing: str
) -> None:
    """The run ends at the first broken promise: neither before it, nor long after.

    A kernel that crashes while it boots breaks one before the test itself.
    """
    monkeypatch.setenv("PYTHONPATH", str(SUITES.parent))
    pytester.makepyfile(
        f"""
        import pytest
        from guests.errors import BootCrashed

        @pytest.fixture
        def broken():
            raise OSError

        @pytest.fixture
        def compared(): return 0

        @pytest.fixture
        def booted():
            raise BootCrashed("the kernel does not boot", evidence={{}})

        def test_prepared(broken): pass
        def test_failing({failing}): assert {failing}
        @pytest.mark.parametrize("number", range(200))
        def test_after(number): pass
        """
    )
    done = pytester.runpytest_subprocess(
        *("-p", "reports.run.plugin", "-p", "suites.mutation.stop_at_failure", "-n", workers, "--report-dir=report"),
    )
    results = json.loads((pytester.path / "report" / "results.json").read_text())["results"]
    outcomes = [result["outcome"] for result in results]
    assert done.ret != 0
    assert outcomes.count("fail") == outcomes.count("error") == 1
    assert len(outcomes) < 150


class TestLab:
    """Mutants of a tree, with a fake compiler that copies the file."""

    @pytest.fixture
    def builder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MutantBuilder:
        def compile_kernel(job: kbuild.Job, objects: Path, _: Config, on_line: Callable[[str], None]) -> None:
            on_line("  CC      a.o")
            source = (job.tree.path / "a.c").read_text()
            if "broken" in source:
                raise KconformError("a.c:1: error: broken")
            (objects / IMAGE).parent.mkdir(parents=True, exist_ok=True)
            (objects / IMAGE).write_text(source)

        monkeypatch.setattr(kbuild, "compile_kernel", compile_kernel)
        objects = tmp_path / "objects"
        objects.mkdir()
        (objects / ".config").write_text("CONFIG_64BIT=y\n")
        tree = fakes.tree(tmp_path / "linux")
        (tree / "a.c").write_text(SOURCE)
        return MutantBuilder(tree, objects, Cache(tmp_path / "cache"))

    def test_the_image_is_kept_and_the_source_is_restored(self, builder: MutantBuilder) -> None:
        images = [builder.build_mutant(mutant("scope = 1", f"scope = {scope}")) for scope in (7, 8)]
        assert images[1].read_text() == "int scope = 8;\nint other = 1;\n"
        assert (builder.tree.path / "a.c").read_text() == SOURCE

    def test_the_config_is_found_next_to_the_image(self, builder: MutantBuilder, tmp_path: Path) -> None:
        image = builder.build_mutant(mutant("scope = 1", "scope = 7"))
        assert find_config(Image(image, "x86_64", "6.12.7"), "6.12.7") == Config.load(
            tmp_path / "objects" / ".config"
        )

    def test_the_source_is_restored_after_a_failed_build(self, builder: MutantBuilder) -> None:
        with pytest.raises(KconformError, match="error: broken"):
            builder.build_mutant(mutant("scope = 1", "broken"))
        assert (builder.tree.path / "a.c").read_text() == SOURCE

    def test_tests_that_do_not_end_are_an_error(self, builder: MutantBuilder) -> None:
        """Their processes are killed, and the table goes on."""
        impatient = MutantBuilder(builder.tree.path, builder._objects, builder._cache, deadline_s=0.01)
        hanging = mutant("scope = 1", "scope = 7")
        result = impatient.test(hanging, impatient.build_mutant(hanging), "yama", [])
        assert (result.status, result.by) == ("error", "the tests did not end within 0 s")

    def test_an_edit_that_matches_nowhere_is_an_error(self, builder: MutantBuilder) -> None:
        with pytest.raises(MutantTableError, match="0 places"):
            builder.build_mutant(mutant("missing"))
        assert (builder.tree.path / "a.c").read_text() == SOURCE

    def test_a_restored_file_is_compiled_again(self, builder: MutantBuilder) -> None:
        """Its objects were built from the mutant, and make compares modification times."""
        before = (builder.tree.path / "a.c").stat().st_mtime_ns
        builder.build_mutant(mutant("scope = 1", "scope = 7"))
        assert (builder.tree.path / "a.c").stat().st_mtime_ns > before
