# SPDX-License-Identifier: GPL-2.0-or-later
"""What the first pin logs about the device, and what counts as read-only."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.guest import Guest
from guests.outcome import ENOEXEC
from guests.promises import breaks
from guests.task import Task
from guests.uapi import MS_RDONLY
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    ENGAGED,
    FILES,
    NO_DEVICE,
    OTHER,
    PINNED,
    TMP,
    LogReader,
    device_line,
    line,
    loadpin,
    needs,
    probe,
    probe_kind,
    root_before_pin,
)
from suites.loadpin.support.verified_devices import mount_verified

pytestmark = loadpin

requirement = pytest.mark.requirement


def a_read_only_disk(_: Guest, _root: Task) -> tuple[str, str]:
    return PINNED, "vda"


def a_read_only_disk_set_writable(_: Guest, root: Task) -> tuple[str, str]:
    """The disk itself is read-only, whatever it is set to (blockdev --setrw)."""
    root.set_read_only("/dev/vda", False).result()
    return PINNED, "vda"


def a_writable_disk(_: Guest, _root: Task) -> tuple[str, str]:
    """The file system is mounted read-only, but its device is writable."""
    return OTHER, "vdb"


def a_writable_disk_mounted_writable(_: Guest, root: Task) -> tuple[str, str]:
    root.umount(OTHER).result()
    root.mount("/dev/vdb", OTHER, "ext2").result()
    return OTHER, "vdb"


def a_disk_set_read_only(_: Guest, root: Task) -> tuple[str, str]:
    """The disk is set read-only (blockdev --setro) after it was mounted."""
    root.set_read_only("/dev/vdb", True).result()
    return OTHER, "vdb"


def a_disk_set_read_only_and_back(_: Guest, root: Task) -> tuple[str, str]:
    root.set_read_only("/dev/vdb", True).result()
    root.set_read_only("/dev/vdb", False).result()
    return OTHER, "vdb"


def a_read_only_loop_device(_: Guest, root: Task) -> tuple[str, str]:
    """A read-only loop device over a writable disk."""
    root.umount(OTHER).result()
    loop = root.attach_loop("/dev/vdb", read_only=True)
    root.mount(loop, OTHER, "ext2", MS_RDONLY).result()
    return OTHER, loop.removeprefix("/dev/")


def a_writable_loop_device(_: Guest, root: Task) -> tuple[str, str]:
    root.umount(OTHER).result()
    loop = root.attach_loop("/dev/vdb")
    root.mount(loop, OTHER, "ext2", MS_RDONLY).result()
    return OTHER, loop.removeprefix("/dev/")


def a_partition(guest: Guest, root: Task) -> tuple[str, str]:
    """A partition of the writable disk that has all of it."""
    partition = whole_partition(guest, root)
    root.mount(partition, OTHER, "ext2", MS_RDONLY).result()
    return OTHER, "vdb1"


def a_partition_set_read_only(guest: Guest, root: Task) -> tuple[str, str]:
    """The partition is set read-only, and its disk is writable."""
    partition = whole_partition(guest, root)
    root.set_read_only(partition, True).result()
    root.mount(partition, OTHER, "ext2", MS_RDONLY).result()
    return OTHER, "vdb1"


def a_partition_of_a_disk_set_read_only(guest: Guest, root: Task) -> tuple[str, str]:
    """The whole disk is set read-only, and with it the partition."""
    partition = whole_partition(guest, root)
    root.set_read_only("/dev/vdb", True).result()
    root.mount(partition, OTHER, "ext2", MS_RDONLY).result()
    return OTHER, "vdb1"


def whole_partition(guest: Guest, root: Task) -> str:
    root.umount(OTHER).result()
    sectors = int(guest.read_file("/sys/class/block/vdb/size"))
    return root.add_partition("/dev/vdb", 1, start=0, length=sectors)


def a_verified_disk(guest: Guest, root: Task) -> tuple[str, str]:
    return mount_verified(guest, root, 2), "dm-0"


def a_tmpfs(guest: Guest, _: Task) -> tuple[str, str]:
    guest.upload(f"{TMP}/junk", dict(FILES)["junk"])
    return TMP, ""


def the_initramfs(guest: Guest, _: Task) -> tuple[str, str]:
    guest.upload("/junk", dict(FILES)["junk"])
    return "", ""


def an_overlay(_: Guest, root: Task) -> tuple[str, str]:
    """An overlay over a read-only disk."""
    root.mkdir("/empty").result()
    root.mount("overlay", "/overlay", "overlay", MS_RDONLY, f"lowerdir={PINNED}:/empty").result()
    return "/overlay", ""


Make = Callable[[Guest, Task], tuple[str, str]]
LOOP, DM, OVERLAY = needs("BLK_DEV_LOOP"), needs("DM_VERITY"), needs("OVERLAY_FS")


@ENFORCING
@requirement("loadpin.device", "loadpin.read-only")
@pytest.mark.parametrize(
    ("make", "state"),
    [
        pytest.param(a_read_only_disk, "read-only", id="read-only-disk"),
        pytest.param(a_read_only_disk_set_writable, "read-only", id="read-only-disk-set-writable"),
        pytest.param(a_writable_disk, "writable", id="writable-disk-mounted-read-only"),
        pytest.param(a_writable_disk_mounted_writable, "writable", id="writable-disk"),
        pytest.param(a_disk_set_read_only, "read-only", id="disk-set-read-only"),
        pytest.param(a_disk_set_read_only_and_back, "writable", id="disk-set-read-only-and-back"),
        pytest.param(a_read_only_loop_device, "read-only", id="read-only-loop-over-a-writable-disk", marks=LOOP),
        pytest.param(a_writable_loop_device, "writable", id="writable-loop-device", marks=LOOP),
        pytest.param(a_partition, "writable", id="partition"),
        pytest.param(a_partition_set_read_only, "read-only", id="partition-set-read-only"),
        pytest.param(a_partition_of_a_disk_set_read_only, "read-only", id="partition-of-a-disk-set-read-only"),
        pytest.param(a_verified_disk, "read-only", id="verified-disk", marks=DM),
        pytest.param(a_tmpfs, None, id="tmpfs"),
        pytest.param(the_initramfs, None, id="initramfs"),
        pytest.param(an_overlay, None, id="overlay-over-a-read-only-disk", marks=OVERLAY),
    ],
)
def test_log_of_the_device(guest: Guest, make: Make, state: str | None) -> None:
    """The first pin logs the device's name, numbers and own writability, or that there is no device."""
    root = root_before_pin(guest)
    directory, disk = make(guest, root)
    log = LogReader(guest)
    about = NO_DEVICE if state is None else device_line(guest, disk, state)
    opposite = device_line(guest, disk, {"writable": "read-only", "read-only": "writable"}[state]) if state else ""
    engaged = [ENGAGED] if state == "read-only" else []
    with breaks("loadpin.device"):
        assert probe(guest, root, directory) == ENOEXEC
    logged = log.new_lines()
    # To have the device's state wrong is one thing, to log it in other words another.
    with breaks("loadpin.read-only"):
        assert logged[:1] != [opposite]
    with breaks("loadpin.device"):
        assert logged == [about, *engaged, line(probe_kind(guest), "pinned", f"{directory}/junk", root)]
