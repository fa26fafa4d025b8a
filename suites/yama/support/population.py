# SPDX-License-Identifier: GPL-2.0-or-later
"""The tasks of a walk, in the model and in the guest: after each step, every one tries to access every other one."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import invariant

from guests.outcome import Outcome
from guests.uapi import Cap
from suites.walks.walk import Walk, action, beginning
from suites.yama.support.access_model import AccessModel
from suites.yama.support.accesses import ACCESSES, missing_for
from suites.yama.support.looks import LOOKS, OPEN_MEMORY, READ_MEMORY, Addresses, Glance, Look, glance
from suites.yama.support.model import ROOT, TaskModel, World

MOST_TASKS = 8
"""Living ones: each may look at all others in one plan."""
NAMES = [f"{letter}{number}" for number in ("", "2", "3") for letter in "abcdefghijklmnopqrstuvwxyz"]

ROOTS: Mapping[str, tuple[int, Cap, bool, str]] = {
    #  kind         uid   capabilities                                   dumpable  arguments
    "user": (1000, Cap.NONE, True, ""),
    "other user": (1001, Cap.NONE, True, ", uid=1001"),
    "not dumpable": (1000, Cap.NONE, False, ", dumpable=False"),
    "tracer": (1000, Cap.SYS_PTRACE, True, ", caps=Cap.SYS_PTRACE"),
    "admin": (1000, Cap.SYS_ADMIN, True, ", caps=Cap.SYS_ADMIN"),
    "root": (ROOT, Cap.ALL, True, ", uid=0, caps=Cap.ALL"),
    "powerless root": (ROOT, Cap.NONE, True, ", uid=0"),
    "almost root": (ROOT, Cap.ALL & ~Cap.SYS_PTRACE, True, ", uid=0, caps=Cap.ALL & ~Cap.SYS_PTRACE"),
}
FLAGS: Mapping[str, str] = {
    "shares_memory": "Clone.VM",
    "sibling": "Clone.PARENT",
    "new_user": "Clone.NEWUSER",
    "new_pid": "Clone.NEWPID",
}
ORDINARY: tuple[tuple[str, ...], ...] = (*((),) * 5, ("shares_memory",), ("sibling",))
UNSHARED: tuple[tuple[str, ...], ...] = (("new_user",), ("new_user",), ("new_user", "new_pid"))
"""How children are made, and, in the initial user namespace, in new namespaces."""
KINDS = ["user"] * 5 + ["root"] + list(ROOTS)
SCOPES = [1] * 8 + [2] * 3 + [0] * 2 + [3] * 2


def living(walk: Population) -> list[str]:
    """The names of the living tasks."""
    return sorted(walk.tasks)


def pairs(walk: Population) -> list[tuple[str, str]]:
    return list(itertools.permutations(living(walk), 2))


def new_roots(walk: Population) -> list[str]:
    return KINDS if walk.has_room() else []


def new_children(walk: Population) -> list[tuple[str, tuple[str, ...]]]:
    """Parents, and how they make a child."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for name in living(walk) if walk.has_room() else ():
        model = walk.tasks[name]
        outside = walk.outside(model)
        found += [(name, how) for how in (ORDINARY if outside else ORDINARY[:-1])]
        # Creating a user namespace takes mapped ids; one level of each is enough.
        if outside and model.namespace is walk.world.top:
            found += [(name, how) for how in UNSHARED]
            if Cap.SYS_ADMIN in model.effective:
                found += [(name, ("new_pid",))] * 4
    return found


def new_threads(walk: Population) -> list[str]:
    """Tasks whose processes may get another thread, tracers and named ones more often than others."""
    if not walk.has_room():
        return []
    tasks = walk.tasks.values()
    of_interest = {task.tracer for task in tasks} | named(walk)
    return living(walk) + [name for name in living(walk) if walk.tasks[name] in of_interest] * 3


