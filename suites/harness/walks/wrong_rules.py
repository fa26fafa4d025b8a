# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules of Yama that are wrong on purpose, as those mutants of suites/yama/mutants.toml that have the same ids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from guests.outcome import EACCES, Expected
from guests.uapi import Cap
from suites.walks.walk import Prediction
from suites.yama.support.access_model import AccessModel, AccessVerdict
from suites.yama.support.model import ANYONE, ProcessModel, TaskModel, World

YES, NO = AccessVerdict(True, "yama.scope-1"), AccessVerdict(False, "yama.scope-1")
Rules = tuple[type[World], type[AccessModel]]
RULES: dict[str, Rules] = {}


def wrong(name: str) -> Callable[[type[Any]], type[Any]]:
    """Register a wrong world, or wrong rules of access, under the id of a mutant."""

    def register(cls: type[Any]) -> type[Any]:
        RULES[name] = (cls, AccessModel) if issubclass(cls, World) else (World, cls)
        return cls

    return register


def at_scope(model: AccessModel, scope: int) -> AccessVerdict:
    """What Yama would say at another scope."""
    actual, model.world.scope = model.world.scope, scope
    try:
        return AccessModel.by_scope(model)
    finally:
        model.world.scope = actual


class ByScope(AccessModel):
    """Rules in which what one scope means is another's."""

    meaning: ClassVar[dict[int, int]]

    def by_scope(self) -> AccessVerdict:
        return at_scope(self, self.meaning.get(self.world.scope, self.world.scope))


def as_another(name: str, scope: int, meaning: int) -> None:
    RULES[name] = (World, type(name, (ByScope,), {"meaning": {scope: meaning}}))


as_another("scope-0-is-scope-1", 0, 1)
as_another("scope-3-admits-the-capable", 3, 2)
as_another("scope-3-is-open", 3, 0)


@wrong("scope-1-ancestry-upside-down")
class UpsideDown(AccessModel):
    def by_scope(self) -> AccessVerdict:
        if self.world.scope == 1 and not self.is_capable() and not self.is_active_tracer():
            below = self.descends(self.tracer.process, self.target.process)
            return YES if below or self.is_named(self.target.process.exception) else NO
        return super().by_scope()


class Scope1(AccessModel):
    """Rules of scope 1 alone that are wrong."""

    def stranger(self) -> bool:
        raise NotImplementedError

    def by_scope(self) -> AccessVerdict:
        if self.world.scope != 1 or self.is_capable():
            return super().by_scope()
        return YES if self.stranger() else NO

    def related(self) -> bool:
        return self.is_active_tracer() or self.descends(self.target.process, self.tracer.process)


@wrong("scope-1-without-ancestry")
class WithoutAncestry(Scope1):
    def stranger(self) -> bool:
        return self.is_active_tracer() or self.is_named(self.target.process.exception)


@wrong("scope-1-without-exceptions")
class WithoutExceptions(Scope1):
    def stranger(self) -> bool:
        return self.descends(self.target.process, self.tracer.process)


@wrong("active-tracer-forgotten")
class ForgottenTracer(AccessModel):
    def is_active_tracer(self) -> bool:
        return False


@wrong("active-tracer-is-one-thread")
class TracerIsOneThread(AccessModel):
    def is_active_tracer(self) -> bool:
        return self.target.tracer is self.tracer


@wrong("active-tracer-and-all")
class TracerAndAll(AccessModel):
    def is_active_tracer(self) -> bool:
        return self.target.tracer is not None


@wrong("scope-1-without-capability")
class WithoutCapability(AccessModel):
    def is_capable(self) -> bool:
        return self.world.scope != 1 and super().is_capable()


def by_capability(name: str, scope: int, *, first: bool = False, own: bool = False, cap: Cap | None = None) -> None:
    """Wrong rules of which capability counts, and in which namespace."""

    def is_capable(self: AccessModel) -> bool:
        if self.world.scope != scope:
            return AccessModel.is_capable(self)
        where = self.world.top if first else self.tracer.namespace if own else self.target.namespace
        return self.tracer.capable(cap or Cap.SYS_PTRACE, where)

    RULES[name] = (World, type(name, (AccessModel,), {"is_capable": is_capable}))


by_capability("scope-1-capability-of-init", 1, first=True)
by_capability("scope-1-capability-of-the-caller", 1, own=True)
by_capability("scope-1-any-capability", 1, cap=Cap.SYS_ADMIN)
by_capability("scope-2-capability-of-init", 2, first=True)
by_capability("scope-2-capability-of-the-caller", 2, own=True)
by_capability("scope-2-another-capability", 2, cap=Cap.SYS_ADMIN)


@wrong("scope-2-admits-ancestors")
class AncestorsAt2(AccessModel):
    def by_scope(self) -> AccessVerdict:
        found = super().by_scope()
        return YES if self.world.scope == 2 and self.descends(self.target.process, self.tracer.process) else found


@wrong("scope-2-admits-the-declared")
class DeclaredAt2(AccessModel):
    def by_scope(self) -> AccessVerdict:
        found = super().by_scope()
        return YES if self.world.scope == 2 and self.is_named(self.target.process.exception) else found


