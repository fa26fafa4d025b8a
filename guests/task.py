# SPDX-License-Identifier: GPL-2.0-or-later
"""A task: a process or thread of the guest that does only what the test orders.

evil, secret = guest.spawn("evil"), guest.spawn("secret")
assert evil.attach(secret) == EPERM
assert evil.call("getuid") == returned(1000)
waiting = tracer.begin("wait4", tracee, Out(4), WALL, None)     # a call that blocks
assert waiting.outcome() == OK
"""

from __future__ import annotations

from common.text import printable
from guests.abi import Abi, AgentProgram
from guests.call_arguments import Argument, marshal
from guests.errors import AgentError, GuestBroke
from guests.outcome import Outcome, describe, exited
from guests.protocol import wire
from guests.protocol.conversation import Conversation
from guests.protocol.record import TaskEnds, TaskState
from guests.protocol.wire import Entry, Hello, Op, SpawnOption, State
from guests.syscalls.base import Pending
from guests.syscalls.block_devices import BlockDeviceCalls
from guests.syscalls.credentials import CredentialCalls
from guests.syscalls.kernel_loads import KernelReadCalls
from guests.syscalls.process_access import AccessCalls
from guests.syscalls.ptrace import PtraceCalls
from guests.syscalls.return_values import returns_zero
from guests.syscalls.seccomp import SeccompCalls
from guests.syscalls.signals import SignalCalls
from guests.uapi import NR_X32, THREAD_FLAGS, Cap, Clone, number

_PERSISTENT = 0x8000
"""The offset in a slot's data from which on it belongs to `store`; below are the arguments of the current call."""


class TaskOwner(Conversation):
    """The part of a session that its tasks use."""

    native: AgentProgram
    """The agent itself."""
    quiet_leaders: set[Task]
    init: Task

    def add_task(
        self,
        parent: Task,
        name: str,
        *,
        clone_flags: int,
        uid: int,
        capabilities: int,
        options: SpawnOption,
        what: str,
    ) -> Task:
        raise NotImplementedError

    def mark_quiet(self, leader: Task) -> None:
        raise NotImplementedError

    def read_file(self, path: str) -> str:
        raise NotImplementedError

    def exists(self, path: str) -> bool:
        raise NotImplementedError


