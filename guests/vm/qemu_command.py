# SPDX-License-Identifier: GPL-2.0-or-later
"""Command lines, as lists, by pure functions.

virtme-run decides what a machine for a kernel looks like (its --dry-run --show-command prints it); what a guest of
ours has no use for is taken out of that, and what it needs is put in.  Template and clones have the very same
devices: between them only the memory's sharing, the incoming state and the host's ends of the channels differ, and a
clone has no kernel to boot.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from guests.errors import QemuError, UsageError
from guests.syscalls.block_devices import Verity
from guests.vm.qemu_program import QemuProgram

CHANNEL_NAME = "org.kconform.agent"

TITLE_ROOM = "task-name-".ljust(40, "-")
"""An argument for init: room in which the agent's children write their names, for the log lines that quote a
task's command line."""

COMMAND_LINE_SIZE = 2048
"""x86's, its NUL included (arch/x86/include/asm/setup.h)."""

EMULATED_CPU = "max"
"""virtme-run's choice."""

CPU_WITHOUT_CX16 = "max,-cx16"
"""The same without cmpxchg16b, where QEMU emulates it wrongly: a kernel that is interrupted after it goes on in
single steps, or not at all.  SLUB (mm/slub.c) uses it in each allocation, and does without where there is none."""

_KEPT = {
    "-machine",
    "-cpu",
    "-smp",
    "-m",
    "-kernel",
    "-append",
    "-initrd",
    "-vga",
    "-display",
    "-accel",
    "-enable-kvm",
}
"""Of virtme-run's options, those that say what the machine is.  The rest are its shares, its watchdog, its consoles
and its script ports, which cost a clone half of its time."""
_WITHOUT_VALUE = {"-enable-kvm", "-no-reboot", "-nodefaults", "-no-user-config", "-S", "-nographic"}
_VIRTME_ARGUMENTS = (
    "console=",
    "quiet",
    "loglevel=",
    "virtme",
    "rootfstype=",
    "rootflags=",
    "init=",
    "TERM=",
    "nr_open=",
)
"""Kernel arguments that are for virtme's own init, or that would keep the log from our console."""


@dataclass(frozen=True)
class Disk:
    """A virtio-blk disk of a guest: /dev/vda is the first.  The image itself is never written."""

    image: Path
    read_only: bool = False
    verity: Verity | None = None
    """The table of its hash tree, if it has one."""
    shared: bool = False
    """It is a directory, and the guest's to mount by 9p; its tag is disk0 if it is the first."""


@dataclass(frozen=True)
class Machine:
    """Everything that decides what a booted guest is, except its kernel's content."""

    image: Path
    initramfs: Path
    arguments: tuple[str, ...]
    """The kernel command line that the test asked for."""
    disks: tuple[Disk, ...]
    memory_mib: int
    kvm: bool
    virtio: bool
    """The channel is a virtio port; otherwise a second serial port."""
    qemu: QemuProgram
    arch: str = "x86_64"


def virtme_run(machine: Machine, *, program: str, root: Path) -> list[str]:
    """The virtme-run call that prints the QEMU command for this machine."""
    acceleration = [] if machine.kvm else ["--disable-kvm"]
    return [
        program,
        *("--kimg", str(machine.image), "--root", str(root), "--arch", machine.arch),
        *("--qemu-bin", machine.qemu.path),
        *("--mods", "none", "--force-9p", "--cpus", "1", "--memory", f"{machine.memory_mib}M"),
        *acceleration,
        *("--disable-microvm", "--dry-run", "--show-command"),
        *("--qemu-opts", "-initrd", str(machine.initramfs)),
    ]


def virtme_boot(machine: Machine, *, program: str, root: Path) -> list[str]:
    """The virtme-run call that boots this machine the way virtme-run does, up to the same agent."""
    composed = virtme_run(machine, program=program, root=root)
    channel = "virtio" if machine.virtio else "serial"
    composing = {"--dry-run", "--show-command"}
    before = [word for word in composed if word not in composing]
    at = before.index("--qemu-opts")
    arguments = ["-a", "console=ttyS0", "-a", "ignore_loglevel", "-a", f"kconform.channel={channel}"]
    port = ["-chardev", "null,id=agent"]
    if machine.virtio:
        port += ["-device", "virtio-serial-pci,id=ours"]
        port += ["-device", f"virtserialport,bus=ours.0,chardev=agent,name={CHANNEL_NAME}"]
    else:
        port += ["-serial", "chardev:agent"]
    return [*before[:at], *arguments, *before[at:], *port]


