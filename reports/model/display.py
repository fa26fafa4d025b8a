# SPDX-License-Identifier: GPL-2.0-or-later
"""Texts of guests, tests and files, made fit to be printed where people and CI systems read them.

A kernel log may hold anything.  Control characters would move a terminal's cursor, and a CI would obey some lines:
GitHub those that begin with `::`, blanks in front or not, GitHub and Azure those with `##[` or `##vso[`, TeamCity
those with `##teamcity[`.  All of that is spelled out: the text can still be read, and does nothing.
"""

from __future__ import annotations

import re

from common.text import printable, printable_lines

_COMMAND = re.compile(r"^(?P<blank>\s*):(?=:)|#(?=#\w*\[)", re.MULTILINE)


def one_line(text: str) -> str:
    """The text on one line."""
    return _without_commands(printable(text))


def lines(text: str) -> str:
    """The text with its newlines; all lines but the first are indented."""
    return _without_commands(printable_lines(text))


def tail(text: str, most: int) -> str:
    """The last `most` lines of the text; a first line says how many are missing."""
    every = [_without_commands(printable(line.expandtabs())) for line in text.splitlines()]
    missing = len(every) - len(every[-most:])
    return "\n".join(([f"[... {missing} lines before these]"] if missing else []) + every[-most:])


def _without_commands(text: str) -> str:
    return _COMMAND.sub(lambda found: r"\x23" if found["blank"] is None else rf"{found['blank']}\x3a", text)
