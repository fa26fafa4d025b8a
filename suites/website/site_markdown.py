# SPDX-License-Identifier: GPL-2.0-or-later
"""Pieces of the generated pages' Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from reports.formats.markdown_escape import code, text

LINUX = "https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git"
_NAMED = re.compile(
    r"(?P<file>(?:Documentation|arch|block|drivers|fs|include|init|io_uring|kernel|lib|mm|net|security)/[\w./-]*\w)"
    r"|\bcommit (?P<commit>[0-9a-f]{12,40})\b",
    re.ASCII,
)
_BAR = re.compile(r"(?<!\\)\|")


def link(label: str, target: str) -> str:
    """A link.  `label` is Markdown already."""
    return f"[{label}]({target})"


def prose(words: str) -> str:
    """A sentence of ours, with its code in backquotes."""
    parts = words.split("`")
    if len(parts) % 2 == 0:
        return text(words)
    return "".join(code(part) if number % 2 else _kept_blanks(part) for number, part in enumerate(parts))


def kernel_source(words: str) -> str:
    """Text in which files of the kernel and commits are links to upstream's repository."""
    parts, at = [], 0
    for found in _NAMED.finditer(words):
        parts.append(_kept_blanks(words[at : found.start()]))
        if found["file"]:
            parts.append(link(text(found["file"]), f"{LINUX}/tree/{found['file']}"))
        else:
            parts.append(f"commit {commit(found['commit'])}")
        at = found.end()
    return "".join([*parts, _kept_blanks(words[at:])])


def _kept_blanks(words: str) -> str:
    """As `text`, for a part of a line."""
    shown = text(words.strip())
    return f"{words[: len(words) - len(words.lstrip())]}{shown}{words[len(words.rstrip()) :] if shown else ''}"


def commit(digits: str) -> str:
    """A commit as a link."""
    return link(code(digits[:12]), f"{LINUX}/commit/?id={digits}")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the cells are Markdown already.  A bar would end a cell even within code."""
    lines = [head, ["---"] * len(head), *([_BAR.sub(r"\|", cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bullets(items: Iterable[str]) -> str:
    """A list; the items are Markdown already."""
    return "\n".join(f"- {item}" for item in items)


def fenced(language: str, content: str) -> str:
    """A block of code, whatever fences it holds."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", content)), default=0))
    return f"{fence}{language}\n{content}\n{fence}"


def contents(caption: str, pages: Iterable[str]) -> str:
    """What puts pages into the navigation, below the page that has it; the caption may be empty."""
    options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(["", "```{toctree}", *options, "", *pages, "```", ""])


def page(title: str, *blocks: str, listed: bool = True) -> str:
    """A page, without its empty blocks.  `title` is plain text.  A page that is not listed is in no navigation."""
    metadata = "" if listed else "---\norphan: true\n---\n\n"
    return metadata + "\n\n".join([f"# {text(title)}", *filter(None, blocks)]) + "\n"


def counted(number: int, one: str) -> str:
    """`1 test`, `2 tests`."""
    return f"{number} {one}{'' if number == 1 else 's'}"
