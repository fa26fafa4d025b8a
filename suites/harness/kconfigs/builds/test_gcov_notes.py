# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels that count what they execute: how they are built, and what is kept for gcov."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from common.errors import KconformError, UsageError
from kconfigs import flavors
from kconfigs.build import gcov_notes, kbuild, kernel_tree
from kconfigs.build.build_job import Job
from kconfigs.build.gcov_notes import CountedFile
from kconfigs.build.kernel_build import build
from kconfigs.build.profiled_files import make_arguments
from kconfigs.build.toolchain import Toolchain
from kconfigs.cache import Cache
from suites.harness.kconfigs.builds.fake_builds import MakeTree

FILE = "security/yama/yama_lsm.c"
OBJECTS = "/cache/objects"


@pytest.fixture
def job(_small_flavors: None, make_tree: MakeTree, cache: Cache) -> Job:
    tree = kernel_tree.open_tree(make_tree())
    (tree.path / FILE).parent.mkdir(parents=True)
    (tree.path / FILE).write_text("int scope;\n")
    flavor = dataclasses.replace(flavors.flavor("coverage"), profiled=(FILE,))
    return Job(tree, flavor, "d", "source", "1", cache)


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    """What a build leaves of a file with counters."""
    made = tmp_path / "objects" / FILE.replace(".c", ".o")
    made.parent.mkdir(parents=True)
    made.write_bytes(b"\x7fELF\0text\0" + f"{OBJECTS}/{FILE}".replace(".c", ".gcda").encode() + b"\0more\0")
    made.with_suffix(".gcno").write_bytes(b"notes")
    return tmp_path / "objects"


def test_make_is_told_which_files_count(job: Job) -> None:
    command = kbuild.command(job, Path("objects"), [])
    assert "GCOV_PROFILE_yama_lsm.o=y" in command
    [flags] = [word for word in command if word.startswith("CFLAGS_GCOV=")]
    assert {"-fprofile-arcs", "-ftest-coverage"} < set(flags.partition("=")[2].split())


def test_other_kernels_are_built_as_if_there_were_no_counters(job: Job) -> None:
    full = dataclasses.replace(job, flavor=flavors.flavor("full"))
    assert not [word for word in kbuild.command(full, Path("objects"), []) if "GCOV" in word]
    assert make_arguments([]) == []


def test_other_files_make_another_kernel(job: Job) -> None:
    more = dataclasses.replace(job, flavor=dataclasses.replace(job.flavor, profiled=(FILE, "kernel/seccomp.c")))
    assert job.key != more.key


def test_notes_and_source_are_kept(job: Job, objects: Path, tmp_path: Path) -> None:
    gcov_notes.keep(job, objects, tmp_path / "gcov")
    assert (tmp_path / "gcov" / FILE).read_text() == "int scope;\n"
    assert (tmp_path / "gcov" / "security/yama/yama_lsm.gcno").read_bytes() == b"notes"
    counters = f"/sys/kernel/debug/gcov{OBJECTS}/security/yama/yama_lsm.gcda"
    assert gcov_notes.counted_files(tmp_path / "gcov") == (CountedFile(FILE, counters),)
    assert gcov_notes.gcov_program(tmp_path / "gcov") == "gcov"


def test_a_file_that_does_not_count_is_named(job: Job, objects: Path, tmp_path: Path) -> None:
    (objects / FILE).with_suffix(".o").write_bytes(b"\x7fELF\0")
    with pytest.raises(UsageError, match=r"yama_lsm\.c was not compiled with counters"):
        gcov_notes.keep(job, objects, tmp_path / "gcov")


def test_damaged_notes_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "files.json").write_text("{")
    with pytest.raises(KconformError, match=r"files\.json cannot be read") as caught:
        gcov_notes.counted_files(tmp_path)
    assert caught.value.hint == "build the kernel again"


def test_clang_is_refused_before_anything_is_built(job: Job) -> None:
    with pytest.raises(UsageError, match="cannot be built with clang-19: its counters need gcov"):
        build(dataclasses.replace(job, toolchain=Toolchain(llvm="-19")))
    assert not job.log.exists()


@pytest.mark.parametrize(
    ("toolchain", "program"),
    [
        (Toolchain(), "gcov"),
        (Toolchain(cc="gcc-13"), "gcov-13"),
        (Toolchain(cc="ccache /opt/bin/gcc"), "/opt/bin/gcov"),
        (Toolchain(cross_compile="x86_64-linux-gnu-"), "x86_64-linux-gnu-gcov"),
        (Toolchain(llvm="1"), None),
    ],
)
@pytest.mark.usefixtures("_small_flavors")
def test_each_gcc_has_its_gcov(toolchain: Toolchain, program: str | None) -> None:
    assert toolchain.gcov == program


def test_the_flavor_counts_what_the_suites_are_about() -> None:
    coverage = flavors.flavor("coverage")
    assert coverage.profiled == flavors.UNDER_TEST
    assert coverage.asked((6, 12))["GCOV_KERNEL"].value == "y"
    assert [flavor.name for flavor in flavors.FLAVORS.values() if flavor.profiled] == ["coverage"]
