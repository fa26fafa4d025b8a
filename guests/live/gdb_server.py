# SPDX-License-Identifier: GPL-2.0-or-later
"""gdb for the kernel of a guest, over QEMU's gdbstub at a socket that only this user can reach."""

from __future__ import annotations

import contextlib
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

from guests.guest import Guest
from guests.live.kernel_symbols import Symbols


@contextlib.contextmanager
def gdb_socket(guest: Guest) -> Iterator[Path]:
    """The path of a socket at which gdb can attach to the guest.  QemuError if QEMU cannot do that."""
    with tempfile.TemporaryDirectory(prefix="kconform-gdb-", dir=_short()) as folder:
        path = Path(folder) / "socket"
        guest.serve_gdb(path)
        yield path


def _short() -> str | None:
    """A directory with a short path, because that of a socket has at most 107 bytes (unix(7))."""
    return "/tmp" if len(tempfile.gettempdir()) > 60 and Path("/tmp").is_dir() else None  # noqa: S108


def gdb_command(socket: Path, symbols: Symbols) -> str:
    """The line that attaches gdb, for a shell."""
    words = ["gdb"]
    if symbols.vmlinux is not None:
        words += ["-ex", f"symbol-file -o {symbols.offset or 0:#x} {_for_gdb(symbols.vmlinux)}"]
    words += ["-ex", f"target remote {socket}"]
    return shlex.join(words)


def _for_gdb(path: Path) -> str:
    """A path in a command of gdb, which splits it as gdb's own gdb_buildargv() does."""
    return shlex.quote(str(path))
