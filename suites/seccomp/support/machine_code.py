# SPDX-License-Identifier: GPL-2.0-or-later
"""Instructions that a test gives to a task, for what no order does: registers and flags as wanted around a call."""

from __future__ import annotations

from guests.call_arguments import Argument
from guests.outcome import Outcome
from guests.protocol.wire import Entry
from guests.syscalls.base import Pending
from guests.task import Task
from guests.uapi import MAP_ANONYMOUS, MAP_PRIVATE, PROT_EXEC, PROT_READ, PROT_WRITE


class MachineCode:
    """A function of x86-64 instructions in the memory of one task."""

    def __init__(self, task: Task, instructions: str) -> None:
        """`instructions` are hexadecimal; what follows a `#` is a comment.  Must be allowed to call mmap()."""
        code = bytes.fromhex(" ".join(line.partition("#")[0] for line in instructions.splitlines()))
        protection = PROT_READ | PROT_WRITE | PROT_EXEC
        self._task = task
        self._start = task.call("mmap", None, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0).result()
        task.copy(self._start, task.store(code), len(code)).result()

    def run(self, *arguments: Argument) -> Outcome:
        """Call it with at most three arguments, in rdi, rsi and rdx; its result is what it leaves in rax."""
        return self.begin(*arguments).outcome()

    def begin(self, *arguments: Argument) -> Pending:
        """Start it without waiting for its end."""
        return self._task.begin(self._start, *arguments, entry=Entry.VSYSCALL, shown="runs the test's instructions")
