# SPDX-License-Identifier: GPL-2.0-or-later
"""The tasks of walks through the model of filters: how they come and change, and the calls that they make."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Iterable, Mapping
from typing import ClassVar

from hypothesis import strategies as st

from guests.call_plan import Plan, run_together
from guests.outcome import EBADF, OK, Outcome, returned
from guests.protocol.wire import State
from suites.seccomp.support import filter_runner
from suites.seccomp.support.filter_model import FilteredProcess, FilteredTask, Sigsys
from suites.walks.walk import Prediction, Walk, action, beginning

MOST_TASKS = 6
NAMES = [f"{letter}{number}" for number in ("", "2") for letter in "abcdefghijklmnopqrstuvwxyz"]
CALLS = ("getpid", "getuid", "getgid", "geteuid", "getppid")
"""Calls without arguments or effects: they may be made with any arguments, and succeed."""
ARGUMENTS: tuple[tuple[int, ...], ...] = ((7, 2, 9, 0, 0, 1 << 32), (0, 5, 1, 0, 0, 1), (7 | 1 << 32, 0, 5, 0, 0, 0))
NO_DESCRIPTOR = (99, 0, 0, 0, 0, 0)
"""Arguments of read() and write(), which strict mode allows."""
KINDS = {"user": "", "admin": ", caps=Cap.SYS_ADMIN", "almost admin": ", caps=Cap.ALL & ~Cap.SYS_ADMIN"}

Call = tuple[str, str, tuple[int, ...]]
"""A task, and the name and the arguments of a call that it makes."""


def living(walk: FilterPopulation) -> list[str]:
    return sorted(walk.tasks)


def free(walk: FilterPopulation) -> list[str]:
    """Tasks that are not in strict mode, so that they may make any call that no filter is about."""
    return [name for name in living(walk) if not walk.tasks[name].strict]


def roomy(walk: FilterPopulation) -> list[str]:
    return free(walk) if len(walk.tasks) < MOST_TASKS else []


def dispensable(walk: FilterPopulation) -> list[str]:
    """Tasks beside which others remain that may make any call."""
    return free(walk) if len(free(walk)) > 2 else []


def all_calls(names: Iterable[str]) -> list[Call]:
    return list(itertools.product(names, CALLS, ARGUMENTS))


def strict_processes(walk: FilterPopulation) -> list[str]:
    """Processes of one thread, which is in strict mode, where that allows the call by which their handlers return."""
    returns = walk.guest.init.abi.strict_sigreturn == "rt_sigreturn"
    alone = [name for name in living(walk) if returns and len(walk.tasks[name].process.threads) == 1]
    return [name for name in alone if walk.tasks[name].strict]


def fatal_calls(walk: FilterPopulation) -> list[tuple[Call, Prediction]]:
    """Calls of which a task, or its process, dies, and other processes remain."""
    found: list[tuple[Call, Prediction]] = []
    for name, call, arguments in all_calls(living(walk)):
        task = walk.tasks[name]
        prediction = task.call(call, arguments)
        alone = all(each.process is task.process for each in walk.tasks.values())
        leads = task.process.threads[0] is task and len(task.process.threads) > 1
        if prediction is None or not is_fatal(prediction) or alone:
            continue
        if not (leads and prediction.expected.state is State.GONE):
            # What several filters decide together is rare.
            times = 4 if prediction.promise == "seccomp.precedence" else 1
            found += [((name, call, arguments), prediction)] * times
    return found


def is_fatal(prediction: Prediction) -> bool:
    return prediction.expected.state is not State.RETURNED


class FilterPopulation(Walk):
    """Tasks that fork, execute, enter strict mode, catch, ignore and block SIGSYS, and die of their calls."""

    imports: ClassVar[Mapping[str, str]] = {"seccomp_state": "suites.seccomp.support.filtered_tasks"}
    marks: ClassVar[tuple[str, ...]] = ('needs("SECCOMP_FILTER")',)

    def __init__(self) -> None:
        super().__init__()
        self.tasks: dict[str, FilteredTask] = {}
        self.free_names = iter(NAMES)

    @beginning(kinds=st.lists(st.sampled_from(["user", *KINDS]), min_size=2, max_size=2), compiled=st.booleans())
    def begin(self, kinds: list[str], compiled: bool) -> None:
        if filter_runner.can_be_chosen(self.guest):
            self.do(f'guest.set_sysctl("{filter_runner.COMPILED}", {int(compiled)})')
        for kind in kinds:
            name = next(self.free_names)
            self.do(f'{name} = guest.spawn("{name}"{KINDS[kind]}, quiet=True)')
            process = FilteredProcess()
            self.tasks[name] = FilteredTask(name, process, admin=kind == "admin", arch=self.guest.arch)
            process.threads.append(self.tasks[name])
        self.do('supervisor = guest.spawn("supervisor", caps=Cap.ALL)')

    # Tasks

    @property
    def newest(self) -> str:
        """The task that was created last."""
        return list(self.tasks)[-1]

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

    @action(1, task=free)
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

    @action(2, task=free)
    def set_no_new_privs(self, task: str) -> None:
        self.compare(f"{task}.set_no_new_privs()", Prediction(returned(0), "seccomp.no-new-privs"))
        self.tasks[task].no_new_privs = True

    @action(1, task=dispensable)
    def enter_strict_mode(self, task: str) -> None:
        self.do(f"{task}.catch(Signal.USR1).result()")
        self.compare(f"{task}.enter_strict_mode()", self.tasks[task].enter_strict_mode())

    @action(1, task=strict_processes)
    def handle_a_signal(self, task: str) -> None:
        """A handler runs in strict mode, and returns."""
        self.do(f"guest.init.kill({task}, Signal.USR1).result()")
        self.compare(line_of(task, "read", NO_DESCRIPTOR), Prediction(EBADF, "seccomp.strict"))

    @action(2, task=free, sigsys=lambda _: (Sigsys.CAUGHT, Sigsys.CAUGHT, Sigsys.IGNORED))
    def dispose_of_sigsys(self, task: str, sigsys: Sigsys) -> None:
        how = {Sigsys.CAUGHT: "catch", Sigsys.IGNORED: "ignore"}[sigsys]
        self.do(f"{task}.{how}(Signal.SYS).result()")
        self.tasks[task].process.sigsys = sigsys

    @action(1, task=free)
    def block_sigsys(self, task: str) -> None:
        self.do(f"{task}.block(Signal.SYS).result()")
        self.tasks[task].blocks_sigsys = True

    # Calls

    @action(5, fatal=fatal_calls)
    def die(self, fatal: tuple[Call, Prediction]) -> None:
        call, prediction = fatal
        task = self.tasks[call[0]]
        self.compare(line_of(*call), prediction)
        ended = [task] if prediction.expected.state is State.GONE else list(task.process.threads)
        for each in ended:
            del self.tasks[each.name]
            task.process.threads.remove(each)

    def compare_calls(self, names: Iterable[str]) -> None:
        """Let these tasks, at the same time, make all calls that return by themselves, and compare their errors."""
        asked: list[tuple[Call, Prediction]] = []
        plans: list[tuple[str, Plan]] = []
        for name in names:
            task = self.tasks[name]
            plan = Plan(self.names[name].slot)
            calls = all_calls([name])
            if task.strict:
                calls += [(name, "read", NO_DESCRIPTOR), (name, "write", NO_DESCRIPTOR)]
            for call in calls:
                prediction = task.call(call[1], call[2])
                # A plan has 16 steps.
                if prediction and not is_fatal(prediction) and len(plan) < 16:
                    plan.call(call[1], *call[2])
                    asked.append((call, prediction))
            if len(plan):
                plans.append((name, plan))
        with self.harness_errors_stop():
            counts = run_together([(self.names[name], plan) for name, plan in plans])
        for (call, prediction), found in zip(asked, itertools.chain(*counts), strict=True):
            wanted = prediction.expected
            seen = OK if set(found) == {"OK"} else None
            if not ((seen == OK and wanted.low >= 0) or (found and _errno(next(iter(found))) == -wanted.low > 0)):
                self.recheck(line_of(*call), prediction, _outcome(line_of(*call), found))


def line_of(name: str, call: str, arguments: tuple[int, ...], method: str = "call") -> str:
    return f'{name}.{method}("{call}", {", ".join(map(str, arguments))})'


def _errno(name: str) -> int:
    return getattr(errno, name) if name.startswith("E") else int(name) if name.isdecimal() else 0


def _outcome(line: str, found: dict[str, int]) -> Outcome:
    return Outcome(State.RETURNED, -_errno(next(iter(found), "0")), line)
