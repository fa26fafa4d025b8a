# SPDX-License-Identifier: GPL-2.0-or-later
"""SyscallGroup of tests and guests, written so that Markdown shows them as they are.  Pure."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&!$@])")


def line(text: str) -> str:
    """One line that a terminal or a page can show: what does not print is spelled out."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def text(words: str) -> str:
    """Plain words: nothing in them is markup, a mention, or a link's beginning."""
    return _SPECIAL.sub(r"\\\1", line(words)).replace("://", ":&#47;/")


def code(words: str) -> str:
    """SyscallGroup in the type of code, whatever backticks they hold."""
    shown = line(words)
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    space = " " if shown[:1] in ("`", "") or shown[-1:] == "`" else ""
    return f"{fence}{space}{shown}{space}{fence}"


def cell(words: str) -> str:
    """SyscallGroup in a table: the one place where a bar ends something."""
    return text(words)