def other_threads(walk: Population) -> list[str]:
    """Threads that are not the leaders of their processes, those that exceptions name more often than others."""
    found = [name for name in living(walk) if walk.tasks[name].process.leader is not walk.tasks[name]]
    return found + [name for name in found if walk.tasks[name] in named(walk)] * 4


def named(walk: Population) -> set[TaskModel | str | None]:
    """The tracers of all exceptions."""
    return {task.process.exception for task in walk.tasks.values()}


def mortal(walk: Population) -> list[str]:
    """Leaders whose processes may end: others remain, and none of them would die with it."""
    found = []
    for name in living(walk):
        process = walk.tasks[name].process
        others = [task.process for task in walk.tasks.values() if task.process is not process]
        first_of_others = process.numbers.first is process and any(each.numbers is process.numbers for each in others)
        if process.leader.name == name and others and not first_of_others:
            found += [name] * (1 + 2 * any(task in named(walk) for task in process.threads))
    return found


def able_to_execute(walk: Population) -> list[str]:
    """Tasks whose execve() neither stops, nor waits for a tracer, nor gains a capability."""
    found = []
    for name in living(walk):
        model = walk.tasks[name]
        real, effective, _ = model.uids
        if (
            not any(each.tracer is not None for each in model.process.threads if each is not model)
            and (model.tracer is None or (model.seized and real == effective))
            and (ROOT not in (real, effective) or model.permitted == Cap.ALL)
            and (model.process.leader is model or walk.outside(model))
        ):
            found.append(name)
    return found


