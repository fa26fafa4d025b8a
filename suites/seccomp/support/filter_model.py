# SPDX-License-Identifier: GPL-2.0-or-later
"""A model of which filters a task has, and what they make of its calls: stacks, threads, TSYNC, fork and execve.

It follows seccomp(2) and Documentation/userspace-api/seccomp_filter.rst, over the interpreter of BPF.  It has neither
listeners, nor tracers, nor signal handlers, nor strict mode.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from guests.abis import BY_NAME, call_number
from guests.bpf import AUDIT_ARCH, Action, Filter
from guests.outcome import EACCES, ENOSYS, ESRCH, GONE, OK, error, killed, returned
from guests.uapi import Signal
from suites.seccomp.support.bpf_interpreter import SeccompData, run, run_filters
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


@dataclass(eq=False)
class InstalledFilter:
    """One installation of a program: two of the same program are different filters."""

    program: Filter


Stack = tuple[InstalledFilter, ...]
"""Filters, the oldest first."""


@dataclass(eq=False)
class FilteredProcess:
    threads: list[FilteredTask] = field(default_factory=list)
    """The living ones; the leader is the first."""


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

    def child(self, name: str, process: FilteredProcess) -> FilteredTask:
        """A task that it creates, which inherits everything."""
        task = FilteredTask(name, process, self.admin, self.no_new_privs, self.filters, self.arch)
        process.threads.append(task)
        return task

    # Calls

    def call(self, name: str, arguments: tuple[int, ...], *, compat: bool = False) -> Prediction:
        """The outcome of a call of six arguments that always succeeds if it runs."""
        arch = "i386" if compat else self.arch
        call = SeccompData(call_number(name, arch), AUDIT_ARCH[arch], args=BY_NAME[arch].passed(arguments))
        action, data = run_filters([each.program for each in self.filters], call, self.arch)
        promise = PROMISES_OF_ACTIONS[action]
        if len({run(each.program, call, self.arch) & 0xFFFF0000 for each in self.filters} - {Action.ALLOW}) > 1:
            promise = "seccomp.precedence"
        match action:
            case Action.ERRNO if not data:
                return Prediction(returned(0), "seccomp.errno-data")
            case Action.ERRNO:
                promise = promise if data <= MAX_ERRNO else "seccomp.errno-data"
                return Prediction(error(min(data, MAX_ERRNO)), promise)
            case Action.USER_NOTIF | Action.TRACE:
                return Prediction(ENOSYS, promise)
            case Action.KILL_THREAD if len(self.process.threads) > 1:
                return Prediction(GONE, promise)
            case Action.KILL_THREAD | Action.KILL_PROCESS | Action.TRAP:
                return Prediction(killed(Signal.SYS), promise)
        return Prediction(OK, promise)

    # Changes

    def install(self, program: Filter) -> Prediction:
        """SECCOMP_SET_MODE_FILTER without flags."""
        if not self.may_install:
            return Prediction(EACCES, "seccomp.privilege")
        self.filters = (*self.filters, InstalledFilter(program))
        return Prediction(returned(0), "seccomp.privilege")

    @property
    def may_install(self) -> bool:
        return self.admin or self.no_new_privs

    def divergent(self) -> FilteredTask | None:
        """The first thread that has filters of its own, with which TSYNC cannot replace them."""
        others = (each for each in self.process.threads if each is not self)
        return next((each for each in others if each.filters != self.filters[: len(each.filters)]), None)

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
        """execve() by a user without root's uid: capabilities and the other threads end."""
        self.admin = False
        self.process.threads[:] = [self]

    def state(self) -> tuple[str, str, str]:
        """NoNewPrivs, Seccomp and Seccomp_filters of /proc/PID/status."""
        return str(int(self.no_new_privs)), "2" if self.filters else "0", str(len(self.filters))
