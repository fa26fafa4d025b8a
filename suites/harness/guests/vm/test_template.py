# SPDX-License-Identifier: GPL-2.0-or-later
"""Templates: their keys cover all parameters, and incomplete ones are not kept."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from guests.errors import BootError, KconformError, QemuError
from guests.vm import template
from guests.vm.qemu_command import Disk, VirtualMachine
from guests.vm.stall_limits import StallLimits
from guests.vm.template import template_key
from kconfigs.cache import Cache
from suites.harness.guests import fakes
from suites.harness.guests.vm.fake_boots import KERNEL, SIZE, FakeBoots


def nothing_is_kept(store: Cache) -> bool:
    return store.entries() == [] and list((store.root / "templates").iterdir()) == []


VARIATIONS: dict[str, Callable[[VirtualMachine], VirtualMachine]] = {
    "image": lambda machine: replace(machine, image=Path("/other")),
    "initramfs": lambda machine: replace(machine, initramfs=Path("/other")),
    "kernel-argument": lambda machine: replace(machine, arguments=("lsm=yama",)),
    "two-kernel-arguments": lambda machine: replace(machine, arguments=("lsm=yama", "quiet")),
    "disk": lambda machine: replace(machine, disks=(Disk(Path("/disk")),)),
    "another-disk": lambda machine: replace(machine, disks=(Disk(Path("/another")),)),
    "read-only-disk": lambda machine: replace(machine, disks=(Disk(Path("/disk"), read_only=True),)),
    "two-disks": lambda machine: replace(machine, disks=(Disk(Path("/disk")), Disk(Path("/another")))),
    "disks-the-other-way": lambda machine: replace(machine, disks=(Disk(Path("/another")), Disk(Path("/disk")))),
    "memory": lambda machine: replace(machine, memory_mib=8),
    "processors": lambda machine: replace(machine, cpus=2),
    "options-of-qemu": lambda machine: replace(machine, options=("-cpu", "max")),
    "acceleration": lambda machine: replace(machine, kvm=True),
    "channel": lambda machine: replace(machine, virtio=False),
    "qemu": lambda machine: replace(machine, qemu=fakes.NEW_QEMU),
    "qemu-patched": lambda machine: replace(machine, qemu=replace(machine.qemu, size=2)),
}


class TestKey:
    def test_it_differs_if_any_parameter_differs(
        self, machine: VirtualMachine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys = {"as it is": template_key(machine, KERNEL)}
        keys |= {name: template_key(change(machine), KERNEL) for name, change in VARIATIONS.items()}
        keys["kernel's content"] = template_key(machine, {"kernel": "abd"})
        keys["more content"] = template_key(machine, {**KERNEL, "disk": "abc"})
        monkeypatch.setattr(template, "FORMAT", template.FORMAT + 1)
        keys["our format"] = template_key(machine, KERNEL)
        assert len(set(keys.values())) == len(keys), keys

    def test_it_is_the_same_if_all_parameters_are(self, machine: VirtualMachine) -> None:
        again = replace(machine, arguments=())
        assert template_key(again, dict(KERNEL)) == template_key(machine, KERNEL)

    def test_with_kvm_it_is_valid_on_one_host_only(
        self, machine: VirtualMachine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`-cpu host` is the host's processor; an emulated processor is the same on every host."""
        accelerated = replace(machine, kvm=True)
        before = [template_key(one, KERNEL) for one in (machine, accelerated)]
        monkeypatch.setattr("guests.vm.acceleration.host_identity", lambda: "another host")
        after = [template_key(one, KERNEL) for one in (machine, accelerated)]
        assert after[0] == before[0]
        assert after[1] != before[1]


