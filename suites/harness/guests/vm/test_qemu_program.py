# SPDX-License-Identifier: GPL-2.0-or-later
"""Finding QEMU, its version and devices, and the immediate rejection of a QEMU that cannot save and load guests."""

from __future__ import annotations

from pathlib import Path

import pytest

from guests.errors import QemuError, UsageError
from guests.vm import device_state, qemu_program
from guests.vm.qemu_program import QemuProgram, find_qemu, has_device, inspect
from suites.harness.guests import fakes


def saying(path: Path, line: str) -> QemuProgram:
    return inspect(str(fakes.program(path / "qemu", f"print({line!r})\nprint('Copyright')\n")))


@pytest.mark.parametrize(
    ("said", "version", "to_file", "breaks"),
    [
        ("QEMU emulator version 7.0.0", (7, 0, 0), False, True),
        ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)", (7, 2, 22), False, True),
        ("QEMU emulator version 8.0.4 (Debian 1:8.0.4)", (8, 0, 4), False, False),
        ("QEMU emulator version 8.1.5", (8, 1, 5), False, False),
        ("QEMU emulator version 8.2.0 (qemu-kvm-8.2.0-11.el9)", (8, 2, 0), True, False),
        ("QEMU emulator version 10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)", (10, 0, 13), True, False),
        ("QEMU emulator version 11.1.3", (11, 1, 3), True, False),
        ("QEMU emulator version 12", (12,), True, False),
        ("an unknown build", (), True, False),
    ],
)
def test_the_capabilities_of_a_version(
    tmp_path: Path, said: str, version: tuple[int, ...], to_file: bool, breaks: bool
) -> None:
    program = saying(tmp_path, said)
    assert (program.version_line, program.version) == (said, version)
    assert (program.migrates_to_file, program.breaks_cmpxchg16b) == (to_file, breaks)


class TestFinding:
    def test_the_distributions_qemu_has_priority(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        own = fakes.quitter(tmp_path / "bin" / "qemu-system-x86_64", 0)
        kvm = fakes.quitter(tmp_path / "libexec" / "qemu-kvm", 0)
        monkeypatch.setenv("PATH", str(own.parent))
        monkeypatch.setattr(qemu_program, "OTHER_PATHS", (str(kvm),))
        assert find_qemu() == str(own)
        own.unlink()
        assert find_qemu() == str(kvm)
        kvm.unlink()
        with pytest.raises(QemuError, match="qemu-system-x86_64 is not installed") as caught:
            find_qemu()
        assert "doctor" in caught.value.hint

    def test_the_chosen_qemu(self, tmp_path: Path) -> None:
        chosen = fakes.quitter(tmp_path / "my qemu, patched", 0)
        assert find_qemu(chosen=str(chosen)) == str(chosen)
        with pytest.raises(UsageError, match="--qemu=/none is not an executable program") as caught:
            find_qemu(chosen="/none")
        assert caught.value.exit_status == 4


def test_a_device_is_detected(tmp_path: Path) -> None:
    listing = 'name "virtio-9p-pci", bus PCI, alias "virtio-9p"\nname "virtio-blk-pci", bus PCI'
    with_it = fakes.program(tmp_path / "with", f"print({listing!r})\n")
    without = fakes.program(tmp_path / "without", "print('name \"virtio-blk-pci\", bus PCI')\n")
    assert has_device(str(with_it), "virtio-9p-pci")
    assert not has_device(str(without), "virtio-9p-pci")
    assert not has_device(str(with_it), "virtio-9p-device")


@pytest.mark.parametrize(("status", "sandboxed"), [(0, True), (1, False)])
def test_a_sandbox_is_used_if_qemu_starts_with_it(tmp_path: Path, status: int, sandboxed: bool) -> None:
    body = f"import sys\nsys.exit({status} if '-sandbox' in sys.argv else 0)\n"
    assert inspect(str(fakes.program(tmp_path / "qemu", body))).sandboxed is sandboxed


class TestProof:
    def test_the_installed_qemu_can_save_and_load(self) -> None:
        program = inspect(find_qemu())
        device_state.prove.cache_clear()
        device_state.prove(program)

    @pytest.mark.parametrize(
        ("answer", "told"),
        [
            ('{"error": {"desc": "no such capability"}}\n', "QEMU refused a command: no such capability"),
            ("no monitor\n", "QEMU's monitor sent something that is not JSON"),
            ("", "QEMU closed its monitor"),
        ],
        ids=["refuses", "sends-no-json", "ends"],
    )
    def test_the_error_for_another_qemu_has_a_hint(self, tmp_path: Path, answer: str, told: str) -> None:
        body = fakes.QEMU + f"os.write(fds['qmp'], {answer.encode()!r})\n"
        script = fakes.program(tmp_path / "qemu", body)
        program = QemuProgram(str(script), "QEMU emulator version 6.0", (6, 0), 1)
        with pytest.raises(QemuError) as caught:
            device_state.prove(program)
        assert caught.value.message == f"{script} (QEMU emulator version 6.0) cannot save and load guests: {told}"
        assert "--qemu=PATH" in caught.value.hint
