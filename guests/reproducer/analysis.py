# SPDX-License-Identifier: GPL-2.0-or-later
"""What a test's record means: which results it checks, and which values go from one answer into later orders.

All of it is found by replays with altered answers (guests/reproducer/replay.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from guests.guest import Guest
from guests.outcome import OK, Expected
from guests.protocol import wire
from guests.protocol.record import Asked, Collected, Happened, LogContains
from guests.protocol.wire import Op, State
from guests.reproducer import alterations
from guests.reproducer.alterations import another, mask, shifted
from guests.reproducer.findings import Analysis, Check, Weight
from guests.reproducer.orders import CannotReproduce, Name, decode, named, named_text
from guests.reproducer.replay import Run, replay
from guests.reproducer.replay_channel import Changes, ComparedOutcome, Replayed

AN_ERROR = Expected("an error", low=-4095, high=-1)
LONGEST_S = 20.0
"""Maximum time for all replays of a test, in seconds of the processor: a busy machine takes no reproducer away."""
_OTHERS = (-5, -18)
"""-EIO, and -EXDEV where the test expects that: results that are not the expected ones."""
COOKIE_STEP = 0x1000
_IOCTL = 16


class Analyst:
    """Asks the replays of one test."""

    def __init__(self, guest: Guest, run: Run) -> None:
        self._guest = guest
        self._run = run
        self.entries = guest.record.entries
        self.answers = {entry.sequence: entry.body for entry in self.entries if isinstance(entry, Collected)}
        self._end = time.process_time() + LONGEST_S
        self.tasks: dict[tuple[int, int], Name] = {}
        """Names of tasks, by the recorded and the altered number."""
        self.cookies: set[tuple[int, int, int]] = set()
        """Numbers that look random: the request, the number of its buffer, the offset there."""
        self.renumbered = False
        """Whether the test compares numbers of tasks with later answers."""
        self.found: Analysis

    def replay(self, changes: Changes | None = None) -> Replayed:
        if time.process_time() > self._end:
            raise CannotReproduce(f"its {len(self.entries)} steps take too long to be analysed")
        return replay(self._guest, self._run, changes)

    def same_end(self, course: Replayed) -> bool:
        return course.ends_like(self.found.baseline)

    def flows(self, course: Replayed) -> bool:
        """Whether an order differs from the recorded one."""
        return any(sent.body != self.found.baseline.sent[at].body for at, sent in course.sent.items())

    def prepare(self, *, failed: bool) -> None:
        """Run the first replay, which must end as the test did."""
        if not self._guest.record.complete:
            raise CannotReproduce("the test does too much to be recorded")
        baseline = self.replay()
        if baseline.verdict == "diverged":
            raise CannotReproduce(f"the test does not do the same again: {baseline.error}")
        if failed != (baseline.verdict == "failed") or baseline.verdict == "unprepared":
            raise CannotReproduce(f"the test does not end in the same way again: {baseline.error!r}")
        self.found = Analysis(baseline)
        self.found.orders = {position: decode(sent) for position, sent in baseline.sent.items()}

    # Checks of outcomes

    def weigh_comparisons(self) -> None:
        for one in self.found.baseline.comparisons:
            known = self.found.deaths if one.slot >= 0 else self.found.checks
            key = one.slot if one.slot >= 0 else one.sequence
            former = known.get(key)
            if former is not None and former.violated:
                continue
            if check := self._weighed(one):
                known[key] = check

    def _weighed(self, one: ComparedOutcome) -> Check | None:
        changes = self._instead(one)
        if changes is None:
            return None
        other = self.replay(changes)
        if self.same_end(other):
            return None
        weight = Weight.EXPECT if other.verdict == "failed" else Weight.NEED
        if one.matched:
            return Check(weight, one.expected)
        if self.found.baseline.verdict == "failed":
            # The test would have gone on with the outcome that it compares with: that is what it expected.
            return Check(Weight.EXPECT, one.expected, violated=True)
        return Check(weight, AN_ERROR) if one.expected == OK and one.outcome.errno else None

    def _instead(self, one: ComparedOutcome) -> Changes | None:
        """An answer that gives the comparison the other result."""
        state, value = one.expected.state, one.expected.low
        if one.slot >= 0:
            return self._another_end(one)
        if one.matched:
            state, value = State.RETURNED, next(other for other in _OTHERS if other != one.expected.low)
        order = next((order for order in self.found.orders.values() if order.sequence == one.sequence), None)
        if order is None or order.op is Op.SPAWN:
            return None
        tail = self.answers[one.sequence][wire.RESULT.size :]
        return Changes(answers={one.sequence: wire.RESULT.pack(value, state) + tail})

    def _another_end(self, one: ComparedOutcome) -> Changes | None:
        state, status = (State.DIED, 0x7E00) if one.matched else (one.expected.state, one.expected.low)
        for position, entry in enumerate(self.entries):
            if isinstance(entry, Happened) and entry.frame.slot == one.slot and state is not State.RETURNED:
                return Changes(events={position: wire.DEATH.pack(status, state)})
        return None

    # Questions whether a call has finished

    def weigh_questions(self) -> None:
        for position, entry in enumerate(self.entries[: self.found.baseline.length]):
            if isinstance(entry, Asked):
                other = self.replay(Changes(asked={position: not entry.arrived}))
                if not self.same_end(other):
                    self.found.questions[position] = Weight.EXPECT if other.verdict == "failed" else Weight.NEED

    # Names

    def name_tasks(self) -> None:
        answers, names = self._renamed()
        init = another(self._guest.init.tid)
        names[self._guest.init.tid, init] = Name("@0.tid")
        changed = self.replay(Changes(answers=answers, init=init))
        if not self.same_end(changed):
            self.renumbered = True
            changed = self.replay(Changes(answers=self._renamed_everywhere(answers, names), init=init))
        if not self.same_end(changed):
            raise CannotReproduce(f"the test compares numbers of processes: {changed.error}")
        self.tasks = names
        self.apply(changed, self.explain_task)
        for position, wait in changed.waits.items():
            before = self.found.baseline.waits[position].awaited
            if isinstance(before, LogContains) and isinstance(wait.awaited, LogContains):
                self.found.words[position] = named_text(before.words, wait.awaited.words, self.explain_task)
        self._name_expected(changed)

    def explain_task(self, old: int, new: int, size: int) -> Name | None:
        return self.tasks.get((old & mask(size), new & mask(size)))

    def _name_expected(self, changed: Replayed) -> None:
        """The numbers of tasks that outcomes are compared with."""
        for one, other in zip(self.found.baseline.comparisons, changed.comparisons, strict=False):
            check = self.found.checks.get(one.sequence)
            if check is not None and check.expected is one.expected and one.expected.low != other.expected.low:
                name = self.explain_task(one.expected.low, other.expected.low, 8)
                self.found.checks[one.sequence] = replace(check, name=name)

    def _renamed(self) -> tuple[dict[int, bytes], dict[tuple[int, int], Name]]:
        """Answers to spawns with other numbers of tasks, and the names of these by old and new number."""
        answers: dict[int, bytes] = {}
        names: dict[tuple[int, int], Name] = {}
        spawns = {
            order: wire.SPAWN_REPLY.unpack(self.answers[order.sequence])
            for order in self.found.orders.values()
            if order.op is Op.SPAWN
        }
        used = {number for reply in spawns.values() for number in reply[1:]}
        for order, (error, tid, own) in spawns.items():
            if error:
                continue
            slot = order.numbers[5]
            other = other_own = another(tid, used)
            used.add(other)
            names[tid, other] = Name(f"@{slot}.tid")
            if own == 1:
                other_own = own  # the first of its namespace, whatever its other number
            elif own != tid:
                other_own = another(own, used)
                used.add(other_own)
                names[own, other_own] = Name(f"@{slot}.own_tid")
            answers[order.sequence] = wire.SPAWN_REPLY.pack(error, other, other_own)
        return answers, names

    def _renamed_everywhere(self, answers: dict[int, bytes], names: dict[tuple[int, int], Name]) -> dict[int, bytes]:
        """The same, and other numbers also where later answers contain those of tasks."""
        new = {old: other for old, other in names if old > 1}
        changed = dict(answers)
        for order in self.found.orders.values():
            body = self.answers.get(order.sequence)
            if body is None or order.sequence in answers:
                continue
            if order.op in (Op.CALL, Op.CAUGHT):
                changed[order.sequence] = alterations.renumbered_result(body, new)
            elif order.op is Op.READ_FILE:
                content = alterations.renumbered_text(body[wire.RESULT.size :], new)
                changed[order.sequence] = wire.RESULT.pack(len(content), State.RETURNED) + content
            elif order.op is Op.KERNEL_LOG:
                changed[order.sequence] = alterations.renumbered_text(body, new)
        return changed

    def name_addresses(self) -> None:
        with alterations.moved_arena():
            changed = self.replay()
            if not self.same_end(changed):
                moved = {
                    order.sequence: alterations.moved_addresses(self.answers[order.sequence])
                    for order in self.found.orders.values()
                    if order.op in (Op.CALL, Op.CAUGHT, Op.PEEK) and order.sequence in self.answers
                }
                changed = self.replay(Changes(answers=moved))
        if not self.same_end(changed):
            raise CannotReproduce(f"the test compares addresses: {changed.error}")
        self.apply(changed, alterations.address)

    def name_handlers(self) -> None:
        """The addresses of the signal handler and its restorer."""
        first = next(order for order in self.found.orders.values() if order.op is Op.HELLO)
        version, page, *addresses, release, machine = wire.HELLO.unpack(self.answers[first.sequence])
        for place, name in enumerate(("(long)signal_handler", "(long)restorer")):
            new = list(addresses)
            new[place] += 0x100000
            answer = wire.HELLO.pack(version, page, *new, release, machine)
            changed = self.replay(Changes(answers={first.sequence: answer}))
            if self.same_end(changed):
                self.apply(changed, shifted(addresses[place], new[place], name))

    def name_cookies(self) -> None:
        """Numbers that look random, all of which are altered by the same amount: a test may compare them."""
        answers: dict[int, bytes] = {}
        names: dict[int, Name] = {}
        for order in self.found.orders.values():
            body = self.answers.get(order.sequence, b"")
            if order.op is Op.CALL and order.reads and (found := alterations.cookies(body)):
                new = bytearray(body)
                for at, word in found.items():
                    new[at : at + 8] = (word + COOKIE_STEP & mask(8)).to_bytes(8, "little")
                    if place := order.place_of(at - wire.RESULT.size):
                        self.cookies.add((order.sequence, *place))
                        names.setdefault(word, Name(f"long_{order.sequence}_{place[0]}_{place[1]}"))
                answers[order.sequence] = bytes(new)
        if not answers:
            return
        changed = self.replay(Changes(answers=answers))

        def explain(old: int, new: int, size: int) -> Name | None:
            return names.get(old) if size == 8 and (new - old) & mask(8) == COOKIE_STEP else None

        if not self.same_end(changed):
            raise CannotReproduce("the test compares numbers that look random")
        self.apply(changed, explain)
        self.found.variables |= {name.expression for name in names.values()}

    def name_results(self) -> None:
        for order in list(self.found.orders.values()):
            body = self.answers.get(order.sequence)
            if order.op is not Op.CALL or body is None:
                continue
            state, value, tail = wire.split_result(body)
            if state is not State.RETURNED or value < 0 or (value == 0 and order.number != _IOCTL):
                continue
            other = another(value) if value < 1 << 31 else value ^ 0x1000
            changed = self.replay(Changes(answers={order.sequence: wire.RESULT.pack(other, state) + tail}))
            self.name_flow(changed, value, other, f"result_{order.sequence}")

    def name_flow(self, changed: Replayed, value: int, other: int, name: str) -> None:
        """Give the name to what differs in later orders, if the replay ends in the same way."""
        if self.same_end(changed) and self.apply(changed, shifted(value, other, name)):
            self.found.variables.add(name)

    def apply(self, changed: Replayed, explain: Callable[[int, int, int], Name | None]) -> bool:
        """Name what differs in the orders of this replay.  Returns whether anything does."""
        differ = False
        for position, sent in changed.sent.items():
            old = self.found.baseline.sent[position]
            if old.body != sent.body:
                differ = True
                self.found.orders[position] = named(self.found.orders[position], old, sent, explain)
        return differ
