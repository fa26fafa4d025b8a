# SPDX-License-Identifier: GPL-2.0-or-later
"""A model of who may access whom: processes, threads, credentials, namespaces, traces, and Yama's exceptions.

It follows ptrace(2), "Ptrace access mode checking", capabilities(7), user_namespaces(7), execve(2), prctl(2), and
Documentation/admin-guide/LSM/Yama.rst.  Nothing in it is computed from a kernel.  yama_walk.py draws the steps,
population.py takes them in a guest, and access_model.py predicts the outcome of each access.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from guests.uapi import Cap

ROOT = 0
ANYONE = "anyone"
"""Stands for every process, as the tracer of an exception."""


@dataclass(eq=False)
class UserNamespace:
    """A user namespace.  Those below the initial one map no ids."""

    owner: int = ROOT
    """The effective uid of its creator."""
    parent: UserNamespace | None = None


@dataclass(eq=False)
class PidNamespace:
    first: ProcessModel | None = None
    """Its init, which adopts orphans."""


@dataclass(eq=False)
class MemoryModel:
    """An address space."""

    namespace: UserNamespace
    """The user namespace in which a capability lets one look into it although it is not dumpable."""
    dumpable: bool = True


@dataclass(eq=False)
class ProcessModel:
    """A thread group."""

    memory: MemoryModel
    numbers: PidNamespace
    parent: TaskModel | None
    """The thread that is its real parent."""
    threads: list[TaskModel] = field(default_factory=list)
    """The living ones; the leader is the first."""
    subreaper: bool = False
    exception: TaskModel | str | None = None
    """The tracer that PR_SET_PTRACER has named."""
    former: TaskModel | str | None = None
    """The tracer of the exception before the present one, or of the last one."""
    lost: str = ""
    """The promise by which that one has ended."""
    fading: bool = False
    """Whether the kernel may honour its last exception until a grace period has passed."""

    def lose(self, promise: str, *, fading: bool = False) -> None:
        """Its exception ends."""
        if self.exception is not None:
            self.former, self.lost, self.fading = self.exception, promise, fading
            self.exception = None

    @property
    def leader(self) -> TaskModel:
        return self.threads[0]

    def ancestors(self) -> Iterator[ProcessModel]:
        """The process itself, its parent, and so on, up to init."""
        process: ProcessModel | None = self
        while process is not None:
            yield process
            process = process.parent.process if process.parent is not None else None


@dataclass(eq=False)
class TaskModel:
    """A thread."""

    name: str
    process: ProcessModel
    uids: tuple[int, int, int]
    """Real, effective and saved.  The gids are never changed apart from them, and are not modelled."""
    gid: int
    effective: Cap
    permitted: Cap
    namespace: UserNamespace
    tracer: TaskModel | None = None
    seized: bool = False

    @property
    def euid(self) -> int:
        """The effective uid, which the filesystem uid follows."""
        return self.uids[1]

    def capable(self, capability: Cap, namespace: UserNamespace) -> bool:
        """Whether it has a capability in a namespace (user_namespaces(7), "Capabilities")."""
        where: UserNamespace | None = namespace
        while where is not None:
            if where is self.namespace:
                return capability in self.effective
            if where.parent is self.namespace and where.owner == self.euid:
                return True
            where = where.parent
        return False


class World:
    """All living tasks, and the scope."""

    def __init__(self) -> None:
        self.scope = 1
        self.top = UserNamespace()
        self.outer = PidNamespace()
        init = ProcessModel(MemoryModel(self.top), self.outer, None)
        self.init = TaskModel("init", init, (ROOT,) * 3, ROOT, Cap.ALL, Cap.ALL, self.top)
        init.threads.append(self.init)
        self.outer.first = init
        self.tasks: dict[str, TaskModel] = {}
        """The living tasks besides init, by name."""

    # Creation

    def spawn(
        self,
        parent: TaskModel,
        name: str,
        *,
        uid: int | None = None,
        caps: Cap = Cap.NONE,
        dumpable: bool = True,
        shares_memory: bool = False,
        sibling: bool = False,
        new_user: bool = False,
        new_pid: bool = False,
    ) -> TaskModel:
        """A new process, with credentials of its own if `uid` is given.  `sibling`: CLONE_PARENT."""
        of = parent.process
        memory = of.memory if shares_memory else MemoryModel(of.memory.namespace, of.memory.dumpable)
        numbers = PidNamespace() if new_pid else of.numbers
        process = ProcessModel(memory, numbers, of.parent if sibling else parent)
        if new_pid:
            numbers.first = process
        inherited = (parent.uids, parent.gid, parent.effective, parent.permitted)
        task = TaskModel(name, process, *inherited, parent.namespace)
        if uid is not None:
            task.uids, task.gid, task.effective, task.permitted = (uid,) * 3, uid, caps, caps
            memory.dumpable = dumpable
        if new_user:
            task.namespace = UserNamespace(parent.euid, parent.namespace)
            task.effective = task.permitted = Cap.ALL
        process.threads.append(task)
        self.tasks[name] = task
        return task

    def thread(self, of: TaskModel, name: str) -> TaskModel:
        task = TaskModel(name, of.process, of.uids, of.gid, of.effective, of.permitted, of.namespace)
        of.process.threads.append(task)
        self.tasks[name] = task
        return task

    # Ends

    def exit_thread(self, task: TaskModel) -> None:
        """A thread other than the leader ends."""
        task.process.threads.remove(task)
        self._forget(task, "yama.tracer-thread")

    def exit_process(self, process: ProcessModel) -> None:
        """A process ends, and its parent reaps it."""
        reaper = self._reaper(process)
        for task in list(process.threads):
            for child in self._processes():
                if child.parent is task:
                    child.parent = reaper
            self._forget(task, "yama.tracer-exit")
        process.threads.clear()

    def execute(self, task: TaskModel) -> None:
        """execve() of a readable program without set-uid bits, by a task that is not root or has all capabilities."""
        process = task.process
        if process.leader is not task:
            # The exception was the old leader's.
            process.lose("yama.exec")
        for other in [each for each in process.threads if each is not task]:
            process.threads.remove(other)
            self._forget(other, "yama.exec")
        real, effective, _ = task.uids
        is_root = task.namespace is self.top and ROOT in (real, effective)
        task.permitted = Cap.ALL if is_root else Cap.NONE
        task.effective = task.permitted if effective == ROOT else Cap.NONE
        task.uids = (real, effective, effective)
        process.memory = MemoryModel(task.namespace, dumpable=real == effective)

    def _processes(self) -> list[ProcessModel]:
        return list(dict.fromkeys(task.process for task in self.tasks.values()))

    def _reaper(self, process: ProcessModel) -> TaskModel:
        """Who adopts the children: the nearest subreaper in the same pid namespace, or else its init."""
        for ancestor in process.ancestors():
            if ancestor.numbers is not process.numbers:
                break
            if ancestor is not process and ancestor.subreaper:
                return ancestor.leader
        first = process.numbers.first
        return first.leader if first is not None and first is not process else self.init

    def _forget(self, task: TaskModel, promise: str) -> None:
        """A task is no more: not as a tracer, not as the parent of its children, not in an exception."""
        del self.tasks[task.name]
        for process in self._processes():
            if process.parent is task:
                process.parent = task.process.leader
            if process.exception is task:
                process.lose(promise, fading=True)
        for other in self.tasks.values():
            if other.tracer is task:
                other.tracer, other.seized = None, False

    # Changes

    def declare(self, task: TaskModel, tracer: TaskModel | str | None) -> None:
        """PR_SET_PTRACER, successful; None is 0."""
        process = task.process
        process.lose("yama.revoke" if tracer is None else "yama.replace")
        # What a dead tracer left behind is removed too.
        process.exception, process.fading = tracer, False

    def set_uids(self, task: TaskModel, uids: tuple[int, int, int]) -> bool:
        """setresuid(); whether it is permitted (setresuid(2), capabilities(7) "Effect of user ID changes")."""
        if not task.capable(Cap.SETUID, task.namespace) and not set(uids) <= set(task.uids):
            return False
        former, task.uids = task.uids, uids
        if ROOT in former and ROOT not in uids:
            task.permitted = task.effective = Cap.NONE
        elif former[1] == ROOT != uids[1]:
            task.effective = Cap.NONE
        elif former[1] != ROOT == uids[1]:
            task.effective = task.permitted
        if former[1] != uids[1]:
            task.process.memory.dumpable = False
        return True

    def set_scope(self, value: int) -> bool:
        """Whether the sysctl accepts a value."""
        accepted = value == 3 if self.scope == 3 else 0 <= value <= 3
        if accepted:
            self.scope = value
        return accepted
