# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for tests of the parts of a virtual machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from guests.vm import boot, template
from guests.vm.qemu_command import VirtualMachine, base_command
from kconfigs.cache import Cache
from kconfigs.kernel import Kernel
from suites.harness.guests import fakes
from suites.harness.guests.vm.fake_boots import SIZE, FakeBoots, Playing


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def modular(tmp_path: Path) -> Kernel:
    """A kernel with a module."""
    folder = tmp_path / "modules" / "kernel" / "lib"
    folder.mkdir(parents=True)
    (folder / "test_module.ko").write_bytes(b"\x7fELF module")
    return fakes.kernel(tmp_path, "CONFIG_MODULES=y\nCONFIG_TEST_LKM=m\n", tmp_path / "modules")


@pytest.fixture
def qemu(tmp_path: Path) -> Path:
    return fakes.program(tmp_path / "bin" / "qemu", "print('QEMU emulator version 7.2')\n")


@pytest.fixture
def machine(tmp_path: Path, qemu: Path, monkeypatch: pytest.MonkeyPatch) -> VirtualMachine:
    """A virtual machine whose QEMU command is composed without virtme-run."""

    def compose(machine: VirtualMachine) -> tuple[str, ...]:
        shown = [
            str(qemu),
            "-smp",
            str(machine.cpus),
            "-kernel",
            str(machine.image),
            "-initrd",
            str(machine.initramfs),
            "-append",
            "ro",
        ]
        return tuple(base_command([*shown, *(["-enable-kvm"] if machine.kvm else [])], machine))

    monkeypatch.setattr(template, "compose", compose)
    return replace(fakes.machine(tmp_path), memory_mib=SIZE >> 20)


@pytest.fixture
def boots(monkeypatch: pytest.MonkeyPatch) -> FakeBoots:
    boots = FakeBoots()
    monkeypatch.setattr(template, "booted", boots)
    return boots


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Playing]:
    """Have virtme-run compose a command for this script instead of QEMU."""

    def put(body: str) -> Path:
        qemu = fakes.program(tmp_path / "qemu-system-x86_64", fakes.QEMU + body)
        virtme_run = fakes.fake_virtme_run(tmp_path / "virtme-run", qemu)
        monkeypatch.setattr(boot, "virtme_run_program", lambda: str(virtme_run))
        return qemu

    boot.compose.cache_clear()
    yield put
    boot.compose.cache_clear()
