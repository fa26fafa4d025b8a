# SPDX-License-Identifier: GPL-2.0-or-later
"""Stand-ins for the tests of guests/: an agent on this host, scripts as QEMU and virtme-run, a kernel."""

from __future__ import annotations

import contextlib
import os
import platform
import select
import shutil
import signal
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from guests.call_arguments import Out
from guests.outcome import OK
from guests.protocol import wire
from guests.protocol.pipe_stream import PipeStream
from guests.protocol.wire import Frame, Op, State
from guests.session import Session
from guests.task import Task
from guests.uapi import number
from guests.vm.bootable import required_options
from guests.vm.initramfs import agent
from guests.vm.qemu_command import TITLE_SPACE, Disk, VirtualMachine
from guests.vm.qemu_program import QemuProgram
from kconfigs.cache import Cache
from kconfigs.kconfig import Config
from kconfigs.kernel import Kernel

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
x86_only = pytest.mark.skipif(platform.machine() != "x86_64", reason="needs an x86-64 processor")

DEADLINE_S = 60.0
"""A deadline for operations that take milliseconds; even a slow host meets it, unless something is broken."""
UNUSED_FD = 900
"""A descriptor that no task has."""
ROUNDS = 30
"""Number of repetitions of a race, so that both results occur."""
BOOTABLE = "".join(f"CONFIG_{name}=y\n" for name in required_options("x86_64"))
"""The config of a kernel that can be tested."""
VIRTIO = "CONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_CONSOLE=y\n"
UARTS = "CONFIG_SERIAL_8250_NR_UARTS={}\nCONFIG_SERIAL_8250_RUNTIME_UARTS={}\n"
SOON_S = 0.05
"""A deadline that should pass."""


def cmdline(text: str) -> str:
    """The config of a built-in command line."""
    return f'CONFIG_CMDLINE_BOOL=y\nCONFIG_CMDLINE="{text}"\n'


class HostSession(Session):
    """An agent that runs on this host, with processes of this host as tasks."""

    def __init__(self, program: Path, arch: str = "", emulator: str = "") -> None:
        """`emulator`: QEMU's user emulation, which runs the agent of another architecture."""
        self.program = str(program)
        self._said = os.memfd_create("agent-says")
        arguments = ["agent", "pipes", TITLE_SPACE]
        self.process = subprocess.Popen(
            [emulator, "-0", arguments[0], self.program, *arguments[1:]] if emulator else arguments,
            executable=emulator or program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
        )
        assert self.process.stdin
        assert self.process.stdout
        streams = PipeStream(self.process.stdout.fileno(), self.process.stdin.fileno())
        super().__init__(streams, arch or platform.machine())
        self.greet(init=self.process.pid)

    def child(self, name: str, *, quiet: bool = False) -> Task:
        """A process with the user's own credentials, so that no privileges are necessary."""
        return self.init.spawn(name, quiet=quiet)

    def children(self) -> list[int]:
        """The PIDs of init's children, including spare ones."""
        return [child.pid for child in psutil.Process(self.process.pid).children()]

    def hang_up(self) -> str:
        """Close the host's ends of the pipes, wait for the agent to exit, and return its message."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(timeout=DEADLINE_S)
        return os.pread(self._said, 4096, 0).decode()

    def close(self) -> None:
        self.hang_up()
        os.close(self._said)


@contextlib.contextmanager
def host_session(store: Cache) -> Iterator[HostSession]:
    session = HostSession(agent(platform.machine(), store))
    try:
        yield session
    finally:
        session.close()


def open_descriptors() -> int:
    """The number of open file descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def status_of(task: Task) -> dict[str, str]:
    """/proc/PID/status, which the test reads directly."""
    lines = Path(f"/proc/{task.tid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def pipe(task: Task) -> tuple[int, int]:
    made = task.call("pipe2", Out(8), 0)
    reading, writing = struct.unpack("<ii", made.read())
    return reading, writing


def quiet_child(host: HostSession, name: str = "filtered") -> Task:
    task = host.child(name, quiet=True)
    assert task.set_no_new_privs() == OK
    return task


def await_end(pidfd: int) -> bool:
    """Whether the process of this pidfd ends in time."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(DEADLINE_S * 1000))


def program(path: Path, body: str) -> Path:
    """An executable Python script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable} -IS\n{textwrap.dedent(body)}")
    path.chmod(0o755)
    return path