class Task(PtraceCalls, AccessCalls, CredentialCalls, SeccompCalls, SignalCalls, KernelReadCalls, BlockDeviceCalls):
    """A process or thread that a test controls, created by `Guest.spawn`, `Task.spawn` or `Task.thread`."""

    def __init__(
        self,
        guest: TaskOwner,
        *,
        slot: int,
        name: str,
        tid: int,
        own_tid: int,
        parent: Task | None,
        leader: Task | None,
    ) -> None:
        self.guest: TaskOwner = guest
        self.slot = slot
        self.name = name
        self.tid = tid
        """Its TID in the initial pid namespace."""
        self.own_tid = own_tid
        """Its TID in its own pid namespace."""
        self.parent = parent
        self.leader = leader or self
        """The first thread of its thread group; for a process, the task itself."""
        self.death: Outcome | None = None
        """How the task ended; None until that is known."""
        self.agent = parent.agent if parent else guest.native
        """The program of the agent that it runs."""
        self._stored = _PERSISTENT

    @property
    def pid(self) -> int:
        """The PID of its process in the initial pid namespace."""
        return self.leader.tid

    @property
    def abi(self) -> Abi:
        return self.agent.abi

    def hello(self) -> Hello:
        """What the agent says of the program that the task runs."""
        return self.guest.hello if self.agent == self.guest.native else self.guest.ask(self.slot)

    def __repr__(self) -> str:
        return f"{printable(self.name)}[{self.tid}]"

    # Calls

    def call(self, name: str | int, *arguments: Argument, entry: Entry = Entry.NATIVE, shown: str = "") -> Outcome:
        """Make a system call, by name or number, and wait for its outcome.

        `shown` is the text for the transcript, without the task's name.
        """
        return self.begin(name, *arguments, entry=entry, shown=shown).outcome()

    def call32(self, name: str | int, *arguments: Argument) -> Outcome:
        """Make a system call through `int $0x80`, with i386's number and 32-bit arguments."""
        nr = name if isinstance(name, int) else number(name, "i386")
        return self.call(nr, *arguments, entry=Entry.INT80, shown=self._shown(f"{name} by int 0x80", arguments))

    def call_x32(self, name: str | int, *arguments: Argument) -> Outcome:
        """Make a system call with x32's number."""
        nr = name | NR_X32 if isinstance(name, int) else number(name, "x32")
        return self.call(nr, *arguments, shown=self._shown(f"{name} as x32", arguments))

    def begin(self, name: str | int, *arguments: Argument, entry: Entry = Entry.NATIVE, shown: str = "") -> Pending:
        """Start a call without waiting for it; `outcome()` waits."""
        nr = name if isinstance(name, int) else self.number(name)
        laid = marshal(self.slot, arguments if isinstance(name, int) else self.abi.arguments(name, arguments))
        body = wire.call_body(nr, laid.numbers, entry=entry, writes=laid.writes, reads=laid.reads)
        what = f"{self}.{shown or self._shown(name, arguments)}"
        sequence = self.guest.send(Op.CALL, self.slot, body, what)
        return Pending(self, sequence, what, laid.read_lengths, zero=returns_zero(name, arguments))

    def _shown(self, name: str | int, arguments: tuple[Argument, ...]) -> str:
        return f"{name}({', '.join(marshal(self.slot, arguments).shown)})"

    # Memory

    def store(self, content: bytes) -> int:
        """Store bytes in the task's memory permanently, and return their address."""
        offset = self._stored
        self._stored += -(-len(content) // 16) * 16
        if self._stored > wire.SLOT_DATA_SIZE:
            raise ValueError("the task's memory is full")
        what = f"{self} stores {len(content)} bytes at {offset:#x}"
        body = self.guest.request(Op.POKE, self.slot, wire.PIECE.pack(offset, len(content)) + content, what)
        state, value, _ = self.guest.decoded(wire.split_result, body, what)
        self.check_accepted(state, value, what)
        return wire.data_address(self.slot, offset)

    def load(self, address: int, length: int) -> bytes:
        """The bytes at an address that `store` returned."""
        offset = address - wire.data_address(self.slot)
        what = f"{self} loads {length} bytes from {offset:#x}"
        body = self.guest.request(Op.PEEK, self.slot, wire.PIECE.pack(offset, length), what)
        state, value, tail = self.guest.decoded(wire.split_result, body, what)
        self.check_accepted(state, value, what)
        (content,) = self.guest.decoded(lambda tail: wire.split_reads(tail, [length]), tail, what)
        return content

    def copy(self, to: int, source: int, length: int) -> Outcome:
        """Let the task copy memory without a system call, as a program would; an invalid address kills it."""
        what = f"{self}.copies {length} bytes from {source:#x} to {to:#x}"
        body = self.guest.request(Op.COPY, self.slot, wire.COPY.pack(to, source, length), what)
        state, value, _ = self.guest.decoded(wire.split_result, body, what)
        self.check_accepted(state, value, what)
        outcome = Outcome(state, value, what)
        self.guest.note(outcome)
        return outcome

    # The tree

    def spawn(
        self,
        name: str,
        *,
        uid: int | None = None,
        caps: Cap = Cap.NONE,
        flags: Clone = Clone.NONE,
        dumpable: bool = True,
        quiet: bool = False,
        bare: bool = False,
    ) -> Task:
        """A child of this task.

        uid: the uid and gid, without supplementary groups and with only the capabilities in `caps`; None inherits the
        parent's credentials.  flags: flags of clone(), such as Clone.NEWPID.  dumpable: restore the dumpable
        attribute, which changing the uid clears.  quiet: wait for orders without any system call, as is necessary
        under a filter; children of a quiet task are quiet.  bare: make no call before the first order, not even to
        set the name.
        """
        options = SpawnOption(0)
        if uid is not None:
            options |= SpawnOption.CREDENTIALS | (SpawnOption.DUMPABLE if dumpable else SpawnOption(0))
        if quiet or self.quiet:
            options |= SpawnOption.QUIET
        if bare or self.quiet:
            options |= SpawnOption.BARE
        return self.guest.add_task(
            self,
            name,
            clone_flags=flags,
            uid=uid or 0,
            capabilities=caps,
            options=options,
            what=f"{self}.spawn({name})",
        )

    def thread(self, name: str) -> Task:
        """Another thread of this task's process."""
        options = SpawnOption.QUIET | SpawnOption.BARE if self.quiet else SpawnOption(0)
        return self.guest.add_task(
            self,
            name,
            clone_flags=THREAD_FLAGS,
            uid=0,
            capabilities=0,
            options=options,
            what=f"{self}.thread({name})",
        )

    def orphan(self, name: str) -> Task:
        """A double-forked child: its parent has exited, so that init or a subreaper has adopted it."""
        middle = self.spawn(f"{name}-parent")
        child = middle.spawn(name)
        middle.exit(0).require(exited(0))
        self.reap(middle).result()
        child.parent = None
        return child

    def exit(self, code: int = 0) -> Outcome:
        """End the whole process."""
        return self.call("exit_group", code)

    def exit_thread(self, code: int = 0) -> Outcome:
        """End this thread only."""
        return self.call("exit", code)

    def wait_death(self) -> Outcome:
        """Wait until the task has ended for any reason; its process may still be a zombie."""
        self.guest.wait_until(lambda: self.death is not None, f"{self} to end", awaited=TaskEnds(self.slot))
        if self.death is None:
            raise AgentError(f"{self} has not ended")
        return self.death

    def state(self) -> str:
        """The kernel's letter for the task's state: R, S, D, T, t, Z (proc(5))."""
        text = self.guest.read_file(f"/proc/{self.pid}/task/{self.tid}/stat")
        fields = text.rpartition(")")[2].split()
        if not fields:
            raise AgentError(f"/proc does not show the state of {self}: {printable(text)!r}")
        return fields[0]

    def wait_state(self, *letters: str) -> None:
        """Wait until the task is in one of these states."""
        what, awaited = f"{self} to reach state {' or '.join(letters)}", TaskState(self.slot, letters)
        self.guest.wait_until(lambda: self.state() in letters, what, awaited=awaited)

    def be_quiet(self) -> None:
        """Have the task's process wait for orders without any system call from now on."""
        if not self.quiet:
            what = f"{self} to wait quietly"
            state, value, _ = self.guest.decoded(wire.split_result, self.guest.request(Op.QUIET, self.slot), what)
            self.check_accepted(state, value, what)
            self.guest.mark_quiet(self.leader)

    @property
    def quiet(self) -> bool:
        return self.leader in self.guest.quiet_leaders

    def become_leader(self) -> None:
        """Record that execve() has made this thread the first one of its process, whose PID it takes (execve(2))."""
        if self.quiet:
            self.guest.mark_quiet(self)
        self.tid, self.leader = self.pid, self

    def check_accepted(self, state: State, value: int, what: str) -> None:
        """Raise AgentError if the agent refused an order.

        Raise GuestBroke instead if the kernel had killed the task: the test expected it to be alive.
        """
        if (
            state is State.REFUSED
            and self.death is not None
            and (self.death.signal or self.death.state is State.GONE)
        ):
            raise GuestBroke(f"{what} failed because the task is dead: {describe(self.death)}")
        self.guest.check_accepted(state, value, what)

    def ended(self, state: State, status: int) -> None:
        """Record the task's end (called when the agent reports it)."""
        self.death = Outcome(state, status, str(self))
