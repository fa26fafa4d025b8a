# SPDX-License-Identifier: GPL-2.0-or-later
"""A QEMU process: started with inherited descriptors, spoken to over QMP, killed with certainty."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from common.text import printable
from guests.errors import QemuError
from guests.vm.qemu_command import channel_options, dying_with_parent


class Qmp:
    """QEMU's machine protocol over one end of a socket pair.

    No library: a clone's whole conversation is written into the socket before QEMU has even started, and read
    when the clone is wanted, which a client that waits for each answer cannot do.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = b""
        self._events: list[Mapping[str, Any]] = []

    def send(self, command: str, **arguments: Any) -> None:
        """Write a command; its answer is read later, in order, by `answer`."""
        message: dict[str, Any] = {"execute": command}
        if arguments:
            message["arguments"] = arguments
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def answer(self, deadline: float) -> Any:
        """What the oldest unanswered command returned.  `deadline` is of time.monotonic().

        Events that come before it are kept for `event`.
        """
        for message in self._messages(deadline):
            if "event" in message:
                self._events.append(message)
            elif "return" in message:
                return message["return"]
            else:
                _raise_refusal(message)
        raise QemuError("QEMU closed its monitor")

    def event(self, names: set[str], deadline: float) -> Mapping[str, Any]:
        """The oldest of these events that was not asked for yet, waited for if need be."""
        while self._events:
            message = self._events.pop(0)
            if message["event"] in names:
                return message
        for message in self._messages(deadline):
            if message.get("event") in names:
                return message
            _raise_refusal(message)
        raise QemuError("QEMU closed its monitor")

    def give_descriptor(self, descriptor: int, name: str, deadline: float) -> None:
        """Hand over a file descriptor, which commands then know by name."""
        message = {"execute": "getfd", "arguments": {"fdname": name}}
        socket.send_fds(self._socket, [json.dumps(message).encode() + b"\n"], [descriptor])
        self.answer(deadline)

    def execute(self, command: str, deadline: float, **arguments: Any) -> Any:
        self.send(command, **arguments)
        return self.answer(deadline)

    def _messages(self, deadline: float) -> Iterator[dict[str, Any]]:
        while True:
            line, newline, rest = self._buffer.partition(b"\n")
            if newline:
                self._buffer = rest
                try:
                    message = json.loads(line)
                except ValueError:
                    raise QemuError("QEMU's monitor sent something that is not JSON") from None
                yield cast(dict[str, Any], message)
                continue
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                received = self._socket.recv(65536)
            except TimeoutError:
                raise QemuError("QEMU's monitor did not answer in time") from None
            except ConnectionError:
                return
            if not received:
                return
            self._buffer += received


def _raise_refusal(message: Mapping[str, Any]) -> None:
    if "error" in message:
        raise QemuError(f"QEMU refused a command: {message['error'].get('desc', message['error'])}")


_ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""QEMU's heap in huge pages, where the host offers them: a clone lives so briefly that its page faults count."""


class Qemu:
    """A running QEMU with a channel to its agent, a monitor, and a console that somebody may read."""

    def __init__(self, command: Sequence[str], *, console: str, pass_fds: Sequence[int] = ()) -> None:
        """Start it.  `console` as in `channel_options`; `pass_fds` are what that and `command` mention."""
        try:
            with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
                self.agent, agent = socket.socketpair()
                ours.enter_context(self.agent)
                theirs.enter_context(agent)
                self._monitor, qmp = socket.socketpair()
                ours.enter_context(self._monitor)
                theirs.enter_context(qmp)
                self.qmp = Qmp(self._monitor)
                self._stderr = os.memfd_create("qemu-stderr")
                ours.callback(os.close, self._stderr)
                whole = [*command, *channel_options(agent=agent.fileno(), qmp=qmp.fileno(), console=console)]
                self.process = subprocess.Popen(
                    dying_with_parent(whole),
                    stdin=subprocess.DEVNULL,
                    stdout=self._stderr,
                    stderr=self._stderr,
                    env=_ENVIRONMENT | os.environ,
                    pass_fds=[agent.fileno(), qmp.fileno(), *pass_fds],
                    start_new_session=True,
                )
                ours.pop_all()
        except FileNotFoundError as missing:
            raise QemuError(
                f"{missing.filename} is not installed",
                hint="run `./kconform doctor`, which can install it",
            ) from None
        except OSError as error:
            raise QemuError(f"QEMU cannot be started: {error}") from error

    @property
    def pid(self) -> int:
        return self.process.pid

    def stderr(self) -> str:
        """What QEMU itself has printed."""
        return os.pread(self._stderr, 65536, 0).decode(errors="replace").strip()

    def ended(self) -> bool:
        return self.process.poll() is not None

    def why_ended(self) -> str:
        """In words, for a QEMU that is gone."""
        code = self.process.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        printed = self.stderr()
        return f"QEMU {how}" + (f": {printable(printed.splitlines()[-1])}" if printed else "")

    def kill(self) -> None:
        """End it now; nothing of it remains.  May be called again."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._close()

    def _close(self) -> None:
        self.agent.close()
        self._monitor.close()
        if self._stderr >= 0:
            os.close(self._stderr)
            self._stderr = -1


def qemu_version(program: str = "qemu-system-x86_64") -> str:
    """The first line of what it says of its version; empty if it is not there."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.partition("\n")[0]
