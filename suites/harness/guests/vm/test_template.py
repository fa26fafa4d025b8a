# SPDX-License-Identifier: GPL-2.0-or-later
"""Templates: their keys cover all parameters, incomplete ones are not kept, and changed ones are never used."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from guests.errors import KconformError, QemuError
from guests.guest import Guest
from guests.protocol import wire
from guests.protocol.deadline import Deadline
from guests.protocol.wire import Frame, Op, State
from guests.vm import template
from guests.vm.qemu_command import Disk, VirtualMachine, base_command
from guests.vm.qemu_process import Qemu
from guests.vm.qemu_program import QemuProgram
from guests.vm.template import DamagedTemplateError, template_key
from kconfigs.cache import Cache
from suites.harness.guests import fakes

SIZE = 4 << 20
KERNEL = {"kernel": "abc"}


@pytest.fixture
def qemu(tmp_path: Path) -> Path:
    return fakes.program(tmp_path / "bin" / "qemu", "print('QEMU emulator version 7.2')\n")


@pytest.fixture
def machine(tmp_path: Path, qemu: Path, monkeypatch: pytest.MonkeyPatch) -> VirtualMachine:
    """A virtual machine whose QEMU command is composed without virtme-run."""

    def compose(machine: VirtualMachine) -> tuple[str, ...]:
        shown = [str(qemu), "-kernel", str(machine.image), "-initrd", str(machine.initramfs), "-append", "ro"]
        return tuple(base_command([*shown, *(["-enable-kvm"] if machine.kvm else [])], machine))

    monkeypatch.setattr(template, "compose", compose)
    return replace(fakes.machine(tmp_path), memory_mib=SIZE >> 20)


@dataclass
class FakeQemu:
    """A booted QEMU that saves its state."""

    status: dict[str, str] = field(default_factory=lambda: {"status": "completed"})
    commands: list[str] = field(default_factory=list)

    @property
    def qmp(self) -> FakeQemu:
        return self

    def execute(self, command: str, _deadline: float, **_arguments: Any) -> dict[str, str]:
        self.commands.append(command)
        return self.status if command == "query-migrate" else {}

    def event(self, names: set[str], _deadline: float) -> dict[str, Any]:
        assert names == {"MIGRATION"}
        return {"event": "MIGRATION", "data": {"status": self.status["status"]}}

    def give_descriptor(self, descriptor: int, _name: str, _deadline: float) -> None:
        os.write(descriptor, b"state of devices")

    def why_ended(self) -> str:
        return "QEMU exited with 0"

    def ended(self) -> bool:
        return False


@dataclass
class FakeBoots:
    """Replaces `booted`: counts the boots, and writes to the RAM that it receives."""

    qemu: FakeQemu = field(default_factory=FakeQemu)
    times: int = 0
    error: Exception | None = None
    taint: bytes | None = b"512\n"

    @contextlib.contextmanager
    def __call__(
        self, _machine: VirtualMachine, *, extra: Sequence[str], pass_fds: Sequence[int]
    ) -> Iterator[FakeBoots]:
        self.times += 1
        assert any("share=on" in word for word in extra)
        ram, _state = pass_fds
        assert os.fstat(ram).st_size == SIZE
        os.pwrite(ram, b"kernel", 1 << 20)
        os.pwrite(ram, b"stack", SIZE - 5)
        if self.error:
            raise self.error
        self.lines = [b"6,1,0,-;Linux\n", b""]
        yield self

    @property
    def channel(self) -> FakeBoots:
        return self

    @property
    def console(self) -> FakeBoots:
        return self

    def request(self, op: Op) -> Frame:
        if op is Op.TAINT:
            value = -9 if self.taint is None else len(self.taint)
            return Frame(op, 0, 0, wire.RESULT.pack(value, State.RETURNED) + (self.taint or b""))
        return Frame(op, 0, 0, self.lines.pop(0))

    def deadline(self, seconds: float) -> Deadline:
        return Deadline(seconds)

    def text(self) -> str:
        return "Linux\n"


@pytest.fixture
def boots(monkeypatch: pytest.MonkeyPatch) -> FakeBoots:
    boots = FakeBoots()
    monkeypatch.setattr(template, "booted", boots)
    return boots


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


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


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def lengthen(path: Path) -> None:
    os.truncate(path, path.stat().st_size + 1)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def overwrite(path: Path) -> None:
    path.write_text("{}")


DAMAGE: dict[str, tuple[str, Callable[[Path], None]]] = {
    "ram-missing": ("ram", Path.unlink),
    "ram-cut-short": ("ram", cut),
    "ram-too-long": ("ram", lengthen),
    "ram-changed": ("ram", flip),
    "state-missing": ("state", Path.unlink),
    "state-cut-short": ("state", cut),
    "state-changed": ("state", flip),
    "meta-missing": ("meta.json", Path.unlink),
    "meta-cut-short": ("meta.json", cut),
    "meta-of-something-else": ("meta.json", overwrite),
}


class TestChecking:
    @pytest.mark.parametrize(("name", "damage"), DAMAGE.values(), ids=DAMAGE)
    def test_damage_is_detected_and_the_template_is_created_again(
        self,
        machine: VirtualMachine,
        boots: FakeBoots,
        store: Cache,
        caplog: pytest.LogCaptureFixture,
        name: str,
        damage: Callable[[Path], None],
    ) -> None:
        made = template.get(machine, KERNEL, store)
        template.check(made.directory)
        damage(made.directory / name)
        with pytest.raises(DamagedTemplateError):
            template.check(made.directory)
        with caplog.at_level(logging.WARNING, "kconform"):
            template.get(machine, KERNEL, store)
        assert boots.times == 2
        assert f"templates/{made.key} is damaged and is made again" in caplog.text
        template.check(made.directory)

    def test_data_that_moved_is_damage(self, tmp_path: Path) -> None:
        """The same bytes at another address are different RAM."""
        for name, place in (("one", 0), ("two", 1 << 22)):
            with (tmp_path / name).open("wb") as file:
                file.truncate(1 << 23)
                file.seek(place)
                file.write(b"x" * 4096)
        assert template._checksum(tmp_path / "one") != template._checksum(tmp_path / "two")

    def test_a_hole_and_zeros_are_the_same(self, tmp_path: Path) -> None:
        """Copying a cache may fill holes with zeros."""
        with (tmp_path / "holes").open("wb") as file:
            file.truncate(1 << 20)
        (tmp_path / "zeros").write_bytes(bytes(1 << 20))
        assert template._checksum(tmp_path / "holes") == template._checksum(tmp_path / "zeros")


class TestClone:
    @pytest.mark.parametrize(
        ("program", "uri"),
        [(fakes.OLD_QEMU, r"fd:(\d+)"), (fakes.NEW_QEMU, r"file:/proc/self/fd/(\d+)")],
        ids=["7.2", "11.0"],
    )
    def test_all_commands_are_sent_before_it_runs(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: QemuProgram, uri: str
    ) -> None:
        """QEMU inherits a descriptor of the state, and maps the memory copy-on-write; nothing waits for QEMU."""
        script = fakes.program(
            tmp_path / "qemu",
            fakes.QEMU + "import json\n"
            "told = os.fdopen(fds['qmp'])\n"
            "commands = [json.loads(told.readline()) for _ in range(3)]\n"
            "uri = commands[2]['arguments']['uri']\n"
            f"state = os.read(int(re.fullmatch({uri!r}, uri)[1]), 100).decode()\n"
            "agent(json.dumps([sys.argv, [one['execute'] for one in commands], state]).encode() + b'\\n')\n",
        )
        folder = tmp_path / "a folder, with a comma"
        folder.mkdir()
        monkeypatch.setattr(template, "compose", lambda _: (str(script), "-m", "4M"))
        (folder / "state").write_text("saved")
        made = template.Template(replace(fakes.machine(folder), memory_mib=4, qemu=program), folder, "key")
        console = os.memfd_create("console")
        clone = made.start_clone(console)
        try:
            argv, commands, state = json.loads(clone.agent.makefile().readline())
        finally:
            clone.kill()
            os.close(console)
        assert commands == ["qmp_capabilities", "migrate-set-capabilities", "migrate-incoming"]
        assert state == "saved"
        assert argv[1:3] == ["-m", "4M"]
        escaped = str(folder).replace(",", ",,")
        assert f"memory-backend-file,id=ram,size=4M,mem-path={escaped}/ram,share=off" in argv
        assert argv[argv.index("-S") : argv.index("-S") + 3] == ["-S", "-incoming", "defer"]

    @pytest.mark.parametrize("error", [BrokenPipeError(), QemuError("refused"), KeyboardInterrupt()], ids=repr)
    def test_a_clone_that_accepts_no_commands_is_killed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
    ) -> None:
        """Neither its process nor any descriptor is left, including those of the guest."""
        script = fakes.program(tmp_path / "qemu", fakes.QEMU + "wait()\n")
        monkeypatch.setattr(template, "compose", lambda _: (str(script),))
        (tmp_path / "state").write_text("saved")
        made = template.Template(replace(fakes.machine(tmp_path), memory_mib=4), tmp_path, "key")
        started = []

        def fail(qemu: Qemu, *_: object) -> None:
            started.append(qemu.process)
            raise error

        monkeypatch.setattr("guests.vm.device_state.send_load", fail)
        before = fakes.open_descriptors()
        with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else QemuError):
            Guest(fakes.kernel(tmp_path), made)
        (process,) = started
        assert process.returncode is not None
        assert fakes.open_descriptors() == before

    def test_a_template_without_its_state_has_no_clones(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(template, "compose", lambda _: ("qemu",))
        before = fakes.open_descriptors()
        with pytest.raises(FileNotFoundError):
            Guest(fakes.kernel(tmp_path), template.Template(fakes.machine(tmp_path), tmp_path, "key"))
        assert fakes.open_descriptors() == before
