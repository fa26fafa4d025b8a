# SPDX-License-Identifier: GPL-2.0-or-later
"""Which devices are trusted once there is a list: those that verify what they read against a digest in the list."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from guests.guest import Guest
from guests.outcome import EBUSY, EINVAL, EIO, ENOEXEC, EPERM, OK
from guests.syscalls.block_devices import SECTOR, DmTarget
from guests.task import Task
from guests.uapi import MS_RDONLY, O_WRONLY
from guests.vm.disk_images import DIGESTS_HEADER, DiskPlan, digest_list
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    FILES,
    NOT_ENFORCING,
    OTHER,
    PINNED,
    TMP,
    VERIFIED,
    LogReader,
    boot,
    copy_files,
    line,
    loadpin,
    mount_verified,
    needs,
    probe,
    probe_kind,
    root_after_pin,
    root_before_pin,
    set_digests,
    trust,
    verity,
    verity_of,
)

pytestmark = [loadpin, verity]

requirement = pytest.mark.requirement


def denied(guest: Guest, root: Task, directory: str) -> list[str]:
    return [line(probe_kind(guest), "denied", f"{directory}/junk", root)]


def check_trusted(guest: Guest, root: Task, directory: str = VERIFIED) -> None:
    log = LogReader(guest)
    assert probe(guest, root, directory) == ENOEXEC
    assert log.new_lines() == []


def check_untrusted(guest: Guest, root: Task, directory: str = VERIFIED) -> None:
    log = LogReader(guest)
    assert probe(guest, root, directory) == EPERM
    assert log.new_lines() == denied(guest, root, directory)


# Trust by the list


@ENFORCING
@requirement("loadpin.verity-trusted")
def test_a_trusted_device_does_not_move_the_pin(guest: Guest) -> None:
    """Loads from a trusted device do not move the pin: the pinned disk still loads, other disks are still denied."""
    root = root_after_pin(guest)
    trust(root)
    mount_verified(guest, root, 2)
    for _ in range(2):
        check_trusted(guest, root)
        check_trusted(guest, root, PINNED)
        check_untrusted(guest, root, OTHER)


@ENFORCING
@requirement("loadpin.verity-untrusted", "loadpin.verity-trusted")
def test_a_device_is_trusted_once_the_list_is_set(guest: Guest) -> None:
    """A device mounted before the list is set is denied until then; one with another digest stays denied."""
    root = root_after_pin(guest, other=False)
    mount_verified(guest, root, 2)
    mount_verified(guest, root, 3, at="/untrusted")
    check_untrusted(guest, root)
    trust(root)
    check_trusted(guest, root)
    check_untrusted(guest, root, "/untrusted")


@boot("loadpin.enforce=1", "loadpin.exclude=security-policy")
@requirement("loadpin.pin", "loadpin.deny", "loadpin.verity-trusted")
def test_a_trusted_device_can_be_pinned(guest: Guest) -> None:
    """If the list is excluded and pins nothing, a device that it trusts can pin, and other disks are denied."""
    root = root_before_pin(guest)
    trust(root)
    mount_verified(guest, root, 2)
    log = LogReader(guest)
    assert probe(guest, root, VERIFIED) == ENOEXEC
    assert log.last() == line(probe_kind(guest), "pinned", f"{VERIFIED}/junk", root)
    check_trusted(guest, root)
    check_untrusted(guest, root, OTHER)
    check_untrusted(guest, root, PINNED)


@ENFORCING
@requirement("loadpin.verity-removable")
def test_a_trusted_device_can_be_removed(guest: Guest) -> None:
    """A trusted device can be removed once it is unmounted: loads from it leave no reference that would hold it."""
    root = root_after_pin(guest, other=False)
    trust(root)
    mount_verified(guest, root, 2)
    for _ in range(3):
        check_trusted(guest, root)
    assert root.remove_dm("verified") == EBUSY
    assert root.umount(VERIFIED) == OK
    guest.wait_until(lambda: root.remove_dm("verified") == OK, "the device to be released")


@NOT_ENFORCING
@requirement("loadpin.verity-trusted", "loadpin.ignore")
def test_while_not_enforcing(guest: Guest) -> None:
    """While LoadPin does not enforce, it logs nothing for a trusted device, and an ignored pin for another."""
    root = root_after_pin(guest, other=False)
    trust(root)
    mount_verified(guest, root, 2)
    mount_verified(guest, root, 3, at="/untrusted")
    check_trusted(guest, root)
    log = LogReader(guest)
    assert probe(guest, root, "/untrusted") == ENOEXEC
    assert log.new_lines() == [line(probe_kind(guest), "pinning-ignored", "/untrusted/junk", root)]


def changed(digest: str, position: int) -> str:
    """The digest with a different digit at one position."""
    index = position % len(digest)
    return digest[:index] + ("0" if digest[index] != "0" else "1") + digest[index + 1 :]


# fmt: off
LISTS: tuple[tuple[str, str, bool], ...] = (
    #  the list has ...                 its lines (D: the device's own digest)        trusted
    ("it-alone",                        "D",                                          True),
    ("it-first",                        "D A B",                                      True),
    ("it-in-the-middle",                "A D B",                                      True),
    ("it-last",                         "A B D",                                      True),
    ("it-after-its-beginning",          "first-half D",                               True),
    ("others-only",                     "A B",                                        False),
    ("its-first-half",                  "first-half",                                 False),
    ("its-second-half",                 "second-half",                                False),
    ("it-without-its-last-byte",        "without-last-byte",                          False),
    ("it-with-a-byte-more",             "with-a-byte-more",                           False),
    ("it-with-another-first-digit",     "other-first-digit",                          False),
    ("it-with-another-middle-digit",    "other-middle-digit",                         False),
    ("it-with-another-last-digit",      "other-last-digit",                           False),
)
# fmt: on


@ENFORCING
@requirement("loadpin.verity-digest")
@pytest.mark.parametrize(
    ("words", "trusted"),
    [
        pytest.param(words, trusted, id=f"{name}-{'trusted' if trusted else 'not-trusted'}")
        for name, words, trusted in LISTS
    ],
)
def test_the_whole_digest_must_match(guest: Guest, words: str, trusted: bool) -> None:
    """A device is trusted only if a digest in the list matches its own in every byte and in length."""
    digest = verity_of(guest, 2).root_digest
    half = len(digest) // 2
    spelled = {
        "D": digest,
        "A": "ab" * 32,
        "B": "cd" * 32,
        "first-half": digest[:half],
        "second-half": digest[half:],
        "without-last-byte": digest[:-2],
        "with-a-byte-more": f"{digest}00",
        "other-first-digit": changed(digest, 0),
        "other-middle-digit": changed(digest, half),
        "other-last-digit": changed(digest, -1),
    }
    root = guest.root()
    text = "\n".join([DIGESTS_HEADER, *(spelled[word] for word in words.split()), ""])
    guest.upload(f"{TMP}/digests", text.encode())
    assert set_digests(root, f"{TMP}/digests") == OK
    mount_verified(guest, root, 2)
    if trusted:
        check_trusted(guest, root)
    else:
        check_untrusted(guest, root)


@ENFORCING
@requirement("loadpin.verity-digest")
def test_a_digest_is_compared_beyond_a_zero_byte(guest: Guest) -> None:
    """A digest is compared beyond a zero byte: it is not a C string.

    A device's root digest is whatever its table says, and data already in the page cache is not verified again: so
    the test reads the file before it gives the device digests that are not its own.
    """
    listed, other = "ab00" + "cd" * 30, "ab00" + "ef" * 30
    root = guest.root()
    guest.upload(f"{TMP}/digests", digest_list(listed))
    assert set_digests(root, f"{TMP}/digests") == OK
    mount_verified(guest, root, 2)
    root.read(root.open(f"{VERIFIED}/junk").result()).result()
    replace_digest(guest, root, other)
    check_untrusted(guest, root)
    replace_digest(guest, root, listed)
    check_trusted(guest, root)


def replace_digest(guest: Guest, root: Task, digest: str) -> None:
    table = dataclasses.replace(verity_of(guest, 2), root_digest=digest).target("/dev/vdc")
    root.load_table("verified", table).result()
    root.suspend_dm("verified").result()
    root.resume_dm("verified").result()


# Trust by what the device does with corrupt data


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


NOISE = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(256)) * 2
CORRUPTIBLE = DiskPlan("squashfs", files=(("junk", NOISE),), salt="22" * 32)
WITH_ITS_DIGEST = DiskPlan("squashfs", files=FILES, read_only=True, trusts=(CORRUPTIBLE,))
CORRUPT = pytest.mark.boot("loadpin.enforce=1", disks=(WITH_ITS_DIGEST, CORRUPTIBLE))


@CORRUPT
@requirement("loadpin.verity-corrupt", "loadpin.verity-trusted")
@pytest.mark.parametrize(
    "corrupt",
    [pytest.param(False, id="sound-loads"), pytest.param(True, id="corrupt-is-EIO")],
)
def test_a_corrupt_trusted_device(guest: Guest, corrupt: bool) -> None:
    """LoadPin accepts a corrupt file on a trusted device, and dm-verity fails its read."""
    root = guest.root()
    root.mount("/dev/vda", PINNED, "squashfs", MS_RDONLY).result()
    trust(root)
    if corrupt:
        corrupt_files(root, "/dev/vdb")
    root.mount(
        root.create_mapped("verified", verity_of(guest, 1).target("/dev/vdb")), VERIFIED, "squashfs", MS_RDONLY
    ).result()
    log = LogReader(guest)
    assert probe(guest, root, VERIFIED) == (EIO if corrupt else ENOEXEC)
    assert log.new_lines() == []


def corrupt_files(root: Task, device: str) -> None:
    """Change bytes in the second block: squashfs stores the contents of files first and its tables after them."""
    disk = root.open(device, O_WRONLY).result()
    root.call("pwrite64", disk, bytes(16), 16, 4096 + 512).result()
    root.call("fsync", disk).result()
    root.close(disk).result()


# Trust by what the device is


@needs("BLK_DEV_DM")
@ENFORCING
@requirement("loadpin.verity-above")
def test_a_linear_device_above_a_trusted_one(guest: Guest) -> None:
    """A linear device above a trusted one reads the same verified bytes, but is not trusted."""
    root = root_after_pin(guest, other=False)
    trust(root)
    tree = verity_of(guest, 2)
    below = root.create_mapped("below", tree.target("/dev/vdc"))
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
    below = root.create_mapped("below", verity_of(guest, 2).target("/dev/vdc"))
    root.attach_loop("/dev/loop0", below, read_only=True).result()
    root.mount("/dev/loop0", "/above", "squashfs", MS_RDONLY).result()
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
@requirement("loadpin.verity-above")
def test_a_table_of_two_targets(guest: Guest) -> None:
    """A verity target cannot share a table with another target: no device is trusted for a part of it."""
    root = root_after_pin(guest, other=False)
    trust(root)
    whole = verity_of(guest, 2).target("/dev/vdc")
    root.create_dm("two")
    assert root.load_table("two", whole, DmTarget(8, "linear", "/dev/vdc 0", start=whole.length)) == EINVAL
    assert root.load_table("two", DmTarget(8, "linear", "/dev/vdc 0"), moved(whole, 8)) == EINVAL


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


def moved(target: DmTarget, start: int) -> DmTarget:
    return DmTarget(target.length, target.kind, target.parameters, start)


@ENFORCING
@requirement("loadpin.verity-deviceless")
@pytest.mark.parametrize("what", ["tmpfs", "overlay"])
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
    assert root.load_table("verified", linear) == EINVAL
    guest.wait_for_log("device-mapper: ioctl: can't replace immutable target type verity")
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
    check_trusted(guest, root)
    root.load_table("verified", verity_of(guest, 3).target("/dev/vdd")).result()
    check_trusted(guest, root)
    root.suspend_dm("verified").result()
    root.resume_dm("verified").result()
    check_untrusted(guest, root)
