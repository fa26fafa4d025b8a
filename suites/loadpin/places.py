# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a file may come from, once the disk at /pinned is pinned: each place as a function that makes it in a guest.

All of them hold the same files, byte for byte: where one is refused, nothing but the place can be the reason.
"""

from __future__ import annotations

from guests.guest import Guest
from guests.numbers import MS_RDONLY
from guests.task import Task
from suites.loadpin.scenery import OTHER, PINNED, TMP, copy_files, mount_other, mount_verified, trust

# The pinned superblock


def pinned(_: Guest, _root: Task) -> str:
    return PINNED


def bind_mount(_: Guest, root: Task) -> str:
    root.bind_mount(PINNED, "/bound").result()
    return "/bound"


def second_mount(_: Guest, root: Task) -> str:
    """The same device mounted once more: one superblock, two mounts."""
    root.mount("/dev/vda", "/again", "squashfs", MS_RDONLY).result()
    return "/again"


def remounted(_: Guest, root: Task) -> str:
    """Moved to another place in the tree."""
    root.mkdir("/moved").result()
    root.call("mount", PINNED, "/moved", None, 0x2000, None, shown="mount --move").result()
    return "/moved"


# Trusted by its digest


def trusted_verity(guest: Guest, root: Task) -> str:
    trust(root)
    return mount_verified(guest, root, 2)


# Others


def other_disk(_: Guest, root: Task) -> str:
    mount_other(root)
    return OTHER


def tmpfs(_: Guest, root: Task) -> str:
    """A file system without a block device."""
    copy_files(root, TMP)
    return TMP


def initramfs(_: Guest, root: Task) -> str:
    """The kernel's first file system, which init runs from."""
    root.mkdir("/initramfs").result()
    copy_files(root, "/initramfs")
    return "/initramfs"


def loop_over_the_pinned_disk(_: Guest, root: Task) -> str:
    """The pinned disk's very bytes, but another device, hence another superblock."""
    root.attach_loop("/dev/loop0", "/dev/vda", read_only=True).result()
    root.mount("/dev/loop0", "/looped", "squashfs", MS_RDONLY).result()
    return "/looped"


def overlay_over_the_pinned_disk(_: Guest, root: Task) -> str:
    """The pinned disk's very files, but through a superblock without a device."""
    root.mkdir("/empty").result()
    root.mount("overlay", "/overlay", "overlay", MS_RDONLY, f"lowerdir={PINNED}:/empty").result()
    return "/overlay"


def untrusted_verity(guest: Guest, root: Task) -> str:
    """Verified, and the list of trusted digests has another's."""
    trust(root)
    return mount_verified(guest, root, 3)


def verity_before_trust(guest: Guest, root: Task) -> str:
    """Verified, and LoadPin has no list yet."""
    return mount_verified(guest, root, 2)


def trusted_disk_without_verity(_: Guest, root: Task) -> str:
    """The bytes of a trusted device, which nobody verifies."""
    trust(root)
    root.mount("/dev/vdc", "/raw", "squashfs", MS_RDONLY).result()
    return "/raw"
