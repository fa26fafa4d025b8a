# SPDX-License-Identifier: GPL-2.0-or-later
"""A QEMU process: it inherits its descriptors, is controlled through QMP, and never outlives its owner."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from common.project_files import COMMAND
from common.text import printable
from guests.errors import QemuError
from guests.vm.qemu_command import channel_options, dying_with_parent

_MOST_EVENTS = 1000
"""The number of unread events that are kept."""


class SilentMonitorError(QemuError):
    """QEMU has not answered on its monitor within a deadline."""


class Qmp:
    """QEMU's machine protocol over one end of a socket pair.

    This is not a library's client, because that would wait for each answer: all commands for a clone are written to
    the socket before QEMU has even started, and the answers are read when the clone is needed.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = b""
        self._events: list[Mapping[str, Any]] = []
        self._closed = False

    def fileno(self) -> int:
        """The descriptor to read from; -1 once QEMU has closed the monitor."""
        return -1 if self._closed else self._socket.fileno()

    def send(self, command: str, **arguments: Any) -> None:
        """Write a command; `answer` reads the answers later, in order."""
        message: dict[str, Any] = {"execute": command}
        if arguments:
            message["arguments"] = arguments
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def answer(self, deadline: float) -> Any:
        """The result of the oldest unanswered command.  `deadline` is a time of time.monotonic().

        Events that precede it are kept for `event`.
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
        """Remove and return the oldest of these events; wait for it if necessary."""
        while self._events:
            message = self._events.pop(0)
            if message["event"] in names:
                return message
        for message in self._messages(deadline):
            if message.get("event") in names:
                return message
            _raise_refusal(message)
        raise QemuError("QEMU closed its monitor")

    def guest_has_shut_down(self) -> bool:
        """Whether the guest has shut its machine down or reset it, by what is here; unread answers are dropped."""
        with contextlib.suppress(SilentMonitorError):
            for message in self._messages(0.0):
                # A guest can cause any number of some events.
                if "event" in message and len(self._events) < _MOST_EVENTS:
                    self._events.append(message)
        return any(message["event"] == "SHUTDOWN" and message["data"]["guest"] for message in self._events)

    def give_descriptor(self, descriptor: int, name: str, deadline: float) -> None:
        """Pass a file descriptor to QEMU, where commands refer to it by name."""
        message = {"execute": "getfd", "arguments": {"fdname": name}}
        socket.send_fds(self._socket, [json.dumps(message).encode() + b"\n"], [descriptor])
        self.answer(deadline)

    def ask(
        self,
        command: str,
        deadline: float,
        arguments: Mapping[str, Any] | None = None,
        *,
        descriptor: int | None = None,
    ) -> Any:
        """The result of a command, however many answers of former ones have not been read.

        `descriptor` is passed along (for `getfd`).
        """
        name = f"ask-{command}-{time.monotonic_ns()}"
        message = {"execute": command, "id": name, "arguments": arguments or {}}
        passed = [] if descriptor is None else [descriptor]
        try:
            socket.send_fds(self._socket, [json.dumps(message).encode() + b"\n"], passed)
        except OSError as error:
            raise QemuError(f"QEMU's monitor takes no commands: {error}") from error
        for message in self._messages(deadline):
            if message.get("id") == name:
                _raise_refusal(message)
                return message["return"]
            if "event" in message:
                self._events.append(message)
        raise QemuError("QEMU closed its monitor")

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
                raise SilentMonitorError("QEMU's monitor did not answer in time") from None
            except ConnectionError:
                received = b""
            if not received:
                self._closed = True
                return
            self._buffer += received


def _raise_refusal(message: Mapping[str, Any]) -> None:
    if "error" in message:
        raise QemuError(f"QEMU refused a command: {message['error'].get('desc', message['error'])}")


PAUSES = {
    "internal-error": "KVM could not run it any further",
    "io-error": "an image on this machine could not be read or written, so its disk may be full",
    "paused": "its monitor was told so",
}
"""The states in which QEMU does not run a guest for reasons of its own, and not because the guest asked for that
(RunState in qapi/run-state.json)."""
_STATUS_DEADLINE_S = 10.0

_ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""Huge pages for QEMU's heap, if the host has them: page faults are a large part of a clone's short life."""