class Population(Walk):
    """Tasks that come and go, and look at one another after each step."""

    imports: ClassVar[Mapping[str, str]] = {
        "SCOPE": "suites.yama.support.accesses",
        **dict.fromkeys(("read_memory", "write_memory"), "suites.process_accesses"),
        **dict.fromkeys(("end_thread", "reap"), "suites.yama.support.walk_lines"),
        **dict.fromkeys(("KCMP_VM", "O_WRONLY"), "guests.uapi"),
    }
    marks: ClassVar[tuple[str, ...]] = (
        'needs("SECURITY_YAMA", "SYSCTL", "CROSS_MEMORY_ATTACH", "USER_NS", "PID_NS")',
    )
    world_type: ClassVar[type[World]] = World
    model_type: ClassVar[type[AccessModel]] = AccessModel

    def __init__(self) -> None:
        super().__init__()
        self.world = self.world_type()
        self.addresses = Addresses()
        self.free_names = iter(NAMES)
        self.dead: list[str] = []
        """Names of threads and processes that have been reaped."""
        self.looks: list[Look] = []
        """The ways to look that the kernel has."""

    def _has(self, look: Look) -> bool:
        kernel = self.guest.kernel
        if "count_events" in look.call:
            return not any(missing_for(self.guest, access) for access in ACCESSES if access.events)
        if "pidfd_getfd" in look.call:
            return bool(kernel.version >= (5, 6))
        return "kcmp" not in look.call or bool(kernel.config.enabled("KCMP"))

    # Helpers

    @property
    def tasks(self) -> dict[str, TaskModel]:
        return self.world.tasks

    def has_room(self) -> bool:
        return len(self.world.tasks) < MOST_TASKS

    def outside(self, task: TaskModel) -> bool:
        """Whether it is in the initial pid namespace, and can name every task by the number that the host knows."""
        return task.process.numbers is self.world.outer

    def access(self, tracer: str, target: str) -> AccessModel:
        return self.model_type(self.world, self.tasks[tracer], self.tasks[target])

    def number(self, task: TaskModel, target: str) -> str | None:
        """An expression for the number that the target has for a task; None if it has none."""
        if self.outside(task):
            return target
        return f"{target}.own_tid" if self.tasks[target].process.numbers is task.process.numbers else None

    # Beginning

    @beginning(scope=st.sampled_from(SCOPES), kinds=st.lists(st.sampled_from(KINDS), min_size=2, max_size=3))
    def begin(self, scope: int, kinds: list[str]) -> None:
        self.looks = [look for look in LOOKS if self._has(look)]
        if self.guest.kernel.config.enabled("PERF_EVENTS"):
            self.do('guest.set_sysctl("kernel.perf_event_paranoid", 2)')
        self.do(f"guest.set_sysctl(SCOPE, {scope})")
        self.world.scope = scope
        for kind in kinds:
            self._root(kind)

    def _root(self, kind: str) -> None:
        uid, caps, dumpable, arguments = ROOTS[kind]
        name = next(self.free_names)
        self.do(f'{name} = guest.spawn("{name}"{arguments})')
        self.world.spawn(self.world.init, name, uid=uid, caps=caps, dumpable=dumpable)

    @action(1, kind=new_roots)
    def root(self, kind: str) -> None:
        self._root(kind)

    @action(4, made=new_children)
    def child(self, made: tuple[str, tuple[str, ...]]) -> None:
        parent, how = made
        model = self.tasks[parent]
        flags = " | ".join(FLAGS[each] for each in how)
        name = next(self.free_names)
        self.do(f'{name} = {parent}.spawn("{name}"{f", flags={flags}" if flags else ""})')
        self.world.spawn(model, name, **dict.fromkeys(how, True))  # type: ignore[arg-type]

    @action(2, of=new_threads)
    def thread(self, of: str) -> None:
        name = next(self.free_names)
        self.do(f'{name} = {of}.thread("{name}")')
        self.world.thread(self.tasks[of], name)

    # Ends

    @action(2, task=other_threads)
    def exit_thread(self, task: str) -> None:
        model = self.tasks[task]
        tracer = f", tracer={model.tracer.name}" if model.tracer is not None else ""
        self.do(f"end_thread({task}{tracer})")
        self.world.exit_thread(model)
        self.dead.append(task)

    @action(2, task=mortal)
    def exit_process(self, task: str) -> None:
        process = self.tasks[task].process
        leader, *others = process.threads
        parent = process.parent or self.world.init
        traced = [each for each in others if each.tracer is not None]
        self.do(f"dying = {leader.name}.begin('exit_group', 0)")
        for each in traced:
            self.do(f"{each.tracer.name}.reap({each.name}).result()")  # type: ignore[union-attr]
        self.do("dying.outcome().require(exited(0))")
        if leader.tracer is not None and leader.tracer.process is not parent.process:
            self.do(f"{leader.tracer.name}.reap({leader.name}).result()")
        where = "guest.init" if parent is self.world.init else parent.name
        self.do(f"reap({where}, {leader.name}{', inside=True' if not self.outside(parent) else ''})")
        self.dead += [each.name for each in process.threads]
        self.world.exit_process(process)

    @action(1, task=able_to_execute)
    def execute(self, task: str) -> None:
        model = self.tasks[task]
        process = model.process
        leads = process.leader is model
        self.do(f"{task}.execute_again().result()")
        self.dead += [each.name for each in process.threads if each not in (model, process.leader)]
        if not leads:
            self.do(f"del {process.leader.name}")
        self.world.execute(model)

    # Comparisons

    @invariant()
    def everyone_looks_at_everyone(self) -> None:
        self.compare_all(
            [
                Glance(
                    READ_MEMORY if self.outside(self.tasks[one]) else OPEN_MEMORY, self.names[one], self.names[other]
                )
                for one, other in itertools.permutations(sorted(self.tasks), 2)
            ]
        )

    def outcomes(self, glances: list[Glance]) -> list[Outcome]:
        return glance(glances, self.addresses)

    def compare_all(self, glances: list[Glance]) -> None:
        if not glances:
            return
        with self.harness_errors_stop():
            outcomes = self.outcomes(glances)
        names: dict[Any, str] = {self.names[name]: name for name in self.tasks}
        for each, outcome in zip(glances, outcomes, strict=True):
            one, other = names[each.tracer], names[each.target]
            prediction = each.look.predict(self.access(one, other))
            if prediction and prediction.expected != outcome:
                self.recheck(each.look.call.format(one, other), prediction, outcome)
