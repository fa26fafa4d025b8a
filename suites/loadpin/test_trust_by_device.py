# SPDX-License-Identifier: GPL-2.0-or-later
"""What else decides about the trust in a device: its response to corruption, its layers, and its table."""

from __future__ import annotations

import hashlib

import pytest

from guests.errors import require
from guests.guest import Guest
from guests.outcome import EINVAL, EIO, ENOEXEC, OK
from guests.promises import breaks
from guests.syscalls.block_devices import SECTOR, DmTarget
from guests.task import Task
from guests.uapi import MS_RDONLY, O_WRONLY
from guests.vm.disk_images import DiskPlan
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    FILES,
    PINNED,
    TMP,
    VERIFIED,
    LogReader,
    copy_files,
    loadpin,
    needs,
    probe,
    root_after_pin,
    verity,
)
from suites.loadpin.support.verified_devices import check_trusted, check_untrusted, mount_verified, trust, verity_of

pytestmark = [loadpin, verity]

requirement = pytest.mark.requirement


# Corrupt data

UNREADABLE = requirement("loadpin.verity-error-mode")


@ENFORCING
@requirement("loadpin.verity-mode")
@pytest.mark.parametrize(
    ("options", "trusted"),
    [
        pytest.param((), True, id="error-trusted"),
        pytest.param(("restart_on_corruption",), True, id="restart-trusted"),
        pytest.param(("panic_on_corruption",), True, id="panic-trusted"),
        pytest.param(("ignore_zero_blocks",), True, id="zero-blocks-not-verified-trusted"),
        pytest.param(("check_at_most_once",), True, id="verified-once-trusted"),
        pytest.param(("ignore_corruption",), False, id="ignored-not-trusted"),
        pytest.param(("ignore_corruption", "check_at_most_once"), False, id="ignored-and-once-not-trusted"),
        pytest.param(("panic_on_error",), True, id="panic-if-unreadable-trusted", marks=UNREADABLE),
        pytest.param(
            ("ignore_corruption", "panic_on_error"),
            False,
            id="ignored-and-panic-if-unreadable-not-trusted",
            marks=UNREADABLE,
        ),
    ],
)
def test_trust_by_corruption_mode(guest: Guest, options: tuple[str, ...], trusted: bool) -> None:
    """A device that would let corrupt data pass is not trusted, although its digest is in the list."""
    root = root_after_pin(guest, other=False)
    trust(root)
    mount_verified(guest, root, 2, *options)
    if trusted:
        check_trusted(guest, root)
    else:
        check_untrusted(guest, root)


@ENFORCING
@requirement("loadpin.verity-one-mode")
def test_two_responses_to_corruption(guest: Guest) -> None:
    """A table that asks for more than one response to corruption, or twice for the same, is rejected."""
    root, tree = guest.root(), verity_of(guest, 2)
    root.create_dm("two")
    modes = ("ignore_corruption", "restart_on_corruption", "panic_on_corruption")
    for first in modes:
        assert root.load_table("two", tree.target("/dev/vdc", first)) == OK
        for second in modes:
            assert root.load_table("two", tree.target("/dev/vdc", first, second)) == EINVAL


NOISE = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(256)) * 2
CORRUPTIBLE = DiskPlan("squashfs", files=(("junk", NOISE),), salt="22" * 32)
WITH_ITS_DIGEST = DiskPlan("squashfs", files=FILES, read_only=True, trusts=(CORRUPTIBLE,))
CORRUPT = pytest.mark.boot("loadpin.enforce=1", disks=(WITH_ITS_DIGEST, CORRUPTIBLE))
OPTIONS = ((), ("check_at_most_once",), ("try_verify_in_tasklet",))


