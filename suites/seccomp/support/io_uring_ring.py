# SPDX-License-Identifier: GPL-2.0-or-later
"""A ring of io_uring (include/uapi/linux/io_uring.h), whose memory a task maps and uses without further calls."""

from __future__ import annotations

from guests.abi import size_of
from guests.call_arguments import InOut
from guests.outcome import Outcome
from guests.protocol.wire import State
from guests.syscalls.seccomp import Poll
from guests.task import Task
from guests.uapi import AT_FDCWD, MAP_SHARED, O_RDONLY, PROT_READ, PROT_WRITE

GETEVENTS = 1
ASYNC = 1 << 4
"""A flag of an operation: a worker of the kernel executes it."""
_OPENAT, _POLL_ADD = 18, 6
_PARAMS = "10I 8IQ 8IQ"
_OPENING, _POLLING = "BBHiQQIIQ24x", "BBHiQQIHHQ24x"
"""struct io_uring_sqe.  The 32 bits of events to poll are two halves, the lower one first on every ABI."""
_SUBMISSIONS_AT = 0x10000000


def set_up(task: Task, entries: int = 1) -> Outcome:
    """io_uring_setup(); the result is the ring's descriptor."""
    return task.call("io_uring_setup", entries, InOut(bytes(size_of(_PARAMS))), shown=f"io_uring_setup({entries})")


class Ring:
    """A ring with one entry, for one operation."""

    def __init__(self, task: Task) -> None:
        self._task = task
        made = set_up(task)
        self.descriptor = made.result()
        params = task.abi.unpack(_PARAMS, made.read())
        _, tail, *_, array, _, _ = params[10:19]
        *_, completions, _, _, _ = params[19:28]
        protection = PROT_READ | PROT_WRITE
        rings = task.call("mmap", None, 4096, protection, MAP_SHARED, self.descriptor, 0).result()
        self._submissions = task.call(
            "mmap", None, 4096, protection, MAP_SHARED, self.descriptor, _SUBMISSIONS_AT
        ).result()
        self._operation = ""
        self._tail, self._array, self._completions = rings + tail, rings + array, rings + completions

    def prepare_open(self, path: str, *, how: int = 0) -> None:
        """Put an openat() for reading into the ring.  `how` are flags of the operation."""
        name = self._task.store(path.encode() + b"\0")
        self._prepare("openat()", _OPENING, (_OPENAT, how, 0, AT_FDCWD, 0, name, 0, O_RDONLY, 1))

    def prepare_poll(self, descriptor: int) -> None:
        """Put a wait for input into the ring, whose result is Poll.IN."""
        self._prepare("poll()", _POLLING, (_POLL_ADD, 0, 0, descriptor, 0, 0, 0, Poll.IN, 0, 1))

    def submit(self) -> Outcome:
        """io_uring_enter() that submits the operation without waiting for it.  The result is the number submitted."""
        return self._task.call("io_uring_enter", self.descriptor, 1, 0, 0, None, 0)

    def enter(self) -> Outcome:
        """io_uring_enter(): submit the operation, and wait until it is done.  The result is the number submitted."""
        return self._task.call("io_uring_enter", self.descriptor, 1, 1, GETEVENTS, None, 0)

    def result(self) -> Outcome:
        """The result of the operation."""
        copy = self._task.store(bytes(16))
        self._task.copy(copy, self._completions, 16).result()
        _, result, _ = self._task.abi.unpack("QiI", self._task.load(copy, 16))
        return Outcome(State.RETURNED, result, f"{self._task}.{self._operation} in a ring")

    def _prepare(self, operation: str, form: str, fields: tuple[int, ...]) -> None:
        self._operation = operation
        self._put(self._submissions, self._task.abi.pack(form, *fields))
        self._put(self._array, self._task.abi.pack("I", 0))
        self._put(self._tail, self._task.abi.pack("I", 1))

    def _put(self, address: int, content: bytes) -> None:
        self._task.copy(address, self._task.store(content), len(content)).result()
