# SPDX-License-Identifier: GPL-2.0-or-later
"""Mutants: kernels with one fault each, made by small edits of the source.  Each area of suites/ has three tables.

mutants.toml has faults that we made up:

    [[mutant]]
    id = "exception-any-admits-nobody"
    text = "PR_SET_PTRACER_ANY gives access to no task."
    file = "security/yama/yama_lsm.c"
    find = "parent == NULL || task_is_descendant(parent, tracer)"    # in the file exactly once
    replace = "task_is_descendant(parent, tracer)"
    first = "test_set_ptracer.py"       # optional: tests to run before all others of the area, or file::function
    equivalent = "..."                  # optional: why no test can detect it; then it is not built
    config = ["X86_32=y"]               # optional: options without which it is not built

If there are several edits, each has its file, find and replace in a [[mutant.edit]], which comes last.

races.toml has more of them, in the same format: a lock, a barrier, a grace period or a reference is gone or narrower.
A run of it also tries the bugs of history.toml that need several processors.

A mutant whose file is in arch/ is tested only on kernels of that architecture.

history.toml has bugs that the kernel once had, each brought back by undoing its fix:

    [[bug]]
    id = "traceme-wrong-creds"
    title = "ptrace: Fix ->ptracer_cred handling for PTRACE_TRACEME"     # the upstream subject of the fix
    commit = "6994eefb0053"
    fixed = "5.2"                       # the first release that has the fix
    seen = "What users saw, in one sentence."
    unconfirmed = true                  # optional: commit or release was not found in public; either may be empty
    needs = ["smp"]                     # optional: what a guest must have for it, one of NEEDS
    unseen = "..."                      # optional: why no test can detect it; then it is not built
    config = ["MIGRATION=y"]            # optional: options that it needs beyond those of the flavor
    first = "test_traceme.py"           # optional
    [[bug.edit]]                        # one or more
    file = "kernel/ptrace.c"
    find = "..."
    replace = "..."
    since = "6.1"                       # optional, like until: the first and the last version that this edit is for
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from common.errors import KconformError, UsageError
from common.toml import Table, read
from common.versions import ANY, VersionRange, parse_version
from kconfigs.build.kernel_tree import Tree
from kconfigs.kconfig import VALUE

SUITES = Path(__file__).parents[1]
MUTANTS, HISTORY, RACES = "mutants.toml", "history.toml", "races.toml"

NEEDS: Mapping[str, str] = {
    "smp": "several CPUs",
    "kvm": "hardware virtualisation",
    "hardware": "a device that QEMU lacks",
    "time": "more time than a test has",
}
"""What a bug may need, and what messages call it."""

AVAILABLE: frozenset[str] = frozenset()
"""Those of NEEDS that guests have."""

_ID = re.compile(r"\w[\w.+-]*", re.ASCII)
"""It becomes a part of a path."""
_COMMIT = re.compile(r"[0-9a-f]{12,40}")
_EDIT = ("file", "find", "replace")
_OPTION = re.compile(rf"(CONFIG_)?[A-Z0-9]\w*=({VALUE})", re.ASCII)


class EditMismatchError(KconformError):
    """The source has not exactly one place for an edit; the message says which."""


@dataclass(frozen=True)
class Edit:
    """The replacement of one place of one file."""

    file: str
    find: str
    replace: str
    versions: VersionRange = ANY
    """The kernel versions that it is for."""


@dataclass(frozen=True)
class Fix:
    """The upstream commit that fixed a bug."""

    title: str
    commit: str
    release: str
    confirmed: bool = True


@dataclass(frozen=True)
class Mutant:
    """A kernel with one fault."""

    id: str
    text: str
    """What is wrong with it, in a sentence."""
    edits: tuple[Edit, ...] = ()
    first: str = ""
    """The file of the area's tests that is run before the others, or one of its tests, as `file.py::test_name`."""
    argued: str = ""
    """Why no test can detect it."""
    needs: tuple[str, ...] = ()
    config: tuple[str, ...] = ()
    """Options, as in `--config`."""
    fix: Fix | None = None

    @property
    def options(self) -> dict[str, str]:
        """The options that it needs, by name, without `CONFIG_`."""
        return dict(option.removeprefix("CONFIG_").split("=", 1) for option in self.config)

    @property
    def missing(self) -> str:
        """What guests would need to show the fault, and do not have; empty if there is nothing."""
        return ", ".join(NEEDS[need] for need in self.needs if need not in AVAILABLE)

    def edited(self, tree: Tree) -> dict[str, str]:
        """The new content of each file that it edits.  EditMismatchError unless each edit has exactly one place."""
        edits = [edit for edit in self.edits if tree.version in edit.versions]
        if not edits:
            raise EditMismatchError(f"{self.id}: no edit is for Linux {tree.text_version}")
        by_file: dict[str, list[Edit]] = {}
        for edit in edits:
            by_file.setdefault(edit.file, []).append(edit)
        return {file: self._edit(tree.path / file, of_file) for file, of_file in by_file.items()}

    def _edit(self, path: Path, edits: Sequence[Edit]) -> str:
        """The content of the file with all edits; each place is looked up in the file as it is."""
        name = edits[0].file
        if not path.is_file():
            raise EditMismatchError(f"{self.id}: this source has no {name}")
        content = path.read_text(encoding="utf-8")
        parts, at = [], 0
        for start, edit in sorted(((self._place(content, edit), edit) for edit in edits), key=lambda pair: pair[0]):
            if start < at:
                raise EditMismatchError(f"{self.id}: two edits of {name} overlap")
            parts += [content[at:start], edit.replace]
            at = start + len(edit.find)
        return "".join([*parts, content[at:]])

    def _place(self, content: str, edit: Edit) -> int:
        places = content.count(edit.find)
        if places != 1:
            raise EditMismatchError(
                f"{self.id}: {edit.file} has {places} places that match {_shortened(edit.find)}, expected one"
            )
        return content.index(edit.find)


