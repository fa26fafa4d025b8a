# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel's console: read during boot until the agent is ready or the boot has failed, later appended to a file.

The size of what is kept is limited, and the text is safe to print on a terminal.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import pexpect
from pexpect.fdpexpect import fdspawn

from guests.guest_text import KeptText, cut, escaped
from guests.log import splats

READY = r"kconform: agent: ready"
# Match up to the end of the line, because only its beginning may have arrived so far.
_FAILED = r"kconform: agent: (?!ready)[^\r\n]*(?=[\r\n])"
_PANIC = r"Kernel panic - not syncing: [^\r\n]*(?=[\r\n])"

_LOOK_S = 2.0
"""Seconds between two looks whether an agent that was not seen to be ready has answered."""

CONSOLE_CHARACTERS = 1 << 17
"""Number of characters to keep of a console's beginning, and of its end."""
FLOOD = 1 << 24
"""Maximum number of characters during boot: a hundred times what a kernel prints with all messages enabled."""
_SEARCHED = 1 << 14
"""Number of characters to search for these patterns; searching everything repeatedly would take quadratic time."""


@dataclass(frozen=True)
class Problem:
    """Why the agent was not seen to become ready."""

    text: str
    slow: bool = False
    """Whether the deadline passed while the kernel was still printing."""
    crash: str = ""
    """The line with which the kernel went down by itself; empty if it did not, or may have had a reason outside."""
    ended: bool = False
    """Whether QEMU has closed the console: its end says more."""


class _Flooded(Exception):
    """The console has printed more than FLOOD characters."""


class _BoundedLog(KeptText):
    def write(self, text: str) -> int:
        if self.written > FLOOD:
            raise _Flooded
        return super().write(text)


class Console:
    """Reads a console from a socket, and keeps the beginning and the end of the text."""

    def __init__(self, sock: socket.socket) -> None:
        self._log = _BoundedLog(CONSOLE_CHARACTERS)
        # Not SocketSpawn: in pexpect 4.9, it returns bytes whatever the encoding.
        self._spawn = fdspawn(
            sock.fileno(), encoding="utf-8", codec_errors="replace", use_poll=True, searchwindowsize=_SEARCHED
        )
        self._spawn.logfile_read = self._log

    def follow(self, deadline: float, answered: Callable[[], bool] = lambda: False) -> Problem | None:
        """Wait until the agent is ready, and return None; otherwise return the problem.

        `deadline` is a time of time.monotonic().  `answered` returns whether the agent has answered, which a kernel
        that prints nothing on this console does not tell.
        """
        try:
            while (found := self._next(deadline)) == 4:
                if answered():
                    return None
                if time.monotonic() >= deadline:
                    return self._too_late()
        except _Flooded:
            return Problem(f"the kernel printed {FLOOD} characters before the agent was ready")
        if found == 0:
            return None
        if found == 3:
            return Problem("QEMU has ended", ended=True)
        line = clean(str(self._spawn.after))
        self._drain()
        if found == 1:
            return Problem(f"the agent gave up: {line}")
        return Problem(f"the kernel panicked: {line}", crash=self.crash())

    def _next(self, deadline: float) -> int:
        """The number of the pattern that comes next; the last is that there is none for now."""
        wait_s = min(_LOOK_S, max(0.1, deadline - time.monotonic()))
        return self._spawn.expect([READY, _FAILED, _PANIC, pexpect.EOF, pexpect.TIMEOUT], timeout=wait_s)

    def _too_late(self) -> Problem:
        if not self._log.text().strip():
            return Problem("the kernel printed nothing at all")
        last = f"the agent never became ready; the console's last line is {self.last_line()!r}"
        crash = self.crash()
        return Problem(last, slow=not crash, crash=crash)

    def crash(self) -> str:
        """The line that says how the kernel crashed by itself; empty if it did not."""
        return splats.crash(self.text().splitlines()) or ""

    def last_line(self) -> str:
        lines = [line for line in self.text().splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def text(self) -> str:
        return clean(self._log.text())

    def _drain(self) -> None:
        """Read the rest of the output until QEMU ends, as it does after a panic (-no-reboot)."""
        with contextlib.suppress(_Flooded):
            self._spawn.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=2)


class ConsoleFile:
    """A file in memory to which QEMU appends a guest's console, and whose size is limited."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("console")
        self._kept = KeptText(CONSOLE_CHARACTERS)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def trim(self) -> None:
        """If the file has become large, empty it, and keep only the beginning and the end of its content.

        QEMU opens the file for appending, and continues at its new end.  Text written at this moment may be lost.
        """
        if self.descriptor >= 0 and os.fstat(self.descriptor).st_size > 4 * CONSOLE_CHARACTERS:
            self._read()
            os.ftruncate(self.descriptor, 0)

    def text(self) -> str:
        """The text as lines; available after `close` too."""
        self.trim()
        rest = os.pread(self.descriptor, 8 * CONSOLE_CHARACTERS, 0) if self.descriptor >= 0 else b""
        return cut(clean(self._kept.text() + rest.decode(errors="replace")), 4 * CONSOLE_CHARACTERS)

    def close(self) -> None:
        """Close the file; the kept text remains available.  May be called again."""
        if self.descriptor >= 0:
            self._read()
            os.close(self.descriptor)
            self.descriptor = -1

    def _read(self) -> None:
        offset = 0
        while data := os.pread(self.descriptor, 1 << 20, offset):
            self._kept.write(self._decoder.decode(data))
            offset += len(data)


def clean(text: str) -> str:
    """Console output without carriage returns and the firmware's escape sequences, and with the rest escaped."""
    return escaped(re.sub(r"\x1b(?:\[[0-9;?=]*[A-Za-z]|c)", "", text).replace("\r", ""))
