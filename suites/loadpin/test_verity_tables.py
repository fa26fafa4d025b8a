# SPDX-License-Identifier: GPL-2.0-or-later
"""What dm-verity itself demands of a device: a hash tree that is sound at all levels, and that nobody can write."""

from __future__ import annotations

import hashlib

import pytest

from guests.call_arguments import Out
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EINVAL, EIO, OK, Outcome, returned
from guests.syscalls.block_devices import Verity
from guests.task import Task
from guests.uapi import O_RDWR
from guests.vm.disk_images import DiskPlan
from suites.loadpin.support.disks_and_log import ENFORCING, loadpin, verity
from suites.loadpin.support.verified_devices import verity_of

pytestmark = [loadpin, verity]

requirement = pytest.mark.requirement
SIZE, DIGEST = Verity.block_size, 32
"""Bytes of a block and of a SHA-256."""
PER_BLOCK = SIZE // DIGEST
"""Digests in a block of the hash tree."""
LONG = DiskPlan("squashfs", files=(("long", b"".join(bytes([1 + n]) * SIZE for n in range(160))),), salt="33" * 32)
"""A disk of more blocks than one block of the hash tree has digests for, so that the tree has two levels."""
FORGED, NEXT, ELSEWHERE = 20, 21, 140
"""Blocks, the first two of which have their digests in the same block of the lowest level."""


@pytest.mark.boot("loadpin.enforce=1", disks=(LONG,))
@requirement("loadpin.verity-levels")
def test_a_block_that_is_forged_with_its_digest(guest: Guest) -> None:
    """A forged block whose digest was forged too cannot be read, nor can others with digests in that block."""
    root, tree = guest.root(), verity_of(guest, 0)
    require(PER_BLOCK < tree.data_blocks <= PER_BLOCK**2, f"the tree of {tree.data_blocks} blocks has no two levels")
    blocks = (FORGED, NEXT, ELSEWHERE)
    device = root.create_mapped("sound", tree.target("/dev/vda"))
    for block in blocks:
        assert read_block(root, device, block) == returned(SIZE)
    root.remove_dm("sound").result()
    forge(root, tree, FORGED)
    device = root.create_mapped("forged", tree.target("/dev/vda"))
    for block in blocks:
        assert read_block(root, device, block) == (returned(SIZE) if block == ELSEWHERE else EIO)


def read_block(root: Task, device: str, block: int) -> Outcome:
    disk = root.open(device).result()
    done = root.call("pread64", disk, Out(SIZE), SIZE, block * SIZE, shown=f'read("{device}", block {block})')
    root.close(disk).result()
    return done


def forge(root: Task, tree: Verity, block: int) -> None:
    """Change a block of /dev/vda, and its digest in the lowest level, which follows the root's block."""
    disk = root.open("/dev/vda", O_RDWR).result()
    place = (tree.hash_start + 1) * SIZE + block * DIGEST
    old = root.call("pread64", disk, Out(SIZE), SIZE, block * SIZE).read()
    digest = root.call("pread64", disk, Out(DIGEST), DIGEST, place).read()
    require(digest == digest_of(tree, old), f"the digest of block {block} is not where it is expected")
    new = bytes(SIZE)
    root.call("pwrite64", disk, new, SIZE, block * SIZE).require(returned(SIZE))
    root.call("pwrite64", disk, digest_of(tree, new), DIGEST, place).require(returned(DIGEST))
    root.call("fsync", disk).result()
    root.close(disk).result()


def digest_of(tree: Verity, block: bytes) -> bytes:
    return hashlib.sha256(bytes.fromhex(tree.salt) + block).digest()


@ENFORCING
@requirement("loadpin.verity-read-only")
def test_a_table_for_a_writable_device(guest: Guest) -> None:
    """The table of a verity device is accepted if the device is to be read-only, and only then."""
    root, table = guest.root(), verity_of(guest, 2).target("/dev/vdc")
    root.create_dm("verified")
    assert root.load_table("verified", table, read_only=False) == EINVAL
    assert root.load_table("verified", table) == OK
