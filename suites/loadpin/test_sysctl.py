# SPDX-License-Identifier: GPL-2.0-or-later
"""kernel.loadpin.enforce: who can switch enforcement on and off, and when."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.guest import Guest
from guests.outcome import EACCES, EINVAL, ENOEXEC, EPERM, OK
from guests.task import Task
from guests.uapi import MS_RDONLY, MS_REMOUNT, O_WRONLY
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    NOT_ENFORCING,
    OTHER,
    PINNED,
    SYSCTL,
    TMP,
    LogReader,
    copy_files,
    line,
    loadpin,
    probe,
    probe_kind,
    root_after_pin,
    root_before_pin,
)

pytestmark = loadpin

requirement = pytest.mark.requirement
FILE = f"/proc/sys/{SYSCTL.replace('.', '/')}"
INVALID = ("2", "-1", "256", "4294967297", "yes", "0x2")


def check_refused(guest: Guest, root: Task, *values: str) -> None:
    """Check that each value is rejected with EINVAL and does not change the sysctl."""
    before = guest.sysctl(SYSCTL)
    for value in values:
        assert root.write_text(FILE, value) == EINVAL, value
        assert guest.sysctl(SYSCTL) == before


# Before a pin


@ENFORCING
@requirement("loadpin.sysctl")
def test_exists_from_boot_on(guest: Guest) -> None:
    """The sysctl exists from boot: everyone can read it, only root can open it for writing."""
    assert guest.init.mode(FILE) == 0o644
    unprivileged = guest.spawn("unprivileged")
    assert unprivileged.content(FILE) == b"1\n"
    assert unprivileged.open(FILE, O_WRONLY) == EACCES


@ENFORCING
@requirement("loadpin.sysctl-before", "loadpin.sysctl-values")
def test_before_a_pin_enforcement_stays_on(guest: Guest) -> None:
    """Before a pin, while LoadPin enforces, 1 is accepted and 0 is not."""
    root = root_before_pin(guest)
    check_refused(guest, root, "0", *INVALID)
    assert root.write_text(FILE, "1") == OK


@NOT_ENFORCING
@requirement("loadpin.sysctl-before", "loadpin.sysctl-values")
def test_before_a_pin_enforcement_can_only_be_switched_on(guest: Guest) -> None:
    """Before a pin, even the current value 0 is rejected; 1 is accepted, cannot be undone, and is enforced."""
    root = root_before_pin(guest)
    check_refused(guest, root, "0", *INVALID)
    assert root.write_text(FILE, "1") == OK
    check_refused(guest, root, "0", *INVALID)
    assert probe(guest, root, PINNED) == ENOEXEC
    assert probe(guest, root, OTHER) == EPERM


@NOT_ENFORCING
@requirement("loadpin.sysctl-closed")
def test_before_a_pin_nothing_is_accepted(guest: Guest) -> None:
    """Before a pin, no value is accepted, not even the current one; after a pin on a writable device, 1 is."""
    root = root_before_pin(guest)
    check_refused(guest, root, "0", "1", *INVALID)
    assert probe(guest, root, OTHER) == ENOEXEC
    assert root.write_text(FILE, "1") == OK
    assert probe(guest, root, PINNED) == EPERM


# With a pin


@ENFORCING
@requirement("loadpin.sysctl-read-only", "loadpin.sysctl-values")
def test_a_read_only_device_keeps_enforcement_on(guest: Guest) -> None:
    """After a pin on a read-only device, 0 is rejected as it was before."""
    root = root_after_pin(guest)
    check_refused(guest, root, "0", *INVALID)
    assert probe(guest, root, OTHER) == EPERM


@NOT_ENFORCING
@requirement("loadpin.sysctl-read-only", "loadpin.sysctl-values")
def test_a_read_only_device_lets_enforcement_be_switched_on(guest: Guest) -> None:
    """After a pin on a read-only device, 1 is accepted, takes effect at once, and cannot be undone."""
    root = root_after_pin(guest)
    assert probe(guest, root, OTHER) == ENOEXEC
    check_refused(guest, root, "0", *INVALID)
    assert root.write_text(FILE, "1") == OK
    assert probe(guest, root, OTHER) == EPERM
    check_refused(guest, root, "0", *INVALID)


@ENFORCING
@requirement("loadpin.sysctl-closed")
def test_a_read_only_device_leaves_enforcement_on(guest: Guest) -> None:
    """After a pin on a read-only device, no value is accepted, and LoadPin continues to enforce."""
    root = root_after_pin(guest)
    check_refused(guest, root, "0", "1", *INVALID)
    assert probe(guest, root, OTHER) == EPERM


@NOT_ENFORCING
@requirement("loadpin.sysctl-closed")
def test_a_read_only_device_leaves_enforcement_off(guest: Guest) -> None:
    """After a pin on a read-only device, no value is accepted, and LoadPin continues not to enforce."""
    root = root_after_pin(guest)
    check_refused(guest, root, "0", "1", *INVALID)
    assert probe(guest, root, OTHER) == ENOEXEC


def writable_disk(_: Task) -> str:
    return OTHER


def no_disk(root: Task) -> str:
    copy_files(root, TMP)
    return TMP


@ENFORCING
@requirement("loadpin.sysctl-writable", "loadpin.sysctl-values")
@pytest.mark.parametrize(
    "pin",
    [
        pytest.param(writable_disk, id="pinned-to-a-writable-device"),
        pytest.param(no_disk, id="pinned-to-a-file-system-without-a-device"),
    ],
)
def test_a_pin_that_is_not_read_only_can_be_switched(guest: Guest, pin: Callable[[Task], str]) -> None:
    """Enforcement can be switched off and on, each time with effect on the next load; the pin itself stays."""
    root = root_before_pin(guest)
    directory = pin(root)
    assert probe(guest, root, directory) == ENOEXEC
    log = LogReader(guest)
    for _ in range(2):
        check_refused(guest, root, *INVALID)
        assert root.write_text(FILE, "0") == OK
        assert probe(guest, root, PINNED) == ENOEXEC
        assert log.new_lines() == [line(probe_kind(guest), "pinning-ignored", f"{PINNED}/junk", root)]
        assert root.write_text(FILE, "1") == OK
        assert probe(guest, root, PINNED) == EPERM
        assert log.new_lines() == [line(probe_kind(guest), "denied", f"{PINNED}/junk", root)]
        assert probe(guest, root, directory) == ENOEXEC
        assert log.new_lines() == []


# When LoadPin looks at the device


@ENFORCING
@requirement("loadpin.read-only")
def test_a_device_set_read_only_after_the_pin(guest: Guest) -> None:
    """Setting a device read-only after the pin has no effect: enforcement can still be switched off."""
    root = root_before_pin(guest)
    assert probe(guest, root, OTHER) == ENOEXEC
    assert root.set_read_only("/dev/vdb", True) == OK
    assert probe(guest, root, OTHER) == ENOEXEC
    assert root.write_text(FILE, "0") == OK


@ENFORCING
@requirement("loadpin.read-only", "loadpin.sysctl")
def test_a_device_set_writable_after_the_pin(guest: Guest) -> None:
    """Setting a device writable after the pin has no effect either: enforcement cannot be switched off."""
    root = root_before_pin(guest)
    assert root.set_read_only("/dev/vdb", True) == OK
    assert probe(guest, root, OTHER) == ENOEXEC
    assert root.set_read_only("/dev/vdb", False) == OK
    assert probe(guest, root, OTHER) == ENOEXEC
    check_refused(guest, root, "0")


@ENFORCING
@requirement("loadpin.read-only")
def test_a_mount_is_not_a_device(guest: Guest) -> None:
    """Remounting read-only or writable, before or after the pin, has no effect: only the device counts."""
    root = guest.root()
    root.mount("/dev/vdb", OTHER, "ext2").result()
    root.call("mount", None, OTHER, None, MS_REMOUNT | MS_RDONLY, None, shown="remount read-only").result()
    assert probe(guest, root, OTHER) == ENOEXEC
    assert root.write_text(FILE, "0") == OK
    root.call("mount", None, OTHER, None, MS_REMOUNT, None, shown="remount writable").result()
    assert root.write_text(FILE, "1") == OK
