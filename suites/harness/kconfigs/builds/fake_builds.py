# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests of builds share: a flavor's fragment, and what a tree or its build has left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

FRAGMENT = """\
CONFIG_MODULES=y           # a module is built
CONFIG_SECURITY=y          # opens Yama
CONFIG_SECURITY_YAMA=y     # under test
CONFIG_FUTURE=y            # since 9.0: not for this one
"""
"""What every flavor asks for."""

MakeTree = Callable[..., Path]
"""Makes a tree, as fake_kernels.tree() does with these arguments."""


def content(path: Path) -> dict[str, tuple[int, int]]:
    """Everything in a directory, with size and time."""
    found = {}
    for file in path.rglob("*"):
        info = file.lstat()
        found[str(file.relative_to(path))] = (info.st_size, info.st_mtime_ns)
    return found


def builds(tmp_path: Path) -> int:
    """How often a kernel was built."""
    marks = tmp_path / "builds"
    return len(marks.read_text().splitlines()) if marks.exists() else 0
