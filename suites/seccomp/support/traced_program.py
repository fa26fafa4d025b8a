# SPDX-License-Identifier: GPL-2.0-or-later
"""Real programs under a tracer in a guest: stopped before their first own system call, or run to list their calls.

    cat = trace(guest, "cat", "/tmp/motd")
    assert "fstat" in cat.names

The programs are the host's, and what they do is not a promise of the kernel: if a program does not behave as a test
needs, that is a ProgramError.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from guests.call_arguments import Argument, Out
from guests.call_registers import Registers
from guests.outcome import Outcome, describe, exited
from guests.protocol.wire import State
from guests.session import Session
from guests.syscalls.base import Pending
from guests.syscalls.ptrace import WaitStatus
from guests.task import Task
from guests.uapi import PTRACE_EVENT_EXIT, WALL, Ptrace, PtraceOption, Signal, names
from guests.vm.programs_for_guests import ProgramError, find
from suites.seccomp.support.syscall_traced_pair import SYSCALL_STOP

_BIN = "/bin/"
_AT_ENTRY = 9
_EVENT_EXEC = 4
_OPTIONS = PtraceOption.TRACEEXEC | PtraceOption.TRACEEXIT | PtraceOption.TRACESYSGOOD | PtraceOption.EXITKILL
_OF_THE_C_LIBRARY = (
    *("arch_prctl", "brk", "clock_gettime", "getrandom", "prlimit64", "rseq", "set_robust_list"),
    "set_tid_address",
)
"""Calls that initialize the C library.  It asks for the time if the kernel's random numbers are not ready yet."""


@dataclass(frozen=True)
class TracedCall:
    """A system call that a program makes."""

    number: int
    arguments: tuple[int, ...]
    arch: str = "x86_64"
    outcome: Outcome | None = None
    """None if it has not returned."""

    @classmethod
    def entered(cls, registers: Registers, program: Task) -> TracedCall:
        """The call that a program stopped at its entry is making."""
        return cls(registers.nr, registers.arguments, program.abi.name)

    def returning(self, registers: Registers, program: Task) -> TracedCall:
        """The same call, stopped at its exit."""
        return replace(self, outcome=Outcome(State.RETURNED, registers.result, f"{program}.{self.name}"))

    def __str__(self) -> str:
        return self.name if self.outcome is None else f"{self.name} -> {describe(self.outcome)}"

    @property
    def name(self) -> str:
        if self.number not in names(self.arch):
            raise ProgramError(
                f"system call {self.number} is unknown to the Python package system-calls", hint="upgrade it"
            )
        return names(self.arch)[self.number]


