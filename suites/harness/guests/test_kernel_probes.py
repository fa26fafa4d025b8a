# SPDX-License-Identifier: GPL-2.0-or-later
"""What kernels say that they have."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from common.errors import UsageError
from guests import kernel_probes
from guests.errors import GuestBroke, StartError
from guests.guest import Guest
from guests.kernel_probes import FORM, KINDS, KernelAnswers, ask, parse
from reports.model import requirements
from suites.harness.checkout import ROOT
from suites.harness.guests import fakes

SIGNALS = "perf-attr-size 128"
"""Asked by suites/yama/support/accesses.py; all others belong to requirements."""
PROBES = {each.probe for each in requirements.load(ROOT / "suites").values() if each.probe} | {SIGNALS}


@pytest.mark.parametrize(
    ("probe", "complaint", "hint"),
    [
        ("flag SEND", "'flag SEND' is not a probe; did you mean ", FORM),
        ("syscal lsm_list_modules", "did you mean 'syscall'", FORM),
        ("syscall", "'syscall' is not a probe", FORM),
        ("unknown SEND", "; the kinds are option, file, syscall, prctl, ", FORM),
        ("syscall exit", "unknown syscall; it is one of lsm_list_modules", ""),
        ("filter-flag WAIT_KILABLE_RECV", "unknown filter-flag; did you mean 'WAIT_KILLABLE_RECV'", ""),
        ("", "'' is not a probe; the kinds are ", FORM),
    ],
)
def test_what_is_no_probe(probe: str, complaint: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(probe)
    assert complaint in caught.value.message
    assert caught.value.hint == hint


def test_each_kind_is_used_and_each_probe_is_one() -> None:
    assert {probe.partition(" ")[0] for probe in PROBES if parse(probe)} == set(KINDS)


# Kernels, and what mainline has had since when

SINCE = {
    "prctl SET_SYSCALL_USER_DISPATCH": (5, 11),
    SIGNALS: (5, 13),
    "addfd-flag SEND": (5, 14),
    "filter-flag WAIT_KILLABLE_RECV": (5, 19),
    "listener-ioctl SET_FLAGS": (6, 6),
    "syscall lsm_list_modules": (6, 8),
}


@pytest.mark.needs("SECCOMP_FILTER", "PERF_EVENTS", "SECURITY", "GENERIC_ENTRY")
@pytest.mark.parametrize("probe", SINCE)
def test_a_mainline_kernel_says_what_its_version_says(guest: Guest, probe: str) -> None:
    assert ask(guest, probe) == (guest.kernel.version >= SINCE[probe])


@pytest.mark.needs("SECCOMP_FILTER", "PERF_EVENTS")
@pytest.mark.parametrize(
    ("probe", "names", "number"),
    [
        ("syscall", kernel_probes.SYSCALLS, 999),
        ("prctl", kernel_probes.PRCTLS, 999),
        ("filter-flag", kernel_probes.FILTER_FLAGS, 1 << 30),
        ("addfd-flag", kernel_probes.ADDFD_FLAGS, 1 << 30),
        ("listener-ioctl", kernel_probes.LISTENER_IOCTLS, 0x400821FF),
        ("perf-attr-size", kernel_probes.PERF_ATTR_SIZES, 4096),
    ],
)
def test_a_kernel_does_not_claim_what_nobody_knows(
    guest: Guest, monkeypatch: pytest.MonkeyPatch, probe: str, names: dict[str, int], number: int
) -> None:
    """The control: the same question, for what no kernel has."""
    monkeypatch.setitem(names, "FUTURE", number)
    assert not ask(guest, f"{probe} FUTURE")


def test_a_file_is_there_or_not(guest: Guest) -> None:
    assert ask(guest, "file /proc/self/status")
    assert not ask(guest, "file /proc/self/statuses")
    assert ask(guest, "file /proc/self/seccomp_cache") == guest.kernel.config.enabled("SECCOMP_CACHE_DEBUG")


@pytest.mark.lacks("SECCOMP_FILTER")
@pytest.mark.parametrize("probe", ["addfd-flag SEND", "filter-flag WAIT_KILLABLE_RECV", "listener-ioctl SET_FLAGS"])
def test_a_kernel_without_filters_has_none_of_it(guest: Guest, probe: str) -> None:
    assert not ask(guest, probe)


# Asking


class FakeGuest:
    """Knows some files, or breaks when it is asked."""

    def __init__(self, tmp_path: Path, *files: str, broken: bool = False) -> None:
        self.kernel = fakes.kernel(tmp_path, "CONFIG_MODULE_DECOMPRESS=y\n")
        self.files = files
        self.broken = broken
        self.asked = self.taken = self.closed = 0

    def take(self) -> Guest:
        self.taken += 1
        return cast(Guest, self)

    def exists(self, path: str) -> bool:
        self.asked += 1
        if self.broken:
            raise GuestBroke("the kernel went down")
        return path in self.files

    def evidence(self) -> dict[str, str]:
        return {"console": "its last words"}

    def close(self) -> None:
        self.closed += 1

    def says(self, answers: KernelAnswers, probe: str) -> bool:
        return answers.says(self.kernel, probe, self.take)


def test_a_kernel_is_asked_once(tmp_path: Path) -> None:
    guest, answers = FakeGuest(tmp_path, "/proc/new"), KernelAnswers()
    assert [guest.says(answers, "file /proc/new") for _ in range(3)] == [True] * 3
    assert [guest.says(answers, "file /proc/newer") for _ in range(3)] == [False] * 3
    assert (guest.asked, guest.taken, guest.closed) == (2, 2, 2)


def test_an_option_needs_no_guest(tmp_path: Path) -> None:
    guest, answers = FakeGuest(tmp_path), KernelAnswers()
    assert guest.says(answers, "option MODULE_DECOMPRESS")
    assert not guest.says(answers, "option SECURITY_LOADPIN")
    assert guest.taken == 0


def test_a_kernel_that_breaks_when_asked_is_an_error(tmp_path: Path) -> None:
    """Nothing was tested, so nothing was seen broken; the next test asks again."""
    guest, answers = FakeGuest(tmp_path, broken=True), KernelAnswers()
    for _ in range(2):
        with pytest.raises(StartError, match="could not be asked for file /proc/new: the kernel went down") as caught:
            guest.says(answers, "file /proc/new")
        assert caught.value.evidence == {"console": "its last words"}
    assert (guest.taken, guest.closed) == (2, 2)


def test_the_kinds_are_documented() -> None:
    """docs/add-a-scenario.md lists them."""
    text = (ROOT / "docs" / "add-a-scenario.md").read_text(encoding="utf-8")
    assert [kind for kind in kernel_probes.KINDS if f"| `{kind} " not in text] == []
