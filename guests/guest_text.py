# SPDX-License-Identifier: GPL-2.0-or-later
"""Text from a guest, made safe for terminals, reports and CI systems that take commands from output.

A kernel under test controls the contents of its console and its log, which may include control sequences for
terminals, bidirectional controls and NULs.  All of these are escaped as in a Python string: `\\x1b`.
"""

from __future__ import annotations

import re

from common.text import printable

_LINES = re.compile(r"[^\n\t]+")
"""What is between newlines and tabs."""


def escaped(text: str) -> str:
    """The text with all characters escaped that are not printable, except for newlines and tabs."""
    if text.isprintable():
        return text
    return _LINES.sub(lambda found: printable(found[0]), text)


def cut(text: str, longest: int) -> str:
    """The text; if it is too long, its beginning and its end, with a line between them that says so."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}{omission(len(text) - 2 * half)}{text[-half:]}"


def omission(count: int) -> str:
    return f"\n[... {count} characters omitted ...]\n"


def is_cut(text: str) -> bool:
    """Whether it seems that something was left out of the text."""
    return re.search(r"^\[\.\.\. \d+ characters omitted \.\.\.\]$", text, re.MULTILINE) is not None


class KeptText:
    """A text file in memory that keeps only the beginning and the end of what is written to it."""

    def __init__(self, each: int) -> None:
        """`each`: the number of characters to keep of the beginning, and of the end."""
        self._each = each
        self._first = ""
        self._last = ""
        self.written = 0
        """The number of characters written, including those that are not kept."""

    def write(self, text: str) -> int:
        self.written += len(text)
        room = self._each - len(self._first)
        self._first += text[:room]
        # Keep up to twice as much as necessary, so that not every short line causes a copy.
        self._last += text[room:]
        if len(self._last) > 2 * self._each:
            self._last = self._last[-self._each :]
        return len(text)

    def flush(self) -> None:
        """Do nothing: files have this method."""

    def text(self) -> str:
        missing = self.written - len(self._first) - len(self._last)
        return self._first + (omission(missing) if missing else "") + self._last
