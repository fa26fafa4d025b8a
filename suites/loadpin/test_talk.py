# SPDX-License-Identifier: GPL-2.0-or-later
"""LoadPin's scenarios from the talk, under the names used on its slides: a real module on a real block device."""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import EPERM, OK
from guests.promises import breaks
from guests.task import Task
from guests.uapi import MS_RDONLY
from guests.vm.disk_images import DiskPlan

MODULE = "test_module"
TRUSTED, TMP = f"/trusted/{MODULE}.ko", f"/tmp/{MODULE}.ko"  # noqa: S108 - in the guest, where /tmp is the point
MODULES = ((MODULE, "TEST_LKM"),)
READ_ONLY = DiskPlan("squashfs", modules=MODULES, read_only=True)
WRITABLE = DiskPlan("ext2", modules=MODULES)

pytestmark = pytest.mark.needs(
    "SECURITY_LOADPIN", "TEST_LKM", "VIRTIO_BLK", "SQUASHFS", "EXT2_FS or EXT4_USE_FOR_EXT2"
)


def boot(*disks: DiskPlan, enforce: int) -> pytest.MarkDecorator:
    return pytest.mark.boot(f"loadpin.enforce={enforce}", disks=disks)


def root_before_pin(guest: Guest, filesystem: str) -> Task:
    """root, with the disk at /trusted and a copy of its module in /tmp."""
    root = guest.root()
    root.mount("/dev/vda", "/trusted", filesystem, MS_RDONLY).result()
    root.copy_file(TRUSTED, TMP)
    return root


@boot(READ_ONLY, enforce=1)
@pytest.mark.requirement("loadpin.ready", "loadpin.pin", "loadpin.deny")
def test_trusted_and_tmp(guest: Guest) -> None:
    """The module on the trusted device loads; its identical copy in /tmp does not."""
    with breaks("loadpin.ready"):
        assert "LoadPin: ready to pin (currently enforcing)" in guest.boot_log
    root = root_before_pin(guest, "squashfs")
    with breaks("loadpin.pin"):
        assert root.load_module(TRUSTED) == OK
        guest.wait_for_log(f'LoadPin: kernel-module pinned obj="{TRUSTED}" pid={root.pid}')
        assert root.unload_module(MODULE) == OK
    with breaks("loadpin.deny"):
        assert root.load_module(TMP) == EPERM
        guest.wait_for_log(f'LoadPin: kernel-module denied obj="{TMP}" pid={root.pid}')


@boot(READ_ONLY, enforce=0)
@pytest.mark.requirement("loadpin.ready", "loadpin.pin", "loadpin.ignore")
def test_trusted_and_tmp_when_not_enforcing(guest: Guest) -> None:
    """Without enforcement, the copy in /tmp loads too, and the log says that the pin was ignored."""
    with breaks("loadpin.ready"):
        assert "LoadPin: ready to pin (currently not enforcing)" in guest.boot_log
    root = root_before_pin(guest, "squashfs")
    with breaks("loadpin.pin"):
        assert root.load_module(TRUSTED) == OK
        assert root.unload_module(MODULE) == OK
    with breaks("loadpin.ignore"):
        assert root.load_module(TMP) == OK
        guest.wait_for_log(f'LoadPin: kernel-module pinning-ignored obj="{TMP}" pid={root.pid}')


@boot(READ_ONLY, enforce=1)
@pytest.mark.requirement("loadpin.pin", "loadpin.deny")
def test_unload_and_reload(guest: Guest) -> None:
    """A refusal changes nothing: the module loads again from the pinned file system, and only from there."""
    root = root_before_pin(guest, "squashfs")
    for refusals in (1, 2):
        with breaks("loadpin.pin"):
            assert root.load_module(TRUSTED) == OK
            assert root.unload_module(MODULE) == OK
        with breaks("loadpin.deny"):
            assert root.load_module(TMP) == EPERM
            assert len([line for line in guest.log() if f'kernel-module denied obj="{TMP}"' in line]) == refusals


def device_states(guest: Guest) -> list[str]:
    """What LoadPin has logged about /dev/vda."""
    return [line.rpartition("): ")[2] for line in guest.log() if line.startswith("LoadPin: vda (")]


@boot(WRITABLE, enforce=1)
@pytest.mark.requirement("loadpin.writable")
def test_writable_warning(guest: Guest) -> None:
    """A file system on a writable device is pinned with a warning, although it is mounted read-only."""
    root = root_before_pin(guest, "ext2")
    assert root.load_module(TRUSTED) == OK
    assert device_states(guest) == ["writable"]
    assert "LoadPin: load pinning engaged." not in guest.log()


@boot(READ_ONLY, enforce=1)
@pytest.mark.requirement("loadpin.writable")
def test_no_warning_on_a_read_only_device(guest: Guest) -> None:
    """A file system on a read-only device is pinned without the warning, and the pin engages."""
    root = root_before_pin(guest, "squashfs")
    assert root.load_module(TRUSTED) == OK
    assert device_states(guest) == ["read-only"]
    assert "LoadPin: load pinning engaged." in guest.log()


@boot(READ_ONLY, enforce=1)
@pytest.mark.requirement("loadpin.umount", "loadpin.deny")
def test_unmount(guest: Guest) -> None:
    """Once the pinned file system is unmounted, nothing loads any more, not even from the same device remounted."""
    root = root_before_pin(guest, "squashfs")
    with breaks("loadpin.umount"):
        assert root.load_module(TRUSTED) == OK
        assert root.unload_module(MODULE) == OK
        root.umount("/trusted").result()
        guest.wait_for_log("LoadPin: umount pinned fs: refusing further loads")
        assert root.load_module(TMP) == EPERM
    with breaks("loadpin.deny"):
        guest.wait_for_log(f'LoadPin: kernel-module denied obj="{TMP}"')
    root.mount("/dev/vda", "/trusted", "squashfs", MS_RDONLY).result()
    with breaks("loadpin.umount"):
        assert root.load_module(TRUSTED) == EPERM
    with breaks("loadpin.deny"):
        guest.wait_for_log(f'LoadPin: kernel-module denied obj="{TRUSTED}"')
