# SPDX-License-Identifier: GPL-2.0-or-later
"""Options that a test cannot need alone: it would be run on a kernel that cannot do what it expects."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from suites.harness.checkout import ROOT

TOGETHER = {
    "COREDUMP": "ELF_CORE",  # without it, no program has a core (fs/binfmt_elf.c)
    "NET_9P_VIRTIO": "9P_FS",  # the transport mounts nothing
}
"""What has to be needed along with an option."""

ONE_OF = {
    "EXT2_FS": "EXT2_FS or EXT4_USE_FOR_EXT2",  # ext4 mounts as ext2
}
"""What to write for an option that another one can take the place of."""

AREAS = ("boot", "ptrace", "yama", "loadpin", "seccomp")
SUITES = [path for area in AREAS for path in (ROOT / "suites" / area).rglob("*.py")]


def needs(path: Path) -> Iterator[tuple[str, set[str]]]:
    """The options that each use of the marker names, with its place."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "needs":
            options = {one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)}
            yield f"{path.relative_to(ROOT)}:{node.lineno}", options


def test_options_are_needed_together() -> None:
    assert [
        f"{place}: {option} is nothing without {other}"
        for path in SUITES
        for place, options in needs(path)
        for option, other in TOGETHER.items()
        if option in options and other not in options
    ] == []


def test_alternatives_are_named() -> None:
    assert [
        f"{place}: write {alternatives!r}"
        for path in SUITES
        for place, options in needs(path)
        for option, alternatives in ONE_OF.items()
        if option in options
    ] == []


def test_the_marker_is_found() -> None:
    assert sum(len(list(needs(path))) for path in SUITES) > 50