class TestMaking:
    def test_a_template_is_booted_once_and_kept(
        self, machine: VirtualMachine, boots: FakeBoots, store: Cache
    ) -> None:
        first = template.get(machine, KERNEL, store)
        again = template.get(machine, KERNEL, store)
        assert boots.times == 1
        assert first == again
        assert (first.console, first.boot_log) == ("Linux\n", "6,1,0,-;Linux\n")
        assert (first.directory / "state").read_bytes() == b"state of devices"
        assert json.loads((first.directory / "meta.json").read_text())["identity"] == KERNEL

    @pytest.mark.parametrize(("said", "taint"), [(b"0\n", 0), (b"512\n", 512), (None, None)])
    def test_the_kernels_taint_is_kept(
        self, machine: VirtualMachine, boots: FakeBoots, store: Cache, said: bytes | None, taint: int | None
    ) -> None:
        """None is kept if the kernel has no such file."""
        boots.taint = said
        assert template.get(machine, KERNEL, store).taint == taint

    def test_the_ram_is_kept_with_its_holes(self, machine: VirtualMachine, boots: FakeBoots, store: Cache) -> None:
        ram = template.get(machine, KERNEL, store).directory / "ram"
        wanted = bytearray(SIZE)
        wanted[1 << 20 : (1 << 20) + 6] = b"kernel"
        wanted[-5:] = b"stack"
        assert ram.read_bytes() == bytes(wanted)
        assert ram.stat().st_blocks * 512 < SIZE // 4
        assert boots.times == 1

    def test_cold_means_booting_again(self, machine: VirtualMachine, boots: FakeBoots, store: Cache) -> None:
        template.get(machine, KERNEL, store)
        template.get(machine, KERNEL, store, cold=True)
        assert boots.times == 2

    def test_a_boot_that_fails_leaves_nothing(self, machine: VirtualMachine, boots: FakeBoots, store: Cache) -> None:
        boots.error = QemuError("it broke")
        with pytest.raises(QemuError, match="it broke"):
            template.get(machine, KERNEL, store)
        assert nothing_is_kept(store)

    @pytest.mark.parametrize(
        ("logged", "starved_s", "kept"),
        [
            pytest.param("watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [swapper/0:1]", 11, False, id="starved"),
            pytest.param(
                "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [swapper/0:1]", 1, True, id="not-starved"
            ),
            pytest.param("rcu: INFO: rcu_preempt self-detected stall on CPU", 2, False, id="shorter-limit"),
            pytest.param("BUG: KASAN: use-after-free in x+0x1/0x2", 11, True, id="not-about-time"),
        ],
    )
    def test_a_boot_that_complains_of_the_hosts_delay_is_not_kept(
        self, machine: VirtualMachine, boots: FakeBoots, store: Cache, logged: str, starved_s: float, kept: bool
    ) -> None:
        """Every clone would have the complaint in its log, and every later run would accuse the kernel."""
        boots.log, boots.starved_s = f"6,1,0,-;Linux\n0,2,1,-;{logged}\n".encode(), starved_s
        machine = replace(machine, stall_limits=StallLimits(rcu_s=3))
        if kept:
            assert logged in template.get(machine, KERNEL, store).boot_log
            return
        with pytest.raises(BootError, match="while it booted; but QEMU waited for a processor"):
            template.get(machine, KERNEL, store)
        assert nothing_is_kept(store)
        boots.starved_s, boots.qemu.paused = 0, "QEMU has paused the guest"
        with pytest.raises(BootError, match="but QEMU has paused the guest"):
            template.get(machine, KERNEL, store)

    @pytest.mark.parametrize("brought_up", ["1 node, 1 CPU", "2 nodes, 3 CPUs"])
    def test_a_kernel_must_find_its_processors(
        self, machine: VirtualMachine, boots: FakeBoots, store: Cache, brought_up: str
    ) -> None:
        """Tests with --cpus would otherwise hold although they had one processor."""
        boots.log = f"6,1,0,-;smp: Brought up {brought_up}\n".encode()
        number = brought_up.split()[2]
        with pytest.raises(BootError, match=rf"the kernel runs on {number} of 4 processors"):
            template.get(replace(machine, cpus=4), KERNEL, store)
        assert nothing_is_kept(store)
        template.get(replace(machine, cpus=int(number)), KERNEL, store)

    def test_a_kernel_without_smp_has_one_processor(
        self, machine: VirtualMachine, boots: FakeBoots, store: Cache
    ) -> None:
        """It says nothing of processors."""
        template.get(replace(machine, cpus=4), KERNEL, store)
        assert boots.times == 1

    @pytest.mark.parametrize(
        ("status", "said"),
        [
            ({"status": "failed", "error-desc": "Unable to write"}, "Unable to write"),
            ({"status": "cancelled"}, "cancelled"),
        ],
    )
    def test_a_state_that_qemu_cannot_save_leaves_nothing(
        self, machine: VirtualMachine, boots: FakeBoots, store: Cache, status: dict[str, str], said: str
    ) -> None:
        boots.qemu.status = status
        with pytest.raises(QemuError, match=f"could not save the guest's state: {said}"):
            template.get(machine, KERNEL, store)
        assert nothing_is_kept(store)

    @pytest.mark.parametrize(("arch", "asked"), [("s390x", True), ("x86_64", False)])
    def test_the_guest_must_be_idle_where_qemu_does_not_save_its_interrupts(
        self, machine: VirtualMachine, boots: FakeBoots, store: Cache, arch: str, asked: bool
    ) -> None:
        """A clone that has lost an interrupt hangs, and its kernel would be accused of that."""
        template.get(replace(machine, arch=arch), KERNEL, store)
        commands = boots.qemu.commands
        assert ("query-cpus-fast" in commands[: commands.index("migrate")]) == asked

    def test_a_full_disk_is_named_and_leaves_nothing(
        self, machine: VirtualMachine, boots: FakeBoots, store: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.pwrite

        def pwrite(file: int, data: bytes, offset: int) -> int:
            if Path(f"/proc/self/fd/{file}").readlink().is_relative_to(store.root):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(file, data, offset)

        monkeypatch.setattr(os, "pwrite", pwrite)
        with pytest.raises(KconformError, match="the disk is full") as caught:
            template.get(machine, KERNEL, store)
        assert caught.value.exit_status == 3
        assert boots.times == 1
        assert nothing_is_kept(store)

    def test_a_partial_write_is_continued(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """write() may write only a part of the data, for example if the disk is nearly full."""
        real = os.pwrite
        monkeypatch.setattr(os, "pwrite", lambda file, data, offset: real(file, data[:1000], offset))
        content = bytes(range(256)) * 64
        (tmp_path / "source").write_bytes(content)
        with (tmp_path / "source").open("rb") as source:
            template._copy_sparse(source.fileno(), tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == content

    @pytest.mark.parametrize("refused", [os.SEEK_DATA, os.SEEK_HOLE], ids=["data", "hole"])
    def test_without_known_holes_all_is_copied(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: int
    ) -> None:
        """Some file systems refuse to say where the data of a file are, such as that of gVisor's memory."""
        real = os.lseek

        def lseek(file: int, position: int, how: int) -> int:
            if how == refused:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            return real(file, position, how)

        monkeypatch.setattr(os, "lseek", lseek)
        (tmp_path / "source").write_bytes(b"kernel")
        with (tmp_path / "source").open("rb") as source:
            template._copy_sparse(source.fileno(), tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == b"kernel"
