# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernels of a run: planned as values, shared by all processes of the run, built once."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from common.errors import KconformError, UsageError
from kconfigs.build.status_file import read_status
from kconfigs.candidates import Candidate, PlannedKernel, plan
from kconfigs.kernel_matrix import Wanted
from kconfigs.profile import load
from kconfigs.run_folder import RunFolder
from kconfigs.spec import parse
from suites.harness.kconfigs import fake_kernels as fakes

pytestmark = [
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="the fake kernel is for x86-64"),
    pytest.mark.usefixtures("cache_root"),
]


def planned(*specs: str, flavors: Sequence[str] = ("full",)) -> list[PlannedKernel]:
    return plan([Wanted(parse(spec), tuple(flavors)) for spec in specs])


def test_a_kernel_that_is_built_is_not_begun_again(tree: Path, tmp_path: Path) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    runs = [Candidate(planned(str(tree))[0], folder) for folder in folders]
    for candidate in runs:
        candidate.begin()
        assert candidate.kernel().id == "linux-6.12.7/full"
        candidate.abandon()
    assert [[file.name for file in folder.glob("*.json")] for folder in folders] == [["linux-6.12.7+full.json"], []]
    assert runs[0].kernel().digest == runs[1].kernel().digest


def test_two_trees_of_one_name_are_two_kernels(tree: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / tree.name
    shutil.copytree(tree, other)
    found = planned(str(tree), str(other), f"{tree}/../{tree.name}", flavors=("full", "full"))
    assert [one.id for one in found] == ["linux-6.12.7/full", "linux-6.12.7-2/full"]
    kernels = [Candidate(one, tmp_path).kernel() for one in found]
    assert [kernel.id for kernel in kernels] == ["linux-6.12.7/full", "linux-6.12.7-2/full"]
    assert kernels[1].spec == str(other)


def test_a_build_has_its_name_from_the_beginning(tree: Path, tmp_path: Path, endless: Path) -> None:
    candidate = Candidate(planned(str(tree))[0], tmp_path)
    candidate.begin()
    assert read_status(tmp_path / "linux-6.12.7+full.json").state.what == "linux-6.12.7/full"
    fakes.until(endless.exists)
    candidate.abandon()


@pytest.mark.usefixtures("tree")
def test_a_plan_can_be_pickled(tmp_path: Path) -> None:
    (tmp_path / "image.bin").write_bytes(fakes.bzimage(config=fakes.CONFIG))
    fakes.kernel_deb(tmp_path / "k.deb")
    specs = [str(tmp_path / name) for name in ("image.bin", "k.deb", "linux")]
    found = plan([Wanted(parse(spec), profile=load("debian")) for spec in specs])
    assert len(found) == 3
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301 - our own


class TestRunFolder:
    """What all processes of a run share."""

    def test_the_plan_is_made_once(self, tree: Path, tmp_path: Path) -> None:
        RunFolder(tmp_path).begin([Wanted(parse(str(tree)))])
        first = RunFolder(tmp_path).kernels(plan)
        assert [one.id for one in first] == ["linux-6.12.7/full"]
        assert RunFolder(tmp_path).kernels(lambda _: pytest.fail("it has been made")) == first

    @pytest.mark.parametrize("kind", [UsageError, KconformError])
    def test_an_error_is_the_same_for_every_process(self, tmp_path: Path, kind: type[KconformError]) -> None:
        def fail(_: object) -> list[PlannedKernel]:
            raise kind("no such kernel", hint="name another")

        RunFolder(tmp_path).begin([])
        for make in (fail, lambda _: pytest.fail("it has been made")):
            with pytest.raises(kind) as caught:
                RunFolder(tmp_path).kernels(make)
            assert (type(caught.value), str(caught.value)) == (kind, "no such kernel\n  hint: name another")

    def test_no_kernel_is_selected_before_the_tests_are_collected(self, tmp_path: Path) -> None:
        assert RunFolder(tmp_path).selected() == set()
        RunFolder(tmp_path).select({"linux/full", "linux/no-yama"})
        assert RunFolder(tmp_path).selected() == {"linux/full", "linux/no-yama"}
