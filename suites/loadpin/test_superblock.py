# SPDX-License-Identifier: GPL-2.0-or-later
"""What counts as the pinned superblock, and what as another one."""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import ENOEXEC, EPERM, OK
from guests.promises import breaks
from guests.task import Task
from guests.uapi import AT_FDCWD, MS_PRIVATE, MS_RDONLY, MS_REC, Clone
from guests.vm.disk_images import DiskPlan
from guests.vm.kernel_modules import read_module
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    FILES,
    MODULE,
    NO_DEVICE,
    NOT_ENFORCING,
    OTHER,
    PINNED,
    READ_ONLY,
    TMP,
    LogReader,
    line,
    loadpin,
    modules,
    needs,
    probe,
    probe_file,
    probe_kind,
    root_after_pin,
    root_before_pin,
)

pytestmark = loadpin

requirement = pytest.mark.requirement


@ENFORCING
@requirement("loadpin.same-superblock", "loadpin.deny")
def test_a_link_is_followed_to_its_file(guest: Guest) -> None:
    """A symlink elsewhere to a pinned file loads; a symlink beside pinned files to a file elsewhere does not."""
    root = root_before_pin(guest)
    guest.upload(f"{TMP}/junk", dict(FILES)["junk"])
    assert probe(guest, root, TMP) == ENOEXEC
    root.mkdir("/links").result()
    root.call("symlinkat", f"{TMP}/junk", AT_FDCWD, "/links/inward").result()
    root.call("symlinkat", f"{OTHER}/junk", AT_FDCWD, f"{TMP}/outward").result()
    log = LogReader(guest)
    with breaks("loadpin.same-superblock"):
        assert probe_file(guest, root, "/links/inward") == ENOEXEC
        assert log.new_lines() == []
    with breaks("loadpin.deny"):
        assert probe_file(guest, root, f"{TMP}/outward") == EPERM
        assert log.new_lines() == [line(probe_kind(guest), "denied", f"{OTHER}/junk", root)]


@ENFORCING
@requirement("loadpin.same-superblock", "loadpin.deny")
def test_a_bind_mount_of_one_file(guest: Guest) -> None:
    """A pinned file mounted over one elsewhere loads; a file from elsewhere mounted over a pinned one does not."""
    root = root_after_pin(guest)
    inward, outward = f"{TMP}/junk", f"{PINNED}/junk"
    guest.upload(inward, dict(FILES)["junk"])
    log = LogReader(guest)
    with breaks("loadpin.deny"):
        assert probe_file(guest, root, inward) == EPERM
        assert log.new_lines() == [line(probe_kind(guest), "denied", inward, root)]
    root.bind_mount(f"{PINNED}/junk", inward).result()
    root.bind_mount(f"{OTHER}/junk", outward).result()
    with breaks("loadpin.same-superblock"):
        assert probe_file(guest, root, inward) == ENOEXEC
        assert log.new_lines() == []
    with breaks("loadpin.deny"):
        assert probe_file(guest, root, outward) == EPERM
        assert log.new_lines() == [line(probe_kind(guest), "denied", outward, root)]


@ENFORCING
@requirement("loadpin.same-superblock", "loadpin.deny")
def test_another_mount_namespace(guest: Guest) -> None:
    """In another mount namespace, the pinned disk is still pinned, and another disk at the same path is not."""
    root = root_after_pin(guest)
    inside = root.spawn("inside", flags=Clone.NEWNS)
    inside.call("mount", None, "/", None, MS_REC | MS_PRIVATE, None, shown="make all mounts private").result()
    log = LogReader(guest)
    inside.mount("/dev/vda", "/its-own", "squashfs", MS_RDONLY).result()
    with breaks("loadpin.same-superblock"):
        assert probe(guest, inside, PINNED) == ENOEXEC
        assert probe(guest, inside, "/its-own") == ENOEXEC
        assert log.new_lines() == []
    inside.bind_mount(OTHER, PINNED).result()
    with breaks("loadpin.deny"):
        assert probe(guest, inside, PINNED) == EPERM
        assert log.new_lines() == [line(probe_kind(guest), "denied", f"{PINNED}/junk", inside)]
    with breaks("loadpin.same-superblock"):
        assert probe(guest, root, PINNED) == ENOEXEC


