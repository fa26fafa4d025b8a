# SPDX-License-Identifier: GPL-2.0-or-later
"""Where an active Yama is visible, and what remains when Yama is absent."""

from __future__ import annotations

import pytest

from guests.call_arguments import InOut, Out
from guests.errors import require
from guests.guest import Guest
from guests.outcome import E2BIG, EINVAL, ENOENT, EOPNOTSUPP, EPERM, OK, Outcome, returned
from guests.uapi import LSM_ID_YAMA, PTRACER_ANY
from suites.yama.support import relations
from suites.yama.support.accesses import AccessResult, supported_accesses, wrong_accesses

LSM = "/sys/kernel/security/lsm"
SYSCTL_FILE = "/proc/sys/kernel/yama/ptrace_scope"
LSM_ATTR_CURRENT, CONTEXT_SIZE = 100, 32
"""An attribute, which Yama does not have, and the size of struct lsm_ctx without a context."""
WITHOUT_YAMA = pytest.mark.boot("lsm=loadpin")


def list_modules(guest: Guest) -> Outcome:
    return guest.spawn("caller").call("lsm_list_modules", Out(512), InOut(guest.init.abi.pack("I", 512)), 0)


def ids(guest: Guest, listed: Outcome) -> set[int]:
    """The ids that lsm_list_modules() has returned."""
    return set(guest.init.abi.unpack("64Q", listed.read())) - {0}


@pytest.mark.needs("SECURITY_YAMA", "SECURITYFS")
@pytest.mark.requirement("yama.started")
def test_started_if_built_in(guest: Guest, left_out: str) -> None:
    """A Yama that is built in is started."""
    names = guest.read_file(LSM).strip().split(",")
    assert "capability" in names
    assert "yama" in names, f"Yama is built in, but not started: {left_out or 'no reason is known'}"


@pytest.mark.needs("SECURITY_YAMA", "SECURITYFS", "SYSCTL")
@pytest.mark.requirement("yama.active")
def test_named_if_active(guest: Guest) -> None:
    """/sys/kernel/security/lsm and the kernel log name Yama, and its sysctl exists."""
    assert "yama" in guest.read_file(LSM).strip().split(",")
    assert [line for line in guest.boot_log if line.startswith("Yama: ")]
    assert guest.exists(SYSCTL_FILE)
    assert guest.sysctl("kernel.yama.ptrace_scope") in {"0", "1", "2", "3"}


@pytest.mark.needs("SECURITY_YAMA")
@pytest.mark.requirement("yama.active-system-call")
def test_listed_if_active(guest: Guest) -> None:
    """lsm_list_modules() returns LSM_ID_YAMA when Yama is active."""
    listed = list_modules(guest)
    assert listed == OK
    assert LSM_ID_YAMA in ids(guest, listed)


@pytest.mark.needs("SECURITY_YAMA")
@pytest.mark.requirement("yama.list-size")
def test_size_of_the_list(guest: Guest) -> None:
    """lsm_list_modules() reads and writes four bytes for the size, and leaves alone what comes after them."""
    caller = guest.spawn("caller")
    for after in (0, 0xA5A5A5A5):
        listed, small = (
            caller.call("lsm_list_modules", Out(512), InOut(caller.abi.pack("II", room, after)), 0)
            for room in (512, 1)
        )
        assert LSM_ID_YAMA in ids(guest, listed)
        assert listed == returned(len(ids(guest, listed)))
        assert small == E2BIG
        for done in (listed, small):
            assert caller.abi.unpack("II", done.reads[1]) == (8 * len(ids(guest, listed)), after)


@pytest.mark.needs("SECURITY_YAMA")
@pytest.mark.requirement("yama.attribute-length")
def test_length_of_an_attribute(guest: Guest) -> None:
    """lsm_set_self_attr() refuses a context that is longer than the memory in which it is."""
    caller = guest.spawn("caller")
    for length, wanted in ((0, EOPNOTSUPP), (1, EINVAL), ((1 << 64) - 1, EINVAL)):
        context = caller.abi.pack("4Q", LSM_ID_YAMA, 0, CONTEXT_SIZE, length)
        shown = f"lsm_set_self_attr({length:#x})"
        assert caller.call("lsm_set_self_attr", LSM_ATTR_CURRENT, context, CONTEXT_SIZE, 0, shown=shown) == wanted


@WITHOUT_YAMA
@pytest.mark.needs("SECURITY", "SECURITYFS")
@pytest.mark.requirement("yama.absent")
def test_not_named_if_left_out(guest: Guest) -> None:
    """Left out of `lsm=`, or not built at all, Yama is not named and logs nothing."""
    names = guest.read_file(LSM).strip().split(",")
    assert "capability" in names
    assert "yama" not in names
    assert not [line for line in guest.boot_log if line.startswith("Yama: ")]


@WITHOUT_YAMA
@pytest.mark.needs("SECURITY")
@pytest.mark.requirement("yama.active-system-call")
def test_not_listed_if_left_out(guest: Guest) -> None:
    """lsm_list_modules() does not return LSM_ID_YAMA when Yama is left out."""
    listed = list_modules(guest)
    assert listed == OK
    assert ids(guest, listed)
    assert LSM_ID_YAMA not in ids(guest, listed)


def check_no_interface(guest: Guest) -> None:
    assert not guest.exists(SYSCTL_FILE)
    target = guest.spawn("target")
    assert target.access_file("/proc/sys/kernel/yama") == ENOENT
    if guest.kernel.config.enabled("SYSCTL"):
        assert target.access_file("/proc/sys/kernel") == OK
    for argument in (PTRACER_ANY, 0, 1, target.pid):
        assert target.set_ptracer(argument) == EINVAL


def check_dac_alone(guest: Guest) -> None:
    # At scope 0, an active Yama would leave everything to DAC too.
    require(not guest.exists(SYSCTL_FILE), "Yama is active, so nothing can be found out about a kernel without it")
    if guest.kernel.config.enabled("PERF_EVENTS") and guest.kernel.config.enabled("SYSCTL"):
        guest.set_sysctl("kernel.perf_event_paranoid", 2)
    for build, result in ((relations.stranger, AccessResult.YES), (relations.other_user, AccessResult.DAC)):
        tracer, target = build(guest)
        assert wrong_accesses(tracer, target, supported_accesses(guest), result) == []
    child = guest.spawn("parent").spawn("child")
    assert child.traceme() == OK
    assert child.traceme() == EPERM
    assert not [line for line in guest.log() if line.startswith("ptrace ")]


@WITHOUT_YAMA
@pytest.mark.requirement("yama.absent")
def test_no_interface(guest: Guest) -> None:
    """Without Yama, there is no sysctl, not even its directory, and PR_SET_PTRACER is unknown with any argument."""
    check_no_interface(guest)


@WITHOUT_YAMA
@pytest.mark.requirement("yama.absent")
def test_dac_alone(guest: Guest) -> None:
    """A stranger of the same uid has full access, another uid none; any child may TRACEME; nothing is logged."""
    check_dac_alone(guest)


@pytest.mark.lacks("SECURITY_YAMA")
@pytest.mark.requirement("yama.absent")
def test_not_built(guest: Guest) -> None:
    """A kernel that was built without Yama has no interface either, with nothing about it in `lsm=`."""
    check_no_interface(guest)


@pytest.mark.lacks("SECURITY_YAMA")
@pytest.mark.requirement("yama.absent")
def test_dac_alone_if_not_built(guest: Guest) -> None:
    """A kernel that was built without Yama leaves ptrace to DAC, too."""
    check_dac_alone(guest)
