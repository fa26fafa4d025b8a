# SPDX-License-Identifier: GPL-2.0-or-later
"""The outcome of a call, and the outcomes that a test can expect.

An outcome has no truth value: `if evil.attach(secret)` would take -EPERM for success, so it raises.  Compare it:

    assert evil.attach(secret) == EPERM
    assert secret.set_ptracer(evil) == OK
    assert task.call("getppid") == returned(1)
    assert task.call("getpid") == killed(SIGSYS)
"""

from __future__ import annotations

import contextlib
import errno as errno_names
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NoReturn

from guests.errors import SetupFailed
from guests.protocol.wire import State


@dataclass(frozen=True, eq=False)
class Outcome:
    """A finished call: its return value, or how its task died."""

    state: State
    value: int
    """The return value (-4095 to -1 is an error), or the wait status of a task that died."""
    what: str = ""
    """The task and its call: `evil[41 uid 1000].attach(secret[40])`."""
    reads: tuple[bytes, ...] = field(default=(), repr=False)
    """The contents of the buffers that were passed as `Out`, in order, after the call."""
    zero: bool = field(default=False, repr=False)
    """Whether the call returns 0 if it succeeds (syscalls/return_values.py)."""

    __hash__: ClassVar[None]  # type: ignore[assignment]

    @property
    def errno(self) -> int:
        """The error number, or 0."""
        return -self.value if self.state is State.RETURNED and -4095 <= self.value < 0 else 0

    @property
    def wrong_success(self) -> bool:
        """Whether a call that must return 0 has succeeded with another value."""
        return self.zero and self.state is State.RETURNED and not self.errno and self.value != 0

    @property
    def signal(self) -> int:
        """The signal that killed the task, or 0."""
        return self.value & 0x7F if self.state is State.DIED and self.value >= 0 else 0

    @property
    def core(self) -> bool:
        """Whether the dying task dumped core."""
        return bool(self.signal) and bool(self.value & 0x80)

    def result(self, *, needs: str = "") -> int:
        """The value of a call that only prepares the test, and must have succeeded; otherwise SetupFailed, an error.

        A call that the kernel promises to allow is compared instead: `assert task.install(program) == OK`.  Without
        the option that it `needs`, if any, the test does not apply (suites/conftest.py).
        """
        if self != OK:
            raise SetupFailed(f"{self.what} -> {describe(self)}, and the test needs it to succeed", needs=needs)
        return self.value

    def require(self, wanted: Expected) -> None:
        """The same for a call that must have another outcome, such as the end of a task."""
        if self != wanted:
            raise SetupFailed(f"{self!r}, and the test needs {wanted!r}")

    def read(self, index: int = 0) -> bytes:
        """The contents of the `Out` buffer with this index; SetupFailed if the call failed."""
        self.result()
        return self.reads[index]

    def __bool__(self) -> NoReturn:
        raise TypeError(f"an outcome has no truth value: compare it, as in `== OK` ({self!r})")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Expected):
            return other.matches(self)
        if isinstance(other, Outcome):
            return (self.state, self.value) == (other.state, other.value)
        return NotImplemented

    def __repr__(self) -> str:
        return f"{self.what} -> {describe(self)}" if self.what else describe(self)


@dataclass(frozen=True)
class Expected:
    """The outcome that a test expects of a call.  A constant: nothing is computed from the kernel under test."""

    name: str
    state: State = State.RETURNED
    low: int = 0
    high: int = 0
    mask: int = -1

    def matches(self, outcome: Outcome) -> bool:
        wanted = _ZERO if self is OK and outcome.wrong_success else self
        found = outcome.state is wanted.state and wanted.low <= outcome.value & wanted.mask <= wanted.high
        for watcher in _watchers:
            watcher(outcome, wanted, found)
        return found

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Outcome):
            return self.matches(other)
        if isinstance(other, Expected):
            return self.name == other.name
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return self.name

    def __bool__(self) -> NoReturn:
        raise TypeError(f"an expectation has no truth value: compare an outcome with it ({self.name})")


