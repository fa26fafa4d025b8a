# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices with a hash tree (dm-verity): trusting one by a list of digests, mounting it, and whether it is trusted."""

from __future__ import annotations

from guests.guest import Guest
from guests.outcome import ENOEXEC, EPERM, Outcome
from guests.syscalls.block_devices import Verity
from guests.task import Task
from guests.uapi import LOADPIN_SET_TRUSTED_DIGESTS, MS_RDONLY
from suites.loadpin.support.disks_and_log import DM_VERITY, PINNED, VERIFIED, LogReader, line, probe, probe_kind


def verity_of(guest: Guest, disk: int) -> Verity:
    """The hash tree of a disk: 0 is /dev/vda."""
    found = guest.template.machine.disks[disk].verity
    if found is None:
        raise ValueError(f"disk {disk} has no hash tree")
    return found


def set_digests(root: Task, path: str) -> Outcome:
    """Set the root digests that LoadPin is to trust, by the file that lists them."""
    fd = root.open(path).result()
    done = set_digests_of(root, fd, shown=f'set_digests("{path}")')
    root.close(fd)
    return done


def set_digests_of(root: Task, fd: int, *, shown: str = "") -> Outcome:
    interface = root.open(DM_VERITY).result()
    argument = root.abi.pack("I", fd & 0xFFFFFFFF)
    done = root.call("ioctl", interface, LOADPIN_SET_TRUSTED_DIGESTS, argument, shown=shown or f"set_digests({fd})")
    root.close(interface)
    return done


def trust(root: Task) -> None:
    """Trust the disk whose digest is in the pinned disk's list."""
    set_digests(root, f"{PINNED}/digests").result()


def mount_verified(guest: Guest, root: Task, disk: int, *options: str, at: str = VERIFIED) -> str:
    """Mount a disk through dm-verity and return the mount point.  `options` are the kernel's verity options."""
    raw = f"/dev/vd{'abcd'[disk]}"
    device = root.create_mapped(at.strip("/"), verity_of(guest, disk).target(raw, *options))
    root.mount(device, at, "squashfs", MS_RDONLY).result()
    return at


def check_trusted(guest: Guest, root: Task, directory: str = VERIFIED) -> None:
    """A file on a trusted device loads without a log line."""
    log = LogReader(guest)
    assert probe(guest, root, directory) == ENOEXEC
    assert log.new_lines() == []


def check_untrusted(guest: Guest, root: Task, directory: str = VERIFIED) -> None:
    """A file on a device that is not trusted is denied like one on any other superblock."""
    log = LogReader(guest)
    assert probe(guest, root, directory) == EPERM
    assert log.new_lines() == [line(probe_kind(guest), "denied", f"{directory}/junk", root)]
