# SPDX-License-Identifier: GPL-2.0-or-later
"""Words for messages: quoting what comes from outside, and guessing what was meant."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable

MARGIN = "  "


def printable(value: str | bytes | os.PathLike[str], longest: int | None = None) -> str:
    """The text on one line: whatever does not print is spelled out, as in a Python string.

    For anything that a message quotes and that somebody else wrote: a guest, a file, a name.  Control characters
    (ESC, newline, tab), bidirectional controls such as U+202E, and bytes that are not UTF-8 come out as `\\x1b`,
    `\\n`, `\\u202e`, `\\udcff`.  A text of more than `longest` characters is cut, and ends in an ellipsis.
    """
    text = value.decode(errors="surrogateescape") if isinstance(value, bytes) else os.fspath(value)
    if longest is not None and len(text) > longest:
        text = text[: longest - 3] + "..."
    return text if text.isprintable() else "".join(map(_spelled_out, text))


def printable_lines(text: str) -> str:
    """As `printable`, but newlines stay, and every line after the first is indented.

    So no line of a quoted text looks like one of our own, or is taken for a command by a CI.
    """
    if text.isprintable():
        return text
    first, *others = map(printable, text.split("\n"))
    return "\n".join([first, *(line if line.startswith(MARGIN) or not line else MARGIN + line for line in others)])


def _spelled_out(char: str) -> str:
    return char if char.isprintable() else repr(char)[1:-1]


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """Up to three of the known words that someone who wrote `word` may have meant, the likeliest first."""
    return difflib.get_close_matches(word, list(known), n=3, cutoff=0.5)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What to append to a sentence about an unknown word: `; did you mean 'x'?`, or nothing."""
    near = nearest(word, known)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
