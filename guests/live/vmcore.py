# SPDX-License-Identifier: GPL-2.0-or-later
"""Dumps of a guest's memory, for crash and drgn, and the text that says how to open one."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from common import bounded
from common.errors import UsageError
from guests.errors import QemuError
from guests.guest import Guest
from guests.live.kernel_symbols import Symbols
from kconfigs.kernel import Kernel

LARGEST = 512 << 20
"""Maximum size in bytes of a dump."""
MOST_MEMORY_MIB = 4096
"""Memory of a guest beyond which its dump is not tried: zeros compress well, but who knows."""


def write(guest: Guest, path: Path) -> int:
    """Dump the memory of a guest that runs, or that has crashed, into a new file, and return its size.

    KconformError, and no file, if that is not possible, or if the dump is larger than LARGEST.
    """
    memory = guest.template.machine.memory_mib
    if memory > MOST_MEMORY_MIB:
        raise QemuError(f"the guest has {memory} MiB of memory; dumps are written of at most {MOST_MEMORY_MIB} MiB")
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
        if free < memory << 20:
            raise QemuError(f"there is no room for a dump of {memory} MiB: {bounded.size(free)} are free")
        # QEMU reads back what it writes.
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            guest.dump_memory(descriptor)
            size = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        if size > LARGEST:
            raise QemuError(f"the dump has {bounded.size(size)}, more than the {bounded.size(LARGEST)} that are kept")
        partial.rename(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return size


def describe(name: str, size: int, kernel: Kernel, symbols: Symbols) -> str:
    """How to open a dump that is in the file `name`; what drgn needs beside it is in the file `name`info."""
    vmlinux = shlex.quote(str(symbols.vmlinux)) if symbols.vmlinux else "VMLINUX"
    kaslr = f" --kaslr={symbols.offset:#x}" if symbols.offset else ""
    lines = [
        f"{name} ({size / (1 << 20):.1f} MiB, kdump-zlib) is the memory of a guest with Linux {kernel.release}:",
        "",
        f"  crash{kaslr} {vmlinux} {name}",
        f"  drgn --architecture {kernel.arch} -c {name} --vmcoreinfo {name}info -s {vmlinux}"
        if symbols.vmcoreinfo
        else "  (drgn cannot open it, because the kernel was built without CONFIG_VMCORE_INFO)",
    ]
    return "\n".join([*lines, *(["", symbols.missing] if symbols.missing else [])])
