# SPDX-License-Identifier: GPL-2.0-or-later
"""What the model predicts of each access, and the promise from which that follows."""

from __future__ import annotations

from dataclasses import dataclass

from guests.outcome import EACCES, EBADF, EINVAL, EPERM, OK, Expected
from guests.uapi import Cap
from suites.walks.walk import Prediction
from suites.yama.support.model import ANYONE, ROOT, ProcessModel, TaskModel, World

DAC_READ_SEARCH, PERFMON = Cap(1 << 2), Cap(1 << 38)


@dataclass(frozen=True)
class AccessVerdict:
    """Whether an access is granted, and the promise that says so."""

    granted: bool
    promise: str


def predicted(verdict: AccessVerdict, refused: Expected, target: TaskModel | None = None) -> Prediction:
    settles = target is not None and target.process.fading and not verdict.granted
    return Prediction(OK if verdict.granted else refused, verdict.promise, settles)


class AccessModel:
    """Predictions for one tracer and one target."""

    def __init__(self, world: World, tracer: TaskModel, target: TaskModel) -> None:
        self.world, self.tracer, self.target = world, tracer, target

    def may(self, *, attach: bool = True, by_file: bool = False) -> AccessVerdict:
        """The access check of ptrace(2).  `attach`: PTRACE_MODE_ATTACH; `by_file`: PTRACE_MODE_FSCREDS."""
        tracer, target = self.tracer, self.target
        if tracer.process is target.process:
            return AccessVerdict(True, "yama.own-threads")
        capable = tracer.capable(Cap.SYS_PTRACE, target.namespace)
        uid = tracer.euid if by_file else tracer.uids[0]
        if not capable and not self.is_same_user(uid):
            return AccessVerdict(False, "yama.ids")
        memory = target.process.memory
        if not memory.dumpable and not tracer.capable(Cap.SYS_PTRACE, memory.namespace):
            return AccessVerdict(False, "yama.scope-0" if self.world.scope == 0 else "yama.set-ptracer-no-override")
        own = tracer.effective if by_file else tracer.permitted
        if not capable and (tracer.namespace is not target.namespace or target.permitted & ~own):
            return AccessVerdict(False, "yama.user-namespace")
        return self.by_scope() if attach else AccessVerdict(True, "yama.reading")

    def is_same_user(self, uid: int) -> bool:
        return {*self.target.uids} == {uid} and self.tracer.gid == self.target.gid

    def by_scope(self) -> AccessVerdict:
        """Yama's own check (Yama.rst)."""
        scope, target = self.world.scope, self.target
        if scope == 0:
            return AccessVerdict(True, "yama.scope-0")
        if scope == 3:
            return AccessVerdict(False, "yama.scope-3")
        if self.is_capable():
            inside = target.namespace is not self.world.top
            return AccessVerdict(True, "yama.user-namespace" if inside else "yama.capability")
        if scope == 2:
            return AccessVerdict(False, "yama.scope-2")
        if self.is_active_tracer():
            return AccessVerdict(True, "yama.active-tracer")
        if self.descends(self.target.process, self.tracer.process):
            return AccessVerdict(True, "yama.ancestry")
        if self.is_named(target.process.exception):
            return AccessVerdict(True, "yama.any" if target.process.exception == ANYONE else "yama.set-ptracer")
        return AccessVerdict(False, self._why_a_stranger())

    def is_capable(self) -> bool:
        return self.tracer.capable(Cap.SYS_PTRACE, self.target.namespace)

    def is_active_tracer(self) -> bool:
        return self.target.tracer is not None and self.target.tracer.process is self.tracer.process

    def descends(self, process: ProcessModel, ancestor: ProcessModel) -> bool:
        return ancestor in process.ancestors()

    def is_named(self, exception: TaskModel | str | None) -> bool:
        """Whether an exception admits the tracer."""
        if isinstance(exception, TaskModel):
            return self.descends(self.tracer.process, exception.process)
        return exception == ANYONE

    def _why_a_stranger(self) -> str:
        """The promise by which the tracer is refused at scope 1."""
        process = self.target.process
        ended = isinstance(process.former, TaskModel) and not process.former.process.threads
        if ended or self.is_named(process.former):
            return process.lost
        return "yama.set-ptracer" if process.exception is not None else "yama.scope-1"

    def _may(self, *, attach: bool = True, by_file: bool = False, memory: bool = False) -> AccessVerdict:
        """`memory`: the access is to memory, which is the tracer's own if the two share it."""
        tracer, target = self.tracer.process, self.target.process
        if memory and tracer is not target and tracer.memory is target.memory:
            return AccessVerdict(True, "yama.shared-memory")
        return self.may(attach=attach, by_file=by_file)

    def memory_call(self) -> Prediction:
        """process_vm_readv() and process_vm_writev()."""
        return predicted(self._may(memory=True), EPERM, self.target)

    def descriptor(self) -> Prediction:
        """pidfd_getfd(), which is about the target's process."""
        leader = self.target.process.leader
        return predicted(type(self)(self.world, self.tracer, leader).may(), EPERM, leader)

    def compare_memory(self) -> Prediction:
        """kcmp()."""
        return predicted(self._may(attach=False), EPERM)

    def open_memory(self, *, writing: bool) -> Prediction:
        """open("/proc/PID/mem")."""
        return self._opened(0o600, writing=writing) or predicted(
            self._may(by_file=True, memory=True), EACCES, self.target
        )

    def open_maps(self) -> Prediction | None:
        """open("/proc/PID/maps").

        None: CAP_PERFMON decides, which shows the map of any process since Linux 6.15, or earlier where vendors
        backport (`ptrace.perf-shows-memory`).
        """
        verdict = self._may(attach=False, by_file=True, memory=True)
        return None if self._monitors() and not verdict.granted else predicted(verdict, EACCES)

    def open_syscall(self) -> Prediction:
        """open("/proc/PID/syscall"), which is checked at each read only."""
        return self._opened(0o400, writing=False) or Prediction(OK, "yama.attach-accesses")

    def read_syscall(self) -> Prediction:
        """Reading it, with EBADF if it was not opened."""
        if self._opened(0o400, writing=False):
            return Prediction(EBADF, "yama.ids")
        return predicted(self._may(by_file=True), EPERM, self.target)

    def events(self) -> Prediction:
        """A perf event that sends signals."""
        if self._monitors() and self.tracer.capable(Cap.KILL, self.target.namespace):
            return Prediction(OK, "yama.attach-accesses")
        return predicted(self._may(), EACCES, self.target)

    def _monitors(self) -> bool:
        """perfmon_capable(): CAP_SYS_ADMIN is enough, too."""
        return any(self.tracer.capable(cap, self.world.top) for cap in (PERFMON, Cap.SYS_ADMIN))

    def attach(self) -> Prediction:
        """PTRACE_ATTACH and PTRACE_SEIZE."""
        if self.tracer.process is self.target.process:
            return Prediction(EPERM, "yama.own-threads")
        verdict = self._may()
        if verdict.granted and self.target.tracer is not None:
            return Prediction(EPERM, "yama.attach-accesses")
        return predicted(verdict, EPERM, self.target)

    def _opened(self, mode: int, *, writing: bool) -> Prediction | None:
        """The refusal of a file in /proc/PID by its mode; None if the mode allows it.

        The owner is the target's effective user, or root while the target is not dumpable (proc(5)).
        """
        owner = self.target.euid if self.target.process.memory.dumpable else ROOT
        bit = 0o200 if writing else 0o400
        overriding = Cap.DAC_OVERRIDE if writing else Cap.DAC_OVERRIDE | DAC_READ_SEARCH
        inside = self.tracer.namespace is self.world.top
        if (self.tracer.euid == owner and mode & bit) or (inside and self.tracer.effective & overriding):
            return None
        return Prediction(EACCES, "yama.ids")


def traceme(world: World, task: TaskModel) -> Prediction:
    """PTRACE_TRACEME: the parent must be able to trace, and at scope 2 have the capability."""
    parent = task.process.parent or world.init
    if task.tracer is not None:
        return Prediction(EPERM, "yama.traceme")
    capable = parent.capable(Cap.SYS_PTRACE, task.namespace)
    like = parent.namespace is task.namespace and not task.permitted & ~parent.permitted
    allowed = (capable or like) and world.scope != 3 and (capable or world.scope != 2)
    return Prediction(OK if allowed else EPERM, "yama.traceme")


def write_scope(world: World, task: TaskModel, value: int) -> Prediction:
    """Writing the sysctl, without its effect."""
    if task.euid != ROOT:
        return Prediction(EACCES, "yama.sysctl-mode")
    if not task.capable(Cap.SYS_PTRACE, world.top):
        return Prediction(EPERM, "yama.sysctl-capability")
    accepted = value == 3 if world.scope == 3 else 0 <= value <= 3
    promise = "yama.sysctl-lock" if world.scope == 3 else "yama.sysctl-range"
    return Prediction(OK if accepted else EINVAL, promise)