@CORRUPT
@requirement("loadpin.verity-corrupt", "loadpin.verity-trusted")
@pytest.mark.parametrize("options", OPTIONS, ids=["verified-each-time", "verified-once", "verified-at-once"])
@pytest.mark.parametrize(
    "corrupt",
    [pytest.param(False, id="sound-loads"), pytest.param(True, id="corrupt-is-EIO")],
)
def test_a_corrupt_trusted_device(guest: Guest, corrupt: bool, options: tuple[str, ...]) -> None:
    """LoadPin accepts a corrupt file on a trusted device, and dm-verity fails its read, time after time."""
    root = guest.root()
    root.mount("/dev/vda", PINNED, "squashfs", MS_RDONLY).result()
    trust(root)
    if corrupt:
        corrupt_files(root, "/dev/vdb")
        # Without verification, the file can be read: squashfs does not notice.
        root.mount("/dev/vdb", "/raw", "squashfs", MS_RDONLY).result()
        require(root.content("/raw/junk", 8192) != NOISE[:8192], "the file on /dev/vdb is not corrupt")
        root.umount("/raw").result()
    device = root.create_mapped("verified", verity_of(guest, 1).target("/dev/vdb", *options))
    log = LogReader(guest)
    for _ in range(2):
        root.mount(device, VERIFIED, "squashfs", MS_RDONLY).result()
        done = probe(guest, root, VERIFIED)
        with breaks("loadpin.verity-trusted"):
            assert log.new_lines() == []
        with breaks("loadpin.verity-corrupt"):
            assert done == (EIO if corrupt else ENOEXEC)
        root.umount(VERIFIED).result()


def corrupt_files(root: Task, device: str) -> None:
    """Change bytes in the second block: squashfs stores the contents of files first and its tables after them."""
    disk = root.open(device, O_WRONLY).result()
    root.call("pwrite64", disk, bytes(16), 16, 4096 + 512).result()
    root.call("fsync", disk).result()
    root.close(disk).result()


# Devices above a trusted one, and of several targets


def trusted_below(guest: Guest, root: Task) -> str:
    """A device that is trusted while it is mounted itself, and then free for another device on top of it."""
    below = root.create_mapped("below", verity_of(guest, 2).target("/dev/vdc"))
    root.mount(below, "/below", "squashfs", MS_RDONLY).result()
    probe(guest, root, "/below").require(ENOEXEC)
    root.umount("/below").result()
    return below


