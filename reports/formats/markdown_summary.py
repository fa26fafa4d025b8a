# SPDX-License-Identifier: GPL-2.0-or-later
"""summary.md: a run in a few lines of Markdown, as a CI shows it beside its job.

It is bounded: GitHub shows no summary of a step that is larger than 1 MiB, and says so in red.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from reports.formats.markdown import code, text
from reports.judgement.comparison import Comparison
from reports.judgement.exit_status import MEANING
from reports.model.document import Document
from reports.model.result import OUTCOMES
from reports.model.store import NO_KERNEL
from reports.tools.diff import totals

FILE_NAME = "summary.md"
STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
STEP_LIMIT = 1 << 20
"""Bytes that GitHub shows of one step."""

LIMIT = 64 << 10
"""Bytes of ours: a step may run us more than once."""

MOST = 50
"""Entries of a list before the rest is only counted."""


def render(document: Document, comparison: Comparison | None = None) -> str:
    """The run, and what changed against a baseline if there is one.  At most LIMIT bytes of UTF-8."""
    lines = ["## kconform", "", *_head(document), "", *_table(document), ""]
    parts = [
        _broken(document),
        *([_changed(comparison)] if comparison else []),
        _errors(document),
        _remarks(document),
    ]
    size = sum(len(line.encode("utf-8", "backslashreplace")) + 1 for line in lines)
    for part in parts:
        for line in part:
            size += len(line.encode("utf-8", "backslashreplace")) + 1
            if size > LIMIT - 100:
                return "\n".join([*lines, "", "... and more: see results.json", ""])
            lines.append(line)
    return "\n".join(lines).rstrip("\n") + "\n"


def append_to_step(summary: str, environment: Mapping[str, str] = os.environ) -> None:
    """Add the summary to the page of GitHub's step that we run in, if we do.  Raises OSError.

    Where the page has no room for it any more, a page without us is better than none.
    """
    name = environment.get(STEP_SUMMARY)
    if not name:
        return
    path = Path(name)
    content = summary.encode("utf-8", "backslashreplace")
    taken = path.stat().st_size if path.exists() else 0
    if taken + len(content) + 1 <= STEP_LIMIT:
        with path.open("ab") as file:
            file.write(b"\n" + content if taken else content)


def _head(document: Document) -> list[str]:
    run = document.run
    status = run["exit_status"]
    words = "the run goes on" if status is None else f"exit status {status}: {MEANING.get(status, 'unknown')}"
    return [f"**{words}** ({text(run['id'])}, {len(document.results)} tests, {run['duration_s']:.0f} s)"]


def _table(document: Document) -> list[str]:
    counts: dict[str, Counter[str]] = {name: Counter() for name in document.kernels}
    for result in document.tests():
        counts.setdefault(result.kernel or NO_KERNEL, Counter())[result.outcome] += 1
    # `waived` and `unexpected-pass` only where there are any: most runs need no waiver.
    columns = [each for each in OUTCOMES if each in OUTCOMES[:4] or any(row[each] for row in counts.values())]
    rows = [["kernel", *columns], ["---", *("---:" for _ in columns)]]
    for name, row in list(counts.items())[:MOST]:
        rows.append([text(name), *(str(row[each]) for each in columns)])
    return ["| " + " | ".join(row) + " |" for row in rows]


def _broken(document: Document) -> list[str]:
    found = [result for result in document.tests() if result.outcome == "fail"]
    lines = ["### Broken promises", ""] if found else []
    for result in found[:MOST]:
        lines.append(f"- {code(result.nodeid)}  ")
        lines.append(f"  {text(result.reason)}")
        for name in result.requirements:
            sentence = document.requirements[name].text if name in document.requirements else ""
            lines.append(f"  - {text(name)}: {text(sentence)}")
    return _ended(lines, len(found))


def _changed(comparison: Comparison) -> list[str]:
    base = f"run {comparison.old.run['id']} of {comparison.old.run['started']}"
    lines = ["### Against the baseline", "", f"{text(base)}: {totals(comparison)}", ""]
    failing = comparison.changes["failing"]
    if failing:
        lines += ["Newly failing:", ""]
        lines += [f"- {code(change.nodeid)}: {text(change.was)}" for change in failing[:MOST]]
    return _ended(lines, len(failing))


def _errors(document: Document) -> list[str]:
    """By what happened: a kernel that does not boot is one error, not one for each test."""
    counted = Counter(result.reason for result in document.tests() if result.outcome == "error")
    lines = ["### Errors of ours, which say nothing about a kernel", ""] if counted else []
    lines += [f"- {count} x {text(reason)}" for reason, count in counted.most_common(MOST)]
    return _ended(lines, len(counted))


def _remarks(document: Document) -> list[str]:
    # While a run writes its own summary it says `running` of nothing: see `_head`.
    return [f"- {text(remark)}" for remark in document.remarks()]


def _ended(lines: list[str], entries: int) -> list[str]:
    if entries > MOST:
        lines += ["", f"... and {entries - MOST} more: see results.json"]
    return [*lines, ""] if lines else []
