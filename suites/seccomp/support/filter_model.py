# SPDX-License-Identifier: GPL-2.0-or-later
"""A model of which filters a task has, and what they make of its calls: stacks, threads, TSYNC, fork and execve.

It follows seccomp(2) and Documentation/userspace-api/seccomp_filter.rst, over the interpreter of BPF.  It also knows
strict mode, listeners, what a process does with SIGSYS, and tracers while they are there.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from guests.abis import BY_NAME, call_number
from guests.bpf import AUDIT_ARCH, Action, Filter
from guests.outcome import EACCES, EBADF, EBUSY, EINVAL, ENOSYS, ESRCH, GONE, OK, Expected, error, killed, returned
from guests.uapi import Signal, number
from suites.seccomp.support.bpf_interpreter import SeccompData, deciding_filter, run
from suites.seccomp.support.filtered_tasks import returning
from suites.walks.walk import Prediction

PROMISES_OF_ACTIONS = {
    Action.KILL_PROCESS: "seccomp.kill-process",
    Action.KILL_THREAD: "seccomp.kill-thread",
    Action.TRAP: "seccomp.trap",
    Action.ERRNO: "seccomp.errno",
    Action.USER_NOTIF: "seccomp.user-notif",
    Action.TRACE: "seccomp.trace",
    Action.LOG: "seccomp.log",
    Action.ALLOW: "seccomp.allow",
}
MAX_ERRNO = 4095
STRICT_CALLS = ("read", "write")
"""Calls of strict mode after which the task goes on."""


class Sigsys(enum.Enum):
    """What a process does with SIGSYS, or a thread that blocks it."""

    DEFAULT = enum.auto()
    CAUGHT = enum.auto()
    IGNORED = enum.auto()


class Tracer(enum.Enum):
    """What a tracer has asked for that has seized a task."""

    PLAIN = enum.auto()
    STOPS = enum.auto()
    """PTRACE_O_TRACESECCOMP."""
    SUSPENDS = enum.auto()
    """PTRACE_O_SUSPEND_SECCOMP."""


@dataclass(eq=False)
class InstalledFilter:
    """One installation of a program: two of the same program are different filters."""

    program: Filter
    listener: str = ""
    """The name of its listener while that is open."""


Stack = tuple[InstalledFilter, ...]
"""Filters, the oldest first."""


@dataclass(frozen=True)
class Decision:
    """What a stack of filters decides about a call."""

    action: Action
    data: int
    promise: str
    made_by: InstalledFilter | None
    """None if nobody objects."""
    trapped: Expected
    """What the call returns if a handler returns to it (syscall_rollback() in asm/syscall.h)."""


@dataclass(eq=False)
class FilteredProcess:
    threads: list[FilteredTask] = field(default_factory=list)
    """The living ones; the leader is the first."""
    sigsys: Sigsys = Sigsys.DEFAULT


@dataclass(eq=False)
class FilteredTask:
    """A thread."""

    name: str
    process: FilteredProcess
    admin: bool = False
    """Whether it has CAP_SYS_ADMIN."""
    no_new_privs: bool = False
    filters: Stack = ()
    arch: str = "x86_64"
    """Whose calls it makes."""
    strict: bool = False
    blocks_sigsys: bool = False
    tracer: Tracer | None = None

    def child(self, name: str, process: FilteredProcess) -> FilteredTask:
        """A task that it creates, which inherits everything but the tracer."""
        task = FilteredTask(
            name, process, self.admin, self.no_new_privs, self.filters, self.arch, blocks_sigsys=self.blocks_sigsys
        )
        if process is not self.process:
            process.sigsys = self.process.sigsys
        process.threads.append(task)
        return task

    # Calls

    def call(
        self, name: str, arguments: tuple[int, ...], *, compat: bool = False, rechecked: bool = False
    ) -> Prediction | None:
        """The outcome of a call of six arguments that always succeeds if it runs; None if it waits for somebody.

        One of STRICT_CALLS is made with a descriptor that does not exist.  rechecked: the tracer has seen it.
        """
        runs = EBADF if name in STRICT_CALLS else OK
        if self.tracer is Tracer.SUSPENDS and (self.strict or self.filters):
            return Prediction(runs, "seccomp.suspend")
        if self.strict:
            dies = GONE if len(self.process.threads) > 1 else killed(Signal.KILL)
            return Prediction(runs if name in STRICT_CALLS else dies, "seccomp.strict")
        decision = self.decide(name, arguments, compat=compat)
        return self._outcome(decision, runs, rechecked=rechecked)

    def decide(self, name: str, arguments: tuple[int, ...], *, compat: bool = False) -> Decision:
        """What its filters decide about a call."""
        # Of a call that i386 has twice, `int 0x80` makes the older one, and policies are about the newer one.
        nr = number(name, "i386") if compat else call_number(name, self.arch)
        return self.decide_number(nr, arguments, "i386" if compat else self.arch)

    def decide_number(self, nr: int, arguments: tuple[int, ...], arch: str) -> Decision:
        """What its filters decide about the call that has this number on an architecture."""
        return _decide(self.filters, self.arch, arch, nr, arguments)

    @contextlib.contextmanager
    def traced(self, tracer: Tracer) -> Iterator[None]:
        """Meanwhile it has a tracer."""
        self.tracer = tracer
        try:
            yield
        finally:
            self.tracer = None

    def _outcome(self, decision: Decision, runs: Expected, *, rechecked: bool) -> Prediction | None:
        promise = decision.promise
        match decision.action:
            case Action.ERRNO if not decision.data:
                return Prediction(returned(0), "seccomp.errno-data")
            case Action.ERRNO:
                promise = promise if decision.data <= MAX_ERRNO else "seccomp.errno-data"
                return Prediction(error(min(decision.data, MAX_ERRNO)), promise)
            case Action.USER_NOTIF if decision.made_by and decision.made_by.listener:
                return None
            case Action.TRACE if self.tracer is Tracer.STOPS:
                return Prediction(runs, "seccomp.trace-recheck") if rechecked else None
            case Action.USER_NOTIF | Action.TRACE:
                return Prediction(ENOSYS, promise)
            case Action.KILL_THREAD if len(self.process.threads) > 1:
                return Prediction(GONE, promise)
            case Action.KILL_THREAD | Action.KILL_PROCESS:
                return Prediction(killed(Signal.SYS), promise)
            case Action.TRAP if self.tracer is not None:
                # The tracer sees the signal first.
                return None
            case Action.TRAP if self.process.sigsys is Sigsys.CAUGHT and not self.blocks_sigsys:
                return Prediction(decision.trapped, promise)
            case Action.TRAP:
                ends = self.process.sigsys is not Sigsys.DEFAULT or self.blocks_sigsys
                return Prediction(killed(Signal.SYS), "seccomp.trap-blocked" if ends else promise)
        return Prediction(runs, promise)

    # Changes

    def install(self, program: Filter) -> Prediction:
        """SECCOMP_SET_MODE_FILTER without flags."""
        if not self.may_install:
            return Prediction(EACCES, "seccomp.privilege")
        self.filters = (*self.filters, InstalledFilter(program))
        return Prediction(returned(0), "seccomp.privilege")

    def listen(self, program: Filter, listener: str) -> Prediction:
        """The same with SECCOMP_FILTER_FLAG_NEW_LISTENER."""
        if not self.may_install:
            return Prediction(EACCES, "seccomp.privilege")
        if any(each.listener for each in self.filters):
            return Prediction(EBUSY, "seccomp.notif-one-listener")
        self.filters = (*self.filters, InstalledFilter(program, listener))
        return Prediction(OK, "seccomp.privilege")

    @property
    def may_install(self) -> bool:
        return self.admin or self.no_new_privs

    def enter_strict_mode(self) -> Prediction:
        if self.filters:
            return Prediction(EINVAL, "seccomp.modes")
        self.strict = True
        return Prediction(returned(0), "seccomp.strict-enter")

    def divergent(self) -> FilteredTask | None:
        """The first thread in strict mode, or with filters of its own: TSYNC replaces neither."""
        others = (each for each in self.process.threads if each is not self)
        return next(
            (each for each in others if each.strict or each.filters != self.filters[: len(each.filters)]), None
        )

    def synchronize(self, program: Filter, *, esrch: bool) -> Prediction | FilteredTask:
        """SECCOMP_FILTER_FLAG_TSYNC; the thread whose number it returns, if one diverges."""
        if not self.may_install:
            return Prediction(EACCES, "seccomp.privilege")
        if (divergent := self.divergent()) is not None:
            return Prediction(ESRCH, "seccomp.tsync-esrch") if esrch else divergent
        self.filters = (*self.filters, InstalledFilter(program))
        for each in self.process.threads:
            each.filters = self.filters
            each.no_new_privs |= self.no_new_privs
        return Prediction(returned(0), "seccomp.tsync")

    def execute(self) -> None:
        """execve() by a user without root's uid: capabilities, handlers and the other threads end."""
        self.admin = False
        if self.process.sigsys is Sigsys.CAUGHT:
            self.process.sigsys = Sigsys.DEFAULT
        self.process.threads[:] = [self]

    def state(self) -> tuple[str, str, str]:
        """NoNewPrivs, Seccomp and Seccomp_filters of /proc/PID/status."""
        mode = "1" if self.strict else "2" if self.filters else "0"
        return str(int(self.no_new_privs)), mode, str(len(self.filters))


@lru_cache(maxsize=16384)
def _decide(filters: Stack, abi: str, arch: str, nr: int, arguments: tuple[int, ...]) -> Decision:
    """What filters that a task of an ABI has installed decide about its call, of perhaps another architecture."""
    call = SeccompData(nr, AUDIT_ARCH[arch], args=BY_NAME[arch].passed(arguments))
    place, action, data = deciding_filter([each.program for each in filters], call, abi)
    promise = PROMISES_OF_ACTIONS[action]
    if len({run(each.program, call, abi) & 0xFFFF0000 for each in filters} - {Action.ALLOW}) > 1:
        promise = "seccomp.precedence"
    trapped = returning(BY_NAME[arch].trapped_result(call.nr, call.args[0]))
    return Decision(action, data, promise, None if place is None else filters[place], trapped)
