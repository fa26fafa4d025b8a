# SPDX-License-Identifier: GPL-2.0-or-later
"""The origins of a file, once the disk at /pinned is pinned: each is a function that creates one in a guest.

All origins hold the same files, byte for byte: when a load is refused, only the origin can be the reason.
"""

from __future__ import annotations

from guests.guest import Guest
from guests.task import Task
from guests.uapi import MS_RDONLY
from suites.loadpin.support.disks_and_log import OTHER, PINNED, TMP, copy_files, mount_other
from suites.loadpin.support.verified_devices import mount_verified, trust

# The pinned superblock


def pinned(_: Guest, _root: Task) -> str:
    return PINNED


def bind_mount(_: Guest, root: Task) -> str:
    root.bind_mount(PINNED, "/bound").result()
    return "/bound"


def second_mount(_: Guest, root: Task) -> str:
    """The same device mounted a second time: one superblock, two mounts."""
    root.mount("/dev/vda", "/again", "squashfs", MS_RDONLY).result()
    return "/again"


def moved_mount(_: Guest, root: Task) -> str:
    """The pinned disk's mount, moved elsewhere in the tree."""
    root.mkdir("/moved").result()
    root.call("mount", PINNED, "/moved", None, 0x2000, None, shown="mount --move").result()
    return "/moved"


# A device trusted by its digest


def trusted_verity(guest: Guest, root: Task) -> str:
    trust(root)
    return mount_verified(guest, root, 2)


# Other superblocks


def other_disk(_: Guest, root: Task) -> str:
    mount_other(root)
    return OTHER


def tmpfs(_: Guest, root: Task) -> str:
    """A file system without a block device."""
    copy_files(root, TMP)
    return TMP


def initramfs(_: Guest, root: Task) -> str:
    """The initial root file system, which init runs from."""
    root.mkdir("/initramfs").result()
    copy_files(root, "/initramfs")
    return "/initramfs"


def loop_over_the_pinned_disk(_: Guest, root: Task) -> str:
    """The very bytes of the pinned disk, but through another device and therefore another superblock."""
    loop = root.attach_loop("/dev/vda", read_only=True)
    root.mount(loop, "/looped", "squashfs", MS_RDONLY).result()
    return "/looped"


def overlay_over_the_pinned_disk(_: Guest, root: Task) -> str:
    """The very files of the pinned disk, but through a superblock without a device."""
    root.mkdir("/empty").result()
    root.mount("overlay", "/overlay", "overlay", MS_RDONLY, f"lowerdir={PINNED}:/empty").result()
    return "/overlay"


def untrusted_verity(guest: Guest, root: Task) -> str:
    """A verified device whose digest is not in the list of trusted digests."""
    trust(root)
    return mount_verified(guest, root, 3)


def verity_before_trust(guest: Guest, root: Task) -> str:
    """A verified device, while LoadPin has no list yet."""
    return mount_verified(guest, root, 2)


def trusted_disk_without_verity(_: Guest, root: Task) -> str:
    """The bytes of a trusted device, mounted without verification."""
    trust(root)
    root.mount("/dev/vdc", "/raw", "squashfs", MS_RDONLY).result()
    return "/raw"
