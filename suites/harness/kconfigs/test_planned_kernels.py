# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernels of a run: planned as values, shared by all processes of the run, built once."""

from __future__ import annotations

import os
import pickle
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from common.errors import KconformError, UsageError
from common.stopwatch import Stopwatch, What
from kconfigs import planned_kernels
from kconfigs.build.build_progress import BuildState, Phase, PhaseTimes
from kconfigs.build.status_file import StatusFile, read_status
from kconfigs.flavors import FLAVORS
from kconfigs.kernel_requests import KernelRequest
from kconfigs.planned_kernels import Candidate, PlannedKernel, plan
from kconfigs.plugin import LOOKED_UP, builds
from kconfigs.profile import load
from kconfigs.run_folder import RunFolder
from kconfigs.spec import parse
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.example_profile import made

pytestmark = [
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="the fake kernel is for x86-64"),
    pytest.mark.usefixtures("cache_root"),
]


def planned(*specs: str, flavors: Sequence[str] = ("full",)) -> list[PlannedKernel]:
    return plan([KernelRequest(parse(spec), tuple(flavors)) for spec in specs])


def test_a_kernel_that_is_built_is_not_begun_again(tree: Path, tmp_path: Path) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    runs = [Candidate(planned(str(tree))[0], folder) for folder in folders]
    for candidate in runs:
        candidate.begin()
        assert candidate.kernel().id == "linux-6.12.7/full"
        candidate.abandon()
    assert [[file.name for file in folder.glob("*.json")] for folder in folders] == [["linux-6.12.7+full.json"], []]
    assert runs[0].kernel().digest == runs[1].kernel().digest


def test_a_profile_for_other_versions_is_wrong_use(tree: Path, tmp_path: Path) -> None:
    """Said before anything is built, if the version is known."""
    asked = [KernelRequest(parse(str(tree)), profile=made(tmp_path, 'text = "t"\nsince = "6.13"\n'))]
    with pytest.raises(UsageError, match=r"profile mine is not for this kernel: since Linux 6\.13, this is 6\.12\.7"):
        plan(asked)


