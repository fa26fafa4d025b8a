# SPDX-License-Identifier: GPL-2.0-or-later
"""KVM is used only if a guest has answered under it, and the result is remembered."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from guests.errors import BootError, QemuError, SlowBootError, UsageError
from guests.vm import acceleration
from guests.vm.acceleration import Acceleration, decide
from suites.harness.guests import fakes

HERE = "this machine"


class Boots:
    """Boots that work or fail, by acceleration; records which were tried."""

    def __init__(self, *, kvm: Exception | None = None, tcg: Exception | None = None) -> None:
        self.errors = {True: kvm, False: tcg}
        self.tried: list[str] = []

    def __call__(self, kvm: bool, deadline_s: float | None) -> None:
        assert (deadline_s is None) is not kvm
        self.tried.append("kvm" if kvm else "tcg")
        error = self.errors[kvm]
        if error:
            raise error


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(acceleration, "device_problem", lambda: None)
    return tmp_path / "cache" / "acceleration.json"


SPINS = BootError("the kernel did not boot: the kernel printed nothing at all")
ABORTS = QemuError("QEMU was killed by SIGABRT")


class TestDeciding:
    def test_requested_tcg_is_used_without_a_test(self, memory: Path) -> None:
        boots = Boots()
        assert decide("tcg", boots, memory, identity=HERE) == Acceleration(False, "requested")
        assert boots.tried == []
        assert not memory.exists()

    @pytest.mark.parametrize("mode", ["auto", "kvm"])
    def test_a_guest_that_answers_proves_kvm(self, memory: Path, mode: str) -> None:
        boots = Boots()
        answer = decide(mode, boots, memory, identity=HERE)
        assert answer == Acceleration(True, "a guest works with it")
        assert (answer.name, boots.tried) == ("kvm", ["tcg", "kvm"])

    @pytest.mark.parametrize("trouble", [SPINS, ABORTS], ids=["spins", "aborts"])
    def test_kvm_that_can_be_opened_but_does_not_work_is_not_used(self, memory: Path, trouble: Exception) -> None:
        """The kernel boots without KVM, so the failure is due to KVM."""
        boots = Boots(kvm=trouble)
        answer = decide("auto", boots, memory, identity=HERE)
        assert answer == Acceleration(False, f"KVM does not work here: {trouble}")
        assert (answer.name, boots.tried) == ("tcg", ["tcg", "kvm"])

    @pytest.mark.parametrize("works", [True, False])
    def test_the_answer_is_remembered_with_its_reason(self, memory: Path, works: bool) -> None:
        first = decide("auto", Boots(kvm=None if works else SPINS), memory, identity=HERE)
        boots = Boots()
        assert decide("auto", boots, memory, identity=HERE) == first
        assert boots.tried == []
        assert [path.name for path in memory.parent.iterdir()] == [memory.name]

    def test_the_answer_is_ignored_on_another_machine(self, memory: Path) -> None:
        decide("auto", Boots(kvm=SPINS), memory, identity="another machine")
        boots = Boots()
        assert decide("auto", boots, memory, identity=HERE).kvm
        assert boots.tried == ["tcg", "kvm"]

    @pytest.mark.parametrize(
        "content", ["", "{", "[]", "null", '"text"', '{"identity": "this machine"}', '{"kvm": true}']
    )
    def test_an_unreadable_memory_is_ignored(self, memory: Path, content: str) -> None:
        memory.parent.mkdir()
        memory.write_text(content)
        boots = Boots()
        assert decide("auto", boots, memory, identity=HERE).kvm
        assert boots.tried == ["tcg", "kvm"]
        assert json.loads(memory.read_text())["identity"] == HERE

    def test_a_kernel_that_boots_under_neither_says_nothing_about_kvm(self, memory: Path) -> None:
        boots = Boots(kvm=SPINS, tcg=BootError("the kernel did not boot: it panicked"))
        with pytest.raises(BootError, match="it panicked"):
            decide("auto", boots, memory, identity=HERE)
        assert boots.tried == ["tcg"]
        assert not memory.exists()
        assert decide("auto", Boots(), memory, identity=HERE).kvm

    def test_a_slow_kvm_is_tested_again_in_the_next_run(self, memory: Path) -> None:
        slow = SlowBootError("the kernel did not boot: the agent never became ready")
        answer = decide("auto", Boots(kvm=slow), memory, identity=HERE)
        assert answer == Acceleration(False, f"KVM was too slow this time: {slow}")
        assert not memory.exists()

    def test_a_qemu_that_refuses_its_options_only_with_kvm(self, memory: Path) -> None:
        """As it ends with /dev/kvm open but unusable; options that it never takes are wrong use in the first boot."""
        refused = UsageError("QEMU does not accept --qemu-opts=-smbios type=1: failed to initialize kvm")
        answer = decide("auto", Boots(kvm=refused), memory, identity=HERE)
        assert answer == Acceleration(False, f"KVM does not work here: {refused}")
        assert not memory.exists()
        with pytest.raises(UsageError, match="does not accept"):
            decide("auto", Boots(tcg=refused), memory, identity=HERE)

    def test_the_deadline_of_kvm_is_a_multiple_of_the_boot_without_it(
        self, memory: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A busy host is slow under KVM too."""
        now = iter([100.0, 150.0])
        monkeypatch.setattr(acceleration, "monotonic", lambda: next(now))
        given: list[float | None] = []
        decide("auto", lambda _, deadline_s: given.append(deadline_s), memory, identity=HERE)
        assert given == [None, 50 * acceleration.KVM_DEADLINE_FACTOR]

    def test_a_remembered_answer_can_be_determined_again(self, memory: Path) -> None:
        decide("auto", Boots(kvm=SPINS), memory, identity=HERE)
        assert decide("auto", Boots(), memory, identity=HERE, again=True).kvm
        assert decide("auto", Boots(kvm=SPINS), memory, identity=HERE).kvm, "the new answer is remembered"

    def test_requested_kvm_that_does_not_work_is_wrong_use(self, memory: Path) -> None:
        for boots in (Boots(kvm=SPINS), Boots()):
            with pytest.raises(UsageError, match="KVM was requested, but cannot be used here: KVM") as caught:
                decide("kvm", boots, memory, identity=HERE)
            assert "--accel=tcg" in caught.value.hint
            assert caught.value.exit_status == 4

    def test_without_a_device_nothing_is_tried(self, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(acceleration, "device_problem", lambda: "there is no /dev/kvm")
        boots = Boots()
        assert decide("auto", boots, memory, identity=HERE) == Acceleration(False, "there is no /dev/kvm")
        with pytest.raises(UsageError, match="there is no /dev/kvm"):
            decide("kvm", boots, memory, identity=HERE)
        assert boots.tried == []
        assert not memory.exists(), "the absence of the device is not remembered"


class TestDevice:
    def test_a_missing_device(self, tmp_path: Path) -> None:
        assert acceleration.device_problem(tmp_path / "kvm") == f"there is no {tmp_path}/kvm"

    def test_a_device_that_may_not_be_opened(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "kvm").touch()
        monkeypatch.setattr(os, "access", lambda *_: False)
        assert acceleration.device_problem(tmp_path / "kvm") == f"this user has no permission to open {tmp_path}/kvm"

    def test_a_device_that_can_be_opened(self, tmp_path: Path) -> None:
        (tmp_path / "kvm").touch()
        assert acceleration.device_problem(tmp_path / "kvm") is None


class TestIdentity:
    def test_another_qemu_is_another_machine(self) -> None:
        assert acceleration.machine_identity(fakes.OLD_QEMU) == acceleration.machine_identity(fakes.OLD_QEMU)
        assert acceleration.machine_identity(fakes.OLD_QEMU) != acceleration.machine_identity(fakes.NEW_QEMU)

    @pytest.mark.parametrize(
        "line",
        ["model name : other", "stepping : 2", "microcode : 0x2", "flags : fpu vme de", "Features : fp sve"],
        ids=lambda line: line.partition(" ")[0],
    )
    def test_another_processor_is_another_host(self, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
        first = "model name : one\nstepping : 1\nmicrocode : 0x1\nflags : fpu vme\nFeatures : fp\ncpu MHz : 1000\n"
        title = line.partition(" ")[0]
        other = "".join(f"{line}\n" if old.startswith(title) else f"{old}\n" for old in first.splitlines())

        def host(cpuinfo: str) -> str:
            monkeypatch.setattr(Path, "read_text", lambda *_, **__: cpuinfo + "\nprocessor : 1\n")
            return acceleration.host_identity()

        assert host(first) != host(other)
        assert host(first) == host(first.replace("1000", "2000")), "the clock frequency does not count"

    def test_another_host_kernel_is_another_host(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = acceleration.host_identity()
        monkeypatch.setattr("platform.release", lambda: "6.99.0")
        assert acceleration.host_identity() != before
