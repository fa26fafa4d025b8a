# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest leaves behind for the report: gathered whatever state it is in, and bounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from guests.printable import cut, escaped, one_line

LONGEST = 1 << 20
"""Characters of one piece of evidence."""


def gather(pieces: Mapping[str, Callable[[], str]]) -> dict[str, str]:
    """Each piece under its title, or why it cannot be had; those that are empty are left out.  Raises nothing."""
    found = {}
    for title, tell in pieces.items():
        try:
            text = escaped(cut(tell(), LONGEST))
        except Exception as error:
            text = f"this could not be had: {type(error).__name__}: {one_line(str(error))}"
        if text.strip():
            found[title] = text
    return found
