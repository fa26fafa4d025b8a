# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls of tracers and tracees, and other accesses to a process's memory."""

from __future__ import annotations

from dataclasses import dataclass

from guests.call_arguments import InOut, Out
from guests.call_registers import Registers
from guests.errors import require
from guests.outcome import Outcome
from guests.protocol import wire
from guests.syscalls.base import SyscallGroup
from guests.syscalls.syscall_info import SYSCALL_INFO_SIZE, SyscallInfo
from guests.uapi import (
    NT_PRSTATUS,
    PTRACE_EVENT_STOP,
    PTRACER_ANY,
    WALL,
    WNOHANG,
    Prctl,
    Ptrace,
    PtraceOption,
    Signal,
)


@dataclass(frozen=True)
class WaitStatus:
    """The status of a child or tracee, as wait4() returns it."""

    raw: int

    @property
    def stopped_by(self) -> int:
        """The signal of a stop, or 0."""
        return self.raw >> 8 & 0xFF if self.raw & 0xFF == 0x7F else 0

    @property
    def event(self) -> int:
        """PTRACE_EVENT_* of a stop, or 0."""
        return self.raw >> 16

    @property
    def killed_by(self) -> int:
        """The signal that killed it, or 0."""
        return 0 if self.raw & 0xFF == 0x7F else self.raw & 0x7F

    @property
    def exit_code(self) -> int | None:
        return self.raw >> 8 & 0xFF if self.raw & 0x7F == 0 else None


