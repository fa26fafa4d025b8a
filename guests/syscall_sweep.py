# SPDX-License-Identifier: GPL-2.0-or-later
"""Sweeps: a task makes the calls with all numbers of a range, without the host in between.

    outcomes = sweep(task, range(512), arguments=[-1] * 6, skip={number("pause")})
    assert outcomes[number("getpid")] == returned(task.pid)

A round trip for each call would take a hundred times as long as the call.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Collection, Sequence

from guests.outcome import Outcome, describe
from guests.protocol import wire
from guests.protocol.wire import Entry, Op, State
from guests.task import Task


def sweep(
    task: Task,
    numbers: range,
    arguments: Sequence[int] = (),
    *,
    skip: Collection[int] = (),
    entry: Entry = Entry.NATIVE,
) -> dict[int, Outcome]:
    """Have a task make these calls, all with the same arguments, and return their outcomes by number.

    A value above wire.SWEEP_LARGE is reported as wire.SWEEP_LARGE.  The task must survive all of the calls.
    """
    left_out = sorted(set(skip) & set(numbers))
    if numbers.step != 1 or len(numbers) > wire.SWEEP_COUNT or len(left_out) > wire.SWEEP_LEFT_OUT:
        raise ValueError(
            f"a sweep covers at most {wire.SWEEP_COUNT} consecutive numbers, and skips at most {wire.SWEEP_LEFT_OUT}"
        )
    body = wire.SWEEP.pack(*wire.six(arguments), numbers.start, len(numbers), entry, len(left_out))
    body += struct.pack(f"<{len(left_out)}I", *left_out)
    what = f"{task}.sweep({numbers.start}..{numbers.stop - 1} by {entry.name})"
    answer = task.guest.request(Op.SWEEP, task.slot, body, what)
    state, value, tail = task.guest.decoded(wire.split_result, answer, what)
    task.check_accepted(state, value, what)
    Outcome(state, value, what).result()
    values = task.guest.decoded(lambda tail: wire.split_sweep(tail, len(numbers)), tail, what)
    outcomes = {
        nr: Outcome(State.RETURNED, value, f"{task}.call({nr})")
        for nr, value in zip(numbers, values, strict=True)
        if nr not in left_out
    }
    counts = Counter(map(describe, outcomes.values())).most_common()
    task.guest.transcript.append(f"          {what} -> {', '.join(f'{times} x {name}' for name, times in counts)}")
    return outcomes
