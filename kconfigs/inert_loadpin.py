# SPDX-License-Identifier: GPL-2.0-or-later
"""What defeats LoadPin although it is built in: the functions that its rules in kconfigs/inert_features.py name.

Each yields a sentence for what it finds.  A LoadPin that never starts is another rule's matter.
"""

from __future__ import annotations

from collections.abc import Iterator

from common.text import printable
from kconfigs.initial_state import InitialState, number

KINDS = (
    "firmware",
    "kernel-module",
    "kexec-image",
    "kexec-initramfs",
    "security-policy",
    "x509-certificate",
    "kernel-module-compressed",
    "unknown",
)
"""What loadpin.exclude= may name (include/linux/kernel_read_file.h); the last but one is newer than 6.12."""

EXCLUDE_SINCE = (5, 3)
"""0ff9848067b7, security/loadpin: Allow to exclude specific file types."""

FILE_SYSTEMS = (
    *("EXT2_FS", "EXT3_FS", "EXT4_FS", "XFS_FS", "BTRFS_FS", "F2FS_FS", "JFS_FS", "REISERFS_FS", "BCACHEFS_FS"),
    *("EROFS_FS", "SQUASHFS", "CRAMFS", "ROMFS_FS", "ISO9660_FS", "UBIFS_FS", "JFFS2_FS"),
    *("NFS_FS", "CIFS", "9P_FS", "VIRTIO_FS"),
)
"""Of these, one must be built in to mount a root file system without an initramfs."""

DISKS = (
    *("BLK_DEV_SD", "BLK_DEV_NVME", "VIRTIO_BLK", "MMC_BLOCK", "XEN_BLKDEV_FRONTEND", "BLK_DEV_SR", "BLK_DEV_PMEM"),
    *("MTD_BLOCK", "MTD_UBI", "ROOT_NFS", "CIFS_ROOT", "NET_9P_VIRTIO", "VIRTIO_FS"),
)
"""Of these, too; the last ones reach a file system without a disk."""


def enforcement_is_off(state: InitialState) -> Iterator[str]:
    plain, off = state.without_command_line.loadpin_enforces(), state.loadpin_decided_by()
    if _starts(state) and plain and off is not None and not state.loadpin_enforces():
        yield f"LoadPin enforces by configuration, but {state.loadpin_parameter}=0 in {off.where} turns that off"


def name_is_another(state: InitialState) -> Iterator[str]:
    """Parameters that this version does not know: loadpin.enabled= was renamed, and loadpin.exclude= is newer."""
    if not _starts(state):
        return
    current, former, renamed = state.loadpin_parameter, "loadpin.enabled", "since"
    if current == former:
        former, renamed = "loadpin.enforce", "before"
    for _, value, where in state.command_line.given(former):
        shown = f"{former}={printable(value)} in {where}"
        yield f"{shown} has no effect: {renamed} Linux 4.20, the parameter is {current}="
    if not _knows_exclude(state):
        for name, value, where in state.command_line.given("loadpin.exclude"):
            yield f"{name}={printable(value)} in {where} has no effect before Linux 5.3"


def value_is_no_number(state: InitialState) -> Iterator[str]:
    parameter = state.loadpin_parameter
    if _starts(state):
        for _, value, where in state.command_line.given(parameter):
            if number(value) is None:
                yield f"{parameter}={printable(value)} in {where} has no effect: it has to be 0 or 1"


def kind_is_unknown(state: InitialState) -> Iterator[str]:
    if _starts(state) and _knows_exclude(state):
        for kind, where in _excluded(state):
            if kind not in KINDS:
                yield f"loadpin.exclude= in {where} names {kind!r}, which is no kind of file: it has no effect"


def _knows_exclude(state: InitialState) -> bool:
    return not state.version or state.version >= EXCLUDE_SINCE


def _excluded(state: InitialState) -> list[tuple[str, str]]:
    """What loadpin.exclude= names, and where.  A second one writes into the same array, from its beginning."""
    kinds: list[tuple[str, str]] = []
    for _, value, where in state.command_line.given("loadpin.exclude"):
        named = [(kind, where) for kind in value.split(",")]
        kinds[: len(named)] = named
    return [(kind, where) for kind, where in dict(kinds).items() if kind]


def kinds_are_excluded(state: InitialState) -> Iterator[str]:
    excluded = [(kind, where) for kind, where in _excluded(state) if kind in KINDS]
    if _starts(state) and excluded and _knows_exclude(state):
        places = " and ".join(dict.fromkeys(where for _, where in excluded))
        kinds = ", ".join(kind for kind, _ in excluded)
        yield f"loadpin.exclude= in {places} lets the kernel read from anywhere: {kinds}"


def initramfs_is_pinned(state: InitialState) -> Iterator[str]:
    config = state.config
    needed = all(config.builtin(option) for option in ("MODULES", "BLK_DEV_INITRD"))
    if not needed or not _starts(state) or not state.loadpin_enforces():
        return
    if config.builtin("SECURITY_LOADPIN_VERITY"):
        return  # the initramfs can make LoadPin trust the device of the real root file system
    for group, what in ((FILE_SYSTEMS, "file system"), (DISKS, "disk driver")):
        modules = [option for option in group if config[option] == "m"]
        if modules and not any(config.builtin(option) for option in group):
            yield (
                f"LoadPin enforces, and no {what} is built in (CONFIG_{modules[0]} is m): the first module pins the "
                "initramfs, and no module or firmware loads from the real root file system"
            )
            return


def kernel_memory_is_writable(state: InitialState) -> Iterator[str]:
    config = state.config
    unfiltered = config.builtin("DEVMEM") and not config.builtin("STRICT_DEVMEM")
    if unfiltered and config.complete and _starts(state) and not _locked_down(state):
        yield "CONFIG_DEVMEM is y without CONFIG_STRICT_DEVMEM: root can rewrite the kernel, and LoadPin with it"


def _locked_down(state: InitialState) -> bool:
    """Whether nobody can open /dev/mem (drivers/char/mem.c: open_port(); since 5.4)."""
    levels = ("LOCK_DOWN_KERNEL_FORCE_INTEGRITY", "LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY")
    starts = state.config.builtin("SECURITY_LOCKDOWN_LSM_EARLY") or state.starts("lockdown", "SECURITY_LOCKDOWN_LSM")
    return starts and any(state.config.builtin(level) for level in levels)


def _starts(state: InitialState) -> bool:
    return state.starts("loadpin", "SECURITY_LOADPIN")
