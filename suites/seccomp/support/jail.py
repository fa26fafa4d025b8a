# SPDX-License-Identifier: GPL-2.0-or-later
"""Running a real program under a filter, as minijail does.

minijail preloads a library into the program that it starts, which installs the filter when the dynamic linker and
the C library have set themselves up: so a policy need not allow what those do.  Here a tracer installs it, at the
program's first system call of its own, in the program's name.

    cat = trace(guest, "cat", "/tmp/motd")
    assert Jail(guest, "cat", "/tmp/motd", policy=allow_list(cat.names)).finish() == exited(0)
"""

from __future__ import annotations

import struct

from guests.bpf import AUDIT_ARCH, Action, Program, pack
from guests.outcome import Outcome, killed
from guests.session import Session
from guests.syscalls.seccomp import SET_MODE_FILTER
from guests.uapi import Signal, number
from guests.vm.host_programs import ProgramError
from suites.seccomp.support import bpf_interpreter
from suites.seccomp.support.bpf_interpreter import SeccompData
from suites.seccomp.support.traced_program import Call, Started

_SYSCALL_SIZE = 2
"""Bytes of x86-64's `syscall`."""


class Jail:
    """A program that is under a filter from its first own call on."""

    def __init__(self, guest: Session, program: str, *arguments: str, policy: Program) -> None:
        """Start a program of /bin, or at a path; it is stopped, with its filter on, before its first own call."""
        self._started = Started(guest, program, *arguments)
        self._policy = policy
        self._install()

    @property
    def program(self) -> str:
        """Its name and version."""
        return str(self._started.program)

    def run(self) -> Outcome:
        """Let it run to its end, whatever that is."""
        self._started.run_to_end()
        return self._started.let_go()

    def finish(self) -> Outcome:
        """The same under a policy of all that it is known to do.  ProgramError if it dies of doing something else."""
        last = self._started.run_to_end()
        outcome = self._started.let_go()
        if outcome == killed(Signal.SYS) and last is not None and self._forbids(last):
            raise ProgramError(
                f"{self.program} made the system call {last.name}, which its policy lacks: when traced, it did not"
            )
        return outcome

    def run_traced(self) -> tuple[Outcome, list[Call]]:
        """The same as `run`, and the calls that it makes until then, with what comes of them."""
        # Its first one is begun anew, behind the filter.
        if not self._started.run_to_syscall():
            return self._started.let_go(), []
        calls = self._started.record()
        return self._started.let_go(), calls

    def output(self) -> str:
        """What it has written to its standard output and error, once it has ended."""
        return self._started.output()

    def _forbids(self, call: Call) -> bool:
        """Whether the policy does, by the model of what a filter means."""
        data = SeccompData(call.number, AUDIT_ARCH[self._started.guest.arch], args=call.arguments)
        action, _ = bpf_interpreter.run_all([self._policy], data)
        return action in (Action.KILL_PROCESS, Action.KILL_THREAD)

    def _install(self) -> None:
        """Make the stopped call a seccomp() call instead, and go back to make it after that."""
        launcher, task, at = self._started.launcher, self._started.task, self._started.at
        instructions = pack(self._policy)
        # Below the stack's red zone, where nothing lives.
        program = (at["rsp"] - 256 - len(instructions)) & ~15
        fprog = program - 16
        memory = struct.pack("<H6xQ", len(self._policy), program) + instructions
        with self._started.prepared():
            launcher.process_vm_writev(task, fprog, memory).result()
            arguments = {"rdi": SET_MODE_FILTER, "rsi": 0, "rdx": fprog}
            launcher.set_registers(task, orig_rax=number("seccomp"), **arguments).result()
        assert self._started.run_to_syscall(), "the program did not come back from installing its filter"
        assert launcher.registers(task)["rax"] == 0, "the program could not install its filter"
        again = {**at, "rax": at["orig_rax"], "rip": at["rip"] - _SYSCALL_SIZE}
        launcher.set_registers(task, **again).result()
