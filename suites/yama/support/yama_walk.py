# SPDX-License-Identifier: GPL-2.0-or-later
"""Walks through the model of Yama and a guest: tasks change, trace one another, and declare tracers."""

from __future__ import annotations

import itertools

from guests.outcome import EINVAL, EPERM, OK
from guests.uapi import Cap
from suites.walks.walk import Prediction, action
from suites.yama.support.access_model import traceme, write_scope
from suites.yama.support.looks import Glance, fits
from suites.yama.support.model import ANYONE, ROOT, TaskModel
from suites.yama.support.population import SCOPES, Population, living, other_threads, pairs

UNUSED_PID = 0x3FFFFF
SCOPE_FILE = "/proc/sys/kernel/yama/ptrace_scope"

PROMISES = (
    *("yama.active-tracer", "yama.ancestry", "yama.any", "yama.attach-accesses", "yama.capability", "yama.exec"),
    *("yama.ids", "yama.own-threads", "yama.reading", "yama.replace", "yama.revoke", "yama.scope-0", "yama.scope-1"),
    *(
        "yama.scope-2",
        "yama.scope-3",
        "yama.set-ptracer",
        "yama.set-ptracer-argument",
        "yama.set-ptracer-no-override",
    ),
    *("yama.shared-memory", "yama.sysctl-capability", "yama.sysctl-lock", "yama.sysctl-mode", "yama.sysctl-range"),
    *("yama.traceme", "yama.tracer-exit", "yama.tracer-thread", "yama.user-namespace"),
)
"""The promises from which the model's predictions follow."""

UIDS = list(itertools.product((1000, 1001, ROOT), repeat=3)) + [(1000,) * 3] * 8 + [(1001,) * 3] * 8


def at_the_top(walk: Population) -> list[str]:
    """Tasks in the initial user namespace, those that may change their ids three times as often as others."""
    found = [name for name in living(walk) if walk.tasks[name].namespace is walk.world.top]
    return found + [name for name in found if Cap.SETUID in walk.tasks[name].effective] * 2


def with_capabilities(walk: Population) -> list[str]:
    return [name for name in living(walk) if walk.tasks[name].permitted]


def children(walk: Population) -> list[str]:
    """Tasks with a parent other than init, which would have to wait for them."""
    return [name for name in living(walk) if walk.tasks[name].process.parent is not walk.world.init]


def to_attach(walk: Population) -> list[tuple[str, str]]:
    """Tracers in the initial pid namespace and their targets, those that may attach more often than others."""
    outside = [pair for pair in pairs(walk) if walk.outside(walk.tasks[pair[0]])]
    return outside + [pair for pair in outside if walk.access(*pair).attach().expected == OK] * 4


def to_declare(walk: Population) -> list[tuple[str, str]]:
    """Tasks and whom they may name, threads that are not leaders more often than others."""
    threads = set(other_threads(walk))
    return pairs(walk) + [pair for pair in pairs(walk) if pair[1] in threads] * 2


def with_exceptions(walk: Population) -> list[str]:
    """Tasks that have declared a tracer, those that are traced more often than others."""
    declared = [name for name in living(walk) if walk.tasks[name].process.exception is not None]
    return declared + [name for name in declared if walk.tasks[name].tracer is not None] * 4


