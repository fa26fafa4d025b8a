# SPDX-License-Identifier: GPL-2.0-or-later
"""Meetings: several plans go on at the same time, and the guest counts how each round comes out.

    meeting = Meeting(spare_slot(0))
    meeting.go(declaring, reading)
    declared = declaring.call("prctl", Prctl.SET_PTRACER, tracer.tid)
    read = reading.call("process_vm_readv", ...)
    meeting.tally(declaring, reading)
    meeting.watch("declared", declared)
    meeting.watch("read", read)

A meeting is in the data of a slot that no task has.  Plans wait there by polling, sched_yield() and
futex(), which their filters must allow.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from guests.abis import NATIVE
from guests.call_plan import ANY_MOMENT, Plan, StepValue
from guests.protocol import meeting_layout, wire
from guests.protocol.conversation import Conversation
from guests.protocol.meeting_layout import Watched
from guests.protocol.wire import Op, Step
from guests.task import Task

LONGEST = 16
"""By default, a moment is shorter than 2 to the power of this, in turns of an empty loop: less than 0.1 ms."""
NOT_COMPLETED = "-"
"""The result of a step that its plan did not complete, because it was killed in it or before."""

Result = str | int
"""Of a step: `OK`, the name of an error or `NOT_COMPLETED`; of a value that is above 0, `>0` or the number."""
RoundOutcome = tuple[Result, ...]
"""The outcome of a round: the results of what the meeting watches."""


@dataclass(frozen=True)
class Tally:
    """The rounds of a meeting."""

    rounds: int
    overlaps: int
    """Rounds in which a plan began its act while another one was in its own."""
    lost: int
    """Rounds with outcomes so varied that they found no room."""
    outcomes: Mapping[RoundOutcome, tuple[int, int]]
    """How often each outcome occurred, and in which round first."""


class Meeting:
    """A meeting, and what it watches: results of plans, and words of memory."""

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self._gates = 0
        self._watches: list[tuple[str, tuple[int, Watched, int]]] = []
        self._longest: dict[int, int] = {}

    def limit(self, plan: Plan, longest: int) -> None:
        """From the next `go` on, let the moments of a plan be shorter than 2 to the power of `longest`."""
        self._longest[plan.slot] = longest

    def meet(self, *plans: Plan) -> None:
        """Let these plans wait for one another, once in each round."""
        self._gate(Step.MEET, plans)

    def go(self, *plans: Plan) -> None:
        """Let these plans wait for one another, and then act at the same time, each after a moment of its own.

        The next step of each is its act.
        """
        self._gate(Step.GO, plans)

    def tally(self, *plans: Plan) -> None:
        """Let these plans wait for one another, and the outcome of the round be counted before they go on.

        All other plans of the round must have ended.
        """
        self._gate(Step.TALLY, plans)

    def _gate(self, kind: Step, plans: Sequence[Plan]) -> None:
        if self._gates == meeting_layout.MEETING_GATES:
            raise ValueError(f"a meeting has at most {meeting_layout.MEETING_GATES} gates")
        for plan in plans:
            plan.wait(kind, self.slot, self._gates, len(plans), self._longest.get(plan.slot, ANY_MOMENT))
        self._gates += 1

    @property
    def names(self) -> list[str]:
        """The names of what it watches, in the order of an outcome."""
        return [name for name, _ in self._watches]

    def watch(self, name: str, value: StepValue, kind: Watched = Watched.ERROR) -> None:
        """Make the latest result of a step part of the outcome."""
        self._add(name, (value.slot, kind, value.step))

    def watch_word(self, name: str, task: Task, address: int) -> None:
        """Make 32 bits of a task's memory part of the outcome; `address` is of what its `store` returned."""
        self._add(name, (task.slot, Watched.WORD, address - wire.data_address(task.slot)))

    def _add(self, name: str, watch: tuple[int, Watched, int]) -> None:
        if len(self._watches) == meeting_layout.MEETING_WATCHED:
            raise ValueError(f"a meeting watches at most {meeting_layout.MEETING_WATCHED} results")
        self._watches.append((name, watch))

    def begin(self, conversation: Conversation, seed: int, longest: int = LONGEST) -> None:
        """Forget all rounds.  `seed` decides the moments that each plan waits in each round."""
        watches = [watch for _, watch in self._watches]
        body = meeting_layout.meeting_body(NATIVE[conversation.arch], seed=seed, longest=longest, watches=watches)
        what = f"a meeting in slot {self.slot}"
        answer = conversation.request(Op.POKE, self.slot, wire.PIECE.pack(0, len(body)) + body, what)
        state, value, _ = conversation.decoded(wire.split_result, answer, what)
        conversation.check_accepted(state, value, what)

    def results(self, conversation: Conversation) -> Tally:
        """The rounds so far; no plan may be in one."""
        what = f"the outcomes of the meeting in slot {self.slot}"
        answer = conversation.request(Op.PEEK, self.slot, wire.PIECE.pack(0, meeting_layout.MEETING_SIZE), what)
        state, value, tail = conversation.decoded(wire.split_result, answer, what)
        conversation.check_accepted(state, value, what)
        rounds, overlaps, lost, found = conversation.decoded(
            lambda tail: meeting_layout.split_meeting(NATIVE[conversation.arch], tail, len(self._watches)), tail, what
        )
        kinds = [kind for _, (_, kind, _) in self._watches]
        named = {tuple(map(_named, kinds, results)): counted for results, counted in found.items()}
        return Tally(rounds, overlaps, lost, named)


def _named(kind: Watched, result: int) -> Result:
    if kind is Watched.WORD:
        return result
    if result == meeting_layout.NOT_COMPLETED:
        return NOT_COMPLETED
    if -4096 < result < 0:
        return errno.errorcode.get(-result, str(result))
    if kind is Watched.VALUE:
        return result
    return ">0" if result else "OK"
