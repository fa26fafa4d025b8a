# SPDX-License-Identifier: GPL-2.0-or-later
"""Nothing remains in memory of loads: no names of the log lines, no image that was denied, no digest of a device.

Nor does anything of a file that could not be read, or of a policy that is not valid.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.call_plan import Plan, run
from guests.guest import Guest
from guests.outcome import ENOEXEC
from guests.task import Task
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    NOT_ENFORCING,
    OTHER,
    PINNED,
    kernel_image,
    loadpin,
    modules,
    needs,
    root_after_pin,
    verity,
)
from suites.loadpin.support.load_kinds import KEXEC_FILE
from suites.loadpin.support.suspended_disk import SuspendedDisk
from suites.loadpin.support.verified_devices import mount_verified, trust
from suites.slab_growth import SIZE_IS_EXACT, check_stops_growing

pytestmark = [
    loadpin,
    SIZE_IS_EXACT,
]

requirement = pytest.mark.requirement
NAME_SIZE = 900
"""Bytes of a path or a command line."""
AT_A_TIME, TIMES = 64, 4
"""Denials, of which the log has room for the lines, and how often these are made in a period."""
LOADS = 512
"""Loads of junk, about which the kernel logs a short line each, at a time."""


def at_long_path(root: Task) -> str:
    """A directory with a long path, where the disk that is not pinned is mounted a second time."""
    path = "/tmp"  # noqa: S108 - the guest's
    for letter in "abcd":
        path += "/" + letter * (NAME_SIZE // 4)
        root.mkdir(path).result()
    root.bind_mount(OTHER, path).result()
    return path


def with_long_command_line(root: Task) -> str:
    """Give the task one; returns the directory that it loads from."""
    root.execute_again("x" * NAME_SIZE).result()
    return OTHER


@modules
@ENFORCING
@requirement("loadpin.no-leak")
@pytest.mark.parametrize("prepare", [at_long_path, with_long_command_line], ids=["path", "command-line"])
def test_names(guest: Guest, prepare: Callable[[Task], str]) -> None:
    """Many denials leave no copy of a path or a command line."""
    root = root_after_pin(guest)
    junk = root.open(f"{prepare(root)}/junk").result()
    plan = Plan(root.slot)
    plan.call("finit_module", junk, root.store(b"\0"), 0)

    def attempt() -> None:
        for _ in range(TIMES):
            assert run(root, plan, AT_A_TIME) == [{"EPERM": AT_A_TIME}]
            guest.log()

    check_stops_growing(guest, attempt, TIMES * AT_A_TIME * NAME_SIZE)


@KEXEC_FILE
@ENFORCING
@requirement("loadpin.no-leak-image")
def test_images(guest: Guest) -> None:
    """Many kernels whose initramfs is denied leave none of their images, which the kernel has read before."""
    root = root_after_pin(guest)
    image, initramfs = root.open(f"{PINNED}/image").result(), root.open(f"{OTHER}/initramfs").result()
    plan = Plan(root.slot)
    plan.call("kexec_file_load", image, initramfs, 0, 0, 0)

    def attempt() -> None:
        assert run(root, plan, AT_A_TIME) == [{"EPERM": AT_A_TIME}]
        guest.log()

    check_stops_growing(guest, attempt, AT_A_TIME * len(kernel_image()), total="VmallocUsed")


@modules
@needs("BLK_DEV_DM")
@NOT_ENFORCING
@requirement("loadpin.no-leak-unreadable")
def test_files_that_cannot_be_read(guest: Guest) -> None:
    """Many loads from a disk that fails leave none of the buffers that the kernel has allocated for their files."""
    root = guest.root()
    disk = SuspendedDisk(guest, root)
    readable, unreadable = (root.open(f"{disk.directory}/{name}").result() for name in ("junk", "image"))
    assert root.finit_module(readable) == ENOEXEC
    with disk:
        disk.fail()
    plan = Plan(root.slot)
    plan.call("finit_module", unreadable, root.store(b"\0"), 0)

    def attempt() -> None:
        assert run(root, plan, LOADS) == [{"EIO": LOADS}]
        guest.log()

    check_stops_growing(guest, attempt, LOADS * len(kernel_image()), total="VmallocUsed")


@modules
@verity
@ENFORCING
@requirement("loadpin.no-leak-trusted")
def test_digests(guest: Guest) -> None:
    """Many loads from a trusted device leave no copy of its digest."""
    root = root_after_pin(guest, other=False)
    trust(root)
    junk = root.open(f"{mount_verified(guest, root, 2)}/junk").result()
    plan = Plan(root.slot)
    plan.call("finit_module", junk, root.store(b"\0"), 0)

    def attempt() -> None:
        for _ in range(TIMES):
            assert run(root, plan, LOADS) == [{"ENOEXEC": LOADS}]
            guest.log()

    check_stops_growing(guest, attempt, TIMES * LOADS * 32, at_a_time=2)
