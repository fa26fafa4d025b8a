# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel's console: while it boots, followed until it says ready or shows why it never will; then kept in a file.

What is kept of it is bounded, and comes out as lines that a terminal may get.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import socket
import time

import pexpect
from pexpect.fdpexpect import fdspawn

from guests.printable import KeptText, cut, escaped

READY = r"kconform: agent: ready"
# To the line's end: what has arrived so far may be its beginning only.
_FAILED = r"kconform: agent: (?!ready)[^\r\n]*(?=[\r\n])"
_PANIC = r"Kernel panic - not syncing: [^\r\n]*(?=[\r\n])"


KEPT = 1 << 17
"""Characters of a console's beginning, and of its end, that are kept."""
FLOOD = 1 << 24
"""Characters that a booting kernel may print: a hundred times what one does that is told to print everything."""
_SEARCHED = 1 << 14
"""Characters in which to look for a telling line; to search all of a flood again and again takes quadratic time."""


class _Flooded(Exception):
    """The console prints without end."""


class _BoundedLog(KeptText):
    def write(self, text: str) -> int:
        if self.written > FLOOD:
            raise _Flooded
        return super().write(text)


class Console:
    """Follows a console over a socket, and keeps what it says first and last."""

    def __init__(self, sock: socket.socket) -> None:
        self._log = _BoundedLog(KEPT)
        self.slow = False
        """Whether the deadline passed while the kernel was still printing."""
        # Not SocketSpawn, which pexpect 4.9 lets return bytes whatever the encoding.
        self._spawn = fdspawn(
            sock.fileno(), encoding="utf-8", codec_errors="replace", use_poll=True, searchwindowsize=_SEARCHED
        )
        self._spawn.logfile_read = self._log

    def follow(self, deadline: float) -> str | None:
        """Wait for the agent.  None when it is ready, or else what happened, in words.

        `deadline` is of time.monotonic().
        """
        try:
            found = self._spawn.expect(
                [READY, _FAILED, _PANIC, pexpect.EOF, pexpect.TIMEOUT], timeout=max(0.1, deadline - time.monotonic())
            )
        except _Flooded:
            return f"the console printed {FLOOD} characters and no word of the agent"
        if found == 0:
            return None
        if found in (1, 2):
            said = clean(str(self._spawn.after))
            self._drain()
            return f"the kernel panicked: {said}" if found == 2 else f"the agent gave up: {said}"
        if found == 3:
            return "QEMU is gone"
        if not self._log.text().strip():
            return "the kernel printed nothing at all"
        self.slow = True
        return f"the agent never became ready; the console's last line is {self.last_line()!r}"

    def last_line(self) -> str:
        lines = [line for line in self.text().splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def text(self) -> str:
        return clean(self._log.text())

    def _drain(self) -> None:
        """What follows a panic until QEMU, which does not reboot, is gone."""
        with contextlib.suppress(_Flooded):
            self._spawn.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=2)


class ConsoleFile:
    """A file in memory that a guest's console is appended to, shortened when there is too much in it."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("console")
        self._kept = KeptText(KEPT)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def trim(self) -> None:
        """Take what is in the file, if that is much, and keep its beginning and its end.

        QEMU appends, so it goes on at the file's new end.  What it writes at this very moment may be lost.
        """
        if self.descriptor >= 0 and os.fstat(self.descriptor).st_size > 4 * KEPT:
            self._take()
            os.ftruncate(self.descriptor, 0)

    def text(self) -> str:
        """As lines; also after `close`."""
        self.trim()
        rest = os.pread(self.descriptor, 8 * KEPT, 0).decode(errors="replace") if self.descriptor >= 0 else ""
        return cut(clean(self._kept.text() + rest), 4 * KEPT)

    def close(self) -> None:
        """May be called again.  What is kept stays."""
        if self.descriptor >= 0:
            self._take()
            os.close(self.descriptor)
            self.descriptor = -1

    def _take(self) -> None:
        offset = 0
        while data := os.pread(self.descriptor, 1 << 20, offset):
            self._kept.write(self._decoder.decode(data))
            offset += len(data)


def clean(text: str) -> str:
    """Console output as lines: no carriage returns, none of the firmware's escape sequences, and the rest escaped."""
    return escaped(re.sub(r"\x1b(?:\[[0-9;?=]*[A-Za-z]|c)", "", text).replace("\r", ""))
