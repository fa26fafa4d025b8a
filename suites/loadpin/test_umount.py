# SPDX-License-Identifier: GPL-2.0-or-later
"""The pinned file system goes away: permanently while LoadPin enforces, with a new pin possible while it does not.

What counts is the end of the superblock.  It comes with the last mount and the last open file, when umount() or
close() returns to the program or a little later, so the tests wait for what LoadPin then logs or does.
"""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import EINVAL, ENOEXEC, EPERM, OK
from guests.promises import breaks
from guests.task import Task
from guests.uapi import MS_RDONLY
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    NOT_ENFORCING,
    OTHER,
    PINNED,
    SYSCTL,
    UNMOUNTED,
    LogReader,
    boot,
    line,
    loadpin,
    needs,
    probe,
    probe_kind,
    root_after_pin,
    root_before_pin,
    verity,
)
from suites.loadpin.support.load_kinds import (
    FILE_LOADS,
    KEXEC_FILE,
    KEXEC_IMAGE,
    KEXEC_INITRAMFS,
    KEXEC_LOAD,
    MEMORY_LOADS,
    FileLoad,
    MemoryLoad,
    prepare,
)
from suites.loadpin.support.verified_devices import check_trusted, check_untrusted, mount_verified, trust

pytestmark = loadpin

requirement = pytest.mark.requirement
SYSCTL_FILE = "/proc/sys/kernel/loadpin/enforce"


def unmount_pinned(guest: Guest, root: Task, where: str = PINNED) -> None:
    """Unmount while LoadPin enforces, and wait until it has noticed."""
    root.umount(where).result()
    with breaks("loadpin.umount"):
        guest.wait_for_log(f"LoadPin: {UNMOUNTED}")


def mount_pinned(root: Task) -> None:
    root.mount("/dev/vda", PINNED, "squashfs", MS_RDONLY).result()


# While enforcing


@ENFORCING
@requirement("loadpin.umount")
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, id=f"{kind.id}-is-denied", marks=kind.marks) for kind in FILE_LOADS]
)
def test_everything_is_denied_after_the_unmount(guest: Guest, kind: FileLoad) -> None:
    """After the unmount, nothing loads any more, neither from another disk nor from the same disk mounted again."""
    root = root_after_pin(guest)
    prepare(guest, kind, root)
    with breaks(kind.about("loadpin.umount")):
        assert kind.load(root, PINNED) == OK
        kind.check_and_unload(guest, root)
    unmount_pinned(guest, root)
    mount_pinned(root)
    log = LogReader(guest)
    for directory in (OTHER, PINNED):
        with breaks(kind.about("loadpin.umount")):
            assert kind.load(root, directory) == kind.refused
            # An initramfs is loaded with an image, which is denied first.
            denied = KEXEC_IMAGE.line("denied", PINNED, root) if kind is KEXEC_INITRAMFS else None
            assert log.new_lines() == [denied or kind.line("denied", directory, root)]


@ENFORCING
@requirement("loadpin.umount", "loadpin.old-api")
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, id=f"{kind.id}-is-denied", marks=kind.marks) for kind in MEMORY_LOADS]
)
def test_loads_from_memory_are_denied_after_the_unmount(guest: Guest, kind: MemoryLoad) -> None:
    """A load without a file is denied as before: the missing pin does not let it through."""
    root = root_after_pin(guest)
    unmount_pinned(guest, root)
    log = LogReader(guest)
    with breaks("loadpin.old-api"):
        assert kind.load(guest, root) == EPERM
        assert log.new_lines() == [kind.line("old-api-denied", root)]


@ENFORCING
@requirement("loadpin.umount")
def test_no_new_pin_after_the_unmount(guest: Guest) -> None:
    """After the unmount, no load pins again, however often it is tried."""
    root = root_after_pin(guest)
    log = LogReader(guest)
    unmount_pinned(guest, root)
    assert log.new_lines() == [UNMOUNTED]
    for _ in range(3):
        assert probe(guest, root, OTHER) == EPERM
        assert log.new_lines() == [line(probe_kind(guest), "denied", f"{OTHER}/junk", root)]


@verity
@ENFORCING
@requirement("loadpin.umount", "loadpin.verity-umount")
def test_trusted_devices_are_denied_after_the_unmount(guest: Guest) -> None:
    """A device with a trusted digest, allowed until the unmount, is denied after it."""
    root = root_after_pin(guest)
    trust(root)
    mount_verified(guest, root, 2)
    with breaks("loadpin.verity-umount"):
        check_trusted(guest, root)
    unmount_pinned(guest, root)
    with breaks("loadpin.verity-umount"):
        check_untrusted(guest, root)


@KEXEC_FILE
@needs("KEXEC", "IMA", "IMA_WRITE_POLICY")
@boot("loadpin.enforce=1", "loadpin.exclude=kexec-image")
@requirement("loadpin.umount", "loadpin.exclude", "loadpin.exclude-old-api")
def test_excluded_kinds_load_after_the_unmount(guest: Guest) -> None:
    """After the unmount, excluded kinds still load."""
    root = root_before_pin(guest)
    root.load_policy(f"{PINNED}/policy").result()
    unmount_pinned(guest, root)
    with breaks("loadpin.umount"):
        assert root.load_policy(f"{OTHER}/policy") == EPERM
    with breaks("loadpin.exclude"):
        assert root.load_kernel(f"{OTHER}/image") == OK
        KEXEC_IMAGE.check_and_unload(guest, root)
    with breaks("loadpin.exclude-old-api"):
        assert KEXEC_LOAD.load(guest, root) == OK
        KEXEC_LOAD.check_and_unload(guest, root)


