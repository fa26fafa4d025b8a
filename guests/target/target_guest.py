# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest on a machine that somebody else booted: an agent with a root of its own, which runs for one test.

Its kernel is not fresh, its machine does other things besides, and its channel is a network's.  So nothing of these
counts against the kernel: a lost connection and a machine that does not answer are harness errors, and so is a
complaint of the kernel, unless it names a task of the test.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Callable

import pytest

from common.text import printable
from guests.errors import AgentError, GuestBroke, TargetError
from guests.guest import Guest
from guests.log import kernel_log, taint
from guests.outcome import Outcome
from guests.protocol.channel import CALL_DEADLINE
from guests.protocol.pipe_stream import PipeStream
from guests.protocol.wire import Op
from guests.session import Session
from guests.target.kept_settings import is_restored
from guests.target.piped_process import PipedProcess
from guests.target.target_connection import TargetConnection
from kconfigs.kernel import Kernel
from kconfigs.target_facts import SSH_FAILED

START_S = 120.0
"""Seconds for the agent's first answer."""
CLOSE_S = 60.0
"""Seconds for the agent to end all tasks, and to restore the settings."""
SAID_MAX = 1 << 16
MESSAGES_S = 5.0
"""The interval in which the kernel prints ten messages of one kind, and no more (include/linux/ratelimit_types.h)."""
LIMITED = " was attempted by "
"""What a message has that the kernel limits in this way, whatever its settings (yama_lsm.c, report_access())."""

_FIRST = "the first answer"
_PID = re.compile(r"\bPID: ([0-9]+)\b")
_CUT = ("the host is gone", "the channel to the host broke")
"""What the agent says of a channel that has been closed, as it always is in the end."""
_SAYS = re.compile(r"^kconform: agent: (.*)", re.MULTILINE)


