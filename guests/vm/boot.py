# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel's way from nothing to an agent that answers, with a deadline and a reason when it ends elsewhere."""

from __future__ import annotations

import contextlib
import os
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

from guests.errors import BootError, ProtocolError, QemuError, SlowBootError
from guests.protocol.channel import Channel, Closed, NoAnswer, SocketStream
from guests.protocol.wire import VERSION, Hello, Op
from guests.vm.console import Console
from guests.vm.qemu_command import Machine, base_command, parse_shown, virtme_run
from guests.vm.qemu_process import Qemu

DEADLINE_S = 120.0
"""For a boot that takes 3 to 6 seconds here: a machine may be slow and busy, but not for ever."""


@dataclass(frozen=True)
class Booted:
    """A kernel that has come up: its QEMU still runs, and its agent has answered."""

    qemu: Qemu
    channel: Channel
    hello: Hello
    console: Console


@cache
def virtme_run_program() -> str:
    """virtme-run, from the environment that Python runs in or else from PATH."""
    beside = Path(sys.executable).with_name("virtme-run")
    found = str(beside) if beside.exists() else shutil.which("virtme-run")
    if found is None:
        raise QemuError("virtme-run is not installed", hint="install the project's dependencies, as tox does")
    return found


@cache
def compose(machine: Machine) -> tuple[str, ...]:
    """The QEMU command for a machine, as virtme-run composes it, without the host's ends of the channels."""
    with tempfile.TemporaryDirectory(prefix="kconform-") as scratch:
        root = Path(scratch, "root")
        root.mkdir()
        # A private HOME: virtme-ng's configuration file would override our options.
        environment = {**os.environ, "HOME": scratch, "XDG_CONFIG_HOME": scratch}
        command = virtme_run(machine, program=virtme_run_program(), root=root)
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise QemuError(
            f"virtme-run could not compose a command: {said[-1] if said else f'exit status {done.returncode}'}",
            hint="is QEMU installed? run `./kconform doctor`",
        )
    return tuple(base_command(parse_shown(done.stdout), machine))


@contextlib.contextmanager
def booted(
    machine: Machine,
    *,
    extra: Sequence[str] = (),
    pass_fds: Sequence[int] = (),
    deadline_s: float = DEADLINE_S,
) -> Iterator[Booted]:
    """Boot until the agent answers.  QEMU is gone when this ends.  BootError says how far a failed boot came."""
    deadline = time.monotonic() + deadline_s
    command = [*compose(machine), *extra]
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            end = theirs.fileno()
            qemu = Qemu(command, console=f"socket,id=console,fd={end}", pass_fds=[end, *pass_fds])
        try:
            console = Console(ours)
            try:
                yield _await_agent(qemu, console, deadline)
            except (Closed, NoAnswer, ProtocolError) as error:
                how = f" ({error.message})" if isinstance(error, ProtocolError) else ""
                raise BootError(
                    f"the kernel booted, but its agent does not answer as it should{how}", console=console.text()
                ) from error
        finally:
            qemu.kill()


def _await_agent(qemu: Qemu, console: Console, deadline: float) -> Booted:
    trouble = console.follow(deadline)
    if trouble == "QEMU is gone":
        trouble = qemu.why_ended()
    if trouble is not None:
        kind = SlowBootError if console.slow else BootError
        raise kind(f"the kernel did not boot: {trouble}", console=console.text())
    channel = Channel(SocketStream(qemu.agent), on_event=lambda _: None)
    try:
        answer = channel.request(Op.HELLO, deadline=max(1.0, deadline - time.monotonic()))
    except (NoAnswer, Closed) as error:
        raise BootError(
            "the kernel booted, but its agent does not answer over the channel", console=console.text()
        ) from error
    hello = Hello.decode(answer.body)
    if hello.version != VERSION:
        raise BootError(f"the agent speaks version {hello.version} of the protocol, we speak {VERSION}")
    return Booted(qemu, channel, hello, console)