@wrong("walk-takes-one-step")
class OneStep(AccessModel):
    def descends(self, process: ProcessModel, ancestor: ProcessModel) -> bool:
        return ancestor in list(process.ancestors())[:2]


@wrong("walk-ends-before-init")
class BeforeInit(AccessModel):
    def descends(self, process: ProcessModel, ancestor: ProcessModel) -> bool:
        return ancestor is not self.world.init.process and super().descends(process, ancestor)


@wrong("walk-ends-at-a-namespace")
class AtANamespace(AccessModel):
    def descends(self, process: ProcessModel, ancestor: ProcessModel) -> bool:
        return ancestor.numbers is process.numbers and super().descends(process, ancestor)


@wrong("walk-begins-above")
class Above(AccessModel):
    def descends(self, process: ProcessModel, ancestor: ProcessModel) -> bool:
        return process is not ancestor and super().descends(process, ancestor)


@wrong("exception-for-ancestors")
class ForAncestors(AccessModel):
    def is_named(self, exception: TaskModel | str | None) -> bool:
        above = isinstance(exception, TaskModel) and self.descends(exception.process, self.tracer.process)
        return above or super().is_named(exception)


@wrong("exception-for-one-task")
class ForOneTask(AccessModel):
    def is_named(self, exception: TaskModel | str | None) -> bool:
        return exception == ANYONE or exception is self.tracer


@wrong("exception-for-anyone")
class ForAnyone(AccessModel):
    def is_named(self, exception: TaskModel | str | None) -> bool:
        return exception is not None


@wrong("exception-any-admits-nobody")
class AnyIsNobody(AccessModel):
    def is_named(self, exception: TaskModel | str | None) -> bool:
        return exception != ANYONE and super().is_named(exception)


@wrong("exception-of-a-thread")
class OfAThread(AccessModel):
    def is_named(self, exception: TaskModel | str | None) -> bool:
        return self.target.process.leader is self.target and super().is_named(exception)


@wrong("fork-inherits")
class ForkInherits(AccessModel):
    def is_named(self, exception: TaskModel | str | None) -> bool:
        parent = self.target.process.parent
        return super().is_named(exception) or (parent is not None and super().is_named(parent.process.exception))


@wrong("ptrace-dumpable-ignored")
class DumpableIgnored(AccessModel):
    def may(self, *, attach: bool = True, by_file: bool = False) -> AccessVerdict:
        memory = self.target.process.memory
        actual, memory.dumpable = memory.dumpable, True
        try:
            return super().may(attach=attach, by_file=by_file)
        finally:
            memory.dumpable = actual


@wrong("ptrace-uid-ignored")
class UidIgnored(AccessModel):
    def is_same_user(self, uid: int) -> bool:
        del uid
        return self.tracer.gid == self.target.gid


@wrong("reading-is-restricted")
class ReadingIsRestricted(AccessModel):
    def may(self, *, attach: bool = True, by_file: bool = False) -> AccessVerdict:
        del attach
        return super().may(attach=True, by_file=by_file)


@wrong("file-accesses-are-open")
class FilesAreOpen(AccessModel):
    def may(self, *, attach: bool = True, by_file: bool = False) -> AccessVerdict:
        return super().may(attach=attach and not by_file, by_file=by_file)


@wrong("scope-1-wrong-errno")
class WrongErrno(AccessModel):
    def memory_call(self) -> Prediction:
        found = super().memory_call()
        errno: Expected = EACCES if found.expected.low < 0 else found.expected
        return replace(found, expected=errno)


@wrong("takes-back-nothing")
class TakesBackNothing(World):
    def declare(self, task: TaskModel, tracer: TaskModel | str | None) -> None:
        if tracer is not None:
            super().declare(task, tracer)


@wrong("takes-back-as-tracer-too")
class TakesBackAsTracer(World):
    def declare(self, task: TaskModel, tracer: TaskModel | str | None) -> None:
        super().declare(task, tracer)
        for other in self.tasks.values() if tracer is None else ():
            if isinstance(other.process.exception, TaskModel) and other.process.exception is task.process.leader:
                other.process.exception = None


@wrong("names-the-leader")
class NamesTheLeader(World):
    def declare(self, task: TaskModel, tracer: TaskModel | str | None) -> None:
        super().declare(task, tracer.process.leader if isinstance(tracer, TaskModel) else tracer)


@wrong("replaces-nothing")
class ReplacesNothing(World):
    def declare(self, task: TaskModel, tracer: TaskModel | str | None) -> None:
        if tracer is None or task.process.exception is None:
            super().declare(task, tracer)


@wrong("free-forgets-the-tracer")
class ForgetsTheTracer(World):
    def _forget(self, task: TaskModel, promise: str) -> None:
        kept = [each.process for each in self.tasks.values() if each.process.exception is task]
        super()._forget(task, promise)
        for process in kept:
            process.exception = task


@wrong("sysctl-not-locked")
class NotLocked(World):
    def set_scope(self, value: int) -> bool:
        accepted = 0 <= value <= 3
        self.scope = value if accepted else self.scope
        return accepted
