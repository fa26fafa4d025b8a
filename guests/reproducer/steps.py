# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders and checks in C, one line each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from guests.outcome import Expected
from guests.protocol import record
from guests.protocol.record import Collected
from guests.protocol.wire import Entry, Op, SpawnOption, State
from guests.reproducer import c_filters
from guests.reproducer.c_filters import program_in
from guests.reproducer.c_text import format_arguments, formatted, identifiers, is_text, quoted
from guests.reproducer.constants import Constants, plain, shown_arguments
from guests.reproducer.findings import Analysis, ByteCheck, Check, LineCheck, joined
from guests.reproducer.orders import CannotReproduce, Name, NamedContent, Order
from guests.task import Task
from guests.uapi import names, number

_LARGEST = 1 << 20
"""Maximum size in bytes of all data in a reproducer."""


class StepWriter:
    """Writes single steps.  CannotReproduce if one has no counterpart in C."""

    def __init__(
        self, analysis: Analysis, entries: Sequence[record.Entry], tasks: Sequence[Task], program: str
    ) -> None:
        """`program` is the agent's own path, in whose place a reproducer has itself."""
        self._program = program.encode() + b"\0"
        self._analysis = analysis
        self._entries = entries[: analysis.baseline.length]
        self._tasks = list(tasks)
        self._names = identifiers(tasks)
        self._data = 0
        self._orders = {order.sequence: order for order in analysis.orders.values()}
        self._answered = {entry.sequence for entry in self._entries if isinstance(entry, Collected)}
        self._over = False
        self.constants = Constants()
        self.lines: list[str] = []

    @property
    def declarations(self) -> list[str]:
        """The tasks, by their names."""
        lines = [f"struct task *const {name} = &tasks[{at}];" for at, name in enumerate(self._names.values())]
        lines += [f"{name}->slot = {slot};" for slot, name in self._names.items() if slot]
        return [*lines, "(void)init;"]

    def _add(self, line: str) -> None:
        self.lines.append(line)

    def _ends_here(self) -> None:
        self._add("/* Here the kernel did something else.  What followed is of no interest. */")
        self._over = True

    def _task(self, slot: int) -> str:
        if slot not in self._names:
            raise CannotReproduce("a task is not known")
        return self._names[slot]

    def _value(self, value: int | Name) -> str:
        if isinstance(value, int):
            return plain(value)
        return re.sub(
            r"@([0-9]+)(\.)?", lambda at: self._task(int(at[1])) + ("->" if at[2] else ""), value.expression
        )

    def _spawn(self, order: Order) -> None:
        flags, caps, uid, _, options, slot = (int(number) for number in order.numbers if isinstance(number, int))
        how = []
        if options & SpawnOption.CREDENTIALS:
            how += [".credentials = 1", f".uid = {uid}"]
            if caps:
                how.append(f".caps = {self.constants.capabilities(caps)}")
        if flags:
            how.append(f".flags = {self.constants.clone_flags(flags)}")
        for option in (SpawnOption.DUMPABLE, SpawnOption.QUIET, SpawnOption.BARE):
            if options & option:
                how.append(f".{str(option.name).lower()} = 1")
        if order.sequence not in self._answered:
            raise CannotReproduce("a task was not created")
        name = next(task.name for task in self._tasks if task.slot == slot)
        inside = ", ".join(how) or "0"
        self._add(
            f"spawn({self._task(slot)}, {self._task(order.slot)}, {quoted(name)}, (struct spawn){{ {inside} }});"
        )

    # Calls

    def _call_name(self, order: Order) -> str:
        return str(order.number) if order.entry else names().get(order.number, str(order.number))

    def _call(self, order: Order, *, at_once: bool) -> None:
        task = self._task(order.slot)
        name = self._call_name(order)
        for offset, content in zip(order.offsets, order.contents, strict=True):
            self._put(task, offset, content, program=name == "execve")
        numbers = shown_arguments(name, order.numbers)
        arguments = [
            self._value(value)
            if isinstance(value, Name)
            else self.constants.argument(name, place, value, numbers[:place])
            for place, value in enumerate(numbers)
        ]
        if order.entry or name.isdigit():
            parts = [task, Entry(order.entry).name, plain(order.number), *arguments]
            act = f"{'CALL' if at_once else 'BEGIN'}_BY({', '.join(parts)})"
        else:
            self.constants.system_call(name, order.number)
            act = f"{'CALL' if at_once else 'BEGIN'}({', '.join([task, name, *arguments])})"
        if not at_once:
            self._add(f"{act};")
        elif order.sequence in self._answered:
            self._finished(order, act)
        else:
            self._add(f"EXPECT(ANY_END, {act});")
            self._ends_here()

    def _finished(self, order: Order, act: str) -> None:
        """The end of a call: its check, the variables that it sets, and the bytes that it must have left."""
        check = self._check(order)
        result = f"result_{order.sequence}"
        if result in self._analysis.variables:
            macro = check.weight.name if check else "NEED"
            self._add(f"long {result} = {macro}({self._wanted(check) if check else 'OK'}, {act});")
        else:
            self._checked(check, act)
        if self._over:
            return
        self._declare(order)
        self._bytes_checked(order, f"what {self._call_name(order)}() wrote")

    def _declare(self, order: Order) -> None:
        """The words of the order's buffers that later orders contain."""
        for variable in sorted(self._analysis.variables):
            kind, sequence, *rest = variable.split("_")
            if kind in ("word", "long") and int(sequence) == order.sequence:
                offset = order.reads[int(rest[0])][0] + int(rest[1])
                function = "word32" if kind == "word" else "word64"
                self._add(f"long {variable} = {function}({self._task(order.slot)}, {offset:#x});")

    def _check(self, order: Order) -> Check | None:
        check = self._analysis.checks.get(order.sequence)
        if check is not None and check.expected.low == 1 and _is_getppid(order):
            # The parent of a task that init has created; here, init is not the first process.
            return replace(check, name=Name("@0.tid"))
        return check

    def _checked(self, check: Check | None, act: str, *, must_end: bool = False) -> None:
        if check is None:
            self._add(f"EXPECT(ANY_END, {act});" if must_end else f"{act};")
            return
        self._add(f"{check.weight.name}({self._wanted(check)}, {act});")
        if check.violated:
            self._ends_here()

    def _wanted(self, check: Check) -> str:
        expected = check.expected
        if check.name is not None:
            return f"VALUE({self._value(check.name)})"
        if expected.state is State.GONE:
            return "ENDED_ALONE"
        if expected.state is State.DIED:
            return self._wanted_death(expected)
        if (expected.low, expected.high) == (0, (1 << 63) - 1):
            return "OK"
        if expected.low == expected.high:
            if -4095 <= expected.low < 0:
                return f"ERROR({self.constants.error(-expected.low)})"
            return f"VALUE({plain(expected.low)})"
        high = "LONG_MAX" if expected.high == (1 << 63) - 1 else plain(expected.high)
        return f"BETWEEN({plain(expected.low)}, {high})"

    def _wanted_death(self, expected: Expected) -> str:
        if expected.mask == -1 and not expected.low & 0x7F:
            return f"EXITED({expected.low >> 8})"
        signal = self.constants.signal(expected.low & 0x7F)
        if expected.mask == 0x7F:
            return f"KILLED({signal})"
        return f"KILLED_{'WITH' if expected.low & 0x80 else 'WITHOUT'}_CORE({signal})"

    # Contents

    def _bytes_checked(self, order: Order, where: str) -> None:
        task = self._task(order.slot)
        for one in joined(self._analysis.byte_checks.get(order.sequence, [])):
            offset = order.reads[one.buffer][0] + one.offset
            place = f"mem({task}, {offset:#x})"
            self._content_checked(
                one, place, f"{task}: byte {one.offset} of {where}" if one.offset else f"{task}: {where}"
            )

    def _content_checked(self, one: ByteCheck, place: str, what: str) -> None:
        if self._over:
            return
        if one.name is not None:
            self._add(f'expect_number({one.weight.value}, {place}, {self._value(one.name)}, "{what}", __LINE__);')
            return
        function = "expect_other_bytes" if one.wrong else "expect_bytes"
        content = f"{quoted(one.content)}, {len(one.content)}"
        self._add(f'{function}({one.weight.value}, {place}, {content}, "{what}", __LINE__);')
        if one.violated:
            self._ends_here()

    def _signals_checked(self, order: Order) -> None:
        task = self._task(order.slot)
        if check := self._analysis.counts.get(order.sequence):
            self._checked(check, f"signals_of({task})")
        for one in joined(self._analysis.byte_checks.get(order.sequence, [])):
            what = f"{task}: byte {one.offset} of its signal {one.buffer + 1}"
            self._content_checked(one, f"signal_of({task}, {one.buffer}) + {one.offset}", what)

    def _line_checked(self, one: LineCheck) -> None:
        if self._over:
            return
        line = formatted(one.line, self._value)
        if one.present:
            self._add(f"wait_for_log({one.weight.value}, {line}, __LINE__);")
        else:
            self._add(f"expect_not_logged({one.weight.value}, {line}, __LINE__);")
        if one.violated:
            self._ends_here()

    # Memory and files

    def _count(self, content: bytes) -> None:
        self._data += len(content)
        if self._data > _LARGEST:
            raise CannotReproduce("it needs too much data")

    def _put(self, task: str, offset: int, content: NamedContent, *, program: bool = False) -> None:
        raw = content.content
        self._count(raw)
        if program and raw == self._program:
            self._add(f'text({task}, {offset:#x}, "%s", program);')
        elif not any(raw) and not content.patches:
            self._add(f"zero({task}, {offset:#x}, {len(raw)});")
        elif is_text(raw) and all(patch.form == "text" for patch in content.patches):
            arguments = format_arguments(NamedContent(raw[:-1], content.patches), self._value)
            self._add(f"text({task}, {offset:#x}, {arguments});")
        elif any(patch.form == "text" for patch in content.patches):
            raise CannotReproduce("a buffer contains a number in a form that is not supported")
        else:
            self._put_binary(task, offset, content)

    def _put_binary(self, task: str, offset: int, content: NamedContent) -> None:
        raw = content.content
        values = {patch.offset: self._value(patch.name) for patch in content.patches}
        if values and len(raw) % 8 == 0 and len(raw) <= 64 and all(patch.form == "u64" for patch in content.patches):
            for at in range(0, len(raw), 8):
                value = values.get(at) or plain(int.from_bytes(raw[at : at + 8], "little"))
                self._add(f"put64({task}, {offset + at:#x}, {value});")
            return
        instructions = program_in(raw)
        if instructions is not None and values.keys() <= {8}:
            self._put_filter(task, offset, instructions, values.get(8) or plain(int.from_bytes(raw[8:16], "little")))
            return
        blank = bytearray(raw)
        for patch in content.patches:
            blank[patch.offset : patch.offset + patch.length] = bytes(patch.length)
        self._add(f"bytes({task}, {offset:#x}, {quoted(bytes(blank))}, {len(raw)});")
        for patch in content.patches:
            put = "put64" if patch.form == "u64" else "put32"
            self._add(f"{put}({task}, {offset + patch.offset:#x}, {self._value(patch.name)});")

    def _put_filter(self, task: str, offset: int, instructions: bytes, address: str) -> None:
        """A struct sock_fprog, and the program after it."""
        self._add(f"put64({task}, {offset:#x}, {len(instructions) // 8});")
        self._add(f"put64({task}, {offset + 8:#x}, {address});")
        self._add(f"FILTER({task}, {offset + 16:#x},")
        for line in c_filters.lines(instructions, self.constants):
            self._add(f"\t{line}")
        self._add(");")

    def _write_file(self, order: Order) -> None:
        path, data = order.contents
        self._count(data.content)
        length = f"strlen({formatted(data, self._value)})" if data.patches else str(len(data.content))
        flags = f"{self.constants.open_flags(order.flags)}, 0{order.mode:o}"
        act = f"write_file({formatted(path, self._value)}, {formatted(data, self._value)}, {length}, {flags})"
        self._checked(self._check(order), act)


def _is_getppid(order: Order) -> bool:
    """Whether the call is getppid(), through whatever entry and with whatever upper half of its number."""
    arch = "i386" if order.entry == Entry.INT80 else "x86_64"
    return order.op is Op.CALL and order.number & 0x3FFFFFFF == number("getppid", arch)
