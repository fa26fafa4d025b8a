# SPDX-License-Identifier: GPL-2.0-or-later
"""Nothing remains in memory of loads: no names of the log lines, no image that was denied, no digest of a device.

Nor does anything of a file that cannot be read, of a policy that is not valid, of a table with an option twice, of a
compressed module, or of a kernel or firmware that another one has replaced.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace

import pytest

from guests.call_plan import Plan, run
from guests.guest import Guest
from guests.outcome import ENOEXEC, OK
from guests.syscalls.block_devices import SECTOR
from guests.syscalls.kernel_loads import FIRMWARE_PATH, IMA_POLICY, TEST_FIRMWARE
from guests.task import Task
from guests.uapi import AT_FDCWD, MODULE_INIT_COMPRESSED_FILE, O_WRONLY, KexecFile
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    FILES,
    NOT_ENFORCING,
    OTHER,
    PINNED,
    TMP,
    kernel_image,
    loadpin,
    modules,
    needs,
    root_after_pin,
    verity,
)
from suites.loadpin.support.load_kinds import FIRMWARE_WHOLE, KEXEC_FILE, prepare
from suites.loadpin.support.suspended_disk import SuspendedDisk
from suites.loadpin.support.verified_devices import mount_verified, trust, verity_of
from suites.slab_growth import SIZE_IS_EXACT, check_stops_growing

pytestmark = [
    loadpin,
    SIZE_IS_EXACT,
]

requirement = pytest.mark.requirement
NAME_SIZE = 900
"""Bytes of a path or a command line."""
PAGE_SIZE = 4096
"""The size of the smallest pages that a kernel has, of which a vmalloc() takes at least one."""
AT_A_TIME, TIMES = 64, 4
"""Denials, of which the log has room for the lines, and how often these are made in a period."""
TABLES, BLOCKS = 16, 25000
"""Tables that a period loads, each instead of the one before, and the blocks that each has hashes for."""
LOADS = 512
"""Loads of junk, about which the kernel logs a short line each, at a time."""


def check_leaves_nothing(
    guest: Guest,
    root: Task,
    plan: Plan,
    results: list[str],
    leak_bytes: int,
    *,
    count: int = AT_A_TIME,
    times: int = TIMES,
    total: str = "SUnreclaim",
    at_a_time: int = 1,
) -> None:
    """Make a plan's calls, `count` at a time, which have these results; each may leak `leak_bytes`, and must not.

    The log is read after each time, because it has room for the lines of one.  A period has so many times.
    """

    def attempt() -> None:
        for _ in range(times):
            assert run(root, plan, count) == [{result: count} for result in results]
            guest.log()

    check_stops_growing(guest, attempt, times * count * leak_bytes, total=total, at_a_time=at_a_time)


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

    check_leaves_nothing(guest, root, plan, ["EPERM"], NAME_SIZE)


@KEXEC_FILE
@ENFORCING
@requirement("loadpin.no-leak-image")
def test_images(guest: Guest) -> None:
    """Many kernels whose initramfs is denied leave none of their images, which the kernel has read before."""
    root = root_after_pin(guest)
    image, initramfs = root.open(f"{PINNED}/image").result(), root.open(f"{OTHER}/initramfs").result()
    plan = Plan(root.slot)
    plan.call("kexec_file_load", image, initramfs, 0, 0, 0)

    check_leaves_nothing(guest, root, plan, ["EPERM"], len(kernel_image()), times=1, total="VmallocUsed")


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

    image = len(kernel_image())
    check_leaves_nothing(guest, root, plan, ["EIO"], image, count=LOADS, times=1, total="VmallocUsed")


@KEXEC_FILE
@ENFORCING
@requirement("loadpin.no-leak-replaced")
def test_images_that_are_replaced(guest: Guest) -> None:
    """Many kernels, each of which takes the place of the one before, leave nothing of that."""
    root = root_after_pin(guest)
    image = root.open(f"{PINNED}/image").result()
    plan = Plan(root.slot)
    plan.call("kexec_file_load", image, -1, 0, 0, KexecFile.NO_INITRAMFS)

    check_leaves_nothing(guest, root, plan, ["OK"], len(kernel_image()), times=1, total="MemFree")


@needs("FW_LOADER", "TEST_FIRMWARE")
@ENFORCING
@requirement("loadpin.no-leak-firmware")
@pytest.mark.parametrize(
    ("directory", "result", "total"),
    [
        pytest.param(PINNED, "OK", "VmallocUsed", id="content-of-the-firmware-before"),
        pytest.param(OTHER, "ENOENT", "SUnreclaim", id="path-of-denied-firmware"),
    ],
)
def test_firmware(guest: Guest, directory: str, result: str, total: str) -> None:
    """Many requests leave no firmware that the driver has released, and no path at which firmware was denied."""
    root = root_after_pin(guest)
    prepare(guest, FIRMWARE_WHOLE, root)
    root.write_text(FIRMWARE_PATH, directory).result()
    trigger = root.open(f"{TEST_FIRMWARE}/trigger_request", O_WRONLY).result()
    plan = Plan(root.slot)
    plan.call("write", trigger, root.store(b"firmware"), len(b"firmware"))

    check_leaves_nothing(guest, root, plan, [result], PAGE_SIZE, total=total)


@modules
@needs("MODULE_DECOMPRESS", "MODULE_COMPRESS_GZIP")
@NOT_ENFORCING
@requirement("loadpin.no-leak-compressed")
def test_compressed_modules(guest: Guest) -> None:
    """Many modules that the kernel decompresses leave nothing of the compressed files."""
    root = guest.root()
    guest.upload(f"{TMP}/junk.gz", gzip.compress(dict(FILES)["junk"], mtime=0))
    junk = root.open(f"{TMP}/junk.gz").result()
    plan = Plan(root.slot)
    plan.call("finit_module", junk, root.store(b"\0"), MODULE_INIT_COMPRESSED_FILE)

    check_leaves_nothing(guest, root, plan, ["ENOEXEC"], PAGE_SIZE, total="VmallocUsed")


@needs("IMA", "IMA_WRITE_POLICY")
@NOT_ENFORCING
@requirement("loadpin.no-leak-policy")
@pytest.mark.parametrize(
    ("leak_bytes", "total"),
    [
        pytest.param(NAME_SIZE, "SUnreclaim", id="names"),
        pytest.param(PAGE_SIZE, "VmallocUsed", id="content"),
    ],
)
def test_policies_that_are_refused(guest: Guest, leak_bytes: int, total: str) -> None:
    """Many policies with an invalid line leave none of the names in the valid lines before it, and no content."""
    root, path = guest.root(), f"{TMP}/policy"
    guest.upload(path, b"measure func=FILE_CHECK fsname=" + b"x" * NAME_SIZE + b"\ninvalid\n")
    plan = Plan(root.slot)
    policy = plan.call("openat", AT_FDCWD, root.store(IMA_POLICY.encode() + b"\0"), O_WRONLY, 0)
    plan.call("write", policy, root.store(path.encode()), len(path))
    plan.call("close", policy)

    check_leaves_nothing(guest, root, plan, ["OK", "EINVAL", "OK"], leak_bytes, total=total)


@verity
@ENFORCING
@requirement("loadpin.no-leak-verity")
def test_options_of_verity(guest: Guest) -> None:
    """Many tables with an option three times leave none of the bits, one for each block, that it takes."""
    root = guest.root()
    root.create_dm("repeated")
    large = replace(verity_of(guest, 2), data_blocks=BLOCKS, hash_start=0)
    table = replace(large.target("/dev/vdb", *("check_at_most_once",) * 3), length=large.block_size // SECTOR)

    def attempt() -> None:
        for _ in range(TABLES):
            assert root.load_table("repeated", table) == OK

    check_stops_growing(guest, attempt, TABLES * 2 * BLOCKS // 8)


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

    check_leaves_nothing(guest, root, plan, ["ENOEXEC"], 32, count=LOADS, at_a_time=2)
