# SPDX-License-Identifier: GPL-2.0-or-later
"""Which QEMU runs the guests, and what it can do.

What differs between versions is asked here and nowhere else.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from guests.errors import QemuError, UsageError

ELSEWHERE = ("/usr/libexec/qemu-kvm", "/usr/lib/qemu-kvm")
"""Where RHEL and CentOS Stream keep the one QEMU that they ship, which is for the machine's own architecture."""


@dataclass(frozen=True)
class QemuProgram:
    """One QEMU executable."""

    path: str
    said: str
    """The first line that it prints for --version."""
    version: tuple[int, ...]
    """Major, minor, and so on; empty where `said` has none, and then the program is taken to be new."""
    size: int
    """Bytes, to tell a patched build from another of the same version."""

    @property
    def migrates_to_file(self) -> bool:
        """Whether it knows `file:PATH`: since 8.2.  `fd:` takes no plain file since 11.0 (deprecated in 9.1)."""
        return not self.version or self.version >= (8, 2)

    @property
    def breaks_cmpxchg16b(self) -> bool:
        """Whether TCG's cmpxchg16b leaves any value in EFLAGS: before 8.0 (helper_cmpxchg16b_unlocked())."""
        return bool(self.version) and self.version < (8, 0)


def find_qemu(arch: str = "x86_64", chosen: str | None = None) -> str:
    """The path of the QEMU to run: the `chosen` one (else UsageError), or the system's (else QemuError)."""
    if chosen is not None:
        found = shutil.which(chosen)
        if found is None:
            raise UsageError(f"--qemu={chosen} is not a program that can be executed")
        return found
    elsewhere: tuple[str, ...] = ELSEWHERE if arch == platform.machine() else ()
    for candidate in (f"qemu-system-{arch}", *elsewhere):
        if found := shutil.which(candidate):
            return found
    raise QemuError(f"qemu-system-{arch} is not installed", hint="run `./kconform doctor`, which can install it")


@cache
def inspect(path: str) -> QemuProgram:
    """What a QEMU says of itself."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise QemuError(f"{path} cannot be run: {error.strerror}") from error
    said = done.stdout.partition("\n")[0]
    match = re.search(r"version (\d+(?:\.\d+)*)", said)
    version = tuple(map(int, match[1].split("."))) if match else ()
    return QemuProgram(path, said, version, Path(path).stat().st_size)


@cache
def has_device(path: str, device: str) -> bool:
    """Whether this QEMU was built with a device model, such as virtio-9p-pci."""
    done = subprocess.run([path, "-device", "help"], capture_output=True, text=True, check=False)
    return f'"{device}"' in done.stdout
