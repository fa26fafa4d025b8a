# SPDX-License-Identifier: GPL-2.0-or-later
"""The console of a booting kernel, followed until it says ready or shows why it never will."""

from __future__ import annotations

import io
import re
import socket
import time

import pexpect
from pexpect.fdpexpect import fdspawn

READY = r"kconform: agent: ready"
# To the line's end: what has arrived so far may be its beginning only.
_FAILED = r"kconform: agent: (?!ready)[^\r\n]*(?=[\r\n])"
_PANIC = r"Kernel panic - not syncing: [^\r\n]*(?=[\r\n])"


class Console:
    """Follows a console over a socket, and keeps all that it said."""

    def __init__(self, sock: socket.socket) -> None:
        self._log = io.StringIO()
        self.slow = False
        """Whether the deadline passed while the kernel was still printing."""
        # Not SocketSpawn, which pexpect 4.9 lets return bytes whatever the encoding.
        self._spawn = fdspawn(sock.fileno(), encoding="utf-8", codec_errors="replace", use_poll=True)
        self._spawn.logfile_read = self._log

    def follow(self, deadline: float) -> str | None:
        """Wait for the agent.  None when it is ready, or else what happened, in words.

        `deadline` is of time.monotonic().
        """
        found = self._spawn.expect(
            [READY, _FAILED, _PANIC, pexpect.EOF, pexpect.TIMEOUT], timeout=max(0.1, deadline - time.monotonic())
        )
        if found == 0:
            return None
        if found in (1, 2):
            said = self._spawn.after
            self._drain()
            return f"the kernel panicked: {said}" if found == 2 else f"the agent gave up: {said}"
        if found == 3:
            return "QEMU is gone"
        if not self._log.getvalue().strip():
            return "the kernel printed nothing at all"
        self.slow = True
        return f"the agent never became ready; the console's last line is {self.last_line()!r}"

    def last_line(self) -> str:
        lines = [line for line in self.text().splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def text(self) -> str:
        return clean(self._log.getvalue())

    def _drain(self) -> None:
        """What follows a panic until QEMU, which does not reboot, is gone."""
        self._spawn.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=2)


def clean(text: str) -> str:
    """Console output as lines: no carriage returns, and none of the firmware's escape sequences."""
    return re.sub(r"\x1b(?:\[[0-9;?=]*[A-Za-z]|c)", "", text).replace("\r", "")
