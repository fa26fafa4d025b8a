# SPDX-License-Identifier: GPL-2.0-or-later
"""A pytest plugin that makes every boot crash, and the control boot (for test_boot_crash.py)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from guests.errors import BootError
from guests.vm import boot_verdict, template
from guests.vm.boot_verdict import Control
from guests.vm.qemu_command import VirtualMachine

PANIC = "Kernel panic - not syncing: planted"
CONTROL = Control("another", Path("another"), Path("initramfs"), virtio=True)


def crash(*_: object, **__: object) -> NoReturn:
    raise BootError(f"the kernel did not boot: the kernel panicked: {PANIC}", console=f"{PANIC}\n", crash=PANIC)


@contextlib.contextmanager
def boot(machine: VirtualMachine) -> Iterator[None]:
    """Only the control boots."""
    if machine.image != CONTROL.image:
        crash()
    yield


def pytest_configure() -> None:
    template.get = crash
    boot_verdict.controls = lambda *_: iter([CONTROL])
    boot_verdict.booted = boot  # type: ignore[assignment,attr-defined]
