# SPDX-License-Identifier: GPL-2.0-or-later
"""Waiting until a guest's processors are idle, and so have no interrupt that is pending and not masked."""

from __future__ import annotations

import re
import time
from pathlib import Path

from guests.errors import QemuError
from guests.vm.qemu_process import Qemu

_STATE = re.compile(r"^State:\s+(\w)", re.MULTILINE)
_SWITCHES = re.compile(r"^(?:non)?voluntary_ctxt_switches:\s+(\d+)", re.MULTILINE)


def wait_until_idle(qemu: Qemu, deadline: float) -> None:
    """Wait until every processor of a guest waits for an interrupt; `deadline` is of time.monotonic().

    QEMU runs a processor in a thread, which sleeps while the guest has nothing to do, and which any interrupt wakes.
    A thread may also sleep because QEMU's main loop has the lock for devices.  But the main loop releases it before
    it executes the next command, and the thread then runs: it is idle if it slept all the time between two commands.

    QemuError if that does not happen in time, or if QEMU has ended.
    """
    while True:
        before = _slept_since(qemu, deadline)
        after = _slept_since(qemu, deadline)
        if None not in before and before == after:
            return
        if time.monotonic() > deadline:
            raise QemuError("the guest is never idle, so that its state cannot be saved")


def _slept_since(qemu: Qemu, deadline: float) -> list[int | None]:
    """For each processor, the number of times that its thread was scheduled; None if it does not sleep."""
    processors = qemu.qmp.execute("query-cpus-fast", deadline)
    return [_sleeping(qemu.pid, int(one["thread-id"])) for one in processors]


def _sleeping(process: int, thread: int) -> int | None:
    try:
        status = Path(f"/proc/{process}/task/{thread}/status").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise QemuError(f"the thread of a processor cannot be read: {error}") from error
    state = _STATE.search(status)
    if state is None or state[1] != "S":
        return None
    return sum(int(count) for count in _SWITCHES.findall(status))