Watcher = Callable[[Outcome, Expected, bool], None]
"""Is told of a comparison, and whether the outcome was the expected one."""
_watchers: list[Watcher] = []


@contextlib.contextmanager
def comparisons_watched(watcher: Watcher) -> Iterator[None]:
    """Tell `watcher` of each comparison that is made inside (guests/reproducer/replay.py)."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


def returned(value: int) -> Expected:
    """The call returned this value."""
    return Expected(f"OK({value})", low=value, high=value)


def error(number: int) -> Expected:
    """The call failed with this error number."""
    return Expected(errno_names.errorcode.get(number, f"errno {number}"), low=-number, high=-number)


def killed(number: int, *, core: bool | None = None) -> Expected:
    """The task's process was killed by this signal, with a core dump, without one, or (None) either."""
    suffix = {None: "", True: " with core", False: " without core"}[core]
    status = number | (0x80 if core else 0)
    return Expected(
        f"killed by {signal_name(number)}{suffix}",
        State.DIED,
        status,
        status,
        0xFF if core is not None else 0x7F,
    )


def exited(code: int) -> Expected:
    """The task's process exited with this code."""
    return Expected(f"exited with {code}", State.DIED, code << 8, code << 8)


OK = Expected("OK", low=0, high=(1 << 63) - 1)
"""The call succeeded, whatever it returned; but if it is one that returns 0, it returned that."""
_ZERO = Expected("OK", low=0, high=0)
GONE = Expected("the thread ended alone", State.GONE, -1, -1)
"""This thread ended while its process lives on; its status is not reported to anyone."""

E2BIG = error(errno_names.E2BIG)
EACCES = error(errno_names.EACCES)
EAGAIN = error(errno_names.EAGAIN)
EBADF = error(errno_names.EBADF)
EBUSY = error(errno_names.EBUSY)
ECHILD = error(errno_names.ECHILD)
EEXIST = error(errno_names.EEXIST)
EFAULT = error(errno_names.EFAULT)
EFBIG = error(errno_names.EFBIG)
EINPROGRESS = error(errno_names.EINPROGRESS)
EINTR = error(errno_names.EINTR)
EINVAL = error(errno_names.EINVAL)
EIO = error(errno_names.EIO)
EMFILE = error(errno_names.EMFILE)
ENOENT = error(errno_names.ENOENT)
ENOEXEC = error(errno_names.ENOEXEC)
ENOMEM = error(errno_names.ENOMEM)
ENOSPC = error(errno_names.ENOSPC)
ENOSYS = error(errno_names.ENOSYS)
EOPNOTSUPP = error(errno_names.EOPNOTSUPP)
EPERM = error(errno_names.EPERM)
EPROTO = error(errno_names.EPROTO)
ESRCH = error(errno_names.ESRCH)
ETXTBSY = error(errno_names.ETXTBSY)


def mismatches(found: Mapping[str, tuple[object, object]]) -> list[str]:
    """A line for each name whose outcome (first) differs from the expected one (second)."""
    rows = found.items()
    return [f"{name}: {actual!r}, expected {wanted!r}" for name, (actual, wanted) in rows if actual != wanted]


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def describe(outcome: Outcome) -> str:
    """The outcome as the transcript shows it."""
    if outcome.state is State.RETURNED:
        if outcome.errno:
            return repr(error(outcome.errno))
        if outcome.wrong_success:
            return f"{outcome.value}, and not the 0 that means success"
        return "OK" if outcome.value == 0 else f"OK({outcome.value})"
    if outcome.state is State.GONE:
        return repr(GONE)
    if outcome.value < 0:
        return "died, and was reaped before its status could be read"
    if outcome.signal:
        return f"killed by {signal_name(outcome.signal)}" + (" with core" if outcome.core else "")
    return f"exited with {outcome.value >> 8 & 0xFF}"
