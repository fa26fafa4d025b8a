# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest: one running clone of a template, what went wrong in it, and the evidence of that."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from functools import cache

from guests import kernel_log, splats
from guests.channel import Closed, Silent, SocketStream
from guests.console import clean
from guests.errors import GuestBroke, QemuError
from guests.session import Session
from guests.template import Template
from kconfigs.kernel import Kernel

RESUME_DEADLINE_S = 30.0


@cache
def complaint_at_boot(template: Template) -> str:
    return splats.first(record.text for record in kernel_log.parse(template.boot_log)) or ""


class Guest(Session):
    """A clone of a template, running from `resume` to `close`."""

    def __init__(self, kernel: Kernel, template: Template) -> None:
        """Start the clone's QEMU; it takes on the template's state by itself, and then waits."""
        self.kernel = kernel
        self.template = template
        self._console = os.memfd_create("console")
        self._qemu = template.start_clone(self._console)
        super().__init__(SocketStream(self._qemu.agent), kernel.arch)

    def __repr__(self) -> str:
        return f"<guest of {self.kernel.id}>"

    def wait_until_loaded(self) -> None:
        """Wait until the clone has taken on its template's state, and only has to be told to go on."""
        deadline = time.monotonic() + RESUME_DEADLINE_S
        while self._qemu.qmp.event({"MIGRATION"}, deadline)["data"]["status"] != "completed":
            pass

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
        self.greet()

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

    @property
    def boot_log(self) -> list[str]:
        """What the kernel had logged before, since it was booted."""
        return [record.text for record in kernel_log.parse(self.template.boot_log)]

    @property
    def boot_complaint(self) -> str:
        """The first splat of that log; empty, if there is none."""
        return complaint_at_boot(self.template)

    # What went wrong, and the evidence

    def why_gone(self, what: str) -> Exception:
        self._qemu.process.wait(timeout=RESUME_DEADLINE_S)
        crash = splats.first(self.console().splitlines())
        # A kernel that panics or reboots lets QEMU exit with 0.
        if self._qemu.process.returncode and not crash:
            return QemuError(f"QEMU is gone in the middle of {what}: {self._qemu.why_ended()}")
        return GuestBroke(f"the kernel went down during {what}: {crash or 'without a word'}")

    def console(self) -> str:
        """What the guest has printed on its console since it was cloned."""
        return clean(os.pread(self._console, os.fstat(self._console).st_size, 0).decode(errors="replace"))

    def complaint(self, excused: Callable[[str], bool] = lambda _: False) -> str:
        """What the kernel has logged of its own faults, if it has: then it broke, whatever its calls returned.

        `excused` says of a splat's telling line whether it is known and does not count.
        """
        self.log()
        splat = splats.first((record.text for record in self._log), excused)
        return f"the kernel complained: {splat}" if splat else ""

    def evidence(self) -> dict[str, str]:
        """Transcript, process tree, kernel log and console, for the report."""
        # A guest that is gone leaves what was read before, and its console.
        with contextlib.suppress(Closed, Silent, OSError):
            if not self._hangs:
                self._read_log()
        found = {
            "transcript": "\n".join(self.transcript),
            "process tree": self.process_tree(),
            "kernel log": kernel_log.render(self._log),
            "console": self.console(),
        }
        return {title: text for title, text in found.items() if text.strip()}
