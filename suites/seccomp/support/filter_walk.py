# SPDX-License-Identifier: GPL-2.0-or-later
"""Walks through the model of filters and a guest: after each step, every task makes calls and shows its state."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Mapping
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import invariant

from guests.call_plan import Plan, run_together
from guests.outcome import OK, Outcome, returned
from guests.protocol.wire import State
from suites.seccomp.support.filter_model import FilteredProcess, FilteredTask
from suites.walks.walk import Prediction, Walk, action, beginning

MOST_TASKS = 6
NAMES = [f"{letter}{number}" for number in ("", "2") for letter in "abcdefghijklmnopqrstuvwxyz"]
CALLS = ("getpid", "getuid", "getgid", "geteuid", "getppid")
"""Calls without arguments or effects: they may be made with any arguments, and succeed."""
ARGUMENTS: tuple[tuple[int, ...], ...] = ((7, 2, 9, 0, 0, 1 << 32), (0, 5, 1, 0, 0, 1), (7 | 1 << 32, 0, 5, 0, 0, 0))
VERBS = (
    *("deny({}, errno={})".format("{}", number) for number in (0, 1, 3077, 4000, 4095, 5000)),
    *("allow({})", "log({})", "notify({})", "trace({})", "kill_thread({})", "kill_process({})", "trap({})"),
)
SAFE = VERBS[:10]
CONDITIONS = ("", "", "arg(0) == 7", "arg(1) & 2", "arg(2) > 5", "arg(5) == 1 << 32", "arg(0) != 7")
KINDS = {"user": "", "admin": ", caps=Cap.SYS_ADMIN", "almost admin": ", caps=Cap.ALL & ~Cap.SYS_ADMIN"}

PROMISES = (
    *("seccomp.allow", "seccomp.errno", "seccomp.errno-data", "seccomp.inheritance", "seccomp.kill-process"),
    *("seccomp.kill-thread", "seccomp.log", "seccomp.no-new-privs", "seccomp.precedence", "seccomp.privilege"),
    *("seccomp.status", "seccomp.status-count", "seccomp.trace", "seccomp.trap", "seccomp.tsync"),
    *("seccomp.tsync-divergent", "seccomp.tsync-esrch", "seccomp.user-notif"),
)
"""The promises from which the model's predictions follow."""


def living(walk: FilterWalk) -> list[str]:
    return sorted(walk.tasks)


def roomy(walk: FilterWalk) -> list[str]:
    return living(walk) if len(walk.tasks) < MOST_TASKS else []


def privileged(walk: FilterWalk) -> list[str]:
    """Tasks that may install filters, more often than others."""
    return living(walk) + [name for name in living(walk) if walk.tasks[name].may_install] * 4


def in_groups(walk: FilterWalk) -> list[str]:
    """Tasks with other threads, more often than others."""
    return privileged(walk) + [name for name in privileged(walk) if len(walk.tasks[name].process.threads) > 1] * 3


def fatal_calls(walk: FilterWalk) -> list[tuple[str, str, tuple[int, ...]]]:
    """Calls of which a task, or its process, dies, and other processes remain."""
    found: list[tuple[str, str, tuple[int, ...]]] = []
    for name, call, arguments in itertools.product(living(walk), CALLS, ARGUMENTS):
        task = walk.tasks[name]
        prediction = task.call(call, arguments)
        alone = all(each.process is task.process for each in walk.tasks.values())
        leads = task.process.threads[0] is task and len(task.process.threads) > 1
        if walk.is_fatal(prediction) and not alone and not (leads and prediction.expected.name.startswith("the")):
            found.append((name, call, arguments))
    return found


