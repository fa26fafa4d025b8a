# SPDX-License-Identifier: GPL-2.0-or-later
"""The steps of a test in C, one line each."""

from __future__ import annotations

import re

from guests.protocol.record import (
    AnyCondition,
    Asked,
    CallBlocks,
    Collected,
    Happened,
    LogContains,
    Sent,
    TaskEnds,
    TaskState,
    WaitBegins,
    WaitEnds,
    WaitTries,
)
from guests.protocol.wire import Op
from guests.reproducer.c_text import formatted, quoted
from guests.reproducer.findings import Weight
from guests.reproducer.orders import CannotReproduce, NamedContent, Order
from guests.reproducer.steps import StepWriter


class Story(StepWriter):
    """Walks through the record, and writes what the test did."""

    def write(self) -> None:
        position = 0
        while position < len(self._entries) and not self._over:
            position = self._step(position)
        if self._analysis.baseline.verdict == "failed" and not self._over:
            raise CannotReproduce(f"it is not known what shows the failure: {self._analysis.baseline.error}")
        self._drop_unused()

    def _drop_unused(self) -> None:
        """Remove variables that only steps after the failure, or none that are written, would need."""
        text = "\n".join(self.lines)
        for variable in self._analysis.variables:
            uses = len(re.findall(rf"\b{variable}\b", text))
            if uses and f"long {variable} = " not in text:
                raise CannotReproduce("a call needs a value of an earlier one that has not ended there")
            if uses == 1:
                declared = f"long {variable} = "
                self.lines = [line.removeprefix(declared) for line in self.lines]
        self.lines = [line for line in self.lines if not line.startswith(("word32(", "word64("))]

    def _step(self, position: int) -> int:
        entry = self._entries[position]
        if isinstance(entry, WaitBegins):
            return self._wait(position, entry)
        if isinstance(entry, Sent):
            self._order(position)
        elif isinstance(entry, Collected):
            self._collected(entry.sequence)
        elif isinstance(entry, Asked) and not entry.arrived and position in self._analysis.questions:
            order = self._orders[entry.sequence]
            self._blocked(order, self._analysis.questions[position].value, 1)
        return position + 1

    # Waits

    def _wait(self, position: int, begins: WaitBegins) -> int:
        depth, end = 1, position + 1
        while end < len(self._entries) and depth:
            inner = self._entries[end]
            depth += isinstance(inner, WaitBegins) - isinstance(inner, WaitEnds)
            end += 1
        in_vain = bool(depth)
        status = 1 if in_vain else 2
        match begins.awaited:
            case TaskEnds(slot):
                check = self._analysis.deaths.get(slot)
                self._checked(check, f"ENDS({self._task(slot)})", must_end=True)
            case TaskState(slot, letters):
                self._add(f'wait_for_state({status}, {self._task(slot)}, "{"".join(letters)}", __LINE__);')
            case CallBlocks(sequence):
                self._blocks(sequence, position, end)
            case LogContains(words):
                content = self._analysis.words.get(position, NamedContent(words.encode()))
                self._add(f"wait_for_log(1, {formatted(content, self._value)}, __LINE__);")
            case AnyCondition(what):
                self._try_until(what, position, end)
        if in_vain and not self._over:
            self._ends_here()
        return end

    def _blocks(self, sequence: int, position: int, end: int) -> None:
        """A wait for a call to block, and the question after it whether it has finished instead."""
        index = next((at for at in range(end, len(self._entries)) if not isinstance(self._entries[at], Happened)), -1)
        after = self._entries[index] if index >= 0 else None
        inside = [entry for entry in self._entries[position:end] if isinstance(entry, Asked)]
        arrived = after.arrived if isinstance(after, Asked) else bool(inside and inside[-1].arrived)
        weight = self._analysis.questions.get(index, Weight.NEED)
        failed_here = (
            self._analysis.baseline.verdict == "failed"
            and weight is Weight.NEED
            and index in self._analysis.questions
        )
        self._blocked(self._orders[sequence], 1 if failed_here else weight.value, int(arrived == failed_here))
        if failed_here:
            self._ends_here()

    def _blocked(self, order: Order, status: int, wanted: int) -> None:
        task = self._task(order.slot)
        self._add(f'expect_blocked({status}, {task}, {wanted}, "{task}: {self._call_name(order)}()", __LINE__);')

    def _try_until(self, what: str, position: int, end: int) -> None:
        """A condition that the test evaluates again and again: the last of its calls decides."""
        tries = [at for at in range(position, end) if isinstance(self._entries[at], WaitTries)]
        outer, self.lines = self.lines, []
        at = tries[-1] if tries else end
        while at < end and not self._over:
            at = self._step(at)
        inner, self.lines = self.lines, outer
        self._over = False
        decisive = [line for line in inner if line.startswith(("EXPECT(", "NEED("))]
        if not inner or decisive != inner[-1:]:
            raise CannotReproduce(f"it waits for {what}")
        condition = inner[-1].removesuffix(";").replace("EXPECT(", "IS(", 1).replace("NEED(", "IS(", 1)
        for line in inner[:-1]:
            if line.startswith("long "):
                self._add(f"{line.partition(' = ')[0]} = 0;")
        self._add(f"TRY_UNTIL({quoted(what)}) {{")
        for line in inner[:-1]:
            self._add(f"\t{line.removeprefix('long ')}")
        self._add(f"\tif ({condition})")
        self._add("\t\tbreak;")
        self._add("}")

    # Orders

    def _order(self, position: int) -> None:
        order = self._analysis.orders[position]
        match order.op:
            case Op.HELLO | Op.READ_FILE | Op.TAINT | Op.KERNEL_LOG | Op.PEEK:
                pass  # only what the answer contains may matter
            case Op.SPAWN:
                self._spawn(order)
            case Op.CALL:
                self._call(order, at_once=self._is_at_once(position, order))
            case Op.POKE:
                self._put(self._task(order.slot), order.offsets[0], order.contents[0])
            case Op.COPY:
                to, source, length = map(self._value, order.numbers)
                self._checked(self._check(order), f"copy({self._task(order.slot)}, {to}, {source}, {length})")
            case Op.WRITE_FILE:
                self._write_file(order)
            case Op.QUIET:
                self._add(f"quiet({self._task(order.slot)});")
            case Op.CAUGHT:
                result, sets, change = order.numbers
                if change:
                    self._add(f"on_signal({self._task(order.slot)}, {self._value(sets)}, {self._value(result)});")
            case other:
                raise CannotReproduce(f"it makes calls in a loop ({other.name})")

    def _is_at_once(self, position: int, order: Order) -> bool:
        """Whether nothing else happens between the call and its end, or the end never comes."""
        for entry in self._entries[position + 1 :]:
            if isinstance(entry, Collected):
                return entry.sequence == order.sequence
            if isinstance(entry, Sent | WaitBegins | Asked):
                break
        return self._analysis.baseline.unanswered == order.sequence

    def _collected(self, sequence: int) -> None:
        order = self._orders.get(sequence)
        if order is None:
            return
        position = next(at for at, one in self._analysis.orders.items() if one.sequence == sequence)
        if order.op is Op.CALL and not self._is_at_once(position, order):
            self._finished(order, f"FINISH({self._task(order.slot)})")
        elif order.op is Op.PEEK:
            self._declare(order)
            self._bytes_checked(order, "its memory")
        elif order.op is Op.CAUGHT:
            self._signals_checked(order)
        elif order.op is Op.KERNEL_LOG:
            for one in self._analysis.line_checks.get(sequence, []):
                self._line_checked(one)
