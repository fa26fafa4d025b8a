# SPDX-License-Identifier: GPL-2.0-or-later
"""The symbols of a guest's kernel: only those of the very same build count."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from guests.abis import NATIVE
from guests.guest import Guest
from guests.live import kernel_symbols
from guests.live.gdb_server import gdb_command
from guests.live.kernel_symbols import Symbols, build_id_in, symbols_of
from kconfigs.cache import Cache
from kconfigs.kernel import Kernel
from suites.harness.guests import fakes

ID = bytes(range(20))


def note(kind: int, name: bytes, content: bytes, order: str = "<") -> bytes:
    padded = name + b"\0" * (-len(name) % 4)
    return struct.pack(f"{order}III", len(name), len(content), kind) + padded + content + b"\0" * (-len(content) % 4)


@pytest.mark.parametrize(("arch", "order"), [("x86_64", "<"), ("s390x", ">")])
def test_the_build_id_is_found_among_other_notes(arch: str, order: str) -> None:
    """In the kernel's byte order."""
    build_id = note(3, b"GNU\0", ID, order)
    others = note(0x101, b"Linux\0", b"abc", order), note(6, b"Xen\0", b"", order)
    assert build_id_in(others[0] + build_id + others[1], NATIVE[arch]) == build_id


@pytest.mark.parametrize("notes", [b"", b"\0" * 7, note(1, b"GNU\0", ID), note(3, b"XYZ\0", ID)])
def test_there_may_be_none(notes: bytes) -> None:
    assert build_id_in(notes, NATIVE["x86_64"]) == b""


class BrokenKernel:
    """A guest whose kernel says something malformed of where its note is, or has none there."""

    def __init__(self, kernel: Kernel, says: str) -> None:
        self.kernel = kernel
        self._says = says

    def read_bytes(self, path: str, *, beginning: bool = False) -> bytes:  # noqa: ARG002
        return note(3, b"GNU\0", ID) if path.endswith("notes") else b"ffffffff81001000 T _text\n"

    def exists(self, path: str) -> bool:
        return path.endswith("vmcoreinfo")

    def read_file(self, path: str) -> str:  # noqa: ARG002
        return self._says

    def physical_memory(self, address: int, size: int) -> bytes:  # noqa: ARG002
        return b""


@pytest.mark.parametrize("says", ["", "1", "1 2 3", "here 1000", "0 1000"])
def test_what_a_broken_kernel_says_of_itself_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    """Nothing is raised, which would cost the test its verdict; and what was found out before is known."""
    vmlinux = tmp_path / "vmlinux"
    vmlinux.write_bytes(note(3, b"GNU\0", ID))
    broken = BrokenKernel(fakes.kernel(tmp_path), says)
    monkeypatch.setattr(kernel_symbols, "_sibling", contextlib.nullcontext)
    guest: Guest = broken  # type: ignore[assignment]
    assert symbols_of(guest, Cache(tmp_path / "cache")) == Symbols(vmlinux, 0x1000, b"")


@pytest.mark.parametrize(
    ("vmlinux", "line"),
    [
        (Path("/k/vmlinux"), "gdb -ex 'symbol-file -o 0x1000 /k/vmlinux' -ex 'target remote /s'"),
        (
            Path("/my k/vmlinux"),
            """gdb -ex 'symbol-file -o 0x1000 '"'"'/my k/vmlinux'"'"'' -ex 'target remote /s'""",
        ),
        (None, "gdb -ex 'target remote /s'"),
    ],
    ids=["plain", "blank", "no-symbols"],
)
def test_the_line_for_gdb(vmlinux: Path | None, line: str) -> None:
    assert gdb_command(Path("/s"), Symbols(vmlinux, 0x1000)) == line


class TestInGuests:
    def test_a_vmlinux_counts_if_it_has_the_build_id(self, guest: Guest, tmp_path: Path) -> None:
        """That of another build would show wrong names.  A dead guest's kernel is known as well."""
        image = tmp_path / "arch" / "x86" / "boot" / "bzImage"
        other = tmp_path / "arch" / "vmlinux"
        image.parent.mkdir(parents=True)
        other.write_bytes(b"\x7fELF" + note(3, b"GNU\0", ID))
        notes = guest.read_bytes("/sys/kernel/notes")
        vmlinux = tmp_path / "vmlinux"
        vmlinux.write_bytes(b"\x7fELF" + build_id_in(notes, guest.native.abi))
        text = next(line for line in _kallsyms(guest) if line.endswith((" T _text", " T _stext")))
        (tmp_path / "System.map").write_text(f"{int(text.split()[0], 16) - 0x1000:016x} T _text\n")
        guest.kernel = replace(guest.kernel, image=image)
        found = symbols_of(guest, Cache(tmp_path / "cache"))
        assert (found.vmlinux, found.offset, found.missing) == (vmlinux, 0x1000, "")
        assert found.vmcoreinfo.startswith(b"OSRELEASE=" if guest.exists("/sys/kernel/vmcoreinfo") else b"")
        vmlinux.unlink()
        assert "linux-image-...-dbg" in symbols_of(guest, Cache(tmp_path / "cache")).missing


def _kallsyms(guest: Guest) -> list[str]:
    return guest.read_bytes("/proc/kallsyms", beginning=True).decode().splitlines()