class TargetGuest(Guest):
    """Like a clone of a template, but for what a machine that goes on running cannot offer."""

    disposable = False

    def __init__(self, kernel: Kernel, connection: TargetConnection) -> None:
        self.kernel = kernel
        self._name = printable(connection.machine.text)
        self._by_ssh = bool(connection.machine.host)
        command = connection.agent_command()
        self._said = os.memfd_create("agent-says", os.MFD_CLOEXEC)
        self._process = PipedProcess(command, self._said)
        self._reported = False
        """Whether the test knows already that the agent is gone."""
        self._log_before = ""
        self._taint_at_first: int | None = None
        Session.__init__(self, PipeStream(self._process.output.fileno(), self._process.input.fileno()), kernel.arch)

    def resume(self) -> None:
        """Wait for the agent's first answer, and note what the kernel has logged so far."""
        try:
            # Until then, ssh opens a session, and sudo looks for its rules.
            self.collect(self.send(Op.HELLO, 0, b"", _FIRST), _FIRST, START_S)
            self._begin()
            self.greet(init=int(self.read_file("/proc/self/stat").split()[0]))
            with self._diagnosing("reading the kernel's log"):
                self._log_before, _ = kernel_log.read_raw(self._channel)
                self._taint_at_first = taint.read(self._channel)
        except GuestBroke as error:
            raise TargetError(f"the agent did not start on {self._name}: {error}") from error

    def await_messages(self) -> None:
        """Wait until the kernel's limit for messages of one kind does not count those of earlier tests."""
        last = [one.time_us for one in kernel_log.parse(self._log_before) if LIMITED in one.text][-1:]
        if last:
            since = float(self.read_file("/proc/uptime").split()[0]) - last[0] / 1e6
            self._channel.wait(lambda: False, min(MESSAGES_S, max(0.0, MESSAGES_S - since)) + 1.0)

    def send(self, op: Op, slot: int, body: bytes, what: str) -> int:
        return Session.send(self, op, slot, body, what)

    def _write(self, path: str, data: bytes, flags: int, mode: int) -> Outcome:
        if not is_restored(path):
            pytest.skip(f"needs to write to {path}, and nothing would restore that on {self._name}")
        return super()._write(path, data, flags, mode)

    def close(self) -> None:
        """End the agent.  TargetError unless every setting of the machine is what it was before."""
        if self._said < 0:
            return
        try:
            for pipe in (self._process.input, self._process.output):
                with contextlib.suppress(OSError):
                    pipe.close()
            status = self._wait()
            said = self.console()
        finally:
            os.close(self._said)
            self._said = -1
        if status is None:
            raise TargetError(f"the agent on {self._name} did not end within {CLOSE_S:.0f} s", hint=_LOOK)
        if status and not self._reported:
            raise TargetError(f"{self._name} may not be as it was: {self._reason(status, said)}", hint=_LOOK)

    def _wait(self) -> int | None:
        try:
            return self._process.wait(timeout=CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return None

    def _reason(self, status: int, said: str) -> str:
        lines = [line for line in _SAYS.findall(said) if not line.startswith(_CUT)]
        if lines:
            return printable("; ".join(lines[-3:]))
        last = said.strip().splitlines()[-1:] or [f"exit status {status}"]
        return f"the connection was lost ({printable(last[0])})" if self._lost(status) else printable(last[0])

    def _lost(self, status: int | None) -> bool:
        """Whether ssh has ended with this status because it lost its connection, or was killed."""
        return status == SSH_FAILED or (self._by_ssh and status is not None and status < 0)

    @property
    def pid(self) -> int:
        """The PID of the process on this host that reaches the agent."""
        return self._process.pid

    @property
    def boot_log(self) -> list[str]:
        """What the kernel logged while it booted, and since.  The test is skipped if that is no longer known."""
        records = kernel_log.parse(self._log_before)
        if not records or records[0].sequence:
            pytest.skip(f"needs the log of the boot, whose beginning {self._name} no longer has")
        return [record.text for record in records]

    # Diagnosis

    def lost_s(self) -> float:
        return 0.0

    def excuse(self, splat: str = "") -> str:  # noqa: ARG002
        return ""

    @property
    def pause(self) -> str:
        return ""

    def console(self) -> str:
        """What the agent, or what was to reach it, has said."""
        return os.pread(self._said, SAID_MAX, 0).decode(errors="replace") if self._said >= 0 else ""

    def why_ended(self, what: str) -> Exception:
        status = self._wait()
        self._reported = True
        said = self.console()
        found = [line for line in _SAYS.findall(said) if not line.startswith("not as before")]
        cut = bool(found) and found[0].startswith(_CUT)
        if found and not cut:
            return AgentError(f"the agent on {self._name} gave up during {what}: {printable(found[0])}")
        if self._lost(status) or cut:
            return TargetError(f"the connection to {self._name} was lost during {what}", hint=_RESTORES)
        last = said.strip().splitlines()[-1:]
        why = f": {printable(last[0])}" if last else ""
        return TargetError(f"the agent on {self._name} ended during {what}{why}", hint=_RESTORES)

    def collect(self, sequence: int, what: str, deadline_s: float = CALL_DEADLINE) -> bytes:
        try:
            return super().collect(sequence, what, deadline_s)
        except GuestBroke as error:
            # The next answer has arrived.  If this one came just before it, the call did return, and the network was
            # slow.
            if self._channel.answered(sequence):
                raise TargetError(f"{self._name} answered too late: {error}", hint="run the test again") from error
            raise

    def _why_false(self, condition: Callable[[], bool], what: str, deadline_s: float) -> Exception:
        # A wait for an event sends nothing, so it cannot tell a silent network from a condition that stays false.
        alive = self._why_silent(f"the wait for {what}", deadline_s)
        if not isinstance(alive, GuestBroke):
            return alive
        found = super()._why_false(condition, what, deadline_s)
        # What had happened before that answer has been received with it.
        if condition():
            return TargetError(f"{self._name} answered too late: {found}", hint="run the test again")
        return found

    def _why_silent(self, what: str, deadline_s: float) -> Exception:
        found = super()._why_silent(what, deadline_s)
        if not self._hangs:
            return found
        return TargetError(f"{self._name} no longer answers, since {what}", hint=_RESTORES)

    def complaint(self, excused: Callable[[str], bool] = lambda _: False) -> str:
        found = super().complaint(lambda line: excused(line) or _is_of_others(line))
        if not found or self._names_a_task():
            return found
        raise TargetError(
            f"{found}; and nothing shows that a task of the test has to do with it",
            hint="see the kernel log; the machine does other things besides, so run the test again",
        )

    def _names_a_task(self) -> bool:
        named = {int(pid) for line in self._logged() for pid in _PID.findall(line)}
        return bool(named & {task.tid for task in self.tasks})

    def _last_record_before(self) -> int:
        records = kernel_log.parse(self._log_before)
        if not records:
            raise AgentError("the kernel's log cannot be read, so complaints would be missed")
        return records[-1].sequence

    def _taint_before(self) -> int | None:
        return self._taint_at_first


_LOOK = "look at the machine: `dmesg`, `ps` and `sysctl kernel.yama.ptrace_scope` show what is left"
_RESTORES = "the agent restores the machine's settings by itself when its channel closes; see that it is up"


def _is_of_others(line: str) -> bool:
    """Whether a taint says nothing of the tests: only those that accompany a splat do."""
    return line.startswith("taint ") and line[len("taint ")] not in taint.OF_SPLATS