class PtraceCalls(SyscallGroup):
    """ptrace() and its relatives, and PR_SET_PTRACER."""

    def ptrace(
        self, request: Ptrace, target: SyscallGroup | None, address: int = 0, data: int | bytes | Out | InOut = 0
    ) -> Outcome:
        where = str(target) if target else ""
        extra = f", {data!r}" if isinstance(data, int) and data else ""
        return self.call(
            "ptrace",
            self.abi.ptrace_request(request),
            target.tid if target else 0,
            address,
            data,
            shown=f"{request.name.lower()}({where}{extra})",
        )

    def attach(self, target: SyscallGroup) -> Outcome:
        return self.ptrace(Ptrace.ATTACH, target)

    def seize(self, target: SyscallGroup, options: PtraceOption = PtraceOption.NONE) -> Outcome:
        return self.ptrace(Ptrace.SEIZE, target, 0, options)

    def traceme(self) -> Outcome:
        return self.ptrace(Ptrace.TRACEME, None)

    def detach(self, target: SyscallGroup) -> Outcome:
        return self.ptrace(Ptrace.DETACH, target)

    def interrupt(self, target: SyscallGroup) -> Outcome:
        return self.ptrace(Ptrace.INTERRUPT, target)

    def resume(self, target: SyscallGroup, signal: Signal | int = 0) -> Outcome:
        """PTRACE_CONT."""
        return self.ptrace(Ptrace.CONT, target, 0, signal)

    def resume_to_syscall(self, target: SyscallGroup) -> Outcome:
        """PTRACE_SYSCALL: until the next entry or exit of a system call."""
        return self.ptrace(Ptrace.SYSCALL, target)

    def set_options(self, target: SyscallGroup, options: PtraceOption) -> Outcome:
        return self.ptrace(Ptrace.SETOPTIONS, target, 0, options)

    def syscall_info(self, target: SyscallGroup) -> SyscallInfo:
        """PTRACE_GET_SYSCALL_INFO.  Must succeed."""
        done = self.ptrace(Ptrace.GET_SYSCALL_INFO, target, SYSCALL_INFO_SIZE, Out(SYSCALL_INFO_SIZE))
        return SyscallInfo.decode(done.read(), self.abi)

    def set_syscall_info(
        self, target: SyscallGroup, info: SyscallInfo | int, size: int = SYSCALL_INFO_SIZE
    ) -> Outcome:
        """PTRACE_SET_SYSCALL_INFO with a description, or an address."""
        data = info.pack(self.abi) if isinstance(info, SyscallInfo) else info
        return self.ptrace(Ptrace.SET_SYSCALL_INFO, target, size, data)

    def event_message(self, target: SyscallGroup) -> int:
        return self.abi.integer(self.ptrace(Ptrace.GETEVENTMSG, target, 0, Out(self.abi.word)).read())

    def registers(self, target: SyscallGroup) -> Registers:
        """The stopped tracee's registers, by their names in the caller's ABI."""
        size = self.abi.word * len(self.abi.user_registers)
        if self.abi.has_getregs:
            return self.abi.traced(self.ptrace(Ptrace.GETREGS, target, 0, Out(size)).read())
        content = self.register_set(target, NT_PRSTATUS, size)
        kind = self.abi.number_set
        return self.abi.traced(content, self.register_set(target, kind, 4) if kind else b"")

    def rolled_back_registers(self, target: SyscallGroup) -> Registers:
        """Those of a tracee whose call a filter has ended, with the number where the call had it."""
        return self.abi.rolled_back(self.abi.words(*map(self.registers(target).__getitem__, self.abi.user_registers)))

    def set_registers(self, target: SyscallGroup, **changes: int | str) -> Outcome:
        """Change some of them: by their names, or by `nr`, `result`, `ip`, and `arg0` to `arg5`.

        A number may be the name of a call.
        """
        mask = (1 << 8 * self.abi.word) - 1
        call = self.abi.call
        names = {"nr": call.number, "result": call.result, "ip": call.ip}
        names |= {f"arg{index}": name for index, name in enumerate(call.arguments)}
        values = {
            names.get(name, name): (self.number(value) if isinstance(value, str) else value) & mask
            for name, value in changes.items()
        }
        if len(values) < len(changes):
            raise ValueError(f"on {self.abi.name}, several of {', '.join(changes)} are in one register")
        if self.abi.number_request and call.number in values:
            nr = values.pop(call.number)
            shown = f"set_syscall({target}, {nr:#x})"
            done = self.call("ptrace", self.abi.number_request, target.tid, 0, nr, shown=shown)
            if done.errno or not values:
                return done
        new = {**self.registers(target), **values}
        packed = self.abi.words(*(new[name] for name in self.abi.user_registers))
        if self.abi.has_getregs:
            return self.ptrace(Ptrace.SETREGS, target, 0, packed)
        done = self.set_register_set(target, NT_PRSTATUS, packed)
        if done.errno or not self.abi.number_set or call.number not in values:
            return done
        packed = self.abi.pack("I", values[call.number] & 0xFFFFFFFF)
        return self.set_register_set(target, self.abi.number_set, packed)

    def register_set(self, target: SyscallGroup, kind: int, size: int) -> bytes:
        """PTRACE_GETREGSET of a kind of registers (NT_* in include/uapi/linux/elf.h).  Must succeed."""
        return self.ptrace(Ptrace.GETREGSET, target, kind, InOut(self._vector(bytes(size)))).read()[-size:]

    def set_register_set(self, target: SyscallGroup, kind: int, content: bytes) -> Outcome:
        """PTRACE_SETREGSET."""
        return self.ptrace(Ptrace.SETREGSET, target, kind, self._vector(content))

    def _vector(self, content: bytes) -> bytes:
        """struct iovec followed by what it points to, as the first buffer of a call's arguments."""
        address = wire.data_address(self.slot, 2 * self.abi.word)
        return self.abi.words(address, len(content)) + content

    def peek(self, target: SyscallGroup, address: int) -> int:
        """The word of the caller's size at an address of the stopped tracee."""
        return self.abi.integer(self.ptrace(Ptrace.PEEKDATA, target, address, Out(self.abi.word)).read())

    def poke(self, target: SyscallGroup, address: int, word: int) -> Outcome:
        return self.ptrace(Ptrace.POKEDATA, target, address, word)

    def wait(self, target: SyscallGroup, options: int = WALL) -> WaitStatus:
        """wait4() for a child or tracee.  Must succeed."""
        done = self.call("wait4", target.tid, Out(4), options, None, shown=f"wait({target})")
        return WaitStatus(self.abi.integer(done.read()))

    def wait_for_any(self) -> tuple[int, WaitStatus]:
        """wait4() for any child or tracee: its PID or TID, and its status.  Must succeed."""
        done = self.call("wait4", -1, Out(4), WALL, None, shown="wait(any)")
        return done.result(), WaitStatus(self.abi.integer(done.read()))

    def reap(self, target: SyscallGroup) -> Outcome:
        """wait4() for a child that has ended, or is about to."""
        return self.call("wait4", target.tid, Out(4), WALL, None, shown=f"reap({target})")

    def wait_nohang(self, target: SyscallGroup) -> Outcome:
        """wait4() with WNOHANG: OK(0) if there is nothing to report."""
        return self.call("wait4", target.tid, Out(4), WALL | WNOHANG, None, shown=f"wait_nohang({target})")

    def attach_and_wait(self, target: SyscallGroup) -> Outcome:
        """Attach, and if that succeeded, wait for the resulting stop."""
        done = self.attach(target)
        if done.errno == 0:
            require(self.wait(target).stopped_by == Signal.STOP, f"{done!r}, but {target} did not stop by SIGSTOP")
        return done

    def seize_and_stop(self, target: SyscallGroup, options: PtraceOption = PtraceOption.NONE) -> None:
        """Seize, interrupt and wait: afterwards, the target is traced and stopped.  Must succeed."""
        self.seize(target, options).result()
        self.interrupt(target).result()
        require(self.wait(target).event == PTRACE_EVENT_STOP, f"{target} did not stop when {self} interrupted it")

    # Yama

    def set_ptracer(self, tracer: SyscallGroup | int) -> Outcome:
        """PR_SET_PTRACER with a task, a pid, PTRACER_ANY, or 0 to revoke the exception."""
        who = tracer if isinstance(tracer, int) else tracer.tid
        shown = "any" if who == PTRACER_ANY else str(tracer)
        return self.call("prctl", Prctl.SET_PTRACER, who, 0, 0, 0, shown=f"set_ptracer({shown})")

    # Other accesses

    def process_vm_readv(self, target: SyscallGroup, address: int, length: int = 8) -> Outcome:
        buffer = self.store(bytes(length))
        local, remote = self.abi.words(buffer, length), self.abi.words(address, length)
        return self.call(
            "process_vm_readv",
            target.tid,
            local,
            1,
            remote,
            1,
            0,
            shown=f"process_vm_readv({target}, {address:#x})",
        )

    def read_memory(self, target: SyscallGroup, address: int, length: int) -> bytes:
        """Read memory with process_vm_readv().  Must succeed."""
        buffer = self.store(bytes(length))
        local, remote = self.abi.words(buffer, length), self.abi.words(address, length)
        shown = f"read_memory({target}, {address:#x})"
        self.call("process_vm_readv", target.tid, local, 1, remote, 1, 0, shown=shown).result(
            needs="CROSS_MEMORY_ATTACH"
        )
        return self.load(buffer, length)

    def process_vm_writev(self, target: SyscallGroup, address: int, content: bytes) -> Outcome:
        local = self.abi.words(self.store(content), len(content))
        remote = self.abi.words(address, len(content))
        return self.call(
            "process_vm_writev",
            target.tid,
            local,
            1,
            remote,
            1,
            0,
            shown=f"process_vm_writev({target}, {address:#x})",
        )

    def pidfd_open(self, target: SyscallGroup) -> int:
        return self.call("pidfd_open", target.pid, 0, shown=f"pidfd_open({target})").result()

    def pidfd_getfd(self, target: SyscallGroup, fd: int) -> Outcome:
        """Duplicate a descriptor of the target."""
        pidfd = self.pidfd_open(target)
        return self.call("pidfd_getfd", pidfd, fd, 0, shown=f"pidfd_getfd({target}, {fd})")

    def kcmp(self, one: SyscallGroup, other: SyscallGroup, kind: int) -> Outcome:
        return self.call("kcmp", one.tid, other.tid, kind, 0, 0, shown=f"kcmp({one}, {other}, {kind})")
