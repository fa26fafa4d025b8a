# SPDX-License-Identifier: GPL-2.0-or-later
"""A session with an agent: its tasks, the calls that init makes for the test, and the transcript.

The agent runs in a guest (guest.py), or, for the agent's own tests, on the host.
"""

from __future__ import annotations

from guests.abi import AgentProgram
from guests.abis import NATIVE
from guests.errors import AgentError, ProtocolError, require
from guests.log import kernel_log
from guests.outcome import OK, Outcome, describe, returned
from guests.protocol import wire
from guests.protocol.channel import Stream
from guests.protocol.record import LogContains
from guests.protocol.wire import Frame, Op, SpawnOption, State
from guests.sysctl_path import sysctl_path
from guests.task import Task, TaskOwner
from guests.uapi import AT_FDCWD, O_APPEND, O_CREAT, O_TRUNC, Cap, Clone

LOG_DEADLINE_S = 10.0
_OF_INIT = ("/proc/self/", "/proc/1/", "/sys/fs/cgroup/")
"""Files that affect init itself when init writes to them."""
UNPRIVILEGED = 1000
"""The default uid and gid of a task."""


class Session(TaskOwner):
    """An agent's tasks.  Begins with `greet`."""

    def __init__(self, stream: Stream, arch: str) -> None:
        super().__init__(stream, self._on_event)
        self.arch = arch
        self.native = AgentProgram(self.program, NATIVE[arch])
        self.quiet_leaders: set[Task] = set()
        self._tasks: dict[int, Task] = {}
        self._spare_slots = list(range(1, 1 + wire.SPARE_CHILDREN))
        """Slots of children that init already has.  They do not inherit changes of init, after which none is used."""
        self._next_slot = 1 + wire.SPARE_CHILDREN
        self._expected: set[int] = set()
        """Slots of tasks that are being created."""
        self._early_deaths: dict[int, Outcome] = {}
        """Deaths of tasks that were reported before the answer to their spawn was processed."""
        self._log = kernel_log.Log()
        self.init: Task

    def greet(self, *, init: int = 1) -> None:
        """Wait for the agent's first answer.  `init` is the agent's PID."""
        self._begin()
        self.init = self._adopt(0, "init", tid=init, own_tid=init, parent=None, leader=None)

    def send(self, op: Op, slot: int, body: bytes, what: str) -> int:
        if slot == 0 and op is Op.CALL:
            self._spare_slots.clear()
        return super().send(op, slot, body, what)

    # Tasks

    def spawn(
        self,
        name: str,
        *,
        uid: int = UNPRIVILEGED,
        caps: Cap = Cap.NONE,
        flags: Clone = Clone.NONE,
        dumpable: bool = True,
        quiet: bool = False,
    ) -> Task:
        """A child process of init, unprivileged by default.  The options are those of `Task.spawn`."""
        return self.init.spawn(name, uid=uid, caps=caps, flags=flags, dumpable=dumpable, quiet=quiet)

    def root(self, name: str = "root", *, flags: Clone = Clone.NONE) -> Task:
        """A child process of init with uid 0 and all capabilities."""
        return self.init.spawn(name, uid=0, caps=Cap.ALL, flags=flags)

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
        """Have the agent create a task (used by Task.spawn and Task.thread)."""
        slot = self._slot_for(parent, clone_flags)
        body = wire.spawn_body(
            child=slot,
            clone_flags=clone_flags,
            name=name.encode(),
            uid=uid,
            gid=uid,
            capabilities=capabilities,
            options=options,
        )
        self._expected.add(slot)
        answer = self.request(Op.SPAWN, parent.slot, body, what)
        error, tid, own_tid = self.decoded(wire.split_spawn_reply, answer, what)
        self._expected.discard(slot)
        outcome = Outcome(State.RETURNED, error or tid, what)
        self.note(outcome)
        outcome.result()
        is_thread = bool(clone_flags & Clone.THREAD)
        task = self._adopt(
            slot, name, tid=tid, own_tid=own_tid, parent=parent, leader=parent.leader if is_thread else None
        )
        if options & SpawnOption.QUIET and not is_thread:
            self.mark_quiet(task)
        return task

    def _slot_for(self, parent: Task, clone_flags: int) -> int:
        """The slot of a spare child of init if that is equivalent to the new task; otherwise an unused slot."""
        if parent is self.init and clone_flags & Clone.FS:
            self._spare_slots.clear()
        if parent is self.init and not clone_flags and self._spare_slots:
            return self._spare_slots.pop(0)
        slot = self._next_slot
        if slot >= wire.SLOT_COUNT:
            room = wire.SLOT_COUNT - 1 - wire.SPARE_CHILDREN
            raise AgentError(f"a guest can have {room} tasks besides init's spare children, including dead ones")
        self._next_slot += 1
        return slot

    @property
    def tasks(self) -> list[Task]:
        """All tasks so far, init first, also those that have ended."""
        return list(self._tasks.values())

    def _adopt(
        self, slot: int, name: str, *, tid: int, own_tid: int, parent: Task | None, leader: Task | None
    ) -> Task:
        task = Task(self, slot=slot, name=name, tid=tid, own_tid=own_tid, parent=parent, leader=leader)
        self._tasks[slot] = task
        task.death = self._early_deaths.pop(slot, None)
        return task

    def mark_quiet(self, leader: Task) -> None:
        self.quiet_leaders.add(leader)

    def _on_event(self, frame: Frame) -> None:
        state, status = wire.split_death(frame.body)
        task = self._tasks.get(frame.slot)
        if task is not None and task.death is None:
            task.ended(state, status)
        elif task is None and frame.slot in self._expected and frame.slot not in self._early_deaths:
            self._early_deaths[frame.slot] = Outcome(state, status)
        else:
            raise ProtocolError(f"a death is reported for slot {frame.slot}, which has no living task")

    # Calls of init that prepare a test, and do not decide its result

    def read_file(self, path: str) -> str:
        """The content of a file, which init reads.  Must succeed."""
        return self.read_bytes(path).decode(errors="replace")

    def read_bytes(self, path: str, *, beginning: bool = False) -> bytes:
        """The content of a file that is not text.  With `beginning`, only as much of it as fits into a frame."""
        body = self.request(Op.READ_FILE, 0, path.encode() + b"\0", f"reading {path}")
        value, content = self.decoded(lambda body: wire.split_content(body, wire.BODY_MAX), body, f"reading {path}")
        Outcome(State.RETURNED, value, f"init[1].read_file({path})").result()
        whole = beginning or len(body) < wire.BODY_MAX
        require(whole, f"{path} is longer than a frame, and only its beginning was read")
        return content

    def exists(self, path: str) -> bool:
        """Whether a file of this name exists for init."""
        return self.init.call("faccessat", AT_FDCWD, path, 0, shown=f'exists("{path}")') == OK

    def write_file(self, path: str, content: bytes | str, *, create: bool = False, mode: int = 0o644) -> Outcome:
        """Have init write to a file, such as a sysctl, or (`create`) to a new file."""
        data = content.encode() if isinstance(content, str) else content
        return self._write(path, data, O_CREAT | O_TRUNC if create else 0, mode)

    def _write(self, path: str, data: bytes, flags: int, mode: int) -> Outcome:
        if path.startswith(_OF_INIT):
            self._spare_slots.clear()
        body = wire.WRITE.pack(flags, mode) + path.encode() + b"\0" + data
        what = f"init writes {data[:32]!r} to {path}"
        state, value, _ = self.decoded(wire.split_result, self.request(Op.WRITE_FILE, 0, body, what), what)
        outcome = Outcome(state, value, what)
        self.note(outcome)
        return outcome

    def sysctl(self, name: str) -> str:
        """The value of a sysctl, named with dots."""
        return self.read_file(sysctl_path(name)).strip()

    def set_sysctl(self, name: str, value: int | str) -> None:
        """Have init set a sysctl.  Must succeed."""
        self.write_file(sysctl_path(name), f"{value}").result(needs="SYSCTL")

    def upload(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Create a file of any length in the guest."""
        step = wire.BODY_MAX - 4096
        for offset in range(0, max(len(content), 1), step):
            piece = content[offset : offset + step]
            flags = O_APPEND if offset else O_CREAT | O_TRUNC
            self._write(path, piece, flags, mode).require(returned(len(piece)))

    # The kernel's log

    def log(self) -> list[str]:
        """All lines that the kernel has logged since the guest was cloned, without times.

        AgentError if there are too many: the part that is kept does not show what the rest contained.
        """
        lines = self._logged()
        if self._log.incomplete:
            raise AgentError("the kernel logs too much to be read to the end, so lines are missing")
        return lines

    def _logged(self) -> list[str]:
        """The kept part of the log."""
        with self._diagnosing("reading the kernel's log"):
            self._read_log()
        return [record.text for record in self._log.records]

    def _read_log(self) -> None:
        self._log.add(*kernel_log.read_raw(self._channel))

    def wait_for_log(self, words: str) -> str:
        """Wait for a line that contains these words, and return it."""
        found: list[str] = []

        def logged() -> bool:
            found.extend(line for line in self.log() if words in line)
            return bool(found)

        self.wait_until(logged, f"the log to contain {words!r}", LOG_DEADLINE_S, awaited=LogContains(words))
        return found[0]

    def process_tree(self) -> str:
        """The tasks as a tree: each task below the one that created it, and how it ended."""
        lines = []

        def draw(task: Task, depth: int) -> None:
            kind = "" if task.leader is task else " (thread)"
            end = f"  {describe(task.death)}" if task.death is not None else ""
            lines.append(f"{'    ' * depth}{task}{kind}{end}")
            for child in self._tasks.values():
                if child.parent is task:
                    draw(child, depth + 1)

        for task in self._tasks.values():
            if task.parent is None:
                draw(task, 0)
        return "\n".join(lines)
