# SPDX-License-Identifier: GPL-2.0-or-later
"""Dumps of guests: those that run, and those that have crashed; and the limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from guests.errors import GuestBroke, KconformError, QemuError
from guests.guest import Guest
from guests.live import vmcore
from guests.live.kernel_symbols import Symbols
from suites.harness.guests import fakes

KDUMP = (b"makedumpfile", b"KDUMP   ")
"""How a compressed dump begins, depending on the version of QEMU: flattened, or not."""


def test_a_guest_is_dumped_while_it_runs_and_after_its_crash(sibling: Guest, tmp_path: Path) -> None:
    alive = tmp_path / "new" / "vmcore"
    size = vmcore.write(sibling, alive)
    assert size == alive.stat().st_size > 100_000
    assert alive.read_bytes()[:16].startswith(KDUMP)
    assert not sibling.crashed
    with pytest.raises(GuestBroke, match="Attempted to kill init!"):
        sibling.init.exit(0)
    assert sibling.crashed
    assert sibling.condition == "down: its kernel has crashed or rebooted"
    dead = tmp_path / "vmcore"
    vmcore.write(sibling, dead)
    assert dead.read_bytes()[:16].startswith(KDUMP)
    sibling.close()
    assert (sibling.crashed, sibling.condition) == (False, "ended")
    with pytest.raises(KconformError):
        vmcore.write(sibling, tmp_path / "late")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "vmcore"]


def test_a_dump_that_is_too_large_is_not_kept(
    sibling: Guest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vmcore, "LARGEST", 1000)
    with pytest.raises(QemuError, match=r"the dump has .* more than the 1000 bytes that are kept"):
        vmcore.write(sibling, tmp_path / "vmcore")
    monkeypatch.setattr(vmcore, "MOST_MEMORY_MIB", 1)
    with pytest.raises(QemuError, match="dumps are written of at most 1 MiB"):
        vmcore.write(sibling, tmp_path / "vmcore")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("symbols", "line"),
    [
        (Symbols(Path("/k/vmlinux"), 0x1000), "  crash --kaslr=0x1000 /k/vmlinux vmcore"),
        (Symbols(Path("/k/vmlinux"), 0), "  crash /k/vmlinux vmcore"),
        (
            Symbols(None, 0, b"OSRELEASE=6.12.1\n"),
            "  drgn --architecture x86_64 -c vmcore --vmcoreinfo vmcoreinfo -s VMLINUX",
        ),
        (
            Symbols(None, 0),
            "  (drgn cannot open it, because the kernel was built without CONFIG_VMCORE_INFO)",
        ),
        (Symbols(None, None), "  crash VMLINUX vmcore"),
    ],
    ids=["moved", "not-moved", "drgn", "no-drgn", "unknown"],
)
def test_the_text_says_how_to_open_it(symbols: Symbols, line: str) -> None:
    kernel = fakes.kernel(Path("/k"))
    lines = vmcore.describe("vmcore", 3 << 20, kernel, symbols).splitlines()
    assert lines[0] == f"vmcore (3.0 MiB, kdump-zlib) is the memory of a guest with Linux {kernel.release}:"
    assert line in lines
