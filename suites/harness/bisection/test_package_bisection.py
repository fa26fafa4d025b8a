# SPDX-License-Identifier: GPL-2.0-or-later
"""Bisection of packages: which versions are tested, what is printed, and the exit status."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs.cache import Cache
from kconfigs.debian.apt import Apt
from kconfigs.debian.kernel_versions import OfferedKernel, kind_of
from kconfigs.resolve import resolve
from reports.judgement.exit_status import HELD, INTERRUPTED, UNDETERMINED, WRONG_USE
from reports.tools import bisect
from reports.tools.bisect import StepResult
from suites.bisection import bisect_command, package_bisection
from suites.harness.kconfigs.debian.fake_apt import FakeApt, debian

VERSIONS = [f"6.1.{n}-1" for n in range(1, 9)]
KERNELS = {version: OfferedKernel(f"linux-image-{version}-amd64", version) for version in VERSIONS}

Judge = Callable[[Sequence[str]], StepResult]


class Judged:
    """Runs that were asked for, of a kernel that breaks its promise from a version on."""

    def __init__(self, first_bad: str, *, skipped: Sequence[str] = (), ending: int = 0) -> None:
        self.first_bad, self.skipped, self.ending = first_bad, skipped, ending
        self.versions: list[str] = []
        self.commands: list[Sequence[str]] = []

    def __call__(self, arguments: Sequence[str]) -> StepResult:
        self.commands.append(arguments)
        (spec,) = [word.removeprefix("--kernel=") for word in arguments if word.startswith("--kernel=")]
        version = spec.partition("=")[2]
        self.versions.append(version)
        if version in self.skipped:
            return StepResult(bisect.STOP, self.ending) if self.ending else StepResult(bisect.SKIP, UNDETERMINED)
        return StepResult(bisect.BAD, 1) if version >= self.first_bad else StepResult(bisect.GOOD, 0)


@pytest.fixture(autouse=True)
def _archive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_bisection, "endpoint", lambda text: KERNELS[text.partition("=")[2]])
    monkeypatch.setattr(package_bisection, "offered", lambda _kind, _archives: list(KERNELS.values()))


def bisected(judge: Judge, good: str = "6.1.1-1", bad: str = "6.1.8-1") -> int:
    arguments = ["suites/yama", "--report-dir=out"]
    return package_bisection.bisect_packages(f"deb:x={good}", f"deb:x={bad}", [], arguments, judge)


@pytest.mark.parametrize("first_bad", VERSIONS[2:7])
def test_the_first_bad_version_is_named(capsys: pytest.CaptureFixture[str], first_bad: str) -> None:
    """Those outside of the two that are named are not tested, and both of these are."""
    judge = Judged(first_bad)
    assert bisected(judge, "6.1.2-1", "6.1.7-1") == HELD
    said = capsys.readouterr().out
    last_good = VERSIONS[VERSIONS.index(first_bad) - 1]
    assert f"last good: linux-image-{last_good}-amd64 {last_good} " in said
    assert f"\nfirst bad: linux-image-{first_bad}-amd64 {first_bad} (--kernel=deb:linux-image-" in said
    assert judge.versions[:2] == ["6.1.2-1", "6.1.7-1"]
    assert len(judge.versions) <= 5
    assert not {"6.1.1-1", "6.1.8-1"} & set(judge.versions)
    assert judge.commands[0][0] == "suites/yama"
    assert judge.commands[0][-1] == "--report-dir=out/6.1.2-1"


def test_what_cannot_be_judged_may_be_the_first_bad_one(capsys: pytest.CaptureFixture[str]) -> None:
    judge = Judged("6.1.5-1", skipped=["6.1.4-1", "6.1.5-1"])
    assert bisected(judge) == UNDETERMINED
    said = capsys.readouterr().out
    assert [line.partition(":")[0] for line in said.splitlines()[-4:]] == [
        "last good",
        "could not be judged",
        "could not be judged",
        "bad",
    ]
    assert "first bad" not in said


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        (Judged("6.1.1-1"), "--good deb:linux-image-6.1.1-1-amd64=6.1.1-1 is bad"),
        (Judged("6.2"), "--bad deb:linux-image-6.1.8-1-amd64=6.1.8-1 is good"),
        (Judged("6.1.5-1", skipped=["6.1.8-1"]), "--bad deb:linux-image-6.1.8-1-amd64=6.1.8-1 is undetermined"),
    ],
    ids=["good-is-bad", "bad-is-good", "bad-does-not-boot"],
)
def test_the_two_ends_must_be_what_the_user_says(judge: Judged, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        bisected(judge)


@pytest.mark.parametrize(("status", "ending"), [(2, INTERRUPTED), (3, UNDETERMINED), (4, WRONG_USE), (5, WRONG_USE)])
def test_what_ends_a_run_ends_the_bisection(status: int, ending: int) -> None:
    judge = Judged("6.1.5-1", skipped=["6.1.4-1"], ending=status)
    assert bisected(judge) == ending
    assert judge.versions[-1] == "6.1.4-1"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--good", "deb:x=6.1.8-1", "--bad", "deb:x=6.1.1-1"], "--good, 6.1.8-1, is not older than --bad, 6.1.1-1"),
        (["--good", "deb:x=1", "--good", "deb:x=2", "--bad", "deb:x=3"], "--good can be given only once"),
        (["--good", "deb:x=1", "--bad", "deb:x=2", "--kernel=running"], "--kernel cannot be combined"),
        (["--good=v1", "--bad=v2", "--tree=.", "--suite=sid"], "--suite is for packages"),
    ],
    ids=["order", "two-good-ones", "kernel", "suite-of-a-tree"],
)
def test_wrong_use(capsys: pytest.CaptureFixture[str], arguments: Sequence[str], said: str) -> None:
    assert bisect_command.main([*arguments]) == WRONG_USE
    assert said in capsys.readouterr().err


def test_the_names_are_checked_before_anything_is_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    assert bisect_command.main(["--good=running", "--bad=running"]) == WRONG_USE
    assert "running is not a kernel package of an archive" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        bisect_command.main(["--good=deb:x"])
    assert ended.value.code == WRONG_USE


def test_kernels_of_two_kinds_are_not_compared() -> None:
    cloud = OfferedKernel("linux-image-6.1.0-2-cloud-amd64", "6.1.9-1")
    with pytest.raises(UsageError, match="are not of one kind"):
        package_bisection.versions_between(KERNELS["6.1.1-1"], cloud, [])


def test_a_kernel_in_several_packages_is_the_one_that_needs_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As Debian has it since 6.19: the search for other versions, and --kernel, need the name that leads to all."""
    monkeypatch.undo()
    kernel, exact = "7.3.4+deb14-amd64", "(= 7.3.4-1)"
    parts = [f"linux-{part}-{kernel}" for part in ("binary", "modules")]
    apt = Apt(
        FakeApt(
            debian("linux-image-amd64", "7.3.4-1", f"linux-image-{kernel} {exact}"),
            debian(f"linux-image-{kernel}", "7.3.4-1", ", ".join(f"{part} {exact}" for part in parts)),
            *(debian(part, "7.3.4-1") for part in parts),
        )
    )
    monkeypatch.setattr(package_bisection, "resolve", lambda spec: resolve(spec, cache=Cache(tmp_path), apt=apt))
    found = package_bisection.endpoint("deb:linux-image-amd64")
    assert found == OfferedKernel(f"linux-image-{kernel}", "7.3.4-1")
    assert kind_of(found.package) == "amd64"
    assert package_bisection.endpoint(found.spec) == found