def _shortened(text: str) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return repr(line if len(line) <= 60 else f"{line[:57]}...")


def mismatches(tree: Tree, mutants: Iterable[Mutant]) -> Iterator[str]:
    """What is wrong with those whose edits do not match this source; nothing is built."""
    for mutant in mutants:
        try:
            mutant.edited(tree)
        except EditMismatchError as error:
            yield error.message


def areas(*names: str) -> list[str]:
    """The areas that have a table of one of these names, or of any."""
    return sorted(
        {path.parent.name for name in names or (MUTANTS, HISTORY, RACES) for path in SUITES.glob(f"*/{name}")}
    )


def load_mutants(area: str) -> list[Mutant]:
    """The mutants of an area's mutants.toml, in its order.  UsageError if there is none, or if it is invalid."""
    return _load(SUITES / area / MUTANTS, "mutant", _mutant)


def load_races(area: str) -> list[Mutant]:
    """The same of races.toml."""
    return _load(SUITES / area / RACES, "mutant", _mutant)


def load_history(area: str) -> list[Mutant]:
    """The bugs of an area's history.toml, in its order.  UsageError if there is none, or if it is invalid."""
    return _load(SUITES / area / HISTORY, "bug", _bug)


LOADERS: Mapping[str, Callable[[str], list[Mutant]]] = {
    MUTANTS: load_mutants,
    RACES: load_races,
    HISTORY: load_history,
}
"""What reads an area's table, by its file name."""


def mutants_of_run(table: str, area: str) -> list[Mutant]:
    """The mutants that a run of a table tries: with RACES, also the area's bugs that need only several processors."""
    mutants = LOADERS[table](area)
    if table == RACES and area in areas(HISTORY):
        bugs = load_history(area)
        mutants += [replace(bug, needs=()) for bug in bugs if bug.needs == ("smp",) and bug.edits]
    return mutants


def _load(path: Path, kind: str, parse: Callable[[Table], Mutant]) -> list[Mutant]:
    if not path.exists():
        others = ", ".join(areas(path.name)) or "no area"
        raise UsageError(f"{path.parent.name} has no {path.name}", hint=f"{others} has one")
    file = read(path, "table of mutants")
    file.check(required=(kind,))
    mutants: list[Mutant] = []
    for entry in file.tables(kind):
        mutant = parse(entry)
        if not _ID.fullmatch(mutant.id):
            raise entry.error("'id' may have only letters, digits and -_.+", key="id")
        if any(mutant.id == other.id for other in mutants):
            raise entry.error(f"{mutant.id!r} is defined twice", key="id")
        mutants.append(mutant)
    return mutants


def _mutant(entry: Table) -> Mutant:
    known = ("first", "equivalent", "config")
    if "edit" in entry:
        entry.check(required=("id", "text"), optional=("edit", *known))
    else:
        entry.check(required=("id", "text", *_EDIT), optional=known)
    return Mutant(
        entry.text("id"),
        entry.sentence("text"),
        _edits(entry) or (_edit(entry),),
        first=entry.text("first", ""),
        argued=entry.sentence("equivalent", ""),
        config=_config(entry),
    )


def _bug(entry: Table) -> Mutant:
    optional = ("commit", "needs", "unseen", "config", "first", "unconfirmed", "edit")
    entry.check(required=("id", "title", "fixed", "seen"), optional=optional)
    unconfirmed = entry.content.get("unconfirmed", False)
    if not isinstance(unconfirmed, bool):
        raise entry.error("'unconfirmed' must be true or false, without quotes", key="unconfirmed")
    commit = entry.text("commit", "", blank=True)
    if not (_COMMIT.fullmatch(commit) or (unconfirmed and not commit)):
        raise entry.error("'commit' must be 12 or more hexadecimal digits", key="commit")
    release = entry.text("fixed", blank=unconfirmed)
    try:
        parse_version(release or "0")
    except ValueError as error:
        raise entry.error(f"'fixed': {error}", key="fixed") from None
    mutant = Mutant(
        entry.text("id"),
        entry.sentence("seen"),
        _edits(entry, optional=("since", "until")),
        first=entry.text("first", ""),
        argued=entry.sentence("unseen", ""),
        needs=tuple(entry.choices("needs", NEEDS, [])),
        config=_config(entry),
        fix=Fix(entry.sentence("title"), commit, release, not unconfirmed),
    )
    if not (mutant.edits or mutant.argued or mutant.needs):
        raise entry.error("[[bug.edit]] is missing", hint="only a bug with 'unseen' or 'needs' may have no edit")
    return mutant


def _config(entry: Table) -> tuple[str, ...]:
    options = tuple(entry.texts("config", []))
    for option in options:
        if not _OPTION.fullmatch(option):
            raise entry.error(f"'config' has {option!r}, which is not an option as in MIGRATION=y", key="config")
    return options


def _edits(entry: Table, *, optional: Sequence[str] = ()) -> tuple[Edit, ...]:
    """Those in tables of their own, which may have these keys beside those of an edit."""
    edits = entry.tables("edit")
    for edit in edits:
        edit.check(required=_EDIT, optional=optional)
    return tuple(map(_edit, edits))


def _edit(entry: Table) -> Edit:
    return Edit(entry.text("file"), entry.text("find"), entry.text("replace", blank=True), entry.versions())
