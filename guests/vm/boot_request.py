# SPDX-License-Identifier: GPL-2.0-or-later
"""What a test asks of its boot: arguments, disks, programs, and a processor."""

from __future__ import annotations

from dataclasses import dataclass

from guests.vm.disk_images import DiskPlan


@dataclass(frozen=True)
class Boot:
    """The boot that a test requests."""

    arguments: tuple[str, ...] = ()
    """Arguments for the kernel command line."""
    disks: tuple[DiskPlan, ...] = ()
    programs: tuple[str, ...] = ()
    """Names of programs of the host to provide in /bin."""
    processor: tuple[str, ...] = ()
    """Properties of an emulated processor, as QEMU's -cpu takes them.  A real one, under KVM, keeps its own."""


DEFAULT_BOOT = Boot()
