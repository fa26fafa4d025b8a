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
    config = ["NUMA=y"]                 # optional: options that it needs beyond those of the flavor
    arch = "i386"                       # optional: the architecture that it is for, if its files do not tell

If there are several edits, each has its file, find and replace in a [[mutant.edit]], which comes last.

races.toml has more of them, in the same format: a lock, a barrier, a grace period or a reference is gone or narrower.
A run of it also tries the bugs of history.toml that need several processors.

A mutant whose files are all in arch/ is tested only on kernels of that architecture.

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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from common.errors import UsageError
from common.toml import Table, read
from common.versions import parse_version
from kconfigs.architectures import named_architecture
from kconfigs.kconfig import VALUE
from suites.mutation.mutant import NEEDS, Edit, Fix, Mutant

SUITES = Path(__file__).parents[1]
MUTANTS, HISTORY, RACES = "mutants.toml", "history.toml", "races.toml"

_ID = re.compile(r"\w[\w.+-]*", re.ASCII)
"""It becomes a part of a path."""
_COMMIT = re.compile(r"[0-9a-f]{12,40}")
_EDIT = ("file", "find", "replace")
_OPTION = re.compile(rf"(CONFIG_)?[A-Z0-9]\w*=({VALUE})", re.ASCII)


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
    known = ("first", "equivalent", "config", "arch")
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
        arch=_arch(entry),
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


def _arch(entry: Table) -> str:
    name = entry.text("arch", "")
    try:
        return named_architecture(name) if name else ""
    except UsageError as error:
        raise entry.error(f"'arch': {error.message}", key="arch", hint=error.hint) from None


def _edits(entry: Table, *, optional: Sequence[str] = ()) -> tuple[Edit, ...]:
    """Those in tables of their own, which may have these keys beside those of an edit."""
    edits = entry.tables("edit")
    for edit in edits:
        edit.check(required=_EDIT, optional=optional)
    return tuple(map(_edit, edits))


def _edit(entry: Table) -> Edit:
    return Edit(entry.text("file"), entry.text("find"), entry.text("replace", blank=True), entry.versions())
