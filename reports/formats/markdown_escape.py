# SPDX-License-Identifier: GPL-2.0-or-later
"""Texts of tests and guests, escaped so that Markdown shows them as they are."""

from __future__ import annotations

import re

from reports.model.display import one_line

_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&!$@])")


def text(words: str) -> str:
    """Plain text: nothing in it is markup, a mention, or the beginning of a link."""
    return _SPECIAL.sub(r"\\\1", one_line(words)).replace("://", ":&#47;/")


def code(words: str) -> str:
    """Text in the type of code, whatever backticks it holds."""
    shown = one_line(words)
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    space = " " if shown[:1] in ("`", "") or shown[-1:] == "`" else ""
    return f"{fence}{space}{shown}{space}{fence}"
