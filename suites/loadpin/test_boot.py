# SPDX-License-Identifier: GPL-2.0-or-later
"""LoadPin's state and log right after boot, by configuration and by command line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.call_arguments import InOut, Out
from guests.errors import require
from guests.guest import Guest
from guests.outcome import ENOEXEC, ENOSYS, EPERM, OK
from guests.promises import breaks
from guests.uapi import LSM_ID_LOADPIN
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    NOT_ENFORCING,
    OTHER,
    PINNED,
    SYSCTL,
    TMP,
    LogReader,
    boot,
    boot_lines,
    line,
    lines,
    loadpin,
    probe,
    probe_kind,
    root_after_pin,
    root_before_pin,
)

ENFORCING_LINE = ["ready to pin (currently enforcing)"]
NOT_ENFORCING_LINE = ["ready to pin (currently not enforcing)"]
WITHOUT_PARAMETERS = boot()
requirement = pytest.mark.requirement

Promised = Callable[[str], bool]


def check_enforces(guest: Guest, promise: str, promised: Promised) -> None:
    """The log and the sysctl say that LoadPin enforces, and it does."""
    with breaks("loadpin.ready"):
        assert boot_lines(guest.boot_log) == ENFORCING_LINE
    root = root_after_pin(guest)
    with breaks(promise):
        check_sysctl(guest, "1", promised)
        log = LogReader(guest)
        assert probe(guest, root, OTHER) == EPERM
        assert log.new_lines() == [line(probe_kind(guest), "denied", f"{OTHER}/junk", root)]


def check_sysctl(guest: Guest, value: str, promised: Promised) -> None:
    """Check the sysctl's value, if it has one.  Before Linux 6.3, it has none while a read-only device is pinned."""
    if guest.kernel.config.enabled("SYSCTL") and promised("loadpin.sysctl"):
        assert guest.sysctl(SYSCTL) == value


def check_does_not_enforce(guest: Guest, promise: str, promised: Promised) -> None:
    with breaks("loadpin.ready"):
        assert boot_lines(guest.boot_log) == NOT_ENFORCING_LINE
    root = root_after_pin(guest)
    with breaks(promise):
        check_sysctl(guest, "0", promised)
        log = LogReader(guest)
        assert probe(guest, root, OTHER) == ENOEXEC
        assert log.new_lines() == [line(probe_kind(guest), "pinning-ignored", f"{OTHER}/junk", root)]


@loadpin
@ENFORCING
@requirement("loadpin.ready", "loadpin.parameter")
def test_enforce_1_enforces(guest: Guest, promised: Promised) -> None:
    """With loadpin.enforce=1, LoadPin enforces, whatever the configuration says."""
    check_enforces(guest, "loadpin.parameter", promised)


@loadpin
@NOT_ENFORCING
@requirement("loadpin.ready", "loadpin.parameter")
def test_enforce_0_does_not_enforce(guest: Guest, promised: Promised) -> None:
    """With loadpin.enforce=0, LoadPin does not enforce, whatever the configuration says."""
    check_does_not_enforce(guest, "loadpin.parameter", promised)


@loadpin
@WITHOUT_PARAMETERS
@pytest.mark.needs("SECURITY_LOADPIN_ENFORCE")
@requirement("loadpin.ready", "loadpin.default")
def test_enforces_by_configuration(guest: Guest, promised: Promised) -> None:
    """With CONFIG_SECURITY_LOADPIN_ENFORCE, LoadPin enforces without a parameter on the command line."""
    check_enforces(guest, "loadpin.default", promised)


@loadpin
@WITHOUT_PARAMETERS
@pytest.mark.lacks("SECURITY_LOADPIN_ENFORCE")
@requirement("loadpin.ready", "loadpin.default")
def test_does_not_enforce_by_configuration(guest: Guest, promised: Promised) -> None:
    """Without CONFIG_SECURITY_LOADPIN_ENFORCE, LoadPin does not enforce unless a parameter says so."""
    check_does_not_enforce(guest, "loadpin.default", promised)


@loadpin
@boot("loadpin.enforce=0", "loadpin.enabled=1")
@requirement("loadpin.ready", "loadpin.parameter")
def test_enabled_1_has_no_effect(guest: Guest, promised: Promised) -> None:
    """loadpin.enabled=1, which enabled enforcement before Linux 4.20, has no effect."""
    check_does_not_enforce(guest, "loadpin.parameter", promised)


