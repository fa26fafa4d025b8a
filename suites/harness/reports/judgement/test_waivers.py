# SPDX-License-Identifier: GPL-2.0-or-later
"""Waivers: what is excused, and until when.  run/test_apply_waivers.py has whole runs with them."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from common.errors import UsageError
from common.versions import VersionRange
from reports.judgement.verdict import Judgement
from reports.judgement.waivers import Waiver, check_kernels, load, not_needed, without_own_reason
from reports.model.result import KernelRecord, Result, Verdict
from suites.harness.reports.documents import record

TODAY = datetime.date(2026, 7, 1)
KERNEL = KernelRecord.of({"id": "k-6.12/full", "version": "6.12.3"})
TEST = "suites/yama/test_it.py::test_rate"


def waiver(**fields: str) -> Waiver:
    named: dict[str, Any] = {} if "requirement" in fields else {"test": TEST}
    versions = VersionRange.parse(fields.pop("since", ""), fields.pop("until", ""))
    return Waiver("file: waiver 1", "known", TODAY, versions=versions, **{**named, **fields})


class TestCovers:
    @pytest.mark.parametrize(
        ("fields", "covers"),
        [
            ({}, True),
            ({"test": f"{TEST}[many]"}, True),
            ({"test": f"{TEST}[few]"}, False),
            ({"test": f"{TEST}s"}, False),
            ({"since": "6.12", "until": "6.12"}, True),
            ({"since": "6.12.4"}, False),
            ({"until": "6.11"}, False),
            ({"flavor": "full"}, True),
            ({"flavor": "hardened"}, False),
            ({"requirement": "yama.rate"}, True),
            ({"requirement": "yama.log"}, False),
        ],
    )
    def test_test_version_and_flavor(self, fields: dict[str, str], covers: bool) -> None:
        assert waiver(**fields).covers(f"{TEST}[k-6.12/full-many]", ["yama.rate"], KERNEL) is covers

    def test_one_for_a_flavor_is_also_for_the_flavor_with_changes(self) -> None:
        changed = msgspec.structs.replace(KERNEL, id="k-6.12/full+SECURITY_YAMA=n", flavor="full+SECURITY_YAMA=n")
        assert waiver(flavor="full").covers(TEST, [], changed)
        assert waiver(flavor="full+SECURITY_YAMA=n").covers(TEST, [], changed)
        assert not waiver(flavor="hardened").covers(TEST, [], changed)

    def test_one_for_an_architecture(self) -> None:
        arm = msgspec.structs.replace(KERNEL, arch="arm")
        assert replace(waiver(), arches=("aarch64", "arm")).covers(TEST, [], arm)
        for other in (msgspec.structs.replace(KERNEL, arch="x86_64"), None):
            assert not replace(waiver(), arches=("arm",)).covers(TEST, [], other)

    def test_a_test_without_parameters_or_kernel(self) -> None:
        assert waiver().covers(f"{TEST}[k-6.12/full]", [], KERNEL)
        assert waiver().covers(TEST, [], None)
        assert not waiver(flavor="full").covers(TEST, [], None)

    def test_one_of_a_splat_is_for_no_verdict(self) -> None:
        splat = Waiver("file: waiver 1", "known", TODAY, splat=re.compile("BUG"))
        assert not splat.covers(TEST, ["yama.rate"], KERNEL)
        assert splat.is_for(KERNEL)


class TestExcuse:
    def test_a_failure_until_the_day(self) -> None:
        assert waiver().excuse(Judgement("fail", "broke"), TODAY) == Judgement(
            "waived", "known, waived until 2026-07-01; the failure: broke"
        )
        assert without_own_reason("known, waived until 2026-07-01; the failure: broke") == (
            "known, waived until 2026-07-01"
        )

    def test_no_failure_after_it(self) -> None:
        excused = waiver().excuse(Judgement("fail", "broke"), TODAY + datetime.timedelta(days=1))
        assert excused == Judgement("fail", "broke (its waiver expired on 2026-07-01: known)")

    @pytest.mark.parametrize("verdict", ["error", "skip"])
    def test_nothing_else(self, verdict: Verdict) -> None:
        assert waiver().excuse(Judgement(verdict, "why"), TODAY) == Judgement(verdict, "why")

    def test_a_pass_is_a_surprise_of_a_test_and_not_of_one_of_a_promise(self) -> None:
        assert waiver().excuse(Judgement("pass"), TODAY).verdict == "unexpected-pass"
        assert waiver(requirement="yama.rate").excuse(Judgement("pass"), TODAY) == Judgement("pass")


def result(verdict: Verdict, kernel: str = "k/full", requirement: str = "yama.rate") -> Result:
    return record(f"{TEST}[{kernel}]", verdict, kernel=kernel, requirements=[requirement])


class TestNotNeeded:
    RATE = waiver(requirement="yama.rate")

    @pytest.mark.parametrize(
        ("verdicts", "idle"),
        [
            (["pass", "skip"], True),
            (["pass", "waived"], False),
            (["pass", "error"], False),
            (["skip"], False),
            ([], False),
        ],
    )
    def test_it_is_where_all_tests_of_the_promise_hold(self, verdicts: list[Verdict], idle: bool) -> None:
        others = [result("pass", requirement="yama.log")]
        found = not_needed([self.RATE], [*others, *map(result, verdicts)], {})
        assert found == ([self.RATE] if idle else [])

    def test_only_where_it_is_for_that_kernel(self) -> None:
        kernels = {
            "new/full": KernelRecord.of({"id": "new/full", "version": "6.12.3"}),
            "old/full": KernelRecord.of({"id": "old/full", "version": "6.1"}),
        }
        for_old = waiver(requirement="yama.rate", until="6.6")
        assert not_needed([for_old], [result("pass", "new/full")], kernels) == []
        assert not_needed([for_old], [result("pass", "new/full"), result("pass", "old/full")], kernels) == [for_old]


GOOD = 'test = "suites/yama/test_it.py::test_a"\nreason = "known"\nexpires = 2026-07-01\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[waiver]", "w.toml:1: not a list of waivers"),
        ("[[waivers]]\n", "unknown key 'waivers'; did you mean 'waiver'"),
        ("[waiver]\n", "two brackets"),
        ('[[waiver]]\ntest = "a"\nreason = "r"\n', "w.toml:1: [[waiver]] 1: 'expires' is missing"),
        ('[[waiver]]\ntest = "a"\nexpires = 2026-07-01\n', "w.toml:1: [[waiver]] 1: 'reason' is missing"),
        ('[[waiver]]\nreason = "r"\nexpires = 2026-07-01\n', "exactly one of 'test', 'requirement' and 'splat'"),
        (f'[[waiver]]\n{GOOD}splat = "BUG"\n', "exactly one of 'test', 'requirement' and 'splat'"),
        ('[[waiver]]\nsplat = "("\nreason = "r"\nexpires = 2026-07-01\n', "'splat' is not a regular expression"),
        (f'[[waiver]]\n{GOOD}requirement = "yama.x"\n', "exactly one of 'test', 'requirement' and 'splat'"),
        ('[[waiver]]\ntest = "a::b"\nreason = "r"\nexpires = "2026-07-01"\n', "without quotes"),
        ('[[waiver]]\ntest = "a::b"\nreason = "r"\nexpires = 2026-07-01T00:00:00\n', "without quotes"),
        (f'[[waiver]]\n{GOOD}flavour = "full"\n', "unknown key 'flavour'; did you mean 'flavor'"),
        (f'[[waiver]]\n{GOOD}since = "new"\n', "must be a kernel version"),
        (f"[[waiver]]\n{GOOD}since = '6.9'\nuntil = '6.1'\n", "since 6.9, until 6.1: no version is in between"),
        (
            f"[[waiver]]\n{GOOD.replace('::test_a', '')}",
            "must be the name of a test, such as suites/yama/test_log.py::test",
        ),
        (f"[[waiver]]\n{GOOD}\n  [[waiver]] # another\n", "w.toml:6: [[waiver]] 2: "),
        ("waiver = [\n{}]\n", "w.toml:1: [[waiver]] 1: "),
        (f'[[waiver]]\n{GOOD}upstream = "caf\udce9"', "w.toml:5: not a list of waivers: the file is not UTF-8 text"),
        (f"x = {'[' * 9999}", "w.toml: not a list of waivers: the values are nested too deeply"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "w.toml"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(UsageError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert complaint in str(caught.value)


def test_a_range_of_one_version_is_one(tmp_path: Path) -> None:
    """Both ends are included: until 6.1 means until the last 6.1.x."""
    (tmp_path / "w.toml").write_text(f"[[waiver]]\n{GOOD}since = '6.1.5'\nuntil = '6.1'\n")
    assert load(tmp_path / "w.toml")[0].is_for(KernelRecord.of({"id": "k", "version": "6.1.9"}))


def test_the_architectures_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "w.toml").write_text(f'[[waiver]]\n{GOOD}arches = ["arm", "i386"]\n')
    assert load(tmp_path / "w.toml")[0].arches == ("arm", "i386")


def test_a_mark_at_the_beginning_of_a_file_is_no_part_of_it(tmp_path: Path) -> None:
    """Some editors write one."""
    (tmp_path / "w.toml").write_text(f"[[waiver]]\n{GOOD}", encoding="utf-8-sig")
    assert load(tmp_path / "w.toml")[0].place == f"{tmp_path / 'w.toml'}:1: [[waiver]] 1"


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to(path)], ids=["folder", "loop"])
def test_what_cannot_be_read_is_named_once(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "w.toml")
    with pytest.raises(UsageError, match=rf"^{tmp_path / 'w.toml'}: the list of waivers cannot be read: [^/]*$"):
        load(tmp_path / "w.toml")


def test_a_flavor_or_an_architecture_that_there_is_not() -> None:
    check_kernels([waiver(), waiver(flavor="full"), replace(waiver(), arches=("arm",))], ["full"], ["arm"])
    with pytest.raises(UsageError, match="there is no flavor 'ful'; did you mean 'full'"):
        check_kernels([waiver(flavor="ful")], ["full"], ["arm"])
    with pytest.raises(UsageError, match="there is no architecture 'armhf'"):
        check_kernels([replace(waiver(), arches=("armhf",))], ["full"], ["arm"])
