# SPDX-License-Identifier: GPL-2.0-or-later
"""A comparison as people read it: text for a terminal, or Markdown.

Both say the same; what they say is made once, as `Section`s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reports.formats import markdown_escape
from reports.judgement.comparison import KINDS, Change, Comparison, PromiseChange
from reports.judgement.exit_status import BROKEN, UNDETERMINED
from reports.model.display import one_line
from reports.model.document import Document

MOST = 50
"""Entries of a section before the others are only counted.  What newly fails or is flaky is always listed in full."""

MEANING = {
    BROKEN: "something newly fails, or is newly flaky",
    UNDETERMINED: "only errors are new, or what the run takes for one (--flaky=undetermined)",
}


@dataclass(frozen=True)
class DiffEntry:
    """One thing that changed: its name, and lines about it."""

    name: str
    details: Sequence[str] = ()


@dataclass(frozen=True)
class Section:
    """Things that changed in the same way."""

    title: str
    entries: Sequence[DiffEntry]
    rest: int = 0
    """Entries that are left out."""


def title(document: Document) -> str:
    """Which run it is."""
    return f"{document.path} (run {document.run.id} of {document.run.started})"


def sections(comparison: Comparison, *, most: int | None = MOST) -> list[Section]:
    """What changed, the most important first; `most` entries of each section, or all of them for None."""
    found = [
        _section(
            f"promises: {len(comparison.promises)} changed", [_promise(each) for each in comparison.promises], most
        )
    ]
    for kind, words in KINDS.items():
        changes = comparison.changes[kind]
        found.append(
            _section(
                f"{words}: {len(changes)}",
                [_entry(change) for change in changes],
                None if kind in ("failing", "flaky") else most,
            )
        )
    return [section for section in found if section.entries]


def head(comparison: Comparison) -> list[str]:
    """What was compared with what."""
    lines = [f"old: {title(comparison.old)}", f"new: {title(comparison.new)}"]
    for old, new in comparison.pairs:
        if old != new:
            lines.append(f"kernel: {old or 'none'} -> {new or 'none'}")
    return [one_line(each) for each in (*lines, *(f"remark: {remark}" for remark in comparison.remarks))]


def ending(comparison: Comparison) -> str:
    """The last line: the exit status and what it means."""
    status = comparison.exit_status
    return f"exit status {status}: {MEANING.get(status, 'no new failures')}"


def as_text(comparison: Comparison, *, most: int | None = MOST) -> str:
    """For a terminal."""
    lines = [*head(comparison), ""]
    for section in sections(comparison, most=most):
        lines.append(f"{section.title}")
        for entry in section.entries:
            lines += [f"  {entry.name}", *(f"      {detail}" for detail in entry.details)]
        lines += [f"  {_rest(section)}"] if section.rest else []
        lines.append("")
    lines += [one_line(comparison.totals()), ending(comparison)]
    return "".join(f"{each}\n" for each in lines)


def as_markdown(comparison: Comparison, *, most: int | None = MOST) -> str:
    """For a page that shows Markdown."""
    lines = ["# kconform: what changed", "", *(f"- {markdown_escape.text(line)}" for line in head(comparison)), ""]
    for section in sections(comparison, most=most):
        lines += [f"## {markdown_escape.text(section.title)}", ""]
        for entry in section.entries:
            lines += [
                f"- {markdown_escape.code(entry.name)}",
                *(f"  - {markdown_escape.text(detail)}" for detail in entry.details),
            ]
        lines += ["", _rest(section)] if section.rest else []
        lines.append("")
    lines += [markdown_escape.text(one_line(comparison.totals())), "", f"**{ending(comparison)}**"]
    return "\n".join(lines) + "\n"


FORMATS: dict[str, Callable[..., str]] = {"text": as_text, "markdown": as_markdown}


def _section(words: str, entries: Sequence[DiffEntry], most: int | None) -> Section:
    shown = entries if most is None else entries[:most]
    # Names and reasons hold whatever a guest said.
    plain = [DiffEntry(one_line(entry.name), [one_line(detail) for detail in entry.details]) for entry in shown]
    return Section(words, plain, len(entries) - len(shown))


def _promise(promise: PromiseChange) -> DiffEntry:
    return DiffEntry(
        f"{promise.id} on {promise.kernel}: {promise.old or 'absent'} -> {promise.new or 'absent'}", [promise.text]
    )


def _entry(change: Change) -> DiffEntry:
    old, new = (result.reason if result else "" for result in (change.old, change.new))
    if change.kind == "reason":
        return DiffEntry(change.nodeid, [f"{change.verdicts}, was: {old}", f"now: {new}"])
    said = new if change.new is not None else old
    details = [f"{change.verdicts}: {said}" if said else change.verdicts]
    if change.newly_broken:
        details.append(f"newly breaks {', '.join(change.newly_broken)}")
    if (change.kind in ("passing", "applicable", "waived") or change.newly_broken) and old:
        details.append(f"was: {old}")
    if change.kind in ("failing", "flaky", "errors") and change.old is None:
        details.append("this test was not in the old run")
    return DiffEntry(change.nodeid, details)


def _rest(section: Section) -> str:
    return f"... and {section.rest} more; --all lists them"