class Qemu:
    """A running QEMU with a channel to its agent, a monitor, and a console."""

    def __init__(self, command: Sequence[str], *, console: str, pass_fds: Sequence[int] = ()) -> None:
        """Start QEMU.  `console`: as in `channel_options`; `pass_fds`: the descriptors that it and `command` name."""
        self.guest_ended = False
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
                hint=f"run `{COMMAND} doctor`, which can install it",
            ) from None
        except OSError as error:
            raise QemuError(f"QEMU cannot be started: {error}") from error

    @property
    def pid(self) -> int:
        return self.process.pid

    def stderr(self) -> str:
        """The output of QEMU itself."""
        return os.pread(self._stderr, 65536, 0).decode(errors="replace").strip()

    @property
    def was_terminated(self) -> bool:
        """Whether SIGTERM, SIGINT or SIGHUP has ended it: QEMU then exits with 0, as if the guest had."""
        return "terminating on signal" in self.stderr()

    def pause(self) -> str:
        """Why QEMU does not run the guest, for reasons of its own; empty if it runs it, or has ended."""
        try:
            state = str(self.qmp.ask("query-status", time.monotonic() + _STATUS_DEADLINE_S)["status"])
        except SilentMonitorError:
            return "QEMU itself does not answer"
        except (QemuError, OSError):
            return ""
        return f"QEMU has paused the guest: {PAUSES[state]} ({state})" if state in PAUSES else ""

    def monitor_fileno(self) -> int:
        """The descriptor of the monitor, which can be read when the guest has ended; negative once it is closed."""
        return self.qmp.fileno()

    def has_guest_ended(self) -> bool:
        """Whether the guest has reset or powered off its machine, which QEMU then keeps as it is (-no-shutdown)."""
        self.guest_ended = self.guest_ended or self.qmp.guest_has_shut_down()
        return self.guest_ended

    def dump(self, descriptor: int, deadline: float) -> None:
        """Write the guest's memory and registers to a file, as makedumpfile does (kdump-zlib).

        A running guest is stopped meanwhile.  QemuError if QEMU cannot.
        """
        self.qmp.ask("getfd", deadline, {"fdname": "vmcore"}, descriptor=descriptor)
        arguments = {"paging": False, "protocol": "fd:vmcore", "format": "kdump-zlib"}
        self.qmp.ask("dump-guest-memory", deadline, arguments)

    def physical_memory(self, address: int, size: int, deadline: float) -> bytes:
        """A piece of the guest's memory.  QemuError or OSError if QEMU cannot write it to a temporary file."""
        with tempfile.TemporaryDirectory(prefix="kconform-") as folder:
            path = Path(folder) / "memory"
            self.qmp.ask("pmemsave", deadline, {"val": address, "size": size, "filename": str(path)})
            return path.read_bytes()

    def serve_gdb(self, path: str, deadline: float) -> None:
        """Let gdb attach to the guest at a socket of this path, which has no comma.  QemuError if QEMU cannot."""
        line = f"gdbserver unix:{path},server=on,wait=off"
        answer = self.qmp.ask("human-monitor-command", deadline, {"command-line": line})
        if not Path(path).is_socket():
            raise QemuError(f"QEMU does not serve gdb: {printable(str(answer).strip())}")

    def ended(self) -> bool:
        return self.process.poll() is not None

    def why_ended(self) -> str:
        """A description of how QEMU ended; waits for its end."""
        code = self.process.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        printed = self.stderr()
        return f"QEMU {how}" + (f": {printable(printed.splitlines()[-1])}" if printed else "")

    def kill(self) -> None:
        """End QEMU immediately, with its children, and close its descriptors.  May be called again."""
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
    """The first line of the output of `--version`; empty if there is no such program."""
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, encoding="utf-8", errors="replace", check=False
        )
    except OSError:
        return ""
    return done.stdout.partition("\n")[0]