def quitter(path: Path, status: int, says: str = "") -> Path:
    return program(path, f"import sys\nprint({says!r}, file=sys.stderr)\nsys.exit({status})\n")


QEMU = """
import os, re, signal, sys
fds = {}
for word in sys.argv:
    if found := re.fullmatch(r"socket,id=(\\w+),fd=(\\d+)", word):
        fds[found[1]] = int(found[2])
def console(text):
    os.write(fds["console"], text.encode())
def agent(data):
    os.write(fds["agent"], data)
def wait():
    signal.pause()
"""
"""The beginning of the script of a fake QEMU: the descriptors of its channels, by name."""


def fake_virtme_run(path: Path, qemu: Path) -> Path:
    """A fake virtme-run that prints a command for this QEMU."""
    return program(path, f"print({str(qemu)!r}, '-machine', 'none', '-append', 'virtme_x=1')\n")


OLD_QEMU = QemuProgram("qemu-system-x86_64", "QEMU emulator version 7.2.0", (7, 2, 0), 1)
NEW_QEMU = QemuProgram("qemu-system-x86_64", "QEMU emulator version 11.0.0", (11, 0, 0), 1)


def machine(
    folder: Path, *, disks: Sequence[Disk] = (), arguments: Sequence[str] = (), virtio: bool = True
) -> VirtualMachine:
    return VirtualMachine(
        image=folder / "bzImage",
        initramfs=folder / "initramfs.cpio",
        arguments=tuple(arguments),
        disks=tuple(disks),
        memory_mib=128,
        kvm=False,
        virtio=virtio,
        qemu=OLD_QEMU,
    )


def kernel(folder: Path, config: str = "", modules: Path | None = None) -> Kernel:
    return Kernel(
        name="fake-6.12.7",
        flavor="full",
        release="6.12.7-fake",
        arch="x86_64",
        image=folder / "bzImage",
        config=Config.parse(config),
        modules=modules,
        spec="fake",
        identity="none",
        digest="0" * 64,
    )


MODULAR_VIRTIO = "CONFIG_VIRTIO=m\nCONFIG_VIRTIO_PCI=m\nCONFIG_VIRTIO_CONSOLE=m\n"
"""The config of a kernel with virtio in modules."""


def tool(name: str) -> str:
    """The path of one of this host's programs.  The test is skipped if there is none."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def later() -> float:
    """The time of the monotonic clock after DEADLINE_S."""
    return time.monotonic() + DEADLINE_S


def hello_frame(version: int = wire.VERSION) -> bytes:
    """The answer of an agent to the first request of a session."""
    body = wire.HELLO.pack(version, 4096, 0, 0, b"6.12.7", b"x86_64")
    return Frame(Op.HELLO, 0, 1, body).encode()


def raw_call(*, reads: list[tuple[int, int]], writes: list[tuple[int, bytes]] | None = None) -> bytes:
    """The body of a request for getpid() with these pieces to read and to write."""
    return wire.call_body(number("getpid", platform.machine()), [], reads=reads, writes=writes or [])


def answer(host: HostSession, op: int, slot: int, body: bytes) -> tuple[State, int, bytes]:
    """The agent's answer to any request, including those that no test would make."""
    return wire.split_result(host.request(Op(op), slot, body))


def ended_by(process: subprocess.Popen[str]) -> signal.Signals | int:
    """How a process ended."""
    status = process.wait(timeout=DEADLINE_S)
    return signal.Signals(-status) if status < 0 else status
