# SPDX-License-Identifier: GPL-2.0-or-later
"""Boot a kernel until its agent answers, within a deadline; the error for a failed boot states the reason."""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from common.project_files import COMMAND
from common.text import printable
from guests.errors import BootError, ProtocolError, QemuError, SlowBootError, UsageError
from guests.protocol.channel import Channel, Closed, NoAnswer, SocketStream
from guests.protocol.wire import VERSION, Hello, Op
from guests.vm.console import Console, Problem
from guests.vm.host_time import HostTime
from guests.vm.qemu_command import VirtualMachine, base_command, parse_shown, virtme_run
from guests.vm.qemu_process import Qemu


@dataclass(frozen=True)
class Booted:
    """A booted kernel: its QEMU is running, and its agent has answered."""

    qemu: Qemu
    channel: Channel
    hello: Hello
    console: Console
    host_time: HostTime


@cache
def virtme_run_program() -> str:
    """The path of virtme-run, from Python's environment if it is there, otherwise from PATH."""
    beside = Path(sys.executable).with_name("virtme-run")
    found = str(beside) if beside.exists() else shutil.which("virtme-run")
    if found is None:
        raise QemuError("virtme-run is not installed", hint="install the project's dependencies, as tox does")
    return found


@cache
def compose(machine: VirtualMachine) -> tuple[str, ...]:
    """The QEMU command for a machine, based on virtme-run's, without the host's ends of the channels."""
    with tempfile.TemporaryDirectory(prefix="kconform-") as scratch:
        root = Path(scratch, "root")
        root.mkdir()
        # A private HOME: virtme-ng's configuration file would override our options.
        environment = {**os.environ, "HOME": scratch, "XDG_CONFIG_HOME": scratch}
        command = virtme_run(machine, program=virtme_run_program(), root=root)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, check=False)
    # Paths may be of any bytes.
    printed, errors = os.fsdecode(done.stdout), os.fsdecode(done.stderr)
    if done.returncode:
        said = (errors or printed).strip().splitlines() or [f"exit status {done.returncode}"]
        raise QemuError(
            f"virtme-run could not compose a command: {printable(said[-1])}",
            hint=f"is QEMU installed? run `{COMMAND} doctor`",
        )
    return tuple(base_command(parse_shown(printed, machine.qemu.path), machine))


@contextlib.contextmanager
def booted(
    machine: VirtualMachine,
    *,
    extra: Sequence[str] = (),
    pass_fds: Sequence[int] = (),
    deadline_s: float | None = None,
) -> Iterator[Booted]:
    """Boot until the agent answers, and end QEMU on exit.  BootError states how far a failed boot got.

    `deadline_s`: seconds, if it is not what this machine's kernel may take.  UsageError if QEMU does not accept the
    user's options.
    """
    deadline = time.monotonic() + (deadline_s or machine.boot_timeout_s)
    command = [*compose(machine), *extra, *machine.options]
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            end = theirs.fileno()
            qemu = Qemu(command, console=f"socket,id=console,fd={end}", pass_fds=[end, *pass_fds])
        try:
            host_time = HostTime(qemu.pid)
            console = Console(ours)
            try:
                channel, hello = _await_agent(qemu, console, deadline, machine)
                yield Booted(qemu, channel, hello, console, host_time)
            except (Closed, NoAnswer, ProtocolError) as error:
                how = f" ({error.message})" if isinstance(error, ProtocolError) else ""
                raise BootError(
                    f"the kernel booted, but its agent does not answer correctly{how}", console=console.text()
                ) from error
        finally:
            qemu.kill()


def _await_agent(qemu: Qemu, console: Console, deadline: float, machine: VirtualMachine) -> tuple[Channel, Hello]:
    # A kernel may boot well and print nothing on our console.  A virtio port keeps the question until the agent is
    # ready, so it is asked early; a serial port would lose it.
    early = machine.virtio
    channel = Channel(SocketStream(qemu.agent), on_event=lambda _: None)
    question = None
    if early:
        with contextlib.suppress(Closed):  # QEMU has ended, which the console's end tells
            question = channel.send(Op.HELLO)
    problem = console.follow(deadline, lambda: early and _has_answer(qemu))
    if problem is not None:
        if problem.ended:
            problem = _why_ended(qemu, console)
            if machine.options and qemu.process.returncode > 0 and not console.text():
                raise UsageError(
                    f"QEMU does not accept --qemu-opts={shlex.join(machine.options)}: {problem.text}",
                    hint="its manual lists the options; try them with `qemu-system-x86_64 OPTIONS -machine none`",
                )
        kind = SlowBootError if problem.slow else BootError
        raise kind(f"the kernel did not boot: {problem.text}", console=console.text(), crash=problem.crash)
    try:
        left = max(1.0, deadline - time.monotonic())
        answer = channel.request(Op.HELLO, deadline=left) if question is None else channel.collect(question, left)
    except (NoAnswer, Closed) as error:
        raise BootError(
            "the kernel booted, but its agent does not answer through the channel", console=console.text()
        ) from error
    hello = Hello.decode(answer.body)
    if hello.version != VERSION:
        raise BootError(f"the agent speaks version {hello.version} of the protocol instead of {VERSION}")
    return channel, hello


def _has_answer(qemu: Qemu) -> bool:
    return bool(select.select([qemu.agent], [], [], 0)[0])


def _why_ended(qemu: Qemu, console: Console) -> Problem:
    """QEMU exits with 0 if the guest resets its machine, as after a triple fault (-no-reboot)."""
    text = qemu.why_ended()
    if qemu.process.returncode or qemu.was_terminated:
        return Problem(text)
    return Problem(text, crash=console.crash() or "the machine was reset without a word, as by a triple fault")
