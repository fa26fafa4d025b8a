# SPDX-License-Identifier: GPL-2.0-or-later
"""Command lines, as lists, computed by pure functions.

virtme-run chooses the machine for a kernel (its --dry-run --show-command prints it); options that a guest does not
use are removed from that, and options that it needs are added.  A template and its clones have the same devices: they
differ only in how memory is shared, in the incoming state, and in the host's ends of the channels, and a clone has no
kernel to boot.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from guests.errors import QemuError, UsageError
from guests.syscalls.block_devices import Verity
from guests.vm.boot_arguments import uses_channel_port
from guests.vm.machine_options import BOOT_TIMEOUT_S
from guests.vm.qemu_program import SANDBOX, QemuProgram
from guests.vm.stall_limits import StallLimits
from kconfigs.architectures import ARCHITECTURES, Architecture

CHANNEL_NAME = "org.kconform.agent"

TITLE_SPACE = "task-name-".ljust(40, "-")
"""An argument for init: space into which the agent's children write their names, because log lines quote the command
line of a task."""

WITHOUT_CX16 = "-cx16"
"""A property of an emulated processor: to lack cmpxchg16b, which some versions of QEMU emulate incorrectly.  A
kernel that is interrupted after it continues in single steps, or not at all.  SLUB (mm/slub.c) uses it in each
allocation, if the processor has it."""

_SYNONYMS = {"-M": "-machine"}
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
"""The options of virtme-run that define the machine.  The others are for its shares, watchdog, consoles and script
ports, which double the time that a clone takes to start."""
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
"""Kernel arguments that are for virtme's own init, or that would keep log messages from the console."""


@dataclass(frozen=True)
class Disk:
    """A virtio-blk disk of a guest: /dev/vda is the first.  The image itself is never modified."""

    image: Path
    read_only: bool = False
    verity: Verity | None = None
    """The parameters of its hash tree, if it has one."""
    shared: bool = False
    """Whether it is a directory, which the guest mounts by 9p; the mount tag of the first disk is disk0."""


@dataclass(frozen=True)
class VirtualMachine:
    """The configuration of a virtual machine, except for the content of its kernel."""

    image: Path
    initramfs: Path
    arguments: tuple[str, ...]
    """The kernel arguments that the user and the test request."""
    disks: tuple[Disk, ...]
    memory_mib: int
    kvm: bool
    virtio: bool
    """Whether the channel is a virtio port; otherwise, it is a second serial port."""
    qemu: QemuProgram
    arch: str = "x86_64"
    builtin_arguments: str = ""
    """What the kernel puts before its arguments by itself."""
    command_line_size: int = 0
    """Bytes of the kernel's command line, if that is not the architecture's."""
    cpus: int = 1
    processor: tuple[str, ...] = ()
    """Properties of its processor, if that is emulated, beside those that QEMU gives it: `family=23`."""
    options: tuple[str, ...] = ()
    """The user's own arguments for QEMU, after all others."""
    boot_timeout_s: float = field(default=BOOT_TIMEOUT_S, compare=False)
    """How long its kernel may take to boot."""
    stall_limits: StallLimits = field(default=StallLimits(), compare=False)
    """When its kernel complains that something takes too long."""

    @property
    def architecture(self) -> Architecture:
        return ARCHITECTURES[self.arch]


def virtme_run(machine: VirtualMachine, *, program: str, root: Path) -> list[str]:
    """The virtme-run command that prints the QEMU command for this machine."""
    acceleration = [] if machine.kvm else ["--disable-kvm"]
    properties = machine.architecture.machine_properties
    cpus = str(machine.cpus)
    if machine.cpus > 1 and machine.architecture.separate_sockets:
        cpus += f",sockets={machine.cpus}"
    return [
        program,
        *("--kimg", str(machine.image), "--root", str(root), "--arch", machine.arch),
        *("--qemu-bin", machine.qemu.path),
        *("--mods", "none", "--force-9p", "--cpus", cpus, "--memory", f"{machine.memory_mib}M"),
        *acceleration,
        *("--disable-microvm", "--dry-run", "--show-command"),
        *("--qemu-opts", "-initrd", str(machine.initramfs)),
        *(("-machine", properties) if properties else ()),
    ]


def virtme_boot(machine: VirtualMachine, *, program: str, root: Path) -> list[str]:
    """The virtme-run command that boots this machine in virtme-run's own way, with the same agent."""
    composed = virtme_run(machine, program=program, root=root)
    channel = "virtio" if machine.virtio else "serial"
    composing = {"--dry-run", "--show-command"}
    before = [word for word in composed if word not in composing]
    at = before.index("--qemu-opts")
    arguments = [
        "-a",
        f"console={machine.architecture.console}",
        "-a",
        "ignore_loglevel",
        "-a",
        f"kconform.channel={channel}",
    ]
    port = ["-chardev", "null,id=agent"]
    if machine.virtio:
        port += ["-device", f"{_virtio(machine, 'serial')},id=ours"]
        port += ["-device", f"virtserialport,bus=ours.0,chardev=agent,name={CHANNEL_NAME}"]
    else:
        port += ["-serial", "chardev:agent"]
    return [*before[:at], *arguments, *before[at:], *port]


def parse_shown(output: str, program: str = "qemu") -> list[str]:
    """The QEMU command in virtme-run's output: the last line, shell-quoted; `program` may have any name."""
    lines = [line for line in output.splitlines() if line.strip()]
    if not lines or not ("qemu" in lines[-1] or lines[-1].startswith(shlex.quote(program))):
        raise QemuError(
            f"virtme-run printed no QEMU command: {lines[-1] if lines else 'no output'}",
            hint="does pyproject.toml permit this version of virtme-ng?",
        )
    return shlex.split(lines[-1])


