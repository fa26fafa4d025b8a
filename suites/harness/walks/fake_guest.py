# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest without a kernel: what its tasks may do is decided by a model, which a test can make wrong on purpose."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from guests.abis import X86_64
from guests.outcome import OK, Outcome
from guests.protocol.wire import State
from guests.uapi import PTRACER_ANY, Cap, Clone
from suites.walks.walk import Prediction
from suites.yama.support.access_model import AccessModel, traceme, write_scope
from suites.yama.support.looks import Glance
from suites.yama.support.model import ANYONE, TaskModel, World
from suites.yama.support.yama_walk import YamaWalk


def outcome(value: int, what: str) -> Outcome:
    return Outcome(State.RETURNED, value, what)


def as_predicted(prediction: Prediction | None, what: str) -> Outcome:
    """The outcome that is expected, or any, if the model does not know."""
    expected = prediction.expected if prediction else OK
    return Outcome(expected.state, expected.low, what)


class FakeTask:
    """What a walk uses of guests.task.Task."""

    abi = X86_64

    def __init__(self, guest: FakeGuest, model: TaskModel, number: int) -> None:
        self.guest, self.model, self.tid, self.own_tid, self.slot = guest, model, number, number, number
        guest.by_number[number] = self

    def __repr__(self) -> str:
        return f"{self.model.name}[{self.tid}]"

    # Creation and end

    def spawn(self, name: str, *, flags: Clone = Clone.NONE, **options: Any) -> FakeTask:
        how: dict[str, Any] = {
            "shares_memory": Clone.VM in flags,
            "sibling": Clone.PARENT in flags,
            "new_user": Clone.NEWUSER in flags,
            "new_pid": Clone.NEWPID in flags,
        }
        return self.guest.new_task(self.guest.world.spawn(self.model, name, **how, **options))

    def thread(self, name: str) -> FakeTask:
        return self.guest.new_task(self.guest.world.thread(self.model, name))

    def begin(self, call: str, _: int) -> SimpleNamespace:
        if call == "exit":
            self.guest.world.exit_thread(self.model)
        else:
            self.guest.world.exit_process(self.model.process)
        return SimpleNamespace(outcome=lambda: SimpleNamespace(require=lambda _: None))

    def execute_again(self) -> Outcome:
        former = self.model.process.leader
        self.guest.world.execute(self.model)
        if former is not self.model:
            self.tid = next(number for number, task in self.guest.by_number.items() if task.model is former)
            self.guest.by_number[self.tid] = self
        return outcome(0, "execute_again()")

    # Calls

    def call(self, name: str, *arguments: Any, shown: str = "") -> Outcome:
        what = f"{self}.{shown or name}"
        world = self.guest.world
        if name == "setresuid":
            return outcome(0 if world.set_uids(self.model, arguments) else -1, what)
        if name in ("process_vm_readv", "process_vm_writev"):
            return as_predicted(self.access(self.guest.by_number[arguments[0]]).memory_call(), what)
        if name == "wait4":
            return outcome(arguments[0], what)
        raise NotImplementedError(name)

    def access(self, target: FakeTask) -> AccessModel:
        return self.guest.model_type(self.guest.world, self.model, target.model)

    def set_ptracer(self, tracer: FakeTask | int) -> Outcome:
        number = tracer if isinstance(tracer, int) else tracer.tid
        named: TaskModel | str | None = {0: None, PTRACER_ANY: ANYONE, 0xFFFFFFFF: ANYONE}.get(number)
        if named is None and number:
            first = self.model.process.numbers.first
            task = first.leader if number == 1 and first else getattr(self.guest.by_number.get(number), "model", None)
            if task is None or task not in (*self.guest.world.tasks.values(), self.guest.world.init):
                return outcome(-22, f"{self}.set_ptracer({tracer})")
            named = task
        return self.guest.declare(self.model, named, f"{self}.set_ptracer({tracer})")

    def seize(self, target: FakeTask) -> Outcome:
        done = as_predicted(self.access(target).attach(), f"{self}.seize({target})")
        if not done.errno:
            target.model.tracer, target.model.seized = self.model, True
        return done

    attach = seize

    def traceme(self) -> Outcome:
        done = as_predicted(traceme(self.guest.world, self.model), f"{self}.traceme()")
        if not done.errno:
            self.model.tracer = self.model.process.parent
        return done

    def detach(self, target: FakeTask) -> Outcome:
        target.model.tracer, target.model.seized = None, False
        return outcome(0, "detach()")

    def kcmp(self, _: FakeTask, target: FakeTask, __: int) -> Outcome:
        return as_predicted(self.access(target).compare_memory(), f"{self}.kcmp({target})")

    def open_proc(self, target: FakeTask, file: str, flags: int = 0) -> Outcome:
        access = self.access(target)
        opened = {
            "mem": lambda: access.open_memory(writing=bool(flags)),
            "maps": access.open_maps,
            "syscall": access.open_syscall,
        }
        found = as_predicted(opened[file](), f'{self}.open_proc({target}, "{file}")')
        return found if found.errno else outcome(target.tid, found.what)

    def read(self, descriptor: int) -> Outcome:
        return as_predicted(self.access(self.guest.by_number[descriptor]).read_syscall(), "read()")

    def pidfd_getfd(self, target: FakeTask, _: int) -> Outcome:
        return as_predicted(self.access(target).descriptor(), f"{self}.pidfd_getfd({target})")

    def count_events(self, target: FakeTask, *, sigtrap: bool) -> Outcome:
        assert sigtrap
        return as_predicted(self.access(target).events(), f"{self}.count_events({target})")

    def set_caps(self, caps: Cap) -> Outcome:
        self.model.permitted = self.model.effective = caps
        return outcome(0, "set_caps()")

    def set_dumpable(self, dumpable: bool) -> Outcome:
        self.model.process.memory.dumpable = dumpable
        return outcome(0, "set_dumpable()")

    def become_subreaper(self) -> Outcome:
        self.model.process.subreaper = True
        return outcome(0, "become_subreaper()")

    def write_text(self, _: str, text: str) -> Outcome:
        prediction = write_scope(self.guest.world, self.model, int(text))
        self.guest.world.set_scope(int(text)) if prediction.expected.low == 0 else None
        return as_predicted(prediction, f"{self} writes the scope")

    def read_text(self, _: str) -> Outcome:
        return outcome(2, "read_text()")

    def nothing(self, *_: object) -> Outcome:
        return outcome(0, "nothing")

    wait = resume = reap = interrupt = block = nothing

    @property
    def pid(self) -> int:
        return next(task.tid for task in self.guest.by_number.values() if task.model is self.model.process.leader)


