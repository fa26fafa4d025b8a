# SPDX-License-Identifier: GPL-2.0-or-later
"""What has changed in a kernel tree, as lines of the map.

The map has the lines of the kernel that was run with counters, which may be of another version.  So the file as it
was before the change is compared with the map's, and lines that both have are the same line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path

from common.errors import UsageError
from common.text import printable
from kconfigs.build import git_tree
from suites.coverage.line_map import LineMap, MappedFile
from suites.coverage.touched_tests import Touched

_ENDS = (";", "{", "}", ":", "*/", ")")
"""How a line may end after which a statement begins."""


def since(lines: LineMap, tree: Path, revision: str) -> Touched:
    """What has changed in a tree since a revision, uncommitted changes included.

    UsageError if git does not know the revision, or if nothing has changed in a file of the map.
    """
    changed = git_tree.changed_since(tree, revision)
    if changed is None:
        raise UsageError(
            f"git cannot compare {printable(tree)} with {printable(revision)}",
            hint="--since needs the top of a git work tree, and a commit, branch or tag of it",
        )
    known = [name for name in changed if name in lines.files]
    others = [name for name in changed if name not in lines.files]
    if not changed:
        raise UsageError(
            f"nothing has changed in {printable(tree)} since {printable(revision)}", hint="name an older revision"
        )
    if not known:
        more = f" and {len(others) - 3} more" if others[3:] else ""
        raise UsageError(
            f"no test is recorded for what has changed: {', '.join(map(printable, others[:3]))}{more}",
            hint=f"run without --since; tests are recorded for {', '.join(sorted(lines.files))}",
        )
    touched = Touched(unknown=tuple(others))
    for name in known:
        before = git_tree.content_at(tree, revision, name).decode(errors="replace").splitlines()
        now = (
            (tree / name).read_text(encoding="utf-8", errors="replace").splitlines() if (tree / name).exists() else []
        )
        touched = touched.plus(Touched({name: frozenset(changed_lines(lines.files[name], before, now))}))
    return touched


def changed_lines(file: MappedFile, before: Sequence[str], now: Sequence[str]) -> set[int]:
    """The lines of the map's file that a change from `before` to `now` touches.

    Each hunk gives its own lines, or the beginning of their statements, and if it only adds some, those around them.
    If none of these has code, such as in a comment or a macro, it gives the function that they are in; outside of
    functions, the whole file.
    """
    there = _places(before, file.source.splitlines())
    found: set[int] = set()
    for first, last in _hunks(before, now):
        own = {there[number] for number in range(first, last + 1) if number in there}
        with_code = {_beginning(file, number) for number in own} & file.lines.keys()
        found |= with_code or _around(file, own or _nearest(there, first, last))
    return found


def _beginning(file: MappedFile, number: int) -> int:
    """The line with code that a line belongs to: itself, or the one where its statement begins."""
    text = file.source.splitlines()
    at = number
    while at > 1 and at not in file.lines and (before := text[at - 2].strip()) and not before.endswith(_ENDS):
        at -= 1
    return at if at in file.lines else number


def _hunks(before: Sequence[str], now: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The first and the last line of each hunk, in `before`; where lines were only added, those around them."""
    for kind, first, end, _, _ in SequenceMatcher(None, before, now, autojunk=False).get_opcodes():
        if kind == "insert":
            yield first, first + 1
        elif kind != "equal":
            yield first + 1, end


def _places(before: Sequence[str], mapped: Sequence[str]) -> dict[int, int]:
    """Of each line that both files have, its number there by its number here."""
    blocks = SequenceMatcher(None, before, mapped, autojunk=False).get_matching_blocks()
    return {here + offset + 1: there + offset + 1 for here, there, length in blocks for offset in range(length)}


def _nearest(there: dict[int, int], first: int, last: int) -> set[int]:
    """The next lines before and after a hunk that the map's file has, too."""
    before = [number for number in there if number < first]
    after = [number for number in there if number > last]
    return {there[max(before)]} if before else {there[min(after)]} if after else set()


def _around(file: MappedFile, places: set[int]) -> set[int]:
    """The lines with code of the functions that these lines are in; of the whole file if they are in none."""
    around = {
        line
        for first, last in file.functions.values()
        if any(first <= place <= last for place in places)
        for line in file.lines
        if first <= line <= last
    }
    return around or set(file.lines)
