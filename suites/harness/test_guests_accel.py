# SPDX-License-Identifier: GPL-2.0-or-later
"""KVM is used where a guest has answered under it, and nowhere else; what was found out is remembered."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from guests import accel
from guests.accel import Acceleration, decide
from guests.errors import BootError, QemuError, UsageError

HERE = "this machine"


class Boots:
    """A boot that works or fails, by acceleration; notes which were tried."""

    def __init__(self, *, kvm: Exception | None = None, tcg: Exception | None = None) -> None:
        self.errors = {True: kvm, False: tcg}
        self.tried: list[str] = []

    def __call__(self, kvm: bool) -> None:
        self.tried.append("kvm" if kvm else "tcg")
        error = self.errors[kvm]
        if error:
            raise error


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(accel, "device_trouble", lambda: None)
    return tmp_path / "cache" / "acceleration.json"


SPINS = BootError("the kernel did not boot: the kernel printed nothing at all")
ABORTS = QemuError("QEMU was killed by SIGABRT")


class TestDeciding:
    def test_tcg_that_was_asked_for_is_not_questioned(self, memory: Path) -> None:
        boots = Boots()
        assert decide("tcg", boots, memory, identity=HERE) == Acceleration(False, "asked for")
        assert boots.tried == []
        assert not memory.exists()

    @pytest.mark.parametrize("mode", ["auto", "kvm"])
    def test_a_guest_that_answers_proves_kvm(self, memory: Path, mode: str) -> None:
        boots = Boots()
        answer = decide(mode, boots, memory, identity=HERE)
        assert answer == Acceleration(True, "a guest answered under it")
        assert (answer.name, boots.tried) == ("kvm", ["kvm"])

    @pytest.mark.parametrize("trouble", [SPINS, ABORTS], ids=["spins", "aborts"])
    def test_kvm_that_opens_and_does_not_work_is_not_used(self, memory: Path, trouble: Exception) -> None:
        """The kernel boots without it: so it was KVM."""
        boots = Boots(kvm=trouble)
        answer = decide("auto", boots, memory, identity=HERE)
        assert answer == Acceleration(False, f"KVM does not work here: {trouble}")
        assert (answer.name, boots.tried) == ("tcg", ["kvm", "tcg"])

    @pytest.mark.parametrize("works", [True, False])
    def test_the_answer_is_remembered_with_its_reason(self, memory: Path, works: bool) -> None:
        first = decide("auto", Boots(kvm=None if works else SPINS), memory, identity=HERE)
        boots = Boots()
        assert decide("auto", boots, memory, identity=HERE) == first
        assert boots.tried == []
        assert [path.name for path in memory.parent.iterdir()] == [memory.name]

    def test_it_is_not_believed_on_another_machine(self, memory: Path) -> None:
        decide("auto", Boots(kvm=SPINS), memory, identity="another machine")
        boots = Boots()
        assert decide("auto", boots, memory, identity=HERE).kvm
        assert boots.tried == ["kvm"]

    @pytest.mark.parametrize(
        "content", ["", "{", "[]", "null", '"text"', '{"identity": "this machine"}', '{"kvm": true}']
    )
    def test_a_memory_that_cannot_be_read_is_none(self, memory: Path, content: str) -> None:
        memory.parent.mkdir()
        memory.write_text(content)
        boots = Boots()
        assert decide("auto", boots, memory, identity=HERE).kvm
        assert boots.tried == ["kvm"]
        assert json.loads(memory.read_text())["identity"] == HERE

    def test_a_kernel_that_boots_under_neither_says_nothing_about_kvm(self, memory: Path) -> None:
        boots = Boots(kvm=SPINS, tcg=BootError("the kernel did not boot: it panicked"))
        with pytest.raises(BootError, match="it panicked"):
            decide("auto", boots, memory, identity=HERE)
        assert boots.tried == ["kvm", "tcg"]
        assert not memory.exists()
        assert decide("auto", Boots(), memory, identity=HERE).kvm

    def test_kvm_that_was_insisted_on_and_does_not_work_is_wrong_use(self, memory: Path) -> None:
        for boots in (Boots(kvm=SPINS), Boots()):
            with pytest.raises(UsageError, match=r"KVM was asked for and is not usable here: KVM does not") as caught:
                decide("kvm", boots, memory, identity=HERE)
            assert "--accel tcg" in caught.value.hint
            assert caught.value.exit_status == 4

    def test_without_a_device_nothing_is_tried(self, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(accel, "device_trouble", lambda: "there is no /dev/kvm")
        boots = Boots()
        assert decide("auto", boots, memory, identity=HERE) == Acceleration(False, "there is no /dev/kvm")
        with pytest.raises(UsageError, match="there is no /dev/kvm"):
            decide("kvm", boots, memory, identity=HERE)
        assert boots.tried == []
        assert not memory.exists(), "a device may come, so that its absence is not remembered"


class TestDevice:
    def test_one_that_is_not_there(self, tmp_path: Path) -> None:
        assert accel.device_trouble(tmp_path / "kvm") == f"there is no {tmp_path}/kvm"

    def test_one_that_may_not_be_opened(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "kvm").touch()
        monkeypatch.setattr(os, "access", lambda *_: False)
        assert accel.device_trouble(tmp_path / "kvm") == f"{tmp_path}/kvm may not be opened by this user"

    def test_one_that_opens(self, tmp_path: Path) -> None:
        (tmp_path / "kvm").touch()
        assert accel.device_trouble(tmp_path / "kvm") is None


def test_another_qemu_is_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accel, "qemu_version", lambda: "QEMU emulator version 7.2")
    before = accel.machine_identity()
    assert accel.machine_identity() == before
    monkeypatch.setattr(accel, "qemu_version", lambda: "QEMU emulator version 8.0")
    assert accel.machine_identity() != before
