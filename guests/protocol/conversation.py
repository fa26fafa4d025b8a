# SPDX-License-Identifier: GPL-2.0-or-later
"""A conversation with an agent: requests, what it means when an answer does not come, and the transcript."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from common.text import printable
from guests.errors import AgentError, GuestBroke, HostPausedError, ProtocolError
from guests.outcome import Outcome, describe
from guests.protocol.channel import CALL_DEADLINE, Channel, Closed, NoAnswer, Stream
from guests.protocol.wire import VERSION, Frame, Hello, Op, State

_T = TypeVar("_T")

SIGN_OF_LIFE_S = CALL_DEADLINE
"""What a kernel gets to answer at all, when a call has not come back."""


class Conversation:
    """With one agent.  A subclass handles events, and may know why the other end is gone or slow."""

    program = "/init"
    """The agent's own program, which tasks can execute again."""

    def __init__(self, stream: Stream, on_event: Callable[[Frame], None]) -> None:
        self.transcript: list[str] = []
        self.hello: Hello
        self._channel = Channel(stream, on_event, self.lost_s)
        self._hangs = False
        self._broken: ProtocolError | None = None
        self._started = 0.0

    def _begin(self) -> None:
        """Get the agent's first answer."""
        self._started = time.monotonic()
        what = "the first answer"
        self.hello = self.decoded(_decode_hello, self.request(Op.HELLO, what=what), what)

    @property
    def protocol_error(self) -> ProtocolError | None:
        """What the agent has sent that no agent sends.  Nothing that came after it is evidence of anything."""
        return self._channel.broken

    def send(self, op: Op, slot: int, body: bytes, what: str) -> int:
        with self._explained(what):
            return self._channel.send(op, slot, body)

    def answered(self, sequence: int) -> bool:
        with self._explained("the agent's answers"):
            return self._channel.answered(sequence)

    def collect(self, sequence: int, what: str, deadline_s: float = CALL_DEADLINE) -> bytes:
        """The body of an answer, or GuestBroke: the kernel crashed, hung, or never came back from the call."""
        with self._explained(what, deadline_s):
            return self._channel.collect(sequence, deadline_s).body

    def decoded(self, decode: Callable[[bytes], _T], body: bytes, what: str) -> _T:
        """What an answer says.  If no agent says such a thing, the conversation ends with a ProtocolError."""
        with self._explained(what):
            return decode(body)

    def request(self, op: Op, slot: int = 0, body: bytes = b"", what: str = "the agent") -> bytes:
        return self.collect(self.send(op, slot, body, what), what)

    def wait_until(self, condition: Callable[[], bool], what: str, deadline_s: float = CALL_DEADLINE) -> None:
        """Wait for what happens later; GuestBroke when it has not happened within the deadline."""
        deadline = self._channel.deadline(deadline_s)
        with self._explained(what):
            self._channel.check()
            while not condition():
                if deadline.left() <= 0:
                    raise self._late(f"waited {deadline_s:.0f} s for {what}, in vain")
                # Events come by themselves; conditions that are asked for need a moment between questions.
                self._channel.wait(lambda: False, 0.001)

    def check_accepted(self, state: State, value: int, what: str) -> None:
        if state is State.REFUSED:
            raise AgentError(f"the agent refused an order: {what}: {describe(Outcome(State.RETURNED, value))}")

    def note(self, outcome: Outcome) -> None:
        """Into the transcript."""
        at = time.monotonic() - self._started
        self.transcript.append(f"{at:8.4f}  {printable(repr(outcome))}")

    @contextlib.contextmanager
    def _explained(self, what: str, deadline_s: float = CALL_DEADLINE) -> Iterator[None]:
        """Turn the channel's trouble into what it means."""
        try:
            yield
        except Closed as error:
            raise self.why_gone(what) from error
        except NoAnswer:
            raise self._why_silent(what, deadline_s) from None
        except ProtocolError as error:
            raise self._given_up(error, what) from None

    def why_gone(self, what: str) -> Exception:
        """What it means that the agent went away during `what`."""
        return AgentError(f"the agent went away during {what}")

    def lost_s(self) -> float:
        """Seconds that the host has taken from the agent's machine so far."""
        return 0.0

    def excuse(self) -> str:
        """In words, what kept the agent's machine from running for long; empty if nothing did."""
        return ""

    def _given_up(self, error: ProtocolError, what: str) -> ProtocolError:
        """The same for every call from the first one on that met a protocol error, and named for that one."""
        if self._broken is None:
            self._broken = ProtocolError(
                f"the guest sent what no agent sends during {printable(what)}: {error.message}"
            )
            self._channel.give_up(self._broken)
        return self._broken.with_traceback(None)

    def _late(self, accusation: str) -> Exception:
        """What did not happen in time is the kernel's fault, unless the guest could not run."""
        if excuse := self.excuse():
            return HostPausedError(f"{accusation}; but {excuse}")
        return GuestBroke(accusation)

    def _why_silent(self, what: str, deadline_s: float) -> Exception:
        before = self._channel.received
        try:
            self._channel.request(Op.HELLO, deadline=SIGN_OF_LIFE_S)
        except ProtocolError as error:
            return self._given_up(error, what)
        except Closed:
            return self.why_gone(what)
        except NoAnswer:
            if self._channel.received > before and self._channel.partial:
                return self._given_up(ProtocolError("it answers, but bytes of its answers are missing"), what)
            self._hangs = True
            return self._late(f"the kernel hangs since {what}: nothing in the guest answers any more")
        return self._late(f"{what} did not come back within {deadline_s:.0f} s")


def _decode_hello(body: bytes) -> Hello:
    hello = Hello.decode(body)
    if hello.version != VERSION:
        raise ProtocolError(f"the agent speaks version {hello.version} of the protocol, we speak {VERSION}")
    return hello
