# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose fault a failed boot is: the kernel's only if it crashed by itself, where another kernel boots.

The control is a boot of another kernel on the same machine, with the same arguments and disks: a host or a QEMU on
which nothing boots must not make a kernel look broken.  Nor must a machine with too little memory for this kernel, so
it is also tried with more.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from guests.errors import BootCrashed, BootError, KconformError, QemuError
from guests.vm.boot import booted
from guests.vm.qemu_command import VirtualMachine
from kconfigs.cache import Cache
from kconfigs.kernel import Kernel

log = logging.getLogger(__name__)

CONTROLS = 3
"""Maximum number of other kernels to try."""
PLENTY_MIB = 1024
"""Memory in which any kernel boots."""


@dataclass(frozen=True)
class Control:
    """A kernel that has booted on this host before, with the initramfs that fits it."""

    digest: str
    image: Path
    initramfs: Path
    virtio: bool

    def machine(self, like: VirtualMachine) -> VirtualMachine:
        return replace(like, image=self.image, initramfs=self.initramfs, virtio=self.virtio)


def of(error: BootError, kernel: Kernel, machine: VirtualMachine, store: Cache) -> BootError | BootCrashed:
    """What to raise for a boot that has failed twice, the second time with `error`."""
    if not error.crash:
        return error
    if machine.memory_mib < PLENTY_MIB and _boots(replace(machine, memory_mib=PLENTY_MIB)):
        return BootError(
            f"the kernel needs more than {machine.memory_mib} MiB of memory to boot ({error.crash})",
            hint=f"--memory={4 * machine.memory_mib}M, for example",
            console=error.evidence.get("console", ""),
        )
    known = list(controls(store, machine, kernel.digest))
    for control in known[:CONTROLS]:
        if _boots(control.machine(machine)):
            message = f"the kernel does not boot: {error.crash} (another kernel boots on the same machine)"
            return BootCrashed(message, evidence=error.evidence)
    reason = (
        "no other kernel boots on this machine either" if known else "no other kernel has booted on this machine yet"
    )
    return BootError(
        f"{error.message}; {reason}, so nothing is known about whose fault it is",
        hint="test a kernel that is known to boot, such as --kernel=deb:linux-image-cloud-amd64, and then this one",
        console=error.evidence.get("console", ""),
    )


def _boots(machine: VirtualMachine) -> bool:
    try:
        with booted(machine):
            return True
    except (BootError, QemuError) as failed:
        log.warning("%s, with %d MiB, does not boot either: %s", machine.image, machine.memory_mib, failed.message)
        return False


def controls(store: Cache, machine: VirtualMachine, digest: str) -> Iterator[Control]:
    """Other kernels of which the cache has a template that the same QEMU made; the most recently used first."""
    seen = {digest}
    templates = [entry.path for entry in reversed(store.entries()) if entry.kind == "templates"]
    for path in templates:
        try:
            meta = json.loads((path / "meta.json").read_text(encoding="utf-8"))
            made = meta["machine"]
            control = Control(
                meta["identity"]["kernel"], Path(made["image"]), Path(made["initramfs"]), bool(made["virtio"])
            )
            fits = made["qemu"]["path"] == machine.qemu.path and made["arch"] == machine.arch
        except (OSError, ValueError, KeyError, TypeError, KconformError):
            continue  # removed meanwhile, or of another format
        if fits and control.digest not in seen and control.image.exists() and control.initramfs.exists():
            seen.add(control.digest)
            yield control
