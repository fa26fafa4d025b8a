# SPDX-License-Identifier: GPL-2.0-or-later
"""Running a real program under a filter, as minijail does.

minijail preloads a library into the program that it starts, which installs the filter once the dynamic linker and the
C library are initialized, so a policy need not allow the calls that these make.  Here a tracer installs the filter,
by changing the program's first own system call.

    cat = trace(guest, "cat", "/tmp/motd")
    assert Jail(guest, "cat", "/tmp/motd", policy=allow_list(cat.names)).finish() == exited(0)
"""

from __future__ import annotations

from guests.bpf import AUDIT_ARCH, Action, Filter, assembled, pack
from guests.errors import require
from guests.outcome import Outcome, killed
from guests.session import Session
from guests.syscalls.seccomp import SET_MODE_FILTER, fprog
from guests.uapi import Signal
from guests.vm.programs_for_guests import ProgramError
from suites.seccomp.support import bpf_interpreter
from suites.seccomp.support.bpf_interpreter import SeccompData
from suites.seccomp.support.traced_program import TracedCall, TracedProgram


class JailedProgram:
    """A program under a filter from its first own system call on."""

    def __init__(self, guest: Session, program: str, *arguments: str, policy: Filter) -> None:
        """Start a program in /bin or at a path, and stop it, with the filter installed, before its first own call."""
        self._traced = TracedProgram(guest, program, *arguments)
        self._policy = assembled(policy, guest.arch)
        self._install()

    @property
    def program(self) -> str:
        """Its name and version."""
        return str(self._traced.program)

    def run(self) -> Outcome:
        """Let it run until it ends, however it ends."""
        self._traced.run_to_end()
        return self._traced.detach()

    def finish(self) -> Outcome:
        """The same, under a policy of all calls that it is known to make.  ProgramError if another call kills it."""
        last = self._traced.run_to_end()
        outcome = self._traced.detach()
        if outcome == killed(Signal.SYS) and last is not None and self._forbids(last):
            raise ProgramError(
                f"{self.program} made the system call {last.name}, which its policy lacks; when traced, it did not"
            )
        return outcome

    def run_traced(self) -> tuple[Outcome, list[TracedCall]]:
        """The same as `run`; returns also the calls that it made, with their outcomes."""
        # The first call is made again, after the filter has been installed.
        if not self._traced.run_to_syscall():
            return self._traced.detach(), []
        calls = self._traced.record()
        return self._traced.detach(), calls

    def output(self) -> str:
        """What it has written to standard output and standard error, once it has ended."""
        return self._traced.output()

    def _forbids(self, call: TracedCall) -> bool:
        """Whether the policy forbids the call, according to the reference interpreter."""
        data = SeccompData(call.number, AUDIT_ARCH[self._traced.guest.arch], args=call.arguments)
        action, _ = bpf_interpreter.run_filters([self._policy], data)
        return action in (Action.KILL_PROCESS, Action.KILL_THREAD)

    def _install(self) -> None:
        """Turn the stopped call into a seccomp() call, and afterwards return to make the original call."""
        launcher, task, registers = self._traced.launcher, self._traced.task, self._traced.registers
        instructions = pack(self._policy, task.abi)
        # Below the red zone of the stack, which is unused.
        program = (registers.sp - 256 - len(instructions)) & ~15
        pointer = program - 16
        memory = fprog(task.abi, len(self._policy), program) + instructions
        with self._traced.setup():
            launcher.process_vm_writev(task, pointer, memory).result()
            launcher.set_registers(task, nr="seccomp", arg0=SET_MODE_FILTER, arg1=0, arg2=pointer).result()
        require(self._traced.run_to_syscall(), f"{self.program} did not return from installing its filter")
        require(launcher.registers(task).result == 0, f"{self.program} could not install its filter")
        again = {name: registers[name] for name in task.abi.user_registers}
        again |= {task.abi.context_call.number: registers.nr, task.abi.call.ip: registers.ip - task.abi.call_size}
        launcher.set_registers(task, **again).result()
