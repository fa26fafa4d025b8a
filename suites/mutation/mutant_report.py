# SPDX-License-Identifier: GPL-2.0-or-later
"""Results of mutants: as lines, as JSON, as a table for a document, and read again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common import atomic
from common.errors import UsageError
from common.text import printable
from suites.mutation.mutant import Mutant
from suites.mutation.mutant_tester import (
    ARGUED,
    DETECTED,
    ERROR,
    NO_EFFECT,
    NO_MATCH,
    NOT_COMPILED,
    NOT_HERE,
    SURVIVED,
    MutantResult,
)
from suites.mutation.reproducer_trials import ACCUSES, REPRODUCES, REPRODUCES_LATER

STATUSES = (DETECTED, SURVIVED, ARGUED, NOT_HERE, NO_MATCH, NO_EFFECT, NOT_COMPILED, ERROR)
NAMED = (SURVIVED, NO_MATCH, NO_EFFECT, ERROR)
"""What the summary lists by id."""


def line(result: MutantResult) -> str:
    """A result as it is printed."""
    return (
        f"{result.status:<10}  {result.mutant.id:<40}  {result.seconds:5.0f} s  {printable(result.by)}\n"
        f"{'':<12}{result.mutant.text}" + (f"\n{'':<12}reproducer: {result.reproducer}" if result.reproducer else "")
    )


def summary(results: Sequence[MutantResult], *, drawn: bool = False) -> str:
    """The counts, and the ids that need a look.  Of mechanical mutants, those without effect need none."""
    statuses = [result.status for result in results]
    counts = ", ".join(f"{statuses.count(status)} {status}" for status in STATUSES if status in statuses)
    named = [each for each in results if each.status in NAMED and not (drawn and each.status == NO_EFFECT)]
    lines = [f"mutants: {counts or 'none'}", *(f"  {each.status}: {each.mutant.id}" for each in named)]
    tried = [each for each in results if each.reproducer]
    if tried:
        others = [each for each in tried if each.reproducer not in (REPRODUCES, REPRODUCES_LATER)]
        later = sum(each.reproducer == REPRODUCES_LATER for each in tried)
        lines.append(
            f"reproducers: {len(tried) - len(others)} of {len(tried)} show the fault, and hold without it; "
            f"{later} of them are not of the first test that failed"
        )
        lines += [f"  {each.mutant.id}: {each.reproducer}" for each in others]
    return "\n".join(lines)


def exit_status(results: Iterable[MutantResult], *, drawn: bool = False) -> int:
    """1 if one survived, or a reproducer accuses the kernel without a fault; 3 if one could not be judged; else 0."""
    results = list(results)
    statuses = {result.status for result in results}
    if SURVIVED in statuses or any(result.reproducer == ACCUSES for result in results):
        return 1
    return 3 if statuses & ({ERROR, NO_MATCH} if drawn else {ERROR, NO_MATCH, NO_EFFECT}) else 0


def write_json(path: Path, results: Iterable[MutantResult]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(path, json.dumps([each.json() for each in results], indent=1) + "\n")


def read_json(path: Path, mutants: Iterable[Mutant]) -> dict[str, MutantResult]:
    """The results of these mutants in a file that `write_json` wrote, by id.

    Without those whose entry has changed since, and those that were neither detected nor survived.  UsageError if it
    is no such file.
    """
    by_id = {mutant.id: mutant for mutant in mutants}
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        found = {row["id"]: row for row in rows if row["status"] in (DETECTED, SURVIVED) and row["id"] in by_id}
        results = {
            name: MutantResult(by_id[name], row["status"], row["by"], row["seconds"], row.get("reproducer", ""))
            for name, row in found.items()
        }
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(
            f"{printable(path)} has no results of mutants: {error}", hint="leave out --resume to begin anew"
        ) from error
    return {name: result for name, result in results.items() if _plain(result) == found[name]}


def _plain(result: MutantResult) -> Any:
    return json.loads(json.dumps(result.json()))


def as_markdown(results: Sequence[MutantResult]) -> list[str]:
    """The table for a document: bugs of the kernel's history with their fixes, other mutants without."""
    historical = any(result.mutant.fix for result in results)
    lines = (
        ["| id | fix | release | what users saw | noticed by |", "|---|---|---|---|---|"]
        if historical
        else ["| id | what is wrong | noticed by |", "|---|---|---|"]
    )
    for result in results:
        mutant, cells = result.mutant, [f"`{result.mutant.id}`"]
        if mutant.fix:
            commit = f" (`{mutant.fix.commit[:12]}`)" if mutant.fix.commit else ""
            doubt = "" if mutant.fix.confirmed else ", unconfirmed"
            cells += [f"{_cell(mutant.fix.title)}{commit}{doubt}", mutant.fix.release]
        elif historical:
            cells += ["", ""]
        cells += [_cell(mutant.text), _noticed(result)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _noticed(result: MutantResult) -> str:
    if result.status == DETECTED:
        return f"`{_cell(result.by)}`"
    words: Mapping[str, str] = {SURVIVED: "**nothing**", ARGUED: "cannot be seen", NOT_HERE: "not here"}
    return f"{words.get(result.status, result.status)}{f': {_cell(result.by)}' if result.by else ''}"


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|")