@needs("BLK_DEV_DM")
@ENFORCING
@requirement("loadpin.verity-above")
def test_a_linear_device_above_a_trusted_one(guest: Guest) -> None:
    """A linear device above a trusted one reads the same verified bytes, but is not trusted."""
    root = root_after_pin(guest, other=False)
    trust(root)
    tree = verity_of(guest, 2)
    below = trusted_below(guest, root)
    above = root.create_mapped(
        "above", DmTarget(tree.data_blocks * tree.block_size // SECTOR, "linear", f"{below} 0")
    )
    root.mount(above, "/above", "squashfs", MS_RDONLY).result()
    check_untrusted(guest, root, "/above")


@needs("BLK_DEV_LOOP")
@ENFORCING
@requirement("loadpin.verity-above")
def test_a_loop_device_above_a_trusted_one(guest: Guest) -> None:
    """A loop device above a trusted one, which is not a mapped device at all, is not trusted."""
    root = root_after_pin(guest, other=False)
    trust(root)
    below = trusted_below(guest, root)
    loop = root.attach_loop(below, read_only=True)
    root.mount(loop, "/above", "squashfs", MS_RDONLY).result()
    check_untrusted(guest, root, "/above")


@needs("OVERLAY_FS")
@ENFORCING
@requirement("loadpin.verity-above")
def test_an_overlay_above_a_trusted_device(guest: Guest) -> None:
    """An overlay above a trusted device has no device itself, so it is not trusted."""
    root = root_after_pin(guest, other=False)
    trust(root)
    mount_verified(guest, root, 2)
    root.mkdir("/empty").result()
    root.mount("overlay", "/above", "overlay", MS_RDONLY, f"lowerdir={VERIFIED}:/empty").result()
    check_trusted(guest, root)
    check_untrusted(guest, root, "/above")


@ENFORCING
@requirement("loadpin.verity-mixed")
def test_a_table_of_two_targets(guest: Guest) -> None:
    """A verity target cannot share a table with another target: no device is trusted for a part of it."""
    root = guest.root()
    whole, linear = verity_of(guest, 2).target("/dev/vdc"), DmTarget(8, "linear", "/dev/vdc 0")
    root.create_dm("two")
    for alone in (whole, linear):
        assert root.load_table("two", alone) == OK
    assert root.load_table("two", whole, moved(linear, whole.length)) == EINVAL
    assert root.load_table("two", linear, moved(whole, linear.length)) == EINVAL


@ENFORCING
@requirement("loadpin.verity-alone")
def test_a_table_of_two_verity_targets(guest: Guest) -> None:
    """Either of two verity targets forms a device alone; a table of both is rejected."""
    root = guest.root()
    first, second = verity_of(guest, 2).target("/dev/vdc"), verity_of(guest, 3).target("/dev/vdd")
    root.create_dm("two")
    assert root.load_table("two", first, moved(second, first.length)) == EINVAL
    assert root.load_table("two", first) == OK
    assert root.load_table("two", second) == OK


@ENFORCING
@requirement("loadpin.verity-several")
def test_a_device_of_two_verity_targets(guest: Guest) -> None:
    """A device of two verity targets is not trusted, even if its first target alone would be."""
    root = root_after_pin(guest, other=False)
    trust(root)
    mount_verified(guest, root, 2)
    check_trusted(guest, root)
    first, second = verity_of(guest, 2).target("/dev/vdc"), verity_of(guest, 3).target("/dev/vdd")
    both = root.create_mapped("both", first, moved(second, first.length))
    root.mount(both, "/both", "squashfs", MS_RDONLY).result()
    check_untrusted(guest, root, "/both")


@ENFORCING
@requirement("loadpin.verity-parts")
def test_a_device_of_two_linear_targets(guest: Guest) -> None:
    """A device that is put together from two parts is not trusted, although LoadPin trusts some devices."""
    root = root_after_pin(guest, other=False)
    trust(root)
    length = verity_of(guest, 2).target("/dev/vdc").length
    half = length // 2
    parts = DmTarget(half, "linear", "/dev/vdc 0"), DmTarget(length - half, "linear", f"/dev/vdc {half}", half)
    root.mount(root.create_mapped("both", *parts), "/both", "squashfs", MS_RDONLY).result()
    check_untrusted(guest, root, "/both")


def moved(target: DmTarget, start: int) -> DmTarget:
    return DmTarget(target.length, target.kind, target.parameters, start)


@ENFORCING
@requirement("loadpin.verity-deviceless")
@pytest.mark.parametrize("what", ["tmpfs", pytest.param("overlay", marks=needs("OVERLAY_FS"))])
def test_without_a_device(guest: Guest, what: str) -> None:
    """A file without a device is denied, and the kernel does not crash (it used to look up the missing device)."""
    root = root_after_pin(guest, other=False)
    trust(root)
    if what == "tmpfs":
        copy_files(root, TMP)
        check_untrusted(guest, root, TMP)
    else:
        root.mkdir("/empty").result()
        root.mount("overlay", "/overlay", "overlay", MS_RDONLY, f"lowerdir={PINNED}:/empty").result()
        check_untrusted(guest, root, "/overlay")


# Replacing a table


@needs("BLK_DEV_DM")
@ENFORCING
@requirement("loadpin.verity-replaced")
def test_verity_is_not_replaced_by_another_target(guest: Guest) -> None:
    """A verity table cannot be replaced by another target (CVE-2022-2503); the device stays as it is, and trusted."""
    root = root_after_pin(guest, other=False)
    trust(root)
    mount_verified(guest, root, 2)
    tree = verity_of(guest, 2)
    linear = DmTarget(tree.data_blocks * tree.block_size // SECTOR, "linear", "/dev/vdd 0")
    root.create_dm("other")
    root.load_table("other", linear).result()
    assert root.load_table("verified", linear) == EINVAL
    root.suspend_dm("verified").result()
    root.resume_dm("verified").result()
    check_trusted(guest, root)


@needs("BLK_DEV_DM")
@ENFORCING
@requirement("loadpin.verity-replaced", "loadpin.verity-untrusted")
def test_another_digest_ends_the_trust(guest: Guest) -> None:
    """The live table counts: a table with another digest takes effect when the device resumes, and not before."""
    root = root_after_pin(guest, other=False)
    trust(root)
    mount_verified(guest, root, 2)
    with breaks("loadpin.verity-replaced"):
        check_trusted(guest, root)
        root.load_table("verified", verity_of(guest, 3).target("/dev/vdd")).result()
        check_trusted(guest, root)
    root.suspend_dm("verified").result()
    root.resume_dm("verified").result()
    with breaks("loadpin.verity-untrusted"):
        check_untrusted(guest, root)
