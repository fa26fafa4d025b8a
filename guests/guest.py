# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest: one running clone of a template, the diagnosis of its failures, and its evidence."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from guests import guest_evidence
from guests.boot_log import known_of_boot, last_record_at_boot, splat_at_boot, taint_at_boot, whole_log_at_boot
from guests.errors import (
    AgentError,
    GuestBroke,
    HostPausedError,
    KconformError,
    ProtocolError,
    QemuError,
    StartError,
)
from guests.log import kernel_log, splats, taint
from guests.protocol.channel import Closed, NoAnswer, SocketStream
from guests.protocol.wire import Op
from guests.session import Session
from guests.vm.console import ConsoleFile
from guests.vm.host_time import LIMIT_S, HostTime
from guests.vm.template import Template
from kconfigs.kernel import Kernel

RESUME_DEADLINE_S = 30.0
DUMP_DEADLINE_S = 300.0
"""Seconds that it may take to dump a guest's memory."""
_GAVE_UP = re.compile(r"^kconform: agent: (?!ready)(.*)", re.MULTILINE)
"""The message that the agent prints before it exits by itself (agent/console.c, die())."""


class Guest(Session):
    """A clone of a template, running from `resume` to `close`."""

    disposable = True
    """Whether what a test does to its machine ends with it, so that nothing has to be undone."""

    def __init__(self, kernel: Kernel, template: Template) -> None:
        """Start the clone's QEMU, which loads the template's state by itself, and then waits."""
        self.kernel = kernel
        self.template = template
        self._console = ConsoleFile()
        try:
            self._qemu = template.start_clone(self._console.descriptor)
        except BaseException:
            self._console.close()
            raise
        self._host_time = HostTime(self._qemu.pid)
        super().__init__(SocketStream(self._qemu.agent), kernel.arch)
        self._channel.machine = self._qemu

    def __repr__(self) -> str:
        return f"<guest of {self.kernel.id}>"

    def wait_until_loaded(self) -> None:
        """Wait until the clone has loaded its template's state, and is ready to resume."""
        deadline = time.monotonic() + RESUME_DEADLINE_S
        while self._qemu.qmp.event({"MIGRATION"}, deadline)["data"]["status"] != "completed":
            pass

    def resume(self) -> None:
        """Resume the clone, and wait for the agent's first answer.

        StartError, with evidence, if there is none: the test has not begun, so the kernel has broken no promise.
        """
        try:
            self._continue()
            self.greet()
        except HostPausedError:
            raise
        except (KconformError, GuestBroke) as error:
            message = f"a clone of {self.kernel.id} did not start: {error.message}"
            boot = guest_evidence.gather({"console of the boot": lambda: self.template.console})
            raise StartError(message, evidence=boot | self.evidence()) from error

    def started(self) -> Self:
        """This guest, once it has resumed; it is closed if it does not."""
        try:
            self.resume()
        except BaseException:
            self.close()
            raise
        return self

    def _continue(self) -> None:
        deadline = time.monotonic() + RESUME_DEADLINE_S
        try:
            # QEMU executes one command at a time, so it loads the state before it sees `cont`.
            self._qemu.qmp.send("cont")
            self._qemu.qmp.event({"RESUME"}, deadline)
        except (QemuError, OSError) as error:
            raise QemuError(self._qemu.why_ended() if self._qemu.ended() else str(error)) from error

    def send(self, op: Op, slot: int, body: bytes, what: str) -> int:
        self._console.trim()
        return super().send(op, slot, body, what)

    def close(self) -> None:
        """End the guest.  May be called again; evidence that has been read remains available."""
        try:
            self._qemu.kill()
        finally:
            self._console.close()

    @property
    def pid(self) -> int:
        """The PID of the QEMU process on the host."""
        return self._qemu.pid

    @property
    def boot_log(self) -> list[str]:
        """The lines that the kernel logged while it booted, before it was cloned; all of them, or AgentError."""
        return list(whole_log_at_boot(self.template))

    def boot_splat(self, excused: Callable[[str], bool] = lambda _: False) -> str:
        """The first splat of the boot log that is not `excused`; empty if there is none."""
        found = splat_at_boot(self.template)
        return splats.first(known_of_boot(self.template), excused) or "" if found and excused(found) else found

    # For a person, or a debugger

    @property
    def crashed(self) -> bool:
        """Whether its machine has gone down by itself, or no longer answers.  Its memory is as it was."""
        return not self._qemu.ended() and (self._qemu.guest_ended or self._hangs)

    @property
    def condition(self) -> str:
        """Whether it runs, for a person."""
        if self._qemu.ended():
            return "ended"
        if self._qemu.has_guest_ended():
            return "down: its kernel has crashed or rebooted"
        return "hung: it did not answer" if self._hangs else "running"

    def dump_memory(self, descriptor: int) -> None:
        """Write memory and registers to a file.  QemuError if that is impossible."""
        self._qemu.dump(descriptor, time.monotonic() + DUMP_DEADLINE_S)

    def physical_memory(self, address: int, size: int) -> bytes:
        return self._qemu.physical_memory(address, size, time.monotonic() + RESUME_DEADLINE_S)

    def serve_gdb(self, path: Path) -> None:
        """Let gdb attach at a socket.  QemuError if that is impossible."""
        self._qemu.serve_gdb(str(path), time.monotonic() + RESUME_DEADLINE_S)

    # The influence of the host

    def lost_s(self) -> float:
        return self._host_time.lost_s()

    def excuse(self, splat: str = "") -> str:
        """What kept the guest from running for a long time, or for as long as this splat complains of."""
        limit_s = self.template.machine.stall_limits.of(splat) if splat else LIMIT_S
        return self._host_time.excuse(limit_s) or self._qemu.pause()

    @property
    def pause(self) -> str:
        """A description of the pause if the host paused this guest; otherwise empty."""
        return self._host_time.pause()

    # Diagnosis and evidence

    def why_ended(self, what: str) -> Exception:
        try:
            # A guest that resets its machine leaves QEMU running, with what it was.
            if not self._qemu.has_guest_ended():
                self._qemu.process.wait(timeout=RESUME_DEADLINE_S)
        except subprocess.TimeoutExpired:
            return QemuError(f"QEMU closed the agent's channel during {what}, but keeps running")
        if gave_up := _GAVE_UP.search(self.console()):
            return AgentError(f"the agent gave up during {what}: {gave_up[1]}")
        crash = splats.first(self.console().splitlines())
        # If the kernel panics or reboots, QEMU exits with 0.
        if (self._qemu.process.returncode or self._qemu.was_terminated) and not crash:
            return QemuError(f"QEMU ended during {what}: {self._qemu.why_ended()}")
        failure = f"the kernel went down during {what}: {crash or 'it printed no reason'}"
        # A kernel may be configured to panic when something takes too long.
        if crash and splats.is_about_time(crash) and (excuse := self.excuse(crash)):
            return HostPausedError(f"{failure}; but {excuse}")
        return GuestBroke(failure)

    def console(self) -> str:
        """The text that the guest has printed on its console since it was cloned."""
        return self._console.text()

    def complaint(self, excused: Callable[[str], bool] = lambda _: False) -> str:
        """The first splat or taint, which makes a test fail whatever its calls returned; empty if there is none.

        `excused` returns whether a splat, given its main line, or a taint is known and does not count.
        """
        if self._hangs:
            raise AgentError("the guest no longer answers, so complaints would be missed")
        lines = self._logged()
        found = splats.first(lines, excused)
        if found and splats.is_about_time(found) and (excuse := self.excuse(found)):
            about_time = found
            found = splats.first(lines, lambda line: excused(line) or splats.is_about_time(line))
            if not found:
                raise HostPausedError(f"the kernel logged {about_time!r}; but {excuse}")
        if not found:
            self._check_log()
            found = self._new_taint(lines, excused)
        return f"the kernel complained: {found}" if found else ""

    def _check_log(self) -> None:
        """AgentError unless everything logged since the boot was read: an incomplete log proves nothing."""
        if self._log.incomplete:
            raise AgentError("the kernel logs too much to be read to the end, so complaints would be missed")
        lost = kernel_log.lost(self._last_record_before(), self._log.records)
        if lost:
            raise AgentError(
                f"{lost} lines of the kernel's log were overwritten before they were read, so complaints may be lost",
                hint="let the test read the log more often, or boot with a larger log_buf_len",
            )

    def _new_taint(self, lines: list[str], excused: Callable[[str], bool]) -> str:
        """The first taint since the boot that is neither excused nor due to an excused splat; otherwise empty."""
        before = self._taint_before()
        if before is None:
            return ""
        with self._diagnosing("reading the kernel's taint"):
            now = taint.read(self._channel)
        if now is None:
            raise AgentError(f"init can no longer read {taint.PATH}, so a taint would be missed")
        for letter, meaning in taint.gained(before, now).items():
            # At this point, any splat in the log is an excused one.
            of_excused = letter in taint.OF_SPLATS and splats.first(lines)
            if not of_excused and not excused(found := f"taint {letter}: {meaning}"):
                return found
        return ""

    def _last_record_before(self) -> int:
        """The number of the last record that the log had before the test."""
        return last_record_at_boot(self.template)

    def _taint_before(self) -> int | None:
        """The taint before the test."""
        return taint_at_boot(self.template)

    def evidence(self) -> dict[str, str]:
        """Transcript, process tree, kernel log and console for the report, as far as they are available.

        Raises nothing, whatever the state of the guest.
        """
        return guest_evidence.gather(
            {
                "transcript": lambda: "\n".join(self.transcript),
                "process tree": self.process_tree,
                "kernel log": self._last_log,
                "console": self.console,
            }
        )

    def _last_log(self) -> str:
        """The kernel log; if the guest has ended or cannot be trusted, only what was read before."""
        if not self._hangs:
            with contextlib.suppress(Closed, NoAnswer, OSError, ProtocolError):
                self._read_log()
        return self._log.render()
