# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest: one running clone of a template, what went wrong in it, and the evidence of that."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Callable
from functools import cache

from guests import guest_evidence
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
from guests.vm.host_time import HostTime
from guests.vm.template import Template
from kconfigs.kernel import Kernel

RESUME_DEADLINE_S = 30.0
_GAVE_UP = re.compile(r"^kconform: agent: (?!ready)(.*)", re.MULTILINE)
"""What the agent writes when it ends by itself (agent/console.c, die())."""


@cache
def complaint_at_boot(template: Template) -> str:
    return splats.first(record.text for record in kernel_log.parse(template.boot_log)) or ""


@cache
def taint_at_boot(template: Template) -> int | None:
    return template.taint


@cache
def last_record_at_boot(template: Template) -> int:
    records = kernel_log.parse(template.boot_log)
    if not records:
        raise AgentError(
            "the kernel's log cannot be read, so nobody knows whether it complained", hint="is CONFIG_PRINTK set?"
        )
    return records[-1].sequence


class Guest(Session):
    """A clone of a template, running from `resume` to `close`."""

    def __init__(self, kernel: Kernel, template: Template) -> None:
        """Start the clone's QEMU; it takes on the template's state by itself, and then waits."""
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

    def __repr__(self) -> str:
        return f"<guest of {self.kernel.id}>"

    def wait_until_loaded(self) -> None:
        """Wait until the clone has taken on its template's state, and only has to be told to go on."""
        deadline = time.monotonic() + RESUME_DEADLINE_S
        while self._qemu.qmp.event({"MIGRATION"}, deadline)["data"]["status"] != "completed":
            pass

    def resume(self) -> None:
        """Let it run until the agent has answered.

        StartError, with evidence, if it does not: the test has not begun yet, so the kernel has broken no promise.
        """
        try:
            self._go_on()
            self.greet()
        except HostPausedError:
            raise
        except (KconformError, GuestBroke) as error:
            said = f"a clone of {self.kernel.id} did not start: {error.message}"
            boot = guest_evidence.gather({"console of the boot": lambda: self.template.console})
            raise StartError(said, evidence=boot | self.evidence()) from error

    def _go_on(self) -> None:
        deadline = time.monotonic() + RESUME_DEADLINE_S
        try:
            # The state has arrived before QEMU sees `cont`, for it reads one command at a time.
            self._qemu.qmp.send("cont")
            self._qemu.qmp.event({"RESUME"}, deadline)
        except (QemuError, OSError) as error:
            raise QemuError(self._qemu.why_ended() if self._qemu.ended() else str(error)) from error

    def send(self, op: Op, slot: int, body: bytes, what: str) -> int:
        self._console.trim()
        return super().send(op, slot, body, what)

    def close(self) -> None:
        """End it.  May be called again; its evidence stays, as far as it had been read."""
        try:
            self._qemu.kill()
        finally:
            self._console.close()

    @property
    def pid(self) -> int:
        """The QEMU process's number on the host."""
        return self._qemu.pid

    @property
    def boot_log(self) -> list[str]:
        """What the kernel had logged before, since it was booted."""
        return [record.text for record in kernel_log.parse(self.template.boot_log)]

    @property
    def boot_complaint(self) -> str:
        """The first splat of that log; empty, if there is none."""
        return complaint_at_boot(self.template)

    # What the host did to it

    def lost_s(self) -> float:
        return self._host_time.lost_s()

    def excuse(self) -> str:
        return self._host_time.excuse()

    @property
    def pause(self) -> str:
        """In words, that the host paused this guest; empty if it did not."""
        return self._host_time.pause()

    # What went wrong, and the evidence

    def why_gone(self, what: str) -> Exception:
        try:
            self._qemu.process.wait(timeout=RESUME_DEADLINE_S)
        except subprocess.TimeoutExpired:
            return QemuError(f"QEMU has closed the agent's channel in the middle of {what}, and goes on")
        if gave_up := _GAVE_UP.search(self.console()):
            return AgentError(f"the agent gave up in the middle of {what}: {gave_up[1]}")
        crash = splats.first(self.console().splitlines())
        # A kernel that panics or reboots lets QEMU exit with 0.
        if self._qemu.process.returncode and not crash:
            return QemuError(f"QEMU is gone in the middle of {what}: {self._qemu.why_ended()}")
        accusation = f"the kernel went down during {what}: {crash or 'without a word'}"
        # A kernel may be told to panic when something takes too long.
        return self._late(accusation) if crash and splats.is_about_time(crash) else GuestBroke(accusation)

    def console(self) -> str:
        """What the guest has printed on its console since it was cloned."""
        return self._console.text()

    def complaint(self, excused: Callable[[str], bool] = lambda _: False) -> str:
        """What the kernel has logged of its own faults, if it has: then it broke, whatever its calls returned.

        `excused` says of a splat's telling line, or of a taint, whether it is known and does not count.
        """
        lines = self._logged()
        found = splats.first(lines, excused)
        if found and splats.is_about_time(found) and (excuse := self.excuse()):
            explained = found
            found = splats.first(lines, lambda line: excused(line) or splats.is_about_time(line))
            if not found:
                raise HostPausedError(f"the kernel says {explained!r}; but {excuse}")
        if not found:
            self._check_log()
            found = self._new_taint(lines, excused)
        return f"the kernel complained: {found}" if found else ""

    def _check_log(self) -> None:
        """AgentError unless all was read that was logged since the boot: a log with holes is no witness."""
        if self._log.incomplete:
            raise AgentError("the kernel logs too much to be read to the end: nobody knows whether it complained")
        lost = kernel_log.lost(last_record_at_boot(self.template), self._log.records)
        if lost:
            raise AgentError(
                f"{lost} lines of the kernel's log were overwritten before they were read: nobody knows whether it "
                "complained",
                hint="have the test read the log now and then, or boot with a larger log_buf_len",
            )

    def _new_taint(self, lines: list[str], excused: Callable[[str], bool]) -> str:
        """The first taint since the boot that nothing explains; empty, if there is none."""
        before = taint_at_boot(self.template)
        if before is None:
            return ""
        with self._explained("reading the kernel's taint"):
            now = taint.read(self._channel)
        if now is None:
            raise AgentError(f"init cannot read {taint.PATH} any more: nobody knows whether the kernel is tainted")
        for letter, meaning in taint.gained(before, now).items():
            # That a splat is in the log still means that all that are there were excused.
            of_known = letter in taint.OF_SPLATS and splats.first(lines)
            if not of_known and not excused(told := f"taint {letter}: {meaning}"):
                return told
        return ""

    def evidence(self) -> dict[str, str]:
        """Transcript, process tree, kernel log and console, for the report, as far as they can be had.

        Raises nothing, whatever has become of the guest.
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
        """A guest that is gone, or has been given up, leaves what was read before."""
        if not self._hangs:
            with contextlib.suppress(Closed, NoAnswer, OSError, ProtocolError):
                self._read_log()
        return self._log.render()
