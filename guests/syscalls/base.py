# SPDX-License-Identifier: GPL-2.0-or-later
"""The base of the groups of calls: one call by one task, finished or pending."""

from __future__ import annotations

from guests.abi import Abi, AgentProgram
from guests.call_arguments import Argument
from guests.errors import SetupFailed
from guests.outcome import Outcome
from guests.protocol import wire
from guests.protocol.conversation import Conversation
from guests.protocol.record import CallBlocks
from guests.protocol.wire import Entry, Hello, Op, State


class Pending:
    """A pending call."""

    def __init__(
        self, task: SyscallGroup, sequence: int, what: str, lengths: tuple[int, ...], *, zero: bool = False
    ) -> None:
        """`lengths`: of the buffers to be read.  `zero`: whether the call returns 0 if it succeeds."""
        self._task = task
        self._sequence = sequence
        self._what = what
        self._lengths = lengths
        self._zero = zero
        self._outcome: Outcome | None = None

    @property
    def abi(self) -> Abi:
        """That of the task, and so of its buffers."""
        return self._task.abi

    def finished(self) -> bool:
        """Whether the outcome is available; does not wait."""
        return self._outcome is not None or self._task.guest.answered(self._sequence)

    def outcome(self) -> Outcome:
        """Wait for the call to finish, within the guest's deadline."""
        if self._outcome is None:
            body = self._task.guest.collect(self._sequence, self._what)
            guest = self._task.guest
            state, value, tail = guest.decoded(wire.split_result, body, self._what)
            self._task.check_accepted(state, value, self._what)
            reads = guest.decoded(lambda tail: wire.split_reads(tail, self._lengths), tail, self._what)
            self._outcome = Outcome(state, value, self._what, reads, self._zero)
            self._task.guest.note(self._outcome)
        return self._outcome

    def blocks(self) -> bool:
        """Wait until the task sleeps inside the call, or the call finishes; which of the two it is."""

        def settled() -> bool:
            asleep = self._task.state() in {"S", "D"}
            # A task also sleeps between calls.  Before each answer, the agent looks for calls that have finished.
            self._task.guest.request(Op.HELLO)
            return asleep or self.finished()

        self._task.guest.wait_until(settled, f"{self._what} to block", awaited=CallBlocks(self._sequence))
        return not self.finished()

    def wait_until_blocked(self) -> None:
        """Wait until the task sleeps inside the call.  SetupFailed if the call finishes instead.

        Where the kernel promises that it blocks, compare: `assert pending.blocks(), pending`.
        """
        if not self.blocks():
            raise SetupFailed(f"{self.outcome()!r}, and the test needs it to block")

    def __repr__(self) -> str:
        return repr(self._outcome) if self._outcome is not None else f"{self._what} has not been collected"


class SyscallGroup:
    """Methods that have a task make calls: each makes one system call, or a short fixed sequence of them."""

    guest: Conversation
    slot: int
    name: str
    tid: int
    agent: AgentProgram
    """The program of the agent that the task runs."""

    @property
    def pid(self) -> int:
        raise NotImplementedError

    @property
    def abi(self) -> Abi:
        raise NotImplementedError

    def number(self, name: str) -> int:
        """The number of a system call for this task.  KeyError if its ABI has no such call."""
        return self.abi.call_number(name)

    def has(self, name: str) -> bool:
        """Whether its ABI has a system call of that name."""
        return self.abi.has_call(name)

    def hello(self) -> Hello:
        raise NotImplementedError

    def call(self, name: str | int, *arguments: Argument, entry: Entry = Entry.NATIVE, shown: str = "") -> Outcome:
        raise NotImplementedError

    def begin(self, name: str | int, *arguments: Argument, entry: Entry = Entry.NATIVE, shown: str = "") -> Pending:
        raise NotImplementedError

    def store(self, content: bytes) -> int:
        raise NotImplementedError

    def store_words(self, *words: str) -> int:
        """Store an array of pointers to these words, which NULL ends, as execve() takes them; return its address."""
        addresses = [self.store(word.encode() + b"\0") for word in words]
        return self.store(self.abi.words(*addresses, 0))

    def load(self, address: int, length: int) -> bytes:
        raise NotImplementedError

    def state(self) -> str:
        raise NotImplementedError

    def be_quiet(self) -> None:
        raise NotImplementedError

    def become_leader(self) -> None:
        raise NotImplementedError

    def check_accepted(self, state: State, value: int, what: str) -> None:
        raise NotImplementedError
