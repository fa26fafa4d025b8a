# SPDX-License-Identifier: GPL-2.0-or-later
"""A comparison as people read it: text for a terminal, Markdown, or a page of HTML.  Pure: no file is written here.

The three say the same; what they say is made once, as `Section`s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from reports.formats import markdown
from reports.formats.markdown import line
from reports.judgement.comparison import KINDS, Change, Comparison, Promise
from reports.judgement.exit_status import BROKEN, OURS
from reports.model.document import Document

MOST = 50
"""Entries of a section before the rest is only counted.  What newly fails is always listed in full."""

MEANING = {
    BROKEN: "something newly fails",
    OURS: "only errors of ours are new",
}


@dataclass(frozen=True)
class Entry:
    """One thing that changed: its name, and lines about it."""

    name: str
    details: Sequence[str] = ()


@dataclass(frozen=True)
class Section:
    """Things that changed in the same way."""

    title: str
    entries: Sequence[Entry]
    rest: int = 0
    """Entries that are left out."""


def title(document: Document) -> str:
    """Which run that is."""
    return f"{document.path} (run {document.run['id']} of {document.run['started']})"


def sections(comparison: Comparison, *, most: int | None = MOST) -> list[Section]:
    """What changed, the weightiest first; `most` entries of each section, or all of them for None."""
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
                None if kind == "failing" else most,
            )
        )
    return [section for section in found if section.entries]


def head(comparison: Comparison) -> list[str]:
    """What was compared with what."""
    lines = [f"old: {title(comparison.old)}", f"new: {title(comparison.new)}"]
    for old, new in comparison.pairs:
        if old != new:
            lines.append(f"kernel: {old or 'none'} -> {new or 'none'}")
    return [line(each) for each in (*lines, *(f"remark: {remark}" for remark in comparison.remarks))]


def totals(comparison: Comparison) -> str:
    """One line: how much of each kind, and what stayed as it was."""
    counted = [
        f"{len(comparison.changes[kind])} {words}" for kind, words in KINDS.items() if comparison.changes[kind]
    ]
    return ", ".join([*counted, f"{comparison.same} as before"])


def ending(comparison: Comparison) -> str:
    status = comparison.exit_status
    return f"exit status {status}: {MEANING.get(status, 'no new failures')}"


def as_text(comparison: Comparison, *, most: int | None = MOST) -> str:
    lines = [*head(comparison), ""]
    for section in sections(comparison, most=most):
        lines.append(f"{section.title}")
        for entry in section.entries:
            lines += [f"  {entry.name}", *(f"      {detail}" for detail in entry.details)]
        lines += [f"  {_rest(section)}"] if section.rest else []
        lines.append("")
    lines += [totals(comparison), ending(comparison)]
    return "".join(f"{each}\n" for each in lines)


def as_markdown(comparison: Comparison, *, most: int | None = MOST) -> str:
    lines = ["# kconform: what changed", "", *(f"- {markdown.text(line)}" for line in head(comparison)), ""]
    for section in sections(comparison, most=most):
        lines += [f"## {markdown.text(section.title)}", ""]
        for entry in section.entries:
            lines += [f"- {markdown.code(entry.name)}", *(f"  - {markdown.text(detail)}" for detail in entry.details)]
        lines += ["", _rest(section)] if section.rest else []
        lines.append("")
    lines += [markdown.text(totals(comparison)), "", f"**{ending(comparison)}**"]
    return "\n".join(lines) + "\n"


_STYLE = "body{font:15px sans-serif;margin:2em;max-width:80em}code{overflow-wrap:anywhere}li{margin:.3em 0}"


def as_html(comparison: Comparison, *, most: int | None = MOST) -> str:
    """A page that needs no other file."""
    parts = [
        f"<h1>kconform: what changed</h1><ul>{''.join(f'<li>{escape(each)}</li>' for each in head(comparison))}</ul>"
    ]
    for section in sections(comparison, most=most):
        rows = "".join(
            f"<li><code>{escape(entry.name)}</code>{''.join(f'<br>{escape(each)}' for each in entry.details)}</li>"
            for entry in section.entries
        )
        rest = f"<p>{escape(_rest(section))}</p>" if section.rest else ""
        parts.append(f"<h2>{escape(section.title)}</h2><ul>{rows}</ul>{rest}")
    parts.append(f"<p>{escape(totals(comparison))}</p><p><b>{escape(ending(comparison))}</b></p>")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>kconform: what changed</title>'
        f"<style>{_STYLE}</style></head>\n<body>{chr(10).join(parts)}</body></html>\n"
    )


FORMATS = {"text": as_text, "markdown": as_markdown, "html": as_html}


def _section(words: str, entries: Sequence[Entry], most: int | None) -> Section:
    shown = entries if most is None else entries[:most]
    # Names and reasons hold whatever a guest said: none of it shall move a reader's cursor.
    plain = [Entry(line(entry.name), [line(detail) for detail in entry.details]) for entry in shown]
    return Section(words, plain, len(entries) - len(shown))


def _promise(promise: Promise) -> Entry:
    return Entry(
        f"{promise.id} on {promise.kernel}: {promise.old or 'absent'} -> {promise.new or 'absent'}", [promise.text]
    )


def _entry(change: Change) -> Entry:
    old, new = (result.reason if result else "" for result in (change.old, change.new))
    if change.kind == "reason":
        return Entry(change.nodeid, [f"{change.was}, was: {old}", f"now: {new}"])
    said = new if change.new is not None else old
    details = [f"{change.was}: {said}" if said else change.was]
    if change.kind in ("passing", "applicable", "waived") and old:
        details.append(f"was: {old}")
    if change.kind in ("failing", "errors") and change.old is None:
        details.append("this test was not in the old run")
    return Entry(change.nodeid, details)


def _rest(section: Section) -> str:
    return f"... and {section.rest} more; --all lists them"
