# SPDX-License-Identifier: GPL-2.0-or-later
"""Running a real program under a filter, as minijail does.

minijail preloads a library into the program that it starts, which installs the filter when the dynamic linker and
the C library have set themselves up: so a policy need not allow what those do.  Here a tracer installs it, at the
program's first system call of its own, in the program's name.
"""

from __future__ import annotations

import struct

from guests.bpf import Program, pack
from guests.call_arguments import Argument
from guests.guest import Guest
from guests.outcome import Outcome
from guests.syscalls.group import Pending
from guests.syscalls.seccomp import SET_MODE_FILTER
from guests.task import Task
from guests.uapi import PtraceOption, Signal, number

_AT_ENTRY = 9
_INT3 = 0xCC
_SYSCALL_SIZE = 2
"""Bytes of x86-64's `syscall`."""
_EVENT_EXEC = 4
_C_LIBRARY = {number(name) for name in ("brk", "clock_gettime", "getrandom", "prlimit64", "rseq", "set_robust_list")}
"""What the C library does before the program has its way.  It asks for the time where there is no randomness yet."""


class Jail:
    """A launcher, and a program that it has put under a filter."""

    def __init__(self, guest: Guest, program: str, *arguments: str, policy: Program) -> None:
        """Start `/bin/PROGRAM` with these arguments; it is stopped, with its filter on, before its first own call."""
        self._guest = guest
        self._launcher: Task = guest.spawn("minijail")
        self._reading, self._writing = self._launcher.pipe()
        self.task = self._launcher.spawn(program)
        self.task.no_new_privs().result()
        self._redirect_output()
        self._execution = self._execute(f"/bin/{program}", [program, *arguments])
        self._stop_at_entry()
        self._install(policy, self._first_own_call())

    def run(self) -> Outcome:
        """Let it run to its end, whatever that is."""
        self._launcher.detach(self.task).result()
        return self._execution.outcome()

    def output(self) -> str:
        """What it has written to its standard output and error, once it has ended."""
        self._launcher.close(self._writing)
        parts = []
        while (done := self._launcher.read(self._reading)).result():
            parts.append(done.read()[: done.value])
        return b"".join(parts).decode()

    def _redirect_output(self) -> None:
        for standard in (1, 2):
            self.task.call("dup2", self._writing, standard).result()
        for end in (self._reading, self._writing):
            self.task.close(end)

    def _execute(self, path: str, argv: list[str]) -> Pending:
        addresses = [self.task.store(argument.encode() + b"\0") for argument in argv]
        pointers = self.task.store(struct.pack(f"<{len(argv) + 1}Q", *addresses, 0))
        options = PtraceOption.TRACEEXEC | PtraceOption.TRACESYSGOOD | PtraceOption.EXITKILL
        self._launcher.seize(self.task, options).result()
        call: tuple[Argument, ...] = (path, pointers, None)
        execution = self.task.begin("execve", *call, shown=f"execve({' '.join(argv)})")
        assert self._launcher.wait(self.task).event == _EVENT_EXEC
        return execution

    def _stop_at_entry(self) -> None:
        """Past the dynamic linker: at the program's entry, where AT_ENTRY of its auxiliary vector points."""
        auxv = struct.iter_unpack("<QQ", self._guest.read_bytes(f"/proc/{self.task.pid}/auxv"))
        entry = dict(auxv)[_AT_ENTRY]
        word = self._launcher.peek(self.task, entry)
        self._launcher.poke(self.task, entry, word & ~0xFF | _INT3).result()
        self._launcher.resume(self.task).result()
        assert self._launcher.wait(self.task).stopped_by == Signal.TRAP
        self._launcher.poke(self.task, entry, word).result()
        self._launcher.set_registers(self.task, rip=entry).result()

    def _first_own_call(self) -> dict[str, int]:
        """Stop at the entry to it; its registers."""
        while True:
            self._to_syscall()
            registers = self._launcher.registers(self.task)
            if registers["orig_rax"] not in _C_LIBRARY:
                return registers
            self._to_syscall()

    def _install(self, policy: Program, at: dict[str, int]) -> None:
        """Make the stopped call a seccomp() call instead, and go back to make it after that."""
        instructions = pack(policy)
        # Below the stack's red zone, where nothing lives.
        program = (at["rsp"] - 256 - len(instructions)) & ~15
        fprog = program - 16
        memory = struct.pack("<H6xQ", len(policy), program) + instructions
        self._launcher.process_vm_writev(self.task, fprog, memory).result()
        self._launcher.set_registers(
            self.task, orig_rax=number("seccomp"), rdi=SET_MODE_FILTER, rsi=0, rdx=fprog
        ).result()
        self._to_syscall()
        assert self._launcher.registers(self.task)["rax"] == 0, "the program could not install its filter"
        again = {**at, "rax": at["orig_rax"], "rip": at["rip"] - _SYSCALL_SIZE}
        self._launcher.set_registers(self.task, **again).result()

    def _to_syscall(self) -> None:
        self._launcher.resume_to_syscall(self.task).result()
        assert self._launcher.wait(self.task).stopped_by == Signal.TRAP | 0x80
