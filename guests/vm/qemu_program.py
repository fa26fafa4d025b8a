# SPDX-License-Identifier: GPL-2.0-or-later
"""The QEMU that runs the guests, and its features.

All differences between versions are handled here.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from common.project_files import COMMAND
from guests.errors import QemuError, UsageError

OTHER_PATHS = ("/usr/libexec/qemu-kvm", "/usr/lib/qemu-kvm")
"""The paths of the only QEMU in RHEL and CentOS Stream, which is for the host's own architecture."""

SANDBOX = ("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")
"""QEMU's seccomp filter at its strictest: a guest that breaks into QEMU starts no program and gains no privilege."""


@dataclass(frozen=True)
class QemuProgram:
    """One QEMU executable."""

    path: str
    version_line: str
    """The first line of its --version."""
    version: tuple[int, ...]
    """Major, minor, and so on; empty if it is unknown, and then the program is assumed to be new."""
    size: int
    """Size in bytes, to distinguish builds of the same version."""
    sandboxed: bool = False
    """Whether it can be run with SANDBOX, here; some builds lack seccomp, and some containers forbid it."""

    @property
    def migrates_to_file(self) -> bool:
        """Whether it supports `file:PATH` (since 8.2).  Since 11.0, `fd:` rejects files (deprecated in 9.1)."""
        return not self.version or self.version >= (8, 2)

    @property
    def breaks_cmpxchg16b(self) -> bool:
        """Whether TCG's cmpxchg16b corrupts EFLAGS (before 8.0: helper_cmpxchg16b_unlocked())."""
        return bool(self.version) and self.version < (8, 0)


def find_qemu(arch: str = "x86_64", chosen: str | None = None) -> str:
    """The path of the QEMU to run: the `chosen` one (or UsageError), or the system's (or QemuError)."""
    if chosen is not None:
        found = shutil.which(chosen)
        if found is None:
            raise UsageError(f"--qemu={chosen} is not an executable program")
        return found
    other_paths: tuple[str, ...] = OTHER_PATHS if arch == platform.machine() else ()
    for candidate in (f"qemu-system-{arch}", *other_paths):
        if found := shutil.which(candidate):
            return found
    raise QemuError(f"qemu-system-{arch} is not installed", hint=f"run `{COMMAND} doctor`, which can install it")


@cache
def inspect(path: str) -> QemuProgram:
    """Determine the version of a QEMU."""
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, encoding="utf-8", errors="replace", check=False
        )
    except OSError as error:
        raise QemuError(f"{path} cannot be run: {error.strerror}") from error
    version_line = done.stdout.partition("\n")[0]
    match = re.search(r"version (\d+(?:\.\d+)*)", version_line)
    version = tuple(map(int, match[1].split("."))) if match else ()
    # QEMU takes the sandbox into use before it lists its devices (qemu_init() in softmmu/vl.c).
    sandboxed = not _device_list(path, *SANDBOX).returncode
    return QemuProgram(path, version_line, version, Path(path).stat().st_size, sandboxed)


@cache
def has_device(path: str, device: str) -> bool:
    """Whether this QEMU has a device model, such as virtio-9p-pci."""
    return f'"{device}"' in _device_list(path).stdout


def _device_list(path: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [path, "-machine", "none", "-nodefaults", *options, "-device", "help"]
    return subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