@pytest.mark.parametrize(("since", "excluded"), [("6.2", True), ("6.1.100", False)])
def test_a_package_may_name_only_its_series(
    tree: Path, tmp_path: Path, since: str, excluded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's 6.1.0 may be 6.1.192: that is known when the kernel is there."""
    (source,) = (one.source for one in planned(str(tree)))
    monkeypatch.setattr(planned_kernels, "resolve", lambda *_, **__: replace(source, version=(6, 1, 0)))
    asked = [KernelRequest(parse(str(tree)), profile=made(tmp_path, f'text = "t"\nsince = "{since}"\n'))]
    if excluded:
        with pytest.raises(UsageError, match=r"since Linux 6\.2, this is 6\.1\.0"):
            plan(asked)
    else:
        plan(asked)


def test_a_kernel_that_turns_out_to_be_another_version_is_not_tested(tree: Path, tmp_path: Path) -> None:
    profile = made(tmp_path, 'text = "t"\nsince = "6.13"\n')
    candidate = Candidate(replace(planned(str(tree))[0], profile=profile), tmp_path / "builds")
    for _ in range(2):
        with pytest.raises(UsageError, match=r"^linux-6\.12\.7/full: profile mine is not for this kernel"):
            candidate.kernel()
    assert isinstance(candidate.error, UsageError)


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


def test_kernels_are_built_in_the_order_of_the_plan(tree: Path, tmp_path: Path) -> None:
    """A lock alone would let any builder go next."""
    flavors = sorted(name for name, one in FLAVORS.items() if name != "mine" and not one.profiled)
    candidates = [Candidate(one, tmp_path / "run") for one in planned(str(tree), flavors=flavors)]
    try:
        for candidate, before in zip(candidates, [None, *candidates], strict=False):
            assert candidate.begin(after=before)
        built = [candidate.kernel().image.with_name("made.json").stat().st_mtime_ns for candidate in candidates]
    finally:
        for candidate in candidates:
            candidate.abandon()
    assert built == sorted(built)


@pytest.mark.usefixtures("tree")
def test_a_plan_can_be_pickled(tmp_path: Path) -> None:
    (tmp_path / "image.bin").write_bytes(fakes.bzimage(config=fakes.CONFIG))
    fakes.kernel_deb(tmp_path / "k.deb")
    specs = [str(tmp_path / name) for name in ("image.bin", "k.deb", "linux")]
    found = plan([KernelRequest(parse(spec), profile=load("debian")) for spec in specs])
    assert len(found) == 3
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301 - our own


class Recorded(list[tuple[str, What]]):
    """What the stopwatch of one process of a run has recorded.  Its clock advances a second with each look."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self.watch = Stopwatch(self._record, self._clock)

    def _record(self, kernel: str, what: What, seconds: float) -> None:
        assert seconds > 0
        self.append((kernel, what))

    def _clock(self) -> float:
        self._now += 1.0
        return self._now


class TestDurations:
    """The steps of a kernel are recorded once, and waiting for them by every process that waits."""

    def test_phases_that_are_no_work_do_not_count(self) -> None:
        """In a queue behind another build, for example; and an update within a phase changes nothing."""
        now = 0.0
        times = PhaseTimes(lambda: now)
        for phase, seconds in [
            *(("waiting", 100), ("fetching", 3), ("waiting", 100), ("configuring", 5), ("compiling", 20)),
            *(("compiling", 30), ("done", 100)),
        ]:
            times.update(BuildState(cast(Phase, phase)))
            now += seconds
        times.stop()
        assert times.seconds == {"fetch": 3, "build": 55}

    def test_a_package_is_unpacked_by_one_process(self, tmp_path: Path) -> None:
        fakes.kernel_deb(tmp_path / "k.deb")
        [kernel] = planned(str(tmp_path / "k.deb"))
        first, second = Recorded(), Recorded()
        for recorded in (first, second, first):
            Candidate(kernel, tmp_path).kernel(recorded.watch)
        assert first == [(kernel.id, "fetch"), (kernel.id, "wait"), (kernel.id, "wait")]
        assert second == [(kernel.id, "wait")]

    def test_it_is_waited_for_once(self, tmp_path: Path) -> None:
        fakes.kernel_deb(tmp_path / "k.deb")
        candidate = Candidate(planned(str(tmp_path / "k.deb"))[0], tmp_path)
        candidate.kernel()
        recorded = Recorded()
        candidate.kernel(recorded.watch)
        assert recorded == []

    def test_the_first_process_that_waited_for_a_build_records_what_it_took(self, tree: Path, tmp_path: Path) -> None:
        owner, first, second = (Candidate(planned(str(tree))[0], tmp_path / "run") for _ in range(3))
        owner.begin()
        recorded = [Recorded(), Recorded()]
        for candidate, one in zip((first, second), recorded, strict=True):
            candidate.kernel(one.watch)
        owner.abandon()
        assert recorded == [[(owner.id, "build"), (owner.id, "wait")], [(owner.id, "wait")]]

    def test_a_build_that_fails_has_taken_its_time_too(self, tree: Path, tmp_path: Path) -> None:
        (tree / "broken-source").write_text("")
        candidate = Candidate(planned(str(tree))[0], tmp_path / "run")
        candidate.begin()
        recorded = Recorded()
        for _ in range(2):
            with pytest.raises(UsageError, match="expected semicolon"):
                candidate.kernel(recorded.watch)
        candidate.abandon()
        assert recorded == [(candidate.id, "build"), (candidate.id, "wait")]

    def test_a_build_that_goes_on_is_known_to_the_run(self, tree: Path, tmp_path: Path) -> None:
        candidate = Candidate(planned(str(tree))[0], tmp_path)
        config: Any = SimpleNamespace(stash=pytest.Stash())
        assert builds(config) == {}
        config.stash[LOOKED_UP] = [candidate]
        assert builds(config) == {}
        status = StatusFile(tmp_path / "linux-6.12.7+full.json")
        status.update(BuildState("waiting"))
        assert builds(config) == {candidate.id: None}
        status.update(BuildState("compiling", objects=100, total=400, started=time.time() - 1000))
        assert builds(config) == {candidate.id: pytest.approx(3000, rel=0.1)}
        for phase in ("done", "failed"):
            status.update(BuildState(phase))
            assert builds(config) == {}


class TestRunFolder:
    """What all processes of a run share."""

    def test_the_plan_is_made_once(self, tree: Path, tmp_path: Path) -> None:
        RunFolder(tmp_path).begin([KernelRequest(parse(str(tree)))])
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