@needs("TMPFS")
@ENFORCING
@requirement("loadpin.superblock")
def test_two_tmpfs(guest: Guest) -> None:
    """With one tmpfs pinned, another tmpfs counts as a different superblock."""
    root = root_before_pin(guest)
    root.mount("tmpfs", "/second", "tmpfs").result()
    for directory in (TMP, "/second"):
        guest.upload(f"{directory}/junk", dict(FILES)["junk"])
    assert probe(guest, root, "/second") == ENOEXEC
    log = LogReader(guest)
    assert probe(guest, root, TMP) == EPERM
    assert log.new_lines() == [line(probe_kind(guest), "denied", f"{TMP}/junk", root)]
    assert probe(guest, root, "/second") == ENOEXEC


@ENFORCING
@requirement("loadpin.superblock")
def test_two_partitions(guest: Guest) -> None:
    """With one partition pinned, another partition of the same disk counts as a different superblock."""
    root = guest.root()
    sectors = int(guest.read_file("/sys/class/block/vda/size"))
    for number in (1, 2):
        partition = root.add_partition("/dev/vdb", number, start=(number - 1) * sectors, length=sectors)
        root.copy_file("/dev/vda", partition)
        root.mount(partition, f"/partition{number}", "squashfs", MS_RDONLY).result()
    root.mount("/dev/vdb1", "/again", "squashfs", MS_RDONLY).result()
    assert probe(guest, root, "/partition1") == ENOEXEC
    log = LogReader(guest)
    assert probe(guest, root, "/partition2") == EPERM
    assert log.new_lines() == [line(probe_kind(guest), "denied", "/partition2/junk", root)]
    assert probe(guest, root, "/again") == ENOEXEC
    assert log.new_lines() == []


@modules
@ENFORCING
@requirement("loadpin.superblock")
def test_a_memfd(guest: Guest) -> None:
    """A memfd is on the kernel's internal tmpfs, not on the pinned superblock: it is denied."""
    root = root_after_pin(guest)
    file = root.memfd(read_module(guest.kernel, MODULE))
    log = LogReader(guest)
    assert root.finit_module(file) == EPERM
    assert log.new_lines() == [line("kernel-module", "denied", "/memfd:memfd (deleted)", root)]


@modules
@NOT_ENFORCING
@requirement("loadpin.superblock")
def test_a_memfd_while_not_enforcing(guest: Guest) -> None:
    """While LoadPin does not enforce, a module in a memfd loads, and the log says that the pin was ignored."""
    root = root_after_pin(guest)
    file = root.memfd(read_module(guest.kernel, MODULE))
    log = LogReader(guest)
    assert root.finit_module(file) == OK
    assert log.new_lines() == [line("kernel-module", "pinning-ignored", "/memfd:memfd (deleted)", root)]
    assert root.unload_module(MODULE) == OK


SHARE = DiskPlan("9p", files=FILES)
SHARED = pytest.mark.boot("loadpin.enforce=1", disks=(READ_ONLY, SHARE))
has_9p = needs("9P_FS", "NET_9P_VIRTIO")


@has_9p
@SHARED
@requirement("loadpin.superblock")
def test_a_share_beside_the_pinned_disk(guest: Guest) -> None:
    """With a disk pinned, a file from a 9p share of the host is denied."""
    root = guest.root()
    root.mount("/dev/vda", PINNED, "squashfs", MS_RDONLY).result()
    mount_share(root)
    assert probe(guest, root, PINNED) == ENOEXEC
    log = LogReader(guest)
    assert probe(guest, root, "/share") == EPERM
    assert log.new_lines() == [line(probe_kind(guest), "denied", "/share/junk", root)]


@has_9p
@SHARED
@requirement("loadpin.superblock", "loadpin.device")
def test_a_pinned_share(guest: Guest) -> None:
    """A pinned 9p share has no block device, which LoadPin logs; the disk is a different superblock."""
    root = guest.root()
    root.mount("/dev/vda", PINNED, "squashfs", MS_RDONLY).result()
    mount_share(root)
    log = LogReader(guest)
    assert probe(guest, root, "/share") == ENOEXEC
    with breaks("loadpin.device"):
        assert log.new_lines() == [NO_DEVICE, line(probe_kind(guest), "pinned", "/share/junk", root)]
    with breaks("loadpin.superblock"):
        assert probe(guest, root, PINNED) == EPERM
        assert log.new_lines() == [line(probe_kind(guest), "denied", f"{PINNED}/junk", root)]


def mount_share(root: Task) -> None:
    root.mount("disk1", "/share", "9p", MS_RDONLY, "trans=virtio,version=9p2000.L").result()