@needs("SYSCTL")
@ENFORCING
@requirement("loadpin.umount", "loadpin.umount-ignored", "loadpin.sysctl-writable")
def test_enforcement_switched_off_after_the_unmount(guest: Guest) -> None:
    """After a writable device is unmounted, enforcement can be switched off, and everything loads, and on again."""
    root = root_before_pin(guest)
    probe(guest, root, OTHER).require(ENOEXEC)
    unmount_pinned(guest, root, OTHER)
    with breaks("loadpin.sysctl-writable"):
        assert guest.write_file(SYSCTL_FILE, "0") == OK
    log = LogReader(guest)
    with breaks("loadpin.umount-ignored"):
        for _ in range(2):
            assert probe(guest, root, PINNED) == ENOEXEC
            assert log.new_lines() == [line(probe_kind(guest), "pinning-ignored", f"{PINNED}/junk", root)]
    with breaks("loadpin.sysctl-writable"):
        assert guest.write_file(SYSCTL_FILE, "1") == OK
    with breaks("loadpin.umount"):
        assert probe(guest, root, PINNED) == EPERM
        assert log.new_lines() == [line(probe_kind(guest), "denied", f"{PINNED}/junk", root)]


@needs("SYSCTL")
@ENFORCING
@requirement("loadpin.umount", "loadpin.umount-sysctl")
def test_enforcement_not_switched_off_after_the_unmount(guest: Guest) -> None:
    """After a read-only device is unmounted, enforcement cannot be switched off; mounted again, it stays denied."""
    root = root_after_pin(guest)
    unmount_pinned(guest, root)
    mount_pinned(root)
    with breaks("loadpin.umount-sysctl"):
        assert guest.write_file(SYSCTL_FILE, "0") == EINVAL
        assert guest.sysctl(SYSCTL) == "1"
    with breaks("loadpin.umount"):
        assert probe(guest, root, PINNED) == EPERM


@needs("SYSCTL")
@NOT_ENFORCING
@requirement("loadpin.umount", "loadpin.sysctl-read-only")
def test_enforcement_switched_on_before_the_unmount(guest: Guest) -> None:
    """What counts is whether LoadPin enforces at the time of the unmount."""
    root = root_after_pin(guest)
    with breaks("loadpin.sysctl-read-only"):
        assert guest.write_file(SYSCTL_FILE, "1") == OK
    unmount_pinned(guest, root)
    log = LogReader(guest)
    with breaks("loadpin.umount"):
        assert probe(guest, root, OTHER) == EPERM
        assert log.new_lines() == [line(probe_kind(guest), "denied", f"{OTHER}/junk", root)]


# While not enforcing


@needs("SYSCTL")
@NOT_ENFORCING
@requirement("loadpin.umount-reset")
def test_the_next_load_pins_again(guest: Guest) -> None:
    """While LoadPin does not enforce, the unmount is not logged, and the next load pins as if it were the first."""
    root = root_after_pin(guest)
    log = LogReader(guest)
    root.umount(PINNED).result()
    check_new_pin(guest, root, log, OTHER)
    mount_pinned(root)
    assert probe(guest, root, PINNED) == ENOEXEC
    assert log.new_lines() == [line(probe_kind(guest), "pinning-ignored", f"{PINNED}/junk", root)]
    guest.set_sysctl(SYSCTL, 1)
    assert probe(guest, root, PINNED) == EPERM
    assert probe(guest, root, OTHER) == ENOEXEC


@needs("SYSCTL")
@NOT_ENFORCING
@requirement("loadpin.umount-reset", "loadpin.sysctl-writable")
def test_the_new_pin_decides_about_the_sysctl(guest: Guest) -> None:
    """From a read-only device to a writable one and back, the sysctl follows the device of the latest pin."""
    root = root_after_pin(guest)
    log = LogReader(guest)
    root.umount(PINNED).result()
    check_new_pin(guest, root, log, OTHER)
    with breaks("loadpin.sysctl-writable"):
        assert guest.write_file(SYSCTL_FILE, "1") == OK
        assert guest.write_file(SYSCTL_FILE, "0") == OK
    root.umount(OTHER).result()
    mount_pinned(root)
    check_new_pin(guest, root, log, PINNED)
    with breaks("loadpin.umount-reset"):
        assert guest.write_file(SYSCTL_FILE, "0") == EINVAL


def check_new_pin(guest: Guest, root: Task, log: LogReader, directory: str) -> None:
    """Load until the old superblock is gone and this one is pinned: each load is ignored, or pins."""
    pinned = line(probe_kind(guest), "pinned", f"{directory}/junk", root)
    ignored = line(probe_kind(guest), "pinning-ignored", f"{directory}/junk", root)

    def check_load() -> bool:
        assert probe(guest, root, directory) == ENOEXEC
        *before, last = log.new_lines() or [""]
        assert last in (ignored, pinned)
        assert not before or last == pinned
        return last == pinned

    with breaks("loadpin.umount-reset"):
        guest.wait_until(check_load, "a load to pin anew")