class FakeGuest:
    """What a walk uses of guests.guest.Guest."""

    def __init__(self, world: type[World] = World, model: type[AccessModel] = AccessModel) -> None:
        self.world, self.model_type = world(), model
        self.by_number: dict[int, FakeTask] = {}
        self.init = FakeTask(self, self.world.init, 1)
        self.next_number = 40
        self.kernel = SimpleNamespace(version=(6, 12), config=SimpleNamespace(enabled=lambda _: True))
        self.closed = False

    def new_task(self, model: TaskModel) -> FakeTask:
        self.next_number += 1
        return FakeTask(self, model, self.next_number)

    def declare(self, task: TaskModel, named: TaskModel | str | None, what: str) -> Outcome:
        self.world.declare(task, named)
        return outcome(0, what)

    def spawn(self, name: str, *, uid: int = 1000, **options: Any) -> FakeTask:
        return self.init.spawn(name, uid=uid, **options)

    def set_sysctl(self, name: str, value: int) -> None:
        if name.endswith("ptrace_scope"):
            self.world.scope = value

    def sysctl(self, _: str) -> str:
        return str(self.world.scope)

    def write_file(self, _: str, text: str) -> Outcome:
        return outcome(1 if self.world.set_scope(int(text)) else -22, "init writes the scope")

    def exists(self, _: str) -> bool:
        return False

    def wait_until(self, condition: Callable[[], bool], *_: object, **__: object) -> None:
        condition()


class FakeYamaWalk(YamaWalk):
    """A walk through such a guest, whose looks need no plans."""

    def outcomes(self, glances: list[Glance]) -> list[Outcome]:
        return [
            as_predicted(each.look.predict(each.tracer.access(each.target)), each.look.call)  # type: ignore[attr-defined]
            for each in glances
        ]
