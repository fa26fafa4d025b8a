# SPDX-License-Identifier: GPL-2.0-or-later
"""summary.md: a run in a few lines of Markdown, as a CI shows it beside its job.

Its size is limited: if the summary of a step is larger than 1 MiB, GitHub shows an error instead.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from reports.formats.markdown_escape import code, text
from reports.judgement.comparison import Comparison
from reports.judgement.exit_status import meaning
from reports.model.document import Document
from reports.model.result import NO_KERNEL, VERDICTS, Verdict

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
STEP_LIMIT = 1 << 20
"""Bytes that GitHub shows of one step."""

LIMIT = 64 << 10
"""Bytes of one summary: a step may run kconform more than once."""

MOST = 50
"""Entries of a list before the rest is only counted."""


def render(document: Document, comparison: Comparison | None = None) -> str:
    """The run, and what changed since the baseline if there is one.  At most LIMIT bytes of UTF-8."""
    lines = ["## kconform", "", *_head(document), "", *_table(document), ""]
    parts = [
        _seen_broken(document, "fail", "### Broken promises"),
        _seen_broken(document, "flaky", "### Flaky promises, broken in some attempts and not in others"),
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
    """Add the summary to the page of the GitHub step that runs this process, if there is one.  OSError if that fails.

    If the page has no room left, it stays as it is: with too much on it, GitHub would show none.
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
    status = run.exit_status
    counts = Counter(result.verdict for result in document.results)
    words = "the run is still going on" if status is None else f"exit status {status}: {meaning(status, counts)}"
    return [f"**{words}** ({text(run.id)}, {len(document.results)} tests, {run.duration_s:.0f} s)"]


def _table(document: Document) -> list[str]:
    counts: dict[str, Counter[Verdict]] = {name: Counter() for name in document.kernels}
    for result in document.tests():
        counts.setdefault(result.kernel or NO_KERNEL, Counter())[result.verdict] += 1
    # The others only if there are any: most runs need no waiver, and run each test once.
    columns = [each for each in VERDICTS if each in VERDICTS[:4] or any(row[each] for row in counts.values())]
    rows = [["kernel", *columns], ["---", *("---:" for _ in columns)]]
    for name, row in list(counts.items())[:MOST]:
        rows.append([text(name), *(str(row[each]) for each in columns)])
    return ["| " + " | ".join(row) + " |" for row in rows]


def _seen_broken(document: Document, verdict: Verdict, title: str) -> list[str]:
    found = [result for result in document.tests() if result.verdict == verdict]
    lines = [title, ""] if found else []
    for result in found[:MOST]:
        lines.append(f"- {code(result.nodeid)}  ")
        lines.append(f"  {text(result.reason)}")
        for name in result.subjects:
            sentence = document.promises[name].text if name in document.promises else ""
            lines.append(f"  - {text(name)}: {text(sentence)}")
    return _ended(lines, len(found))


def _changed(comparison: Comparison) -> list[str]:
    base = f"run {comparison.old.run.id} of {comparison.old.run.started}"
    lines = ["### Since the baseline", "", f"{text(base)}: {text(comparison.totals())}", ""]
    most = 0
    for kind, title in (("failing", "Newly failing:"), ("flaky", "Newly flaky:")):
        if changes := comparison.changes[kind]:
            lines += [title, "", *(f"- {code(each.nodeid)}: {text(each.verdicts)}" for each in changes[:MOST]), ""]
            most = max(most, len(changes))
    return _ended(lines, most)


def _errors(document: Document) -> list[str]:
    """By their reason: a kernel that does not boot is one error, not one for each test."""
    counted = Counter(result.reason for result in document.tests() if result.verdict == "error")
    lines = ["### Errors, which say nothing about the kernel", ""] if counted else []
    lines += [f"- {count} x {text(reason)}" for reason, count in counted.most_common(MOST)]
    return _ended(lines, len(counted))


def _remarks(document: Document) -> list[str]:
    return [f"- {text(remark)}" for remark in document.remarks()]


def _ended(lines: list[str], entries: int) -> list[str]:
    if entries > MOST:
        lines += ["", f"... and {entries - MOST} more: see results.json"]
    return [*lines, ""] if lines else []
