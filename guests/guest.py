# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest: one running clone of a template, its tasks, and the evidence of what they did."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

from guests import kernel_log, splats, wire
from guests.channel import CALL_DEADLINE, Channel, Closed, Silent, SocketStream
from guests.console import clean
from guests.errors import AgentError, GuestBroke, QemuError
from guests.numbers import O_CREAT, O_TRUNC, Cap, Clone
from guests.outcome import Outcome, describe
from guests.qemu import Qemu
from guests.task import Task
from guests.template import Template
from guests.wire import Frame, Hello, Op, SpawnOption, State
from kconfigs.kernel import Kernel

RESUME_DEADLINE_S = 30.0
LOG_DEADLINE_S = 10.0
UNPRIVILEGED = 1000
"""uid and gid of a task that was not given others."""


class Guest:
    """A clone of a template, running from `resume` to `close`."""

    def __init__(self, kernel: Kernel, template: Template) -> None:
        """Start the clone's QEMU; it takes on the template's state by itself, and then waits."""
        self.kernel = kernel
        self.template = template
        self.arch = kernel.arch
        self.transcript: list[str] = []
        self.quiet_leaders: set[Task] = set()
        self._console = os.memfd_create("console")
        self._qemu: Qemu = template.start_clone(self._console)
        self._channel = Channel(SocketStream(self._qemu.agent), self._on_event)
        self._tasks: dict[int, Task] = {}
        self._log: list[kernel_log.Record] = []
        self._started = 0.0
        self.hello: Hello

    def resume(self) -> None:
        """Let it run until the agent has answered."""
        deadline = time.monotonic() + RESUME_DEADLINE_S
        try:
            # The state has arrived before QEMU sees `cont`, for it reads one command at a time.
            self._qemu.qmp.send("cont")
            self._qemu.qmp.event({"RESUME"}, deadline)
        except (QemuError, OSError) as error:
            why = self._qemu.why_ended() if self._qemu.ended() else str(error)
            raise QemuError(f"a clone of {self.kernel.id} did not start: {why}") from error
        self._started = time.monotonic()
        self.hello = Hello.decode(self.request(Op.HELLO, what="the first answer"))
        self.init = self._adopt(0, "init", tid=1, own_tid=1, parent=None, leader=None)

    def close(self) -> None:
        """End it.  May be called again; the console can be read no more."""
        self._qemu.kill()
        if self._console >= 0:
            os.close(self._console)
            self._console = -1

    @property
    def pid(self) -> int:
        """The QEMU process's number on the host."""
        return self._qemu.pid

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
        """A process, child of init: unprivileged unless asked.  The options are `Task.spawn`'s."""
        return self.init.spawn(name, uid=uid, caps=caps, flags=flags, dumpable=dumpable, quiet=quiet)

    def root(self, name: str = "root", *, flags: Clone = Clone.NONE) -> Task:
        """A process with uid 0 and all capabilities, child of init."""
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
        """Have the agent make a task (used by Task.spawn and Task.thread)."""
        slot = next(number for number in range(1, wire.SLOT_COUNT) if number not in self._tasks)
        body = wire.spawn_body(
            child=slot,
            clone_flags=clone_flags,
            name=name.encode(),
            uid=uid,
            gid=uid,
            capabilities=capabilities,
            options=options,
        )
        error, tid, own_tid = wire.SPAWN_REPLY.unpack(self.request(Op.SPAWN, parent.slot, body, what)[:12])
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

    def _adopt(
        self, slot: int, name: str, *, tid: int, own_tid: int, parent: Task | None, leader: Task | None
    ) -> Task:
        task = Task(self, slot=slot, name=name, tid=tid, own_tid=own_tid, parent=parent, leader=leader)
        self._tasks[slot] = task
        return task

    def mark_quiet(self, leader: Task) -> None:
        self.quiet_leaders.add(leader)

    def _on_event(self, frame: Frame) -> None:
        task = self._tasks.get(frame.slot)
        (status,) = wire.DEATH.unpack(frame.body)
        if task is not None:
            task.ended(State.GONE if status == -1 else State.DIED, status)

    # What init does for a test's setting, not for its verdict

    def read_file(self, path: str) -> str:
        """A file's content, read by init.  The test needs it to succeed."""
        return self.read_bytes(path).decode(errors="replace")

    def read_bytes(self, path: str) -> bytes:
        """The same for a file that is no text."""
        value, content = self._read_file(path)
        assert value >= 0, f"init cannot read {path}: errno {-value}"
        return content

    def exists(self, path: str) -> bool:
        """Whether init can read this file."""
        return self._read_file(path)[0] >= 0

    def _read_file(self, path: str) -> tuple[int, bytes]:
        body = self.request(Op.READ_FILE, 0, path.encode() + b"\0", f"reading {path}")
        _, value, content = wire.split_result(body)
        return value, content

    def write_file(self, path: str, content: bytes | str, *, create: bool = False, mode: int = 0o644) -> Outcome:
        """Write a file as init does: a sysctl, say, or (`create`) a new file."""
        data = content.encode() if isinstance(content, str) else content
        flags = O_CREAT | O_TRUNC if create else 0
        body = wire.WRITE.pack(flags, mode) + path.encode() + b"\0" + data
        what = f"init writes {data[:32]!r} to {path}"
        state, value, _ = wire.split_result(self.request(Op.WRITE_FILE, 0, body, what))
        outcome = Outcome(state, value, what)
        self.note(outcome)
        return outcome

    def sysctl(self, name: str) -> str:
        """The value of a sysctl, named with dots."""
        return self.read_file(f"/proc/sys/{name.replace('.', '/')}").strip()

    def set_sysctl(self, name: str, value: int | str) -> None:
        """Set it, as init may; the test needs that to succeed."""
        self.write_file(f"/proc/sys/{name.replace('.', '/')}", f"{value}").result()

    def upload(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Make a file in the guest, of any length."""
        step = wire.BODY_MAX - 4096
        self.write_file(path, content[:step], create=True, mode=mode).result()
        for offset in range(step, len(content), step):
            body = wire.WRITE.pack(0o2000, 0) + path.encode() + b"\0" + content[offset : offset + step]
            self.request(Op.WRITE_FILE, 0, body, f"uploading {path}")

    # The kernel's log

    def log(self) -> list[str]:
        """All that the kernel has logged since the guest was cloned, without times."""
        self._log += kernel_log.parse(kernel_log.read_raw(self._channel))
        return [record.text for record in self._log]

    @property
    def boot_log(self) -> list[str]:
        """What the kernel had logged before, since it was booted."""
        return [record.text for record in kernel_log.parse(self.template.boot_log)]

    def wait_for_log(self, words: str) -> str:
        """Wait for a line that contains these words, and return it: what the kernel does later is logged later."""
        found: list[str] = []

        def logged() -> bool:
            found.extend(line for line in self.log() if words in line)
            return bool(found)

        self.wait_until(logged, f"the log to say {words!r}", LOG_DEADLINE_S)
        return found[0]

    # The conversation

    def send(self, op: Op, slot: int, body: bytes, what: str) -> int:
        try:
            return self._channel.send(op, slot, body)
        except Closed as error:
            raise self._broke(what) from error

    def answered(self, sequence: int) -> bool:
        try:
            return self._channel.answered(sequence)
        except Closed as error:
            raise self._broke("the agent's answers") from error

    def collect(self, sequence: int, what: str, deadline_s: float = CALL_DEADLINE) -> bytes:
        """The body of an answer, or GuestBroke: the kernel crashed, hung, or never came back from the call."""
        try:
            return self._channel.collect(sequence, deadline_s).body
        except Closed as error:
            raise self._broke(what) from error
        except Silent:
            raise self._silent(what, deadline_s) from None

    def request(self, op: Op, slot: int = 0, body: bytes = b"", what: str = "the agent") -> bytes:
        return self.collect(self.send(op, slot, body, what), what)

    def wait_until(self, condition: Callable[[], bool], what: str, deadline_s: float = CALL_DEADLINE) -> None:
        """Wait for what happens later; GuestBroke when it has not happened within the deadline."""
        try:
            end = time.monotonic() + deadline_s
            while not condition():
                if time.monotonic() > end:
                    raise GuestBroke(f"waited {deadline_s:.0f} s for {what}, in vain")
                # Events come by themselves; conditions that are asked for need a moment between questions.
                self._channel.wait(lambda: False, 0.001)
        except Closed as error:
            raise self._broke(what) from error

    def check_accepted(self, state: State, value: int, what: str) -> None:
        if state is State.REFUSED:
            raise AgentError(f"the agent refused an order: {what}: {describe(Outcome(State.RETURNED, value))}")

    def note(self, outcome: Outcome) -> None:
        """Into the transcript."""
        at = time.monotonic() - self._started
        self.transcript.append(f"{at:8.4f}  {outcome!r}")

    # What went wrong, and the evidence

    def _broke(self, what: str) -> GuestBroke | QemuError:
        self._qemu.process.wait(timeout=RESUME_DEADLINE_S)
        crash = splats.first(self.console().splitlines())
        if self._qemu.process.returncode < 0 and not crash:
            return QemuError(f"QEMU is gone in the middle of {what}: {self._qemu.why_ended()}")
        return GuestBroke(f"the kernel went down during {what}: {crash or 'without a word'}")

    def _silent(self, what: str, deadline_s: float) -> GuestBroke:
        try:
            self._channel.request(Op.HELLO)
        except (Silent, Closed):
            return GuestBroke(f"the kernel hangs since {what}: nothing in the guest answers any more")
        return GuestBroke(f"{what} did not come back within {deadline_s:.0f} s")

    def console(self) -> str:
        """What the guest has printed on its console since it was cloned."""
        return clean(os.pread(self._console, 1 << 20, 0).decode(errors="replace"))

    def check_log(self) -> None:
        """Raise GuestBroke if the kernel has logged a splat: it broke, whatever its calls returned."""
        self.log()
        splat = splats.first(record.text for record in self._log)
        if splat:
            raise GuestBroke(f"the kernel complained: {splat}")

    def evidence(self) -> dict[str, str]:
        """Transcript, process tree, kernel log and console, for the report."""
        # A guest that is gone leaves what was read before, and its console.
        with contextlib.suppress(Closed, Silent, OSError):
            self.log()
        found = {
            "transcript": "\n".join(self.transcript),
            "process tree": self.process_tree(),
            "kernel log": kernel_log.render(self._log),
            "console": self.console(),
        }
        return {title: text for title, text in found.items() if text.strip()}

    def process_tree(self) -> str:
        """The tasks as a tree, each below the one that made it, with how it ended."""
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
