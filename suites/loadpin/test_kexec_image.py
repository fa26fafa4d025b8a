# SPDX-License-Identifier: GPL-2.0-or-later
"""Images for kexec: the running kernel's own, and one that is loaded while others are refused."""

from __future__ import annotations

import errno

import pytest

from guests.guest import Guest
from guests.outcome import EBADF, EPERM, OK, Expected, error
from guests.promises import breaks
from guests.uapi import O_CREAT, O_WRONLY, KexecFile
from guests.vm.disk_images import DiskPlan
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    OTHER,
    PINNED,
    TMP,
    LogReader,
    line,
    loadpin,
    needs,
    root_after_pin,
    root_before_pin,
)
from suites.loadpin.support.load_kinds import KEXEC_FILE

pytestmark = loadpin

requirement = pytest.mark.requirement
KERNEL = DiskPlan("squashfs", kernel="vmlinuz", files=(("initramfs", b"an archive\n"),), read_only=True)
SAME_ON_EXT2 = DiskPlan("ext2", kernel="vmlinuz", files=(("initramfs", b"an archive\n"),))


@needs("KEXEC_FILE", "RELOCATABLE")
@pytest.mark.boot("loadpin.enforce=1", disks=(KERNEL, SAME_ON_EXT2))
@requirement("loadpin.real-kernel", "loadpin.deny")
def test_a_real_kernel(guest: Guest) -> None:
    """The running kernel's image loads for kexec with an initramfs, unloads, and is refused from another disk."""
    root = root_before_pin(guest)
    with breaks("loadpin.real-kernel"):
        assert root.load_kernel(f"{PINNED}/vmlinuz", f"{PINNED}/initramfs") == OK
        assert root.kernel_is_loaded()
        assert root.unload_kernel() == OK
        log = LogReader(guest)
        assert root.load_kernel(f"{OTHER}/vmlinuz", f"{PINNED}/initramfs") == EPERM
        assert log.new_lines() == [line("kexec-image", "denied", f"{OTHER}/vmlinuz", root)]
    with breaks("loadpin.deny"):
        assert root.load_kernel(f"{PINNED}/vmlinuz", f"{OTHER}/initramfs") == EPERM
        assert log.new_lines() == [line("kexec-initramfs", "denied", f"{OTHER}/initramfs", root)]
        assert not root.kernel_is_loaded()


@KEXEC_FILE
@ENFORCING
@requirement("loadpin.kexec-replaced")
def test_refused_files_replace_nothing(guest: Guest) -> None:
    """A kernel stays loaded while an image, and then an initramfs, is refused; unloading it is the control."""
    root = root_before_pin(guest)
    root.load_kernel(f"{PINNED}/image").result()
    root.load_kernel(f"{OTHER}/image").require(EPERM)
    assert root.kernel_is_loaded()
    root.load_kernel(f"{PINNED}/image", f"{OTHER}/initramfs").require(EPERM)
    assert root.kernel_is_loaded()
    root.unload_kernel().result()
    assert not root.kernel_is_loaded()


@KEXEC_FILE
@ENFORCING
@requirement("loadpin.kexec-initramfs")
def test_whether_there_is_an_initramfs(guest: Guest) -> None:
    """With a flag, there is no initramfs, whatever its descriptor; without it, the descriptor must be an open one."""
    root = root_after_pin(guest)
    image, initramfs = root.open(f"{PINNED}/image").result(), root.open(f"{OTHER}/initramfs").result()
    log = LogReader(guest)
    for not_open in (-1, 999):
        assert root.kexec_file_load(image, not_open) == EBADF
    assert log.new_lines() == []
    assert root.kexec_file_load(image, initramfs) == EPERM
    assert log.new_lines() == [line("kexec-initramfs", "denied", f"{OTHER}/initramfs", root)]
    assert not root.kernel_is_loaded()
    assert root.kexec_file_load(image, initramfs, KexecFile.NO_INITRAMFS) == OK
    assert log.new_lines() == []
    assert root.kernel_is_loaded()


@KEXEC_FILE
@ENFORCING
@requirement("loadpin.kexec-large")
@pytest.mark.parametrize(
    ("gib", "outcome", "denied"),
    [
        pytest.param(3, EPERM, True, id="3-GiB-denied"),
        pytest.param(5, error(errno.EFBIG), False, id="5-GiB-is-EFBIG-unlogged"),
    ],
)
def test_a_large_initramfs(guest: Guest, gib: int, outcome: Expected, denied: bool) -> None:
    """About an initramfs of up to 4 GiB, LoadPin is asked, before it is read; a longer one is too large."""
    root = root_after_pin(guest, other=False)
    path = f"{TMP}/large"
    large = root.open(path, O_WRONLY | O_CREAT).result()
    root.call("ftruncate", large, gib << 30).result()
    root.close(large).result()
    log = LogReader(guest)
    assert root.load_kernel(f"{PINNED}/image", path) == outcome
    assert log.new_lines() == [line("kexec-initramfs", "denied", path, root)] * denied


@KEXEC_FILE
@ENFORCING
@requirement("loadpin.kexec-debug")
def test_debug_messages(guest: Guest) -> None:
    """An image loads with the flag for debug messages, as `kexec -d` does."""
    root = root_before_pin(guest, other=False)
    assert root.load_kernel(f"{PINNED}/image", flags=KexecFile.DEBUG) == OK
    assert root.kernel_is_loaded()