@loadpin
@ENFORCING
@requirement("loadpin.no-parameter-file")
def test_parameters_are_not_in_sysfs(guest: Guest) -> None:
    """LoadPin shows no parameters in /sys/module, where other built-in code does."""
    require(guest.exists("/sys/module/printk/parameters/time"), "/sys/module shows no parameters of built-in code")
    for parameter in ("enforce", "exclude", "enabled"):
        assert not guest.exists(f"/sys/module/loadpin/parameters/{parameter}")


# Active or not


def check_lsm_ids(guest: Guest) -> list[int]:
    """The ids that lsm_list_modules() returns, which must succeed."""
    outcome = guest.init.call("lsm_list_modules", Out(8 * 32), InOut(guest.init.abi.pack("I", 8 * 32)), 0)
    assert outcome == OK
    return [number for (number,) in guest.init.abi.layout("Q").iter_unpack(outcome.read()) if number]


@loadpin
@pytest.mark.needs("SECURITYFS")
@requirement("loadpin.started")
def test_started_if_built_in(guest: Guest, left_out: str) -> None:
    """A LoadPin that is built in is started."""
    names = guest.read_file("/sys/kernel/security/lsm").strip().split(",")
    assert "capability" in names
    assert "loadpin" in names, f"LoadPin is built in, but not started: {left_out or 'no reason is known'}"


@loadpin
@pytest.mark.needs("SECURITYFS")
@ENFORCING
@requirement("loadpin.listed")
def test_is_listed_by_name(guest: Guest) -> None:
    """/sys/kernel/security/lsm lists LoadPin."""
    assert "loadpin" in guest.read_file("/sys/kernel/security/lsm").strip().split(",")


@loadpin
@ENFORCING
@requirement("loadpin.listed-by-id")
def test_is_listed_by_id(guest: Guest) -> None:
    """lsm_list_modules() returns LSM_ID_LOADPIN."""
    assert LSM_ID_LOADPIN in check_lsm_ids(guest)


def check_absent(guest: Guest) -> None:
    """No log line, no list entry and no sysctl; loads succeed from one file system after the other."""
    assert lines(guest.boot_log) == []
    names = guest.read_file("/sys/kernel/security/lsm").strip().split(",")
    assert "capability" in names
    assert "loadpin" not in names
    assert not guest.exists("/proc/sys/kernel/loadpin")
    root = guest.root()
    root.mount("tmpfs", "/second", "tmpfs").result()
    for directory in (TMP, "/second", TMP):
        guest.upload(f"{directory}/junk", b"nothing that anybody could load\n" * 64)
        assert probe(guest, root, directory) == ENOEXEC
    assert lines(guest.log()) == []


@pytest.mark.boot("lsm=yama", "loadpin.enforce=1", "loadpin.exclude=firmware")
@pytest.mark.needs("SECURITY", "SECURITYFS", "TMPFS")
@requirement("loadpin.absent")
def test_left_out_of_lsm(guest: Guest) -> None:
    """Left out of lsm=, or not built, LoadPin is absent, whatever its own parameters say."""
    check_absent(guest)


@pytest.mark.lacks("SECURITY_LOADPIN")
@pytest.mark.needs("SECURITY", "SECURITYFS", "TMPFS")
@pytest.mark.boot("lsm=loadpin", "loadpin.enforce=1")
@requirement("loadpin.absent")
def test_named_in_lsm_but_not_built(guest: Guest) -> None:
    """On a kernel built without it, LoadPin is absent even if lsm= names it."""
    check_absent(guest)
    assert not guest.exists("/sys/kernel/security/loadpin")


# A kernel without loadable modules


@pytest.mark.lacks("MODULES")
@loadpin
@ENFORCING
@requirement("loadpin.no-modules")
def test_without_loadable_modules(guest: Guest) -> None:
    """The system calls that load modules do not exist; LoadPin pins and denies kexec images nevertheless."""
    root = root_before_pin(guest)
    file = root.open(f"{OTHER}/junk").result()
    log = LogReader(guest)
    assert root.finit_module(file) == ENOSYS
    assert root.init_module(b"nothing that anybody could load\n" * 64) == ENOSYS
    assert log.new_lines() == []
    assert probe(guest, root, PINNED) == ENOEXEC
    assert probe(guest, root, OTHER) == EPERM
