# SPDX-License-Identifier: GPL-2.0-or-later
"""Texts and names in C."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from guests.reproducer.orders import Name, NamedContent
from guests.task import Task

Value = Callable[[int | Name], str]

_TAKEN = frozenset(
    """
    auto break case char const continue default do double else enum extern float for goto if inline int
    long register restrict return short signed sizeof static struct switch typedef union unsigned void
    volatile while asm typeof mem text bytes zero spawn call copy quiet blocks finish checked over story
    main tasks program format state linux unix errno stdin stdout stderr write_file title logged
    restorer signal_handler init end
    """.split()  # noqa: SIM905 (far shorter than a list of literals)
)
"""Words of C and of the runtime, which no task may have as its name."""
_SPECIAL = {0x22: '\\"', 0x5C: "\\\\", 0x0A: "\\n", 0x09: "\\t", 0x3F: "\\?"}


def escaped(raw: bytes) -> str:
    """The inside of a string literal.  Octal escapes end after three digits; those with `x` do not."""
    return "".join(_SPECIAL.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}") for byte in raw)


def quoted(raw: bytes | str) -> str:
    return f'"{escaped(raw.encode() if isinstance(raw, str) else raw)}"'


def format_arguments(content: NamedContent, value: Value) -> str:
    """A format of printf and its arguments."""
    parts: list[str] = []
    values: list[str] = []
    at = 0
    for patch in content.patches:
        parts += [escaped(content.content[at : patch.offset]).replace("%", "%%"), "%ld"]
        values.append(f"(long){value(patch.name)}")
        at = patch.offset + patch.length
    parts.append(escaped(content.content[at:]).replace("%", "%%"))
    return ", ".join([f'"{"".join(parts)}"', *values])


def formatted(content: NamedContent, value: Value) -> str:
    """A text as an expression."""
    if not content.patches:
        return quoted(content.content)
    return f"format({format_arguments(content, value)})"


def is_text(raw: bytes) -> bool:
    """Whether this is a string, with its NUL, that a reader can read."""
    return len(raw) > 1 and raw.endswith(b"\0") and all(0x20 <= byte < 0x7F or byte in b"\t\n" for byte in raw[:-1])


def identifiers(tasks: Sequence[Task]) -> dict[int, str]:
    """A name for each task, by its slot."""
    found: dict[int, str] = {}
    for task in tasks:
        name = re.sub(r"[^A-Za-z0-9]+", "_", task.name).strip("_") or "task"
        name = f"task_{name}" if name[0].isdigit() or (name in _TAKEN and task.slot) else name
        count, unique = 1, name
        while unique in found.values():
            count += 1
            unique = f"{name}_{count}"
        found[task.slot] = unique
    return found
