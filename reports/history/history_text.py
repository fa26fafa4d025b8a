# SPDX-License-Identifier: GPL-2.0-or-later
"""The history as people read it in a terminal: what began to break or was fixed, and what is flaky, by kernel."""

from __future__ import annotations

from collections.abc import Sequence

from reports.history.history_file import Breakage, FlakyTest, HistoryFile, Series
from reports.model.display import one_line

MOST = 20
"""Entries of a section before the others are only counted.  What is broken now is always listed in full."""
DAY = 10
"""Characters of a time that are its day."""


def as_text(history: HistoryFile, *, most: int | None = MOST) -> str:
    """The table; `most` entries of each section, or all of them for None."""
    lines = [_head(history)]
    for series in history.series:
        lines += ["", *_series(series, history, most)]
    return "".join(f"{one_line(line)}\n" for line in lines)


def remarks(history: HistoryFile) -> list[str]:
    """A line for each file that is not in the history."""
    return [one_line(f"{each.path}: left out: {each.why}") for each in history.left_out]


def unreadable(history: HistoryFile) -> bool:
    """Whether the history lacks a run, because its results cannot be read."""
    return any(not each.counted for each in history.left_out)


def _head(history: HistoryFile) -> str:
    days = [run.started[:DAY] for run in (history.runs[0], history.runs[-1])]
    words = f"{len(history.runs)} runs from {days[0]} to {days[1]}, {_count(len(history.series), 'kernel')}"
    return f"{words}, {_count(len(history.left_out), 'file')} left out" if history.left_out else words


def _series(series: Series, history: HistoryFile, most: int | None) -> list[str]:
    days = [history.runs[column.run].started[:DAY] for column in (series.columns[0], series.columns[-1])]
    builds, runs = _count(len(series.builds), "build"), _count(len(series.columns), "run")
    lines = [f"{series.id}: {runs} of {builds}, {days[0]} to {days[1]}"]
    sections: list[tuple[str, list[list[str]], int | None]] = []
    # What is only flaky is listed by test: one that happens to hold today is not fixed.
    for words, kind in (("broken now", "broken"), ("waived now", "waived")):
        still = [each for each in series.breakages if each.fixed is None and each.kind == kind]
        entries = [_began(each, series, history) for each in still]
        sections.append((words, entries, None if kind == "broken" else most))
    fixed = [each for each in series.breakages if each.fixed is not None and each.kind != "flaky"]
    # What was fixed last is what a reader looks for.
    fixed.sort(key=lambda each: (-(each.fixed or 0), each.promise))
    sections.append(("fixed", [_fixed(each, series, history) for each in fixed], most))
    sections.append(("flaky tests", [_flaky(each, series) for each in series.flaky], most))
    for words, entries, limit in sections:
        if entries:
            shown = entries if limit is None else entries[:limit]
            lines.append(f"  {words}: {len(entries)}")
            lines += [f"    {'    ' * bool(number)}{line}" for entry in shown for number, line in enumerate(entry)]
            lines += [f"    ... and {len(entries) - len(shown)} more; --all lists them"] * (len(shown) < len(entries))
    if len(lines) == 1:
        lines.append("  nothing was broken, and nothing flaky")
    return lines


def _began(breakage: Breakage, series: Series, history: HistoryFile) -> list[str]:
    where = [f"began to break in {_place(breakage.first, series, history)}"]
    where.append(
        "never seen to hold before"
        if breakage.held is None
        else f"held last in {_place(breakage.held, series, history)}"
    )
    where += [f"seen {breakage.columns} times"] if breakage.columns > 1 else []
    return [f"{breakage.promise}: {', '.join(where)}", *_evidence(breakage)]


def _fixed(breakage: Breakage, series: Series, history: HistoryFile) -> list[str]:
    assert breakage.fixed is not None
    place = _place(breakage.fixed, series, history)
    words = f"fixed in {place}" if breakage.same_tests else f"held in {place}, but the tests that broke it are gone"
    excused = ", was waived" if breakage.kind == "waived" else ""
    began = f"began to break in {_place(breakage.first, series, history)}{excused}"
    return [f"{breakage.promise}: {began}, {words}", *_evidence(breakage)]


def _flaky(test: FlakyTest, series: Series) -> list[str]:
    builds = ", ".join(series.builds[build].label for build in test.builds[:3])
    rest = f" and {len(test.builds) - 3} more" if len(test.builds) > 3 else ""
    return [f"{test.test}: in {len(test.builds)} of {_count(test.of, 'build')}: {builds}{rest}"]


def _evidence(breakage: Breakage) -> Sequence[str]:
    if not breakage.test:
        return ()
    return [f"{breakage.test}: {breakage.reason}" if breakage.reason else breakage.test]


def _place(column: int, series: Series, history: HistoryFile) -> str:
    found = series.columns[column]
    return f"{series.builds[found.build].label} ({history.runs[found.run].started[:DAY]})"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
