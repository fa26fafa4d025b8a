# SPDX-License-Identifier: GPL-2.0-or-later
"""kernel.loadpin.enforce: who may switch enforcement on and off, and when."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.guest import Guest
from guests.numbers import MS_RDONLY, MS_REMOUNT, O_WRONLY
from guests.outcome import EACCES, EINVAL, ENOEXEC, EPERM, OK
from guests.task import Task
from suites.loadpin.scenery import (
    ENFORCING,
    NOT_ENFORCING,
    OTHER,
    PINNED,
    SYSCTL,
    TMP,
    Ear,
    administrator,
    copy_files,
    line,
    loadpin,
    pinned_scene,
    probe,
    probed,
)

pytestmark = loadpin

requirement = pytest.mark.requirement
FILE = f"/proc/sys/{SYSCTL.replace('.', '/')}"
NEVER = ("2", "-1", "256", "4294967297", "yes", "0x2")


def check_refused(guest: Guest, root: Task, *values: str) -> None:
    """Each is EINVAL, and leaves the value alone."""
    before = guest.sysctl(SYSCTL)
    for value in values:
        assert root.write_text(FILE, value) == EINVAL, value
        assert guest.sysctl(SYSCTL) == before


# Before a pin


@ENFORCING
@requirement("loadpin.sysctl")
def test_is_there_from_boot_on(guest: Guest) -> None:
    """root may write it, everyone may read it, and nobody else may open it for writing."""
    assert guest.init.mode(FILE) == 0o644
    somebody = guest.spawn("somebody")
    assert somebody.content(FILE) == b"1\n"
    assert somebody.open(FILE, O_WRONLY) == EACCES


@ENFORCING
@requirement("loadpin.sysctl-before", "loadpin.sysctl-values")
def test_before_a_pin_enforcement_stays_on(guest: Guest) -> None:
    """1 is accepted and 0 is not."""
    root = administrator(guest)
    check_refused(guest, root, "0", *NEVER)
    assert root.write_text(FILE, "1") == OK


@NOT_ENFORCING
@requirement("loadpin.sysctl-before", "loadpin.sysctl-values")
def test_before_a_pin_enforcement_is_switched_on_only(guest: Guest) -> None:
    """0 is not accepted although it is what is there; after 1 there is no way back, and LoadPin enforces."""
    root = administrator(guest)
    check_refused(guest, root, "0", *NEVER)
    assert root.write_text(FILE, "1") == OK
    check_refused(guest, root, "0", *NEVER)
    assert probe(guest, root, PINNED) == ENOEXEC
    assert probe(guest, root, OTHER) == EPERM


@NOT_ENFORCING
@requirement("loadpin.sysctl-closed")
def test_before_a_pin_nothing_is_taken(guest: Guest) -> None:
    """What is there is not either; behind a pin on a writable device everything is."""
    root = administrator(guest)
    check_refused(guest, root, "0", "1", *NEVER)
    assert probe(guest, root, OTHER) == ENOEXEC
    assert root.write_text(FILE, "1") == OK
    assert probe(guest, root, PINNED) == EPERM


# With a pin


@ENFORCING
@requirement("loadpin.sysctl-read-only", "loadpin.sysctl-values")
def test_a_read_only_device_keeps_enforcement_on(guest: Guest) -> None:
    """After the pin as before: never 0."""
    root = pinned_scene(guest)
    check_refused(guest, root, "0", *NEVER)
    assert probe(guest, root, OTHER) == EPERM


@NOT_ENFORCING
@requirement("loadpin.sysctl-read-only", "loadpin.sysctl-values")
def test_a_read_only_device_lets_enforcement_be_switched_on(guest: Guest) -> None:
    """It can be, and counts at once, and then for ever."""
    root = pinned_scene(guest)
    assert probe(guest, root, OTHER) == ENOEXEC
    check_refused(guest, root, "0", *NEVER)
    assert root.write_text(FILE, "1") == OK
    assert probe(guest, root, OTHER) == EPERM
    check_refused(guest, root, "0", *NEVER)


@ENFORCING
@requirement("loadpin.sysctl-closed")
def test_a_read_only_device_leaves_enforcement_on(guest: Guest) -> None:
    root = pinned_scene(guest)
    check_refused(guest, root, "0", "1", *NEVER)
    assert probe(guest, root, OTHER) == EPERM


@NOT_ENFORCING
@requirement("loadpin.sysctl-closed")
def test_a_read_only_device_leaves_enforcement_off(guest: Guest) -> None:
    root = pinned_scene(guest)
    check_refused(guest, root, "0", "1", *NEVER)
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
    """Off and on, each counting for the next load; the pin itself stays."""
    root = administrator(guest)
    directory = pin(root)
    assert probe(guest, root, directory) == ENOEXEC
    ear = Ear(guest)
    for _ in range(2):
        check_refused(guest, root, *NEVER)
        assert root.write_text(FILE, "0") == OK
        assert probe(guest, root, PINNED) == ENOEXEC
        assert ear.news() == [line(probed(guest), "pinning-ignored", f"{PINNED}/junk", root)]
        assert root.write_text(FILE, "1") == OK
        assert probe(guest, root, PINNED) == EPERM
        assert ear.news() == [line(probed(guest), "denied", f"{PINNED}/junk", root)]
        assert probe(guest, root, directory) == ENOEXEC
        assert ear.news() == []


# When the device is asked


@ENFORCING
@requirement("loadpin.read-only")
def test_a_device_set_read_only_after_the_pin(guest: Guest) -> None:
    """blockdev --setro comes too late: LoadPin has seen a writable device, and can be switched off still."""
    root = administrator(guest)
    assert probe(guest, root, OTHER) == ENOEXEC
    assert root.set_read_only("/dev/vdb", True) == OK
    assert probe(guest, root, OTHER) == ENOEXEC
    assert root.write_text(FILE, "0") == OK


@ENFORCING
@requirement("loadpin.read-only", "loadpin.sysctl")
def test_a_device_set_writable_after_the_pin(guest: Guest) -> None:
    """blockdev --setrw comes too late as well."""
    root = administrator(guest)
    assert root.set_read_only("/dev/vdb", True) == OK
    assert probe(guest, root, OTHER) == ENOEXEC
    assert root.set_read_only("/dev/vdb", False) == OK
    assert probe(guest, root, OTHER) == ENOEXEC
    check_refused(guest, root, "0")


@ENFORCING
@requirement("loadpin.read-only")
def test_a_mount_is_not_a_device(guest: Guest) -> None:
    """Remounting read-only or writable, before the pin and after it, changes nothing."""
    root = guest.root()
    root.mount("/dev/vdb", OTHER, "ext2").result()
    root.call("mount", None, OTHER, None, MS_REMOUNT | MS_RDONLY, None, shown="remount read-only").result()
    assert probe(guest, root, OTHER) == ENOEXEC
    assert root.write_text(FILE, "0") == OK
    root.call("mount", None, OTHER, None, MS_REMOUNT, None, shown="remount writable").result()
    assert root.write_text(FILE, "1") == OK