class FilterWalk(Walk):
    """Tasks that install filters, alone and for all threads, fork, execute, and die of their calls."""

    imports: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("policy", "arg", "allow", "deny", "kill_process", "kill_thread"), "guests.bpf"),
        **dict.fromkeys(("log", "notify", "trace", "trap"), "guests.bpf"),
        "FilterFlag": "guests.syscalls.seccomp",
        "seccomp_state": "suites.seccomp.support.filtered_tasks",
        "error": "guests.outcome",
    }
    marks: ClassVar[tuple[str, ...]] = ('needs("SECCOMP_FILTER")',)

    def __init__(self) -> None:
        super().__init__()
        self.tasks: dict[str, FilteredTask] = {}
        self.free_names = iter(NAMES)

    @staticmethod
    def is_fatal(prediction: Prediction) -> bool:
        return prediction.expected.state is not State.RETURNED

    # Tasks

    @beginning(kinds=st.lists(st.sampled_from(["user", *KINDS]), min_size=2, max_size=2))
    def begin(self, kinds: list[str]) -> None:
        for kind in kinds:
            name = next(self.free_names)
            self.do(f'{name} = guest.spawn("{name}"{KINDS[kind]}, quiet=True)')
            process = FilteredProcess()
            self.tasks[name] = FilteredTask(name, process, admin=kind == "admin", arch=self.guest.arch)
            process.threads.append(self.tasks[name])

    @action(2, parent=roomy)
    def child(self, parent: str) -> None:
        name = next(self.free_names)
        self.do(f'{name} = {parent}.spawn("{name}")')
        self.tasks[name] = self.tasks[parent].child(name, FilteredProcess())

    @action(3, of=roomy)
    def thread(self, of: str) -> None:
        name = next(self.free_names)
        self.do(f'{name} = {of}.thread("{name}")')
        self.tasks[name] = self.tasks[of].child(name, self.tasks[of].process)

    @action(1, task=living)
    def execute(self, task: str) -> None:
        model = self.tasks[task]
        leader = model.process.threads[0]
        self.do(f"{task}.execute_again().result()")
        for other in model.process.threads:
            if other is not model:
                del self.tasks[other.name]
        if leader is not model:
            self.do(f"del {leader.name}")
        model.execute()

    @action(2, task=living)
    def set_no_new_privs(self, task: str) -> None:
        self.compare(f"{task}.set_no_new_privs()", Prediction(returned(0), "seccomp.no-new-privs"))
        self.tasks[task].no_new_privs = True

    # Filters

    @action(5, task=privileged, call=lambda _: CALLS, verb=lambda _: VERBS + SAFE, when=lambda _: CONDITIONS)
    def install(self, task: str, call: str, verb: str, when: str) -> None:
        source = self._policy(call, verb, when)
        prediction = self.tasks[task].install(self.value(source))
        self.compare(f"{task}.install({source})", prediction)

    @action(4, task=in_groups, call=lambda _: CALLS, verb=lambda _: SAFE, esrch=lambda _: (False, False, True))
    def synchronize(self, task: str, call: str, verb: str, esrch: bool) -> None:
        esrch = esrch and self.guest.kernel.version >= (5, 7)
        source = self._policy(call, verb, "")
        flags = "FilterFlag.TSYNC" + " | FilterFlag.TSYNC_ESRCH" * esrch
        found = self.tasks[task].synchronize(self.value(source), esrch=esrch)
        if isinstance(found, Prediction):
            self.compare(f"{task}.install({source}, {flags})", found)
        else:
            expected = Prediction(returned(self.names[found.name].tid), "seccomp.tsync-divergent")
            self.compare(f"{task}.install({source}, {flags})", expected, written=f"returned({found.name}.tid)")

    def _policy(self, call: str, verb: str, when: str) -> str:
        condition = f", when={when}" if when and not verb.startswith(("trap", "log", "notify", "kill")) else ""
        return f"policy({verb.format(repr(call)).removesuffix(')')}{condition}))"

    # Calls

    @action(2, fatal=fatal_calls)
    def die(self, fatal: tuple[str, str, tuple[int, ...]]) -> None:
        name, call, arguments = fatal
        task = self.tasks[name]
        prediction = task.call(call, arguments)
        self.compare(f'{name}.call("{call}", {", ".join(map(str, arguments))})', prediction)
        ended = [task] if prediction.expected.state is State.GONE else list(task.process.threads)
        for each in ended:
            del self.tasks[each.name]
            task.process.threads.remove(each)

    @action(2, task=living, call=lambda _: CALLS, arguments=lambda _: ARGUMENTS)
    def call_by_int80(self, task: str, call: str, arguments: tuple[int, ...]) -> None:
        prediction = self.tasks[task].call(call, arguments, compat=True)
        if not self.is_fatal(prediction) and self.guest.kernel.config.enabled("IA32_EMULATION"):
            self.compare(f'{task}.call32("{call}", {", ".join(map(str, arguments))})', prediction)

    @invariant()
    def everyone_makes_the_calls(self) -> None:
        asked: list[tuple[str, str, tuple[int, ...], Prediction]] = []
        plans: list[tuple[str, Plan]] = []
        for name in living(self):
            plan = Plan(self.names[name].slot)
            for call, arguments in itertools.product(CALLS, ARGUMENTS):
                prediction = self.tasks[name].call(call, arguments)
                if not self.is_fatal(prediction):
                    plan.call(call, *arguments)
                    asked.append((name, call, arguments, prediction))
            if len(plan):
                plans.append((name, plan))
        with self.harness_errors_stop():
            counts = run_together([(self.names[name], plan) for name, plan in plans])
        for (name, call, arguments, prediction), found in zip(asked, itertools.chain(*counts), strict=True):
            wanted = prediction.expected
            seen = OK if set(found) == {"OK"} else None
            if not ((seen == OK and wanted.low >= 0) or (found and _errno(next(iter(found))) == -wanted.low > 0)):
                line = f'{name}.call("{call}", {", ".join(map(str, arguments))})'
                self.recheck(line, prediction, _outcome(line, found))

    @invariant()
    def everyone_shows_its_state(self) -> None:
        with self.harness_errors_stop():
            for name, task in sorted(self.tasks.items()):
                seen, expected = self.value(f"seccomp_state(guest, {name})"), task.state()
                if seen != expected:
                    promises = ("seccomp.no-new-privs", "seccomp.status", "seccomp.status-count")
                    differing = next(at for at in range(3) if seen[at] != expected[at])
                    self.compare_value(f"seccomp_state(guest, {name})", expected, promises[differing])


def _errno(name: str) -> int:
    return getattr(errno, name) if name.startswith("E") else int(name) if name.isdecimal() else 0


def _outcome(line: str, found: dict[str, int]) -> Outcome:
    return Outcome(State.RETURNED, -_errno(next(iter(found), "0")), line)