@dataclass(frozen=True)
class Trace:
    """The system calls of a program without a filter, from its first own one to its end."""

    program: str
    """Its name and version."""
    calls: tuple[TracedCall, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the calls that it makes, each once, in the order of first use."""
        return tuple(dict.fromkeys(call.name for call in self.calls))

    def first_outside(self, allowed: Collection[str]) -> str:
        """The first call that it makes that is not among these."""
        found = next((name for name in self.names if name not in allowed), None)
        if found is None:
            raise ProgramError(
                f"{self.program} makes no system calls other than {', '.join(allowed)}; the test needs one"
            )
        return found


class TracedProgram:
    """A program, and the launcher that has started it and, as its tracer, has stopped it at its first own call."""

    def __init__(self, guest: Session, program: str, *arguments: str) -> None:
        """`program` is a name in /bin, or a path."""
        self.guest = guest
        self.program = find(program)
        with self.setup():
            self.launcher: Task = guest.spawn("minijail")
            self._reading, self._writing = self.launcher.pipe()
            self.task = self.launcher.spawn(self.program.name)
            self.task.set_no_new_privs().result()
            self._redirect_output()
            self.launcher.seize(self.task, _OPTIONS).result()
            self._execution = self._execute(program if "/" in program else _BIN + program, [program, *arguments])
            self._run_to_entry()
            self.registers = self._run_to_first_own_call()
            """Its registers there."""

    @contextlib.contextmanager
    def setup(self) -> Iterator[None]:
        """Turn a failure before the act under test into an error of the program, not of the kernel."""
        try:
            yield
        except AssertionError as error:
            raise ProgramError(f"{self.program} cannot be run under a tracer: {error}") from error

    def _redirect_output(self) -> None:
        for standard in (1, 2):
            self.task.call("dup3", self._writing, standard, 0).result()
        for end in (self._reading, self._writing):
            self.task.close(end)

    def _execute(self, path: str, argv: list[str]) -> Pending:
        library_path = self.program.library_path
        environment = [f"LD_LIBRARY_PATH={library_path}"] if library_path else []
        call: tuple[Argument, ...] = (path, self._strings(argv), self._strings(environment))
        execution = self.task.begin("execve", *call, shown=f"execve({' '.join(argv)})")
        # If it fails, there is no stop to wait for.
        stop = self.launcher.begin("wait4", self.task.tid, Out(4), WALL, None, shown=f"wait({self.task})")
        self.guest.wait_until(lambda: stop.finished() or execution.finished(), f"{path} to be executed")
        event = WaitStatus(stop.abi.integer(stop.outcome().read())).event if stop.finished() else None
        if event != _EVENT_EXEC:
            if event is not None:
                self.launcher.detach(self.task)
            raise ProgramError(f"{self.program} cannot be executed in the guest: {describe(execution.outcome())}")
        return execution

    def _strings(self, strings: list[str]) -> int:
        """The address of an array of pointers to these strings, terminated by NULL, in the task's memory."""
        addresses = [self.task.store(string.encode() + b"\0") for string in strings]
        return self.task.store(self.task.abi.words(*addresses, 0))

    def _run_to_entry(self) -> None:
        """Run past the dynamic linker, to the program's entry point (AT_ENTRY of its auxiliary vector)."""
        entry = self.task.abi.pairs(self.guest.read_bytes(f"/proc/{self.task.pid}/auxv"))[_AT_ENTRY]
        word = self.launcher.peek(self.task, entry)
        breakpoint_ = self.task.abi.breakpoint
        patched = breakpoint_ + self.launcher.abi.words(word)[len(breakpoint_) :]
        self.launcher.poke(self.task, entry, self.launcher.abi.integer(patched)).result()
        self.launcher.resume(self.task).result()
        stop = self.launcher.wait(self.task)
        if stop.stopped_by != Signal.TRAP or stop.event:
            raise self.failure(self.detach(0 if stop.event else stop.stopped_by), "before its entry point")
        self.launcher.poke(self.task, entry, word).result()
        self.launcher.set_registers(self.task, ip=entry).result()

    def _run_to_first_own_call(self) -> Registers:
        """Run to the entry of its first own system call, and return the registers there."""
        of_the_library = {self.task.number(name) for name in _OF_THE_C_LIBRARY if self.task.has(name)}
        while self.run_to_syscall():
            registers = self.launcher.registers(self.task)
            if registers.nr not in of_the_library:
                return registers
            if not self.run_to_syscall():
                break
        raise self.failure(self.detach(), "before its first system call")

    def run_to_syscall(self) -> bool:
        """Run to the next entry or exit of a system call.  False if the program ends instead."""
        signal = 0
        while True:
            self.launcher.ptrace(Ptrace.SYSCALL, self.task, 0, signal).result()
            stop = self.launcher.wait(self.task)
            if stop.stopped_by == SYSCALL_STOP:
                return True
            if stop.event == PTRACE_EVENT_EXIT or not stop.stopped_by:
                return False
            signal = stop.stopped_by

    def run_to_end(self) -> TracedCall | None:
        """Run to its end, and return the call that it makes there, unless SIGKILL ended it without a stop.

        Its calls do not stop, so they take the same path through the kernel as without a tracer.
        """
        signal = 0
        while True:
            self.launcher.resume(self.task, signal).result()
            stop = self.launcher.wait(self.task)
            if stop.event == PTRACE_EVENT_EXIT:
                return TracedCall.entered(self.launcher.registers(self.task), self.task)
            if not stop.stopped_by:
                return None
            # Kernels before 5.16 show the tracer the fatal SIGSYS.
            signal = stop.stopped_by

    def record(self) -> list[TracedCall]:
        """Run to its end, with a stop at each call; return the calls, from its first own one on."""
        calls = [TracedCall.entered(self.registers, self.task)]
        while self.run_to_syscall():
            calls[-1] = calls[-1].returning(self.launcher.registers(self.task), self.task)
            if not self.run_to_syscall():
                # At the exit stop, a call that kills its task looks like one that has returned.
                calls[-1] = replace(calls[-1], outcome=None)
                break
            calls.append(TracedCall.entered(self.launcher.registers(self.task), self.task))
        return calls

    def detach(self, signal: int = 0) -> Outcome:
        """Detach the tracer, and wait for the program's end, which is near."""
        self.launcher.ptrace(Ptrace.DETACH, self.task, 0, signal)
        return self._execution.outcome()

    def output(self) -> str:
        """What it has written to standard output and standard error, once it has ended."""
        self.launcher.close(self._writing)
        parts = []
        while (done := self.launcher.read(self._reading)).result():
            parts.append(done.read()[: done.value])
        return b"".join(parts).decode(errors="replace")

    def failure(self, outcome: Outcome, when: str) -> ProgramError:
        """The error for a program that ends with this outcome although there is no filter."""
        output = " ".join(self.output().split())
        message = f"{self.program} fails in the guest even without a filter: {describe(outcome)} {when}"
        return ProgramError(f"{message}; its output: {output}" if output else message)


def trace(guest: Session, program: str, *arguments: str) -> Trace:
    """Trace a program in /bin or at a path without a filter, as strace does.  ProgramError unless it exits with 0."""
    started = TracedProgram(guest, program, *arguments)
    with started.setup():
        calls = started.record()
    outcome = started.detach()
    if outcome != exited(0):
        raise started.failure(outcome, f"after {', '.join(map(str, calls[-6:]))}")
    return Trace(str(started.program), tuple(calls))
