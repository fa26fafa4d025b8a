# SPDX-License-Identifier: GPL-2.0-or-later
"""kernel.loadpin.enforce: who can switch enforcement on and off, and when."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.guest import Guest
from guests.outcome import EACCES, EINVAL, ENOEXEC, EPERM, OK, returned
from guests.promises import breaks
from guests.sysctl_path import sysctl_path
from guests.task import Task
from guests.uapi import MS_RDONLY, MS_REMOUNT, O_WRONLY, Clone
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
from suites.user_namespaces import map_ids

pytestmark = [loadpin, pytest.mark.needs("SYSCTL")]

requirement = pytest.mark.requirement
FILE = sysctl_path(SYSCTL)
INVALID = ("2", "-1", "256", "4294967297", "18446744073709551616", "18446744073709551617", "yes", "0x2")
"""Of the numbers, some are 0 or 1 if only their last 8, 32 or 64 bits count."""
BEFORE = "loadpin.sysctl-before"
CLOSED = "loadpin.sysctl-closed"
READ_ONLY = "loadpin.sysctl-read-only"
WRITABLE = "loadpin.sysctl-writable"
VALUES = "loadpin.sysctl-values"


def check_refused(guest: Guest, root: Task, enforcing: str, *values: str, promise: str = VALUES) -> None:
    """Check that each value is rejected with EINVAL, while the sysctl remains what it is: 0 or 1."""
    with breaks(promise):
        for value in values:
            assert root.write_text(FILE, value) == EINVAL
            assert guest.sysctl(SYSCTL) == enforcing


def check_accepted(guest: Guest, root: Task, value: str, *, promise: str) -> None:
    with breaks(promise):
        assert root.write_text(FILE, value) == OK
        assert guest.sysctl(SYSCTL) == value


@pytest.mark.needs("USER_NS")
@ENFORCING
@requirement("loadpin.sysctl-root")
def test_root_of_a_user_namespace(guest: Guest) -> None:
    """A user who is root of a user namespace cannot open the sysctl for writing; root itself can."""
    root = root_before_pin(guest)
    probe(guest, root, OTHER).require(ENOEXEC)
    inside = root.spawn("user", uid=1000).spawn("inside", flags=Clone.NEWUSER)
    map_ids(guest, inside, "0 1000 1")
    inside.call("geteuid").require(returned(0))
    assert inside.open(FILE, O_WRONLY) == EACCES
    check_accepted(guest, root, "0", promise="loadpin.sysctl-root")


# Before a pin


@ENFORCING
@requirement("loadpin.sysctl")
def test_exists_from_boot_on(guest: Guest) -> None:
    """The sysctl exists from boot: everyone can read it, only root can open it for writing."""
    assert guest.exists(FILE)
    assert guest.init.mode(FILE) == 0o644
    unprivileged = guest.spawn("unprivileged")
    shown = unprivileged.read_text(FILE)
    assert shown == OK
    assert shown.read()[: shown.value] == b"1\n"
    assert unprivileged.open(FILE, O_WRONLY) == EACCES


@ENFORCING
@requirement(BEFORE, VALUES)
def test_before_a_pin_enforcement_stays_on(guest: Guest) -> None:
    """Before a pin, while LoadPin enforces, 1 is accepted and 0 is not."""
    root = root_before_pin(guest)
    check_refused(guest, root, "1", *INVALID)
    check_refused(guest, root, "1", "0", promise=BEFORE)
    check_accepted(guest, root, "1", promise=BEFORE)


@NOT_ENFORCING
@requirement(BEFORE, VALUES)
def test_before_a_pin_enforcement_can_only_be_switched_on(guest: Guest) -> None:
    """Before a pin, even the current value 0 is rejected; 1 is accepted, cannot be undone, and is enforced."""
    root = root_before_pin(guest)
    check_refused(guest, root, "0", *INVALID)
    check_refused(guest, root, "0", "0", promise=BEFORE)
    check_accepted(guest, root, "1", promise=BEFORE)
    check_refused(guest, root, "1", *INVALID)
    check_refused(guest, root, "1", "0", promise=BEFORE)
    with breaks(BEFORE):
        assert probe(guest, root, PINNED) == ENOEXEC
        assert probe(guest, root, OTHER) == EPERM


@NOT_ENFORCING
@requirement(CLOSED)
def test_before_a_pin_nothing_is_accepted(guest: Guest) -> None:
    """Before a pin, no value is accepted, not even the current one; after a pin on a writable device, 1 is."""
    root = root_before_pin(guest)
    check_refused(guest, root, "0", "0", "1", *INVALID, promise=CLOSED)
    probe(guest, root, OTHER).require(ENOEXEC)
    check_accepted(guest, root, "1", promise=CLOSED)
    assert probe(guest, root, PINNED) == EPERM


# With a pin


@ENFORCING
@requirement(READ_ONLY, VALUES)
def test_a_read_only_device_keeps_enforcement_on(guest: Guest) -> None:
    """After a pin on a read-only device, 0 is rejected as it was before."""
    root = root_after_pin(guest)
    check_refused(guest, root, "1", *INVALID)
    check_refused(guest, root, "1", "0", promise=READ_ONLY)
    with breaks(READ_ONLY):
        assert probe(guest, root, OTHER) == EPERM


@NOT_ENFORCING
@requirement(READ_ONLY, VALUES)
def test_a_read_only_device_lets_enforcement_be_switched_on(guest: Guest) -> None:
    """After a pin on a read-only device, 1 is accepted, takes effect at once, and cannot be undone."""
    root = root_after_pin(guest)
    probe(guest, root, OTHER).require(ENOEXEC)
    check_refused(guest, root, "0", *INVALID)
    check_refused(guest, root, "0", "0", promise=READ_ONLY)
    check_accepted(guest, root, "1", promise=READ_ONLY)
    with breaks(READ_ONLY):
        assert probe(guest, root, OTHER) == EPERM
    check_refused(guest, root, "1", *INVALID)
    check_refused(guest, root, "1", "0", promise=READ_ONLY)


@ENFORCING
@requirement(CLOSED)
def test_a_read_only_device_leaves_enforcement_on(guest: Guest) -> None:
    """After a pin on a read-only device, no value is accepted, and LoadPin continues to enforce."""
    root = root_after_pin(guest)
    check_refused(guest, root, "1", "0", "1", *INVALID, promise=CLOSED)
    assert probe(guest, root, OTHER) == EPERM


@NOT_ENFORCING
@requirement(CLOSED)
def test_a_read_only_device_leaves_enforcement_off(guest: Guest) -> None:
    """After a pin on a read-only device, no value is accepted, and LoadPin continues not to enforce."""
    root = root_after_pin(guest)
    check_refused(guest, root, "0", "0", "1", *INVALID, promise=CLOSED)
    assert probe(guest, root, OTHER) == ENOEXEC


def writable_disk(_: Task) -> str:
    return OTHER


def no_disk(root: Task) -> str:
    copy_files(root, TMP)
    return TMP


@ENFORCING
@requirement(WRITABLE, VALUES)
@pytest.mark.parametrize(
    "pin",
    [
        pytest.param(writable_disk, id="pinned-to-a-writable-device"),
        pytest.param(no_disk, id="pinned-to-a-file-system-without-a-device"),
    ],
)
def test_a_pin_that_is_not_read_only_can_be_switched(guest: Guest, pin: Callable[[Task], str]) -> None:
    """With a pin on no read-only device, enforcement can be switched, with effect on the next load; the pin stays."""
    root = root_before_pin(guest)
    directory = pin(root)
    probe(guest, root, directory).require(ENOEXEC)
    log = LogReader(guest)
    for _ in range(2):
        check_refused(guest, root, "1", *INVALID)
        check_accepted(guest, root, "0", promise=WRITABLE)
        with breaks(WRITABLE):
            assert probe(guest, root, PINNED) == ENOEXEC
            assert log.new_lines() == [line(probe_kind(guest), "pinning-ignored", f"{PINNED}/junk", root)]
        check_accepted(guest, root, "1", promise=WRITABLE)
        with breaks(WRITABLE):
            assert probe(guest, root, PINNED) == EPERM
            assert log.new_lines() == [line(probe_kind(guest), "denied", f"{PINNED}/junk", root)]
            assert probe(guest, root, directory) == ENOEXEC
            assert log.new_lines() == []


@ENFORCING
@requirement("loadpin.sysctl-position")
def test_only_what_is_written_at_the_beginning_counts(guest: Guest) -> None:
    """A second write through a descriptor is accepted, and has no effect; one at the beginning has."""
    root = root_before_pin(guest)
    probe(guest, root, OTHER).require(ENOEXEC)
    fd = root.open(FILE, O_WRONLY).result()
    assert root.write(fd, b"1") == returned(1)
    assert root.write(fd, b"0") == returned(1)
    assert guest.sysctl(SYSCTL) == "1"
    assert root.call("pwrite64", fd, b"0", 1, 0) == returned(1)
    assert guest.sysctl(SYSCTL) == "0"


# When LoadPin looks at the device


@ENFORCING
@requirement("loadpin.read-only")
def test_a_device_set_read_only_after_the_pin(guest: Guest) -> None:
    """Setting a device read-only after the pin has no effect: enforcement can still be switched off."""
    root = root_before_pin(guest)
    probe(guest, root, OTHER).require(ENOEXEC)
    root.set_read_only("/dev/vdb", True).result()
    assert probe(guest, root, OTHER) == ENOEXEC
    check_accepted(guest, root, "0", promise="loadpin.read-only")


@ENFORCING
@requirement("loadpin.read-only", "loadpin.sysctl")
def test_a_device_set_writable_after_the_pin(guest: Guest) -> None:
    """Setting a device writable after the pin has no effect either: enforcement cannot be switched off."""
    root = root_before_pin(guest)
    root.set_read_only("/dev/vdb", True).result()
    probe(guest, root, OTHER).require(ENOEXEC)
    root.set_read_only("/dev/vdb", False).result()
    with breaks("loadpin.read-only"):
        assert probe(guest, root, OTHER) == ENOEXEC
    check_refused(guest, root, "1", "0", promise="loadpin.read-only")


@ENFORCING
@requirement("loadpin.read-only")
def test_a_mount_is_not_a_device(guest: Guest) -> None:
    """Remounting read-only or writable, before or after the pin, has no effect: only the device counts."""
    root = guest.root()
    root.mount("/dev/vdb", OTHER, "ext2").result()
    root.call("mount", None, OTHER, None, MS_REMOUNT | MS_RDONLY, None, shown="remount read-only").result()
    probe(guest, root, OTHER).require(ENOEXEC)
    check_accepted(guest, root, "0", promise="loadpin.read-only")
    root.call("mount", None, OTHER, None, MS_REMOUNT, None, shown="remount writable").result()
    check_accepted(guest, root, "1", promise="loadpin.read-only")
