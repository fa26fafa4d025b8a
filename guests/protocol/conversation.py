# SPDX-License-Identifier: GPL-2.0-or-later
"""A conversation with an agent: requests, the diagnosis of missing answers, and the transcript."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from common.text import printable
from guests.errors import AgentError, GuestBroke, HostPausedError, ProtocolError
from guests.outcome import Outcome, describe
from guests.protocol.channel import CALL_DEADLINE, Channel, Closed, NoAnswer, Stream
from guests.protocol.record import AnyCondition, Awaited, Record, WaitBegins, WaitEnds, WaitTries
from guests.protocol.wire import VERSION, Frame, Hello, Op, State

_T = TypeVar("_T")

SIGN_OF_LIFE_S = CALL_DEADLINE
"""Seconds in which a kernel must give any answer at all, once a call has not returned in time."""


class Conversation:
    """The conversation with one agent.  A subclass handles events, and may know why the agent ended or is slow."""

    program = "/init"
    """The agent's own program, which tasks can execute again."""
    arch: str
    """The architecture of the tasks, as `uname -m` has it."""

    def __init__(self, stream: Stream, on_event: Callable[[Frame], None]) -> None:
        self.transcript: list[str] = []
        self.hello: Hello
        self._channel = Channel(stream, on_event, self.lost_s)
        self._hangs = False
        self._broken: ProtocolError | None = None
        self._started = 0.0

    def _begin(self) -> None:
        """Request the agent's first answer."""
        self._started = time.monotonic()
        self.hello = self.ask(0, "the first answer")

    def ask(self, slot: int, what: str = "a greeting") -> Hello:
        """The agent's version, and the addresses that the program of this slot's task has."""
        return self.decoded(_decode_hello, self.request(Op.HELLO, slot, what=what), what)

    @property
    def protocol_error(self) -> ProtocolError | None:
        """The error that invalid data from the agent caused.  Nothing received after it is evidence of anything."""
        return self._channel.broken

    def send(self, op: Op, slot: int, body: bytes, what: str) -> int:
        with self._diagnosing(what):
            return self._channel.send(op, slot, body)

    def answered(self, sequence: int) -> bool:
        with self._diagnosing("the agent's answers"):
            return self._channel.answered(sequence)

    def collect(self, sequence: int, what: str, deadline_s: float = CALL_DEADLINE) -> bytes:
        """The body of an answer; GuestBroke if the kernel crashed, hung, or never returned from the call."""
        with self._diagnosing(what, deadline_s):
            return self._channel.collect(sequence, deadline_s).body

    def decoded(self, decode: Callable[[bytes], _T], body: bytes, what: str) -> _T:
        """Decode an answer.  If it is invalid, the conversation ends with a ProtocolError."""
        with self._diagnosing(what):
            return decode(body)

    def request(self, op: Op, slot: int = 0, body: bytes = b"", what: str = "the agent") -> bytes:
        return self.collect(self.send(op, slot, body, what), what)

    @property
    def record(self) -> Record:
        """All that was said so far."""
        return self._channel.record

    def held(self) -> contextlib.AbstractContextManager[None]:
        """A block in which a person makes calls, not the test: none has a deadline, and the record omits them."""
        return self._channel.held()

    def wait_until(
        self,
        condition: Callable[[], bool],
        what: str,
        deadline_s: float = CALL_DEADLINE,
        *,
        awaited: Awaited | None = None,
    ) -> None:
        """Wait until the condition is true; GuestBroke if it does not become true within the deadline.

        `awaited` is the condition for the record, if it has a name there.
        """
        self.record.add(WaitBegins(awaited or AnyCondition(what)))
        deadline = self._channel.deadline(deadline_s)
        with self._diagnosing(what):
            self._channel.check()
            while not self._tried(condition):
                if deadline.left() <= 0:
                    raise self._why_false(condition, what, deadline_s)
                # Events arrive by themselves; a condition that sends requests needs a pause between them.
                self._channel.wait(lambda: False, 0.001)
        self.record.add(WaitEnds())

    def _tried(self, condition: Callable[[], bool]) -> bool:
        self.record.add(WaitTries())
        return condition()

    def check_accepted(self, state: State, value: int, what: str) -> None:
        if state is State.REFUSED:
            raise AgentError(f"the agent refused an order: {what}: {describe(Outcome(State.RETURNED, value))}")

    def note(self, outcome: Outcome) -> None:
        """Add an outcome to the transcript."""
        at = time.monotonic() - self._started
        self.transcript.append(f"{at:8.4f}  {printable(repr(outcome))}")

    @contextlib.contextmanager
    def _diagnosing(self, what: str, deadline_s: float = CALL_DEADLINE) -> Iterator[None]:
        """Replace an exception of the channel with an error that states its cause."""
        try:
            yield
        except Closed as error:
            raise self.why_ended(what) from error
        except NoAnswer:
            raise self._why_silent(what, deadline_s) from None
        except ProtocolError as error:
            raise self._give_up(error, what) from None

    def why_ended(self, what: str) -> Exception:
        """The error to raise when the agent ended during `what`."""
        return AgentError(f"the agent ended during {what}")

    def lost_s(self) -> float:
        """Seconds that the host has taken from the agent's machine so far."""
        return 0.0

    def excuse(self) -> str:
        """What kept the agent's machine from running for a long time; empty if nothing did."""
        return ""

    def _give_up(self, error: ProtocolError, what: str) -> ProtocolError:
        """End the conversation.  The error names the first call that failed, and all later calls raise it too."""
        if self._broken is None:
            self._broken = ProtocolError(f"the guest sent invalid data during {printable(what)}: {error.message}")
            self._channel.give_up(self._broken)
        return self._broken.with_traceback(None)

    def _timeout(self, failure: str) -> Exception:
        """The error for what did not happen in time: the kernel's fault, unless the guest could not run."""
        if excuse := self.excuse():
            return HostPausedError(f"{failure}; but {excuse}")
        return GuestBroke(failure)

    def _why_false(self, condition: Callable[[], bool], what: str, deadline_s: float) -> Exception:  # noqa: ARG002
        """The error for a condition that did not become true in time."""
        return self._timeout(f"waited {deadline_s:.0f} s for {what}, which did not happen")

    def _why_silent(self, what: str, deadline_s: float) -> Exception:
        """The error for a missing answer: find out whether the agent still answers anything."""
        before = self._channel.received
        try:
            self._channel.request(Op.HELLO, deadline=SIGN_OF_LIFE_S)
        except ProtocolError as error:
            return self._give_up(error, what)
        except Closed:
            return self.why_ended(what)
        except NoAnswer:
            if self._channel.received > before and self._channel.partial:
                return self._give_up(ProtocolError("it answers, but its answers are incomplete"), what)
            self._hangs = True
            return self._timeout(f"the kernel has hung since {what}: the guest no longer answers")
        return self._timeout(f"{what} did not return within {deadline_s:.0f} s")


def _decode_hello(body: bytes) -> Hello:
    hello = Hello.decode(body)
    if hello.version != VERSION:
        raise ProtocolError(f"the agent speaks version {hello.version} of the protocol instead of {VERSION}")
    return hello
