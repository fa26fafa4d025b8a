# SPDX-License-Identifier: GPL-2.0-or-later
"""Text that a guest wrote, made fit for a terminal, a report and a CI that obeys lines.

A kernel under test chooses what its console and its log contain: control sequences that repaint a terminal,
bidirectional controls that reorder a line, NULs.  All of it comes out spelled as in a Python string: `\\x1b`.
"""

from __future__ import annotations

from common.text import printable

_KEPT = frozenset("\n\t")


def escaped(text: str) -> str:
    """The text with newlines and tabs as they are, and every other character that does not print spelled out."""
    if text.isprintable():
        return text
    return "".join(char if char in _KEPT else printable(char) for char in text)


def cut(text: str, longest: int) -> str:
    """The text, or its beginning and its end with a line between them that tells how much is left out."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}{left_out(len(text) - 2 * half)}{text[-half:]}"


def left_out(count: int) -> str:
    return f"\n[... {count} characters are left out here ...]\n"


class KeptText:
    """A text file in memory that keeps what was written first and last, whatever comes in between."""

    def __init__(self, each: int) -> None:
        """`each`: the characters of the beginning, and of the end, that are kept."""
        self._each = each
        self._first = ""
        self._last = ""
        self.written = 0
        """Characters, those that are not kept among them."""

    def write(self, text: str) -> int:
        self.written += len(text)
        room = self._each - len(self._first)
        self._first += text[:room]
        # Of a little more than is needed, so that a flood of short lines does not copy it all for each of them.
        self._last += text[room:]
        if len(self._last) > 2 * self._each:
            self._last = self._last[-self._each :]
        return len(text)

    def flush(self) -> None:
        """As of a file."""

    def text(self) -> str:
        missing = self.written - len(self._first) - len(self._last)
        return self._first + (left_out(missing) if missing else "") + self._last
