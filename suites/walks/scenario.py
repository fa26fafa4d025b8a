# SPDX-License-Identifier: GPL-2.0-or-later
"""The steps of a walk as a test that can be pasted into an area's suite."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from common.text import printable


def as_test(lines: Sequence[str], marks: Sequence[str], vocabulary: Mapping[str, str]) -> str:
    """A module with one test.  `vocabulary`: the names that lines and marks may use, and their modules."""
    used = {word for line in (*lines, *marks) for word in re.findall(r"[A-Za-z_][A-Za-z_0-9]*", line)}
    modules: dict[str, list[str]] = {"guests.guest": ["Guest"]}
    for name, module in vocabulary.items():
        if name in used:
            modules.setdefault(module, []).append(name)
    needed = (f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(modules.items()))
    return "\n".join(
        (
            *("import pytest", "", *needed, "", ""),
            *(f"@pytest.mark.{mark}" for mark in marks),
            "def test_walk(guest: Guest) -> None:",
            '    """Found by a walk."""',
            *(f"    {printable(line)}" for line in lines),
        )
    )