def options(command: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """The options of a QEMU command, each with its value or None."""
    words = iter(command)
    for word in words:
        yield word, None if word in _WITHOUT_VALUE else next(words, None)


def kernel_arguments(shown: str, machine: VirtualMachine) -> str:
    """The kernel command line: virtme-run's arguments, ours, and those that the user and the test request.

    Our console is the last one, whatever else they name: it is where the agent's messages go (console_device()).
    """
    theirs = shown.split(" init=", 1)[0].split()
    kept = [word for word in theirs if not word.startswith(_VIRTME_ARGUMENTS)]
    channel = "virtio" if machine.virtio else "serial"
    ours = ["ignore_loglevel", "panic=-1", f"kconform.channel={channel}"]
    ours += machine.architecture.arguments
    if rewritten := machine.architecture.rewritten_mib:
        ours.append(f"mem={machine.memory_mib - rewritten}M")
    for word in machine.arguments:
        if not machine.virtio and uses_channel_port(word):
            raise UsageError(
                f"{word} takes the serial port that the host needs to talk to the guest",
                hint="leave it out, or test a kernel with CONFIG_VIRTIO_PCI and CONFIG_VIRTIO_CONSOLE",
            )
    line = " ".join([*kept, *ours, *machine.arguments, f"console={machine.architecture.console}", "--", TITLE_SPACE])
    builtin = f"{machine.builtin_arguments} " if machine.builtin_arguments else ""
    size = machine.command_line_size or machine.architecture.command_line_size
    if len(builtin) + len(line) >= size:
        among = f", {len(builtin)} of them from CONFIG_CMDLINE" if builtin else ""
        raise UsageError(
            f"the kernel command line has {len(builtin) + len(line)} bytes{among}, and {machine.arch}"
            f" truncates it to {size - 1}"
        )
    return line


def base_command(shown: Sequence[str], machine: VirtualMachine) -> list[str]:
    """The QEMU command that a template and its clones share, without the host's ends of the channels."""
    command = [shown[0], "-nodefaults", "-no-user-config", "-no-reboot"]
    if machine.qemu.sandboxed:
        command += SANDBOX
    chosen = [(_SYNONYMS.get(option, option), value) for option, value in options(shown[1:])]
    if not machine.kvm and "-cpu" not in dict(chosen):
        # virtme-run leaves the processor of some architectures to QEMU.
        chosen.append(("-cpu", machine.architecture.emulated_cpu))
    for option, value in chosen:
        if option == "-append":
            command += [option, kernel_arguments(value or "", machine)]
        elif option == "-cpu" and value == machine.architecture.emulated_cpu and not machine.kvm:
            lacking = [WITHOUT_CX16] if machine.architecture.has_cmpxchg16b and machine.qemu.breaks_cmpxchg16b else []
            command += [option, ",".join([value, *lacking, *machine.processor])]
        elif option in _KEPT:
            command += [option] if value is None else [option, value]
    command += ["-serial", "chardev:console"]
    if machine.virtio:
        command += [
            "-device",
            _virtio(machine, "serial"),
            "-device",
            f"virtserialport,chardev=agent,name={CHANNEL_NAME}",
        ]
    else:
        command += ["-serial", "chardev:agent"]
    for number, disk in enumerate(machine.disks):
        if disk.shared:
            share = f"local,id=disk{number},path={_escaped(disk.image)},security_model=none,readonly=on"
            command += ["-fsdev", share]
            command += ["-device", f"{_virtio(machine, '9p')},fsdev=disk{number},mount_tag=disk{number}"]
            continue
        mode = "readonly=on" if disk.read_only else "snapshot=on"
        command += ["-drive", f"if=none,id=disk{number},format=raw,file={_escaped(disk.image)},{mode}"]
        command += ["-device", f"{_virtio(machine, 'blk')},drive=disk{number}"]
    return command


def _virtio(machine: VirtualMachine, kind: str) -> str:
    """QEMU's name of a virtio device for this machine."""
    return f"virtio-{kind}-{machine.architecture.virtio_bus}"


_FOR_THE_BOOT = {"-kernel", "-initrd", "-append"}


def clone_command(composed: Sequence[str]) -> list[str]:
    """The command of a clone: it needs no kernel, which is in the memory that it maps."""
    command = [composed[0]]
    for option, value in options(composed[1:]):
        if option not in _FOR_THE_BOOT:
            command += [option] if value is None else [option, value]
    return command


def memory_options(file: Path, mib: int, *, shared: bool) -> list[str]:
    """Guest RAM in a file: shared while the template is created, mapped copy-on-write by clones."""
    share = "on" if shared else "off"
    backend = f"memory-backend-file,id=ram,size={mib}M,mem-path={_escaped(file)},share={share}"
    return ["-object", backend, "-machine", "memory-backend=ram"]


def channel_options(*, agent: int, qmp: int, console: str) -> list[str]:
    """The host's ends of the channels, as inherited descriptors: there are no ports or paths that could conflict.

    `console` is the rest of its -chardev option, as `file,path=...` or `socket,fd=...`.
    """
    return [
        *("-chardev", f"socket,id=agent,fd={agent}"),
        *("-chardev", f"socket,id=qmp,fd={qmp}", "-mon", "chardev=qmp,mode=control"),
        *("-chardev", console),
    ]


def dying_with_parent(command: Sequence[str]) -> list[str]:
    """The command under setpriv, so that a killed test run leaves no QEMU running."""
    return ["setpriv", "--pdeathsig", "KILL", "--", *command]


def _escaped(path: Path) -> str:
    """A path inside a QEMU option, in which commas are doubled."""
    return str(path).replace(",", ",,")