class YamaWalk(Population):
    """Processes and threads that come, go, change, trace one another, and declare tracers."""

    # Exceptions

    @action(5, pair=to_declare)
    def declare(self, pair: tuple[str, str]) -> None:
        task, named = pair
        if (number := self.number(self.tasks[task], named)) is not None:
            self.compare(f"{task}.set_ptracer({number})", Prediction(OK, "yama.set-ptracer"))
            self.world.declare(self.tasks[task], self.tasks[named])

    @action(2, task=living, argument=lambda _: ("0", "PTRACER_ANY", "0xFFFFFFFF", "1"))
    def declare_someone(self, task: str, argument: str) -> None:
        model = self.tasks[task]
        first = model.process.numbers.first
        named = {"0": None, "1": first.leader if first is not None else None}.get(argument, ANYONE)
        if argument == "1" and named is None:
            return  # the namespace has lost its init
        promise = {"0": "yama.revoke", "1": "yama.set-ptracer"}.get(argument, "yama.any")
        self.compare(f"{task}.set_ptracer({argument})", Prediction(OK, promise))
        self.world.declare(model, named)

    @action(2, task=with_exceptions)
    def revoke(self, task: str) -> None:
        self.declare_someone(task, "0")

    @action(
        1, task=living, argument=lambda walk: ("-2", str(UNUSED_PID), str(walk.guest.init.abi.highest_bit), "dead")
    )
    def declare_nobody(self, task: str, argument: str) -> None:
        if argument == "dead":
            if not self.dead or not self.outside(self.tasks[task]):
                return
            argument = self.dead[-1]
        self.compare(f"{task}.set_ptracer({argument})", Prediction(EINVAL, "yama.set-ptracer-argument"))

    # Changes

    @action(2, task=at_the_top, uids=lambda _: UIDS, dumpable=lambda _: (True, True, False))
    def set_uids(self, task: str, uids: tuple[int, int, int], dumpable: bool) -> None:
        model = self.tasks[task]
        expected = OK if self.world.set_uids(model, uids) else EPERM
        self.compare(f'{task}.call("setresuid", {", ".join(map(str, uids))})', Prediction(expected, "yama.ids"))
        if dumpable and not model.process.memory.dumpable:
            self.set_dumpable(task, True)

    @action(1, task=with_capabilities, kept=lambda _: ("NONE", "NONE", "SYS_PTRACE", "SYS_ADMIN"))
    def keep_capability(self, task: str, kept: str) -> None:
        model = self.tasks[task]
        caps = Cap[kept]
        if caps & ~model.permitted == Cap.NONE:
            self.do(f"{task}.set_caps(Cap.{kept}).result()")
            model.permitted = model.effective = caps

    @action(1, task=living, dumpable=lambda _: (True, False))
    def set_dumpable(self, task: str, dumpable: bool) -> None:
        self.do(f"{task}.set_dumpable({dumpable}).result()")
        self.tasks[task].process.memory.dumpable = dumpable

    @action(1, task=living)
    def become_subreaper(self, task: str) -> None:
        self.do(f"{task}.become_subreaper().result()")
        self.tasks[task].process.subreaper = True

    # The scope

    @action(2, value=lambda _: SCOPES, task=living, how=lambda _: ("init", "init", "write", "odd", "read"))
    def scope(self, value: int, task: str, how: str) -> None:
        if how == "init":
            promise = "yama.sysctl-lock" if self.world.scope == 3 else "yama.sysctl-range"
            expected = OK if self.world.set_scope(value) else EINVAL
            self.compare(f'guest.write_file("{SCOPE_FILE}", "{value}")', Prediction(expected, promise))
        elif how == "read":
            self.compare(f'{task}.read_text("{SCOPE_FILE}")', Prediction(OK, "yama.sysctl-mode"))
        else:
            value = {0: -1, 1: 4}.get(value, 5) if how == "odd" else value
            prediction = write_scope(self.world, self.tasks[task], value)
            self.compare(f'{task}.write_text("{SCOPE_FILE}", "{value}")', prediction)
            if prediction.expected == OK:
                self.world.set_scope(value)
        self.compare_value("guest.sysctl(SCOPE)", str(self.world.scope), "yama.sysctl-range")

    # Traces

    @action(3, pair=to_attach, seize=lambda _: (True, True, False))
    def attach(self, pair: tuple[str, str], seize: bool) -> None:
        tracer, target = pair
        prediction = self.access(tracer, target).attach()
        self.compare(f"{tracer}.{'seize' if seize else 'attach'}({target})", prediction)
        if prediction.expected == OK:
            if not seize:
                self.do(f"{tracer}.wait({target})")
                self.do(f"{tracer}.resume({target}).result()")
            self._traced(target, self.tasks[tracer], seize)

    @action(2, task=children)
    def traceme(self, task: str) -> None:
        model = self.tasks[task]
        prediction = traceme(self.world, model)
        self.compare(f"{task}.traceme()", prediction)
        if prediction.expected == OK:
            self._traced(task, model.process.parent or self.world.init, seize=False)

    def _traced(self, target: str, tracer: TaskModel, seize: bool) -> None:
        # A tracee stops for each signal that it does not block; children that end send one.
        self.do(f"{target}.block(Signal.CHLD).result()")
        self.tasks[target].tracer, self.tasks[target].seized = tracer, seize

    @action(1, task=lambda walk: [name for name in living(walk) if walk.tasks[name].seized])
    def detach(self, task: str) -> None:
        model = self.tasks[task]
        if model.tracer is None:
            return
        tracer = model.tracer.name
        self.do(f"{tracer}.interrupt({task}).result()")
        self.do(f"{tracer}.wait({task})")
        self.do(f"{tracer}.detach({task}).result()")
        model.tracer, model.seized = None, False

    # Comparisons

    @action(4, pair=pairs)
    def look_closely(self, pair: tuple[str, str]) -> None:
        """One task accesses another in every way."""
        tracer, target = pair
        group: list[Glance] = []
        for look in self.looks:
            if look.by_number and not self.outside(self.tasks[tracer]):
                continue
            new = Glance(look, self.names[tracer], self.names[target])
            if not fits([*group, new]):
                self.compare_all(group)
                group = []
            group.append(new)
        self.compare_all(group)
