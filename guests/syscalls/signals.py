# SPDX-License-Identifier: GPL-2.0-or-later
"""Signals that a task catches: the handler saves siginfo and registers, and may set the interrupted call's result."""

from __future__ import annotations

from dataclasses import dataclass

from guests.abi import Abi
from guests.call_registers import Registers
from guests.outcome import Outcome
from guests.protocol import wire
from guests.protocol.wire import Op
from guests.syscalls.base import SyscallGroup
from guests.uapi import Signal

SA_SIGINFO, SA_RESTORER, SA_ONSTACK, SA_RESTART = 4, 0x04000000, 0x08000000, 0x10000000
SYS_SECCOMP, SYS_USER_DISPATCH = 1, 2
"""si_code of a SIGSYS that a filter, or the task's own dispatcher, raised (include/uapi/asm-generic/siginfo.h)."""


@dataclass(frozen=True)
class SignalInfo:
    """The fields of a siginfo."""

    signal: int
    errno: int
    code: int
    call_address: int
    """si_call_addr, for SIGSYS."""
    syscall: int
    """si_syscall, for SIGSYS."""
    arch: int
    """si_arch, for SIGSYS."""

    @classmethod
    def decode_siginfo(cls, siginfo: bytes, abi: Abi) -> SignalInfo:
        number, errno, code = abi.unpack_from("iii", siginfo)
        union = siginfo[abi.siginfo_union :]
        address = abi.split_words(union, ("address",))["address"]
        syscall, arch = abi.unpack_from("iI", union, abi.word)
        return SignalInfo(number, errno, code, address, syscall, arch)


@dataclass(frozen=True)
class CaughtSignal(SignalInfo):
    """A caught signal: the fields of its siginfo, and the registers of the context that it interrupted."""

    registers: Registers

    @classmethod
    def decode(cls, siginfo: bytes, context: bytes, abi: Abi) -> CaughtSignal:
        return cls(**vars(cls.decode_siginfo(siginfo, abi)), registers=abi.interrupted(context))


class SignalCalls(SyscallGroup):
    """Calls for catching, ignoring, blocking and sending signals."""

    def catch(
        self, signal: Signal, *, result: int | None = None, restart: bool = False, on_stack: bool = False
    ) -> Outcome:
        """Catch a signal from now on.

        result: the result of each system call that the signal interrupts, if not None.  restart: restart interrupted
        calls if possible (SA_RESTART).  on_stack: run the handler on the alternate stack, if there is one, which must
        be in memory that `store` has returned (SA_ONSTACK).
        """
        hello = self.hello()
        flags = SA_SIGINFO | SA_RESTORER | (SA_RESTART if restart else 0) | (SA_ONSTACK if on_stack else 0)
        action = self.abi.action(hello.signal_handler, flags, hello.signal_restorer)
        done = self.call("rt_sigaction", signal, action, None, 8, shown=f"catch({signal.name})")
        handler = wire.HANDLER.pack(result or 0, result is not None, True)
        self.guest.request(Op.CAUGHT, self.slot, handler)
        return done

    def ignore(self, signal: Signal) -> Outcome:
        action = self.abi.action(1, 0, 0)
        return self.call("rt_sigaction", signal, action, None, 8, shown=f"ignore({signal.name})")

    def block(self, signal: Signal) -> Outcome:
        mask = self.abi.pack("Q", 1 << (signal - 1))
        return self.call("rt_sigprocmask", 0, mask, None, 8, shown=f"block({signal.name})")

    def caught_signals(self) -> list[CaughtSignal]:
        """The signals caught so far (at most the last eight), oldest first."""
        what = f"the signals that {self} has caught"
        body = self.guest.request(Op.CAUGHT, self.slot, wire.HANDLER.pack(0, False, False), what)
        _, count, tail = self.guest.decoded(wire.split_result, body, what)
        caught = self.guest.decoded(lambda tail: wire.split_caught(tail, count), tail, what)
        return [CaughtSignal.decode(siginfo, context, self.abi) for siginfo, context in caught]

    def kill(self, target: SyscallGroup, signal: Signal) -> Outcome:
        """Send a signal to the target's process."""
        return self.call("kill", target.pid, signal, shown=f"kill({target}, {signal.name})")
