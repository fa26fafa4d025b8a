# SPDX-License-Identifier: GPL-2.0-or-later
"""Steps in which somebody attends to a task's calls: a listener answers them, or a tracer stops or releases them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from guests.bpf import Action
from guests.outcome import OK, error, returned
from guests.uapi import PTRACE_EVENT_SECCOMP
from suites.seccomp.support.filter_model import InstalledFilter, Tracer
from suites.seccomp.support.filter_population import (
    CALLS,
    Call,
    FilterPopulation,
    all_calls,
    free,
    is_fatal,
    line_of,
    living,
)
from suites.walks.walk import Prediction, action

ANSWERS = ("value=42", "value=0", "error=-13", "error=-4000", "continue")


def able_to_install(walk: FilterPopulation) -> list[str]:
    """Tasks that may install filters, as may their children."""
    return [name for name in free(walk) if walk.tasks[name].may_install]


def privileged(walk: FilterPopulation) -> list[str]:
    """Tasks that may install filters, more often than others."""
    return free(walk) + able_to_install(walk) * 4


def able_to_listen(walk: FilterPopulation) -> list[str]:
    """The same, if a listener can be moved to the supervisor: pidfd_getfd() is of Linux 5.6."""
    return privileged(walk) if walk.guest.kernel.version >= (5, 6) else []


def notified_calls(walk: SupervisedWalk) -> list[tuple[Call, str]]:
    """Calls that a listener is told of, and the listener."""
    decisions = ((call, walk.tasks[call[0]].decide(call[1], call[2])) for call in all_calls(free(walk)))
    return [
        (call, decision.made_by.listener)
        for call, decision in decisions
        if decision.action is Action.USER_NOTIF and decision.made_by and decision.made_by.listener
    ]


def stopping_calls(walk: SupervisedWalk) -> list[tuple[Call, str, Prediction]]:
    """Calls that stop for a tracer, those that it may change them into, and what comes of these."""
    found: list[tuple[Call, str, Prediction]] = []
    for call in all_calls(free(walk)):
        name, made, arguments = call
        task = walk.tasks[name]
        if task.decide(made, arguments).action is not Action.TRACE:
            continue
        with task.traced(Tracer.STOPS):
            outcomes = {other: task.call(other, arguments, rechecked=True) for other in CALLS}
        found += [(call, other, outcome) for other, outcome in outcomes.items() if outcome and not is_fatal(outcome)]
    return found


def passive_tracers(walk: SupervisedWalk) -> list[Tracer]:
    """Tracers that stop no call."""
    has_suspension = walk.guest.kernel.config.enabled("CHECKPOINT_RESTORE")
    return [Tracer.PLAIN, Tracer.SUSPENDS] if has_suspension else [Tracer.PLAIN]


class SupervisedWalk(FilterPopulation):
    """A privileged process, `supervisor`, has the listeners, and traces a task now and then."""

    imports: ClassVar[Mapping[str, str]] = {
        **FilterPopulation.imports,
        "change_registers": "suites.seccomp.support.filtered_tasks",
        "policy": "guests.bpf",
        "notify": "guests.bpf",
        "PtraceOption": "guests.uapi",
        "PTRACE_EVENT_SECCOMP": "guests.uapi",
        "error": "guests.outcome",
        "stop": "suites.seccomp.support.checkpoint_tracers",
    }

    def __init__(self) -> None:
        super().__init__()
        self.listeners = 0

    # Listeners

    @action(3, task=able_to_listen, call=lambda _: CALLS)
    def listen(self, task: str, call: str) -> None:
        source = f"policy(notify({call!r}))"
        self.listeners += 1
        listener = f"listener{self.listeners}"
        prediction = self.tasks[task].listen(self.value(source), listener)
        outcome = self.compare(f"{task}.listen({source})", prediction)
        if prediction.expected == OK:
            self.do(f"{listener} = supervisor.pidfd_getfd({task}, {outcome.value}).result()")
            self.do(f"{task}.close({outcome.value}).result()")

    @action(5, notified=notified_calls, answer=lambda _: ANSWERS)
    def answer(self, notified: tuple[Call, str], answer: str) -> None:
        call, listener = notified
        self._begin(call)
        self.do(f"notification = supervisor.receive({listener})")
        tid = self.names[call[0]].tid
        self.compare_value("notification.pid", tid, "seccomp.notif-pid", written=f"{call[0]}.tid")
        if answer == "continue":
            reply, expected = f"supervisor.let_continue({listener}, notification.id)", OK
        else:
            field, value = answer.split("=")
            reply = f"supervisor.reply({listener}, notification.id, {answer})"
            expected = returned(int(value)) if field == "value" else error(-int(value))
        self.compare(reply, Prediction(returned(0), "seccomp.notif-answer"))
        self.compare("call.outcome()", Prediction(expected, "seccomp.notif-answer"))

    @action(1, listener=lambda walk: sorted(walk.open_listeners()))
    def close_listener(self, listener: str) -> None:
        self.do(f"supervisor.close({listener}).result()")
        self.open_listeners()[listener].listener = ""

    def open_listeners(self) -> dict[str, InstalledFilter]:
        """The filters of living tasks whose listener is open, by its name."""
        return {each.listener: each for task in self.tasks.values() for each in task.filters if each.listener}

    # Tracers

    @action(1, task=living, tracer=passive_tracers)
    def trace(self, task: str, tracer: Tracer) -> None:
        """All calls of a tracee whose tracer does not stop them."""
        option = {Tracer.PLAIN: "NONE", Tracer.SUSPENDS: "SUSPEND_SECCOMP"}[tracer]
        self.do(f"supervisor.seize({task}, PtraceOption.{option}).result()")
        with self.tasks[task].traced(tracer):
            self.compare_calls([task])
        self._leave(task)

    @action(8, stopping=stopping_calls)
    def stop(self, stopping: tuple[Call, str, Prediction]) -> None:
        """A call that stops for a tracer, which may change it."""
        call, other, prediction = stopping
        name, made, _ = call
        self.do(f"supervisor.seize({name}, PtraceOption.TRACESECCOMP).result()")
        self._begin(call)
        event = f"supervisor.wait({name}).event"
        self.compare_value(event, PTRACE_EVENT_SECCOMP, "seccomp.trace", written="PTRACE_EVENT_SECCOMP")
        if other != made:
            self.do(f'change_registers(supervisor, {name}, nr="{other}")')
        self.do(f"supervisor.resume({name}).result()")
        self.compare("call.outcome()", prediction)
        self._leave(name)

    def _begin(self, call: Call) -> None:
        self.do(f"call = {line_of(*call, 'begin')}")

    def _leave(self, task: str) -> None:
        self.do(f"stop(supervisor, {task})")
        self.do(f"supervisor.detach({task}).result()")