def parse_shown(output: str) -> list[str]:
    """The QEMU command out of what virtme-run printed: its last line, shell-quoted."""
    lines = [line for line in output.splitlines() if line.strip()]
    if not lines or "qemu" not in lines[-1]:
        raise QemuError(
            f"virtme-run printed no QEMU command: {lines[-1] if lines else 'nothing at all'}",
            hint="is this version of virtme-ng one of those in pyproject.toml?",
        )
    return shlex.split(lines[-1])


def options(command: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """QEMU's options one by one, each with its value or None."""
    words = iter(command)
    for word in words:
        yield word, None if word in _WITHOUT_VALUE else next(words, None)


def kernel_arguments(shown: str, machine: Machine) -> str:
    """The kernel command line: virtme-run's own, what makes the console ours, then what the test asked for."""
    theirs = shown.split(" init=", 1)[0].split()
    kept = [word for word in theirs if not word.startswith(_VIRTME_ARGUMENTS)]
    channel = "virtio" if machine.virtio else "serial"
    ours = ["console=ttyS0", "ignore_loglevel", "panic=-1", f"kconform.channel={channel}"]
    if machine.arch == "x86_64":
        # A guest that waits for its turn on a busy host has no broken clock. Else the kernel says so in the midst of
        # a test, and goes on with a worse one (clocksource_watchdog()); or it sees too few ticks while it boots, and
        # panics (timer_irq_works()).
        ours += ["tsc=reliable", "no_timer_check"]
    line = " ".join([*kept, *ours, *machine.arguments, "--", TITLE_ROOM])
    if len(line) >= COMMAND_LINE_SIZE:
        raise UsageError(f"the kernel command line has {len(line)} bytes, of which x86 cuts all after the 2047th")
    return line


def base_command(shown: Sequence[str], machine: Machine) -> list[str]:
    """The QEMU command shared by the template and every clone of it, without the host's ends of its channels."""
    command = [shown[0], "-nodefaults", "-no-user-config", "-no-reboot"]
    for option, value in options(shown[1:]):
        if option == "-append":
            command += [option, kernel_arguments(value or "", machine)]
        elif option == "-cpu" and value == EMULATED_CPU and not machine.kvm and machine.qemu.breaks_cmpxchg16b:
            command += [option, CPU_WITHOUT_CX16]
        elif option in _KEPT:
            command += [option] if value is None else [option, value]
    command += ["-serial", "chardev:console"]
    if machine.virtio:
        command += [
            "-device",
            "virtio-serial-pci",
            "-device",
            f"virtserialport,chardev=agent,name={CHANNEL_NAME}",
        ]
    else:
        command += ["-serial", "chardev:agent"]
    for number, disk in enumerate(machine.disks):
        if disk.shared:
            share = f"local,id=disk{number},path={_escaped(disk.image)},security_model=none,readonly=on"
            command += ["-fsdev", share]
            command += ["-device", f"virtio-9p-pci,fsdev=disk{number},mount_tag=disk{number}"]
            continue
        mode = "readonly=on" if disk.read_only else "snapshot=on"
        command += ["-drive", f"if=none,id=disk{number},format=raw,file={_escaped(disk.image)},{mode}"]
        command += ["-device", f"virtio-blk-pci,drive=disk{number}"]
    return command


_FOR_THE_BOOT = {"-kernel", "-initrd", "-append"}


def clone_command(composed: Sequence[str]) -> list[str]:
    """A clone's command, out of its machine's: the kernel lies in the memory that it maps, and need not be read."""
    command = [composed[0]]
    for option, value in options(composed[1:]):
        if option not in _FOR_THE_BOOT:
            command += [option] if value is None else [option, value]
    return command


def memory_options(file: Path, mib: int, *, shared: bool) -> list[str]:
    """Guest RAM in a file: shared while the template is made, mapped copy-on-write by its clones."""
    share = "on" if shared else "off"
    backend = f"memory-backend-file,id=ram,size={mib}M,mem-path={_escaped(file)},share={share}"
    return ["-object", backend, "-machine", "memory-backend=ram"]


def channel_options(*, agent: int, qmp: int, console: str) -> list[str]:
    """The host's ends, as inherited descriptors: no port and no path that two runs could both want.

    `console` is the rest of its -chardev option, as `file,path=...` or `socket,fd=...`.
    """
    return [
        *("-chardev", f"socket,id=agent,fd={agent}"),
        *("-chardev", f"socket,id=qmp,fd={qmp}", "-mon", "chardev=qmp,mode=control"),
        *("-chardev", console),
    ]


def dying_with_parent(command: Sequence[str]) -> list[str]:
    """The command under setpriv, so that a killed test run leaves no QEMU behind."""
    return ["setpriv", "--pdeathsig", "KILL", "--", *command]


def _escaped(path: Path) -> str:
    """A path inside a QEMU option, where a comma is written twice."""
    return str(path).replace(",", ",,")
