# SPDX-License-Identifier: GPL-2.0-or-later
"""Results as annotations of a GitHub job: lines that its log turns into marks on the run's page.

::error title=yama.scope-1 is broken on debian-6.12.117/full::evil[41].attach(secret[40]) -> OK, expected EPERM

GitHub shows ten errors and ten warnings of a step, so a line at the end counts the rest.
"""

from __future__ import annotations

from collections.abc import Iterator

from reports.model.display import one_line
from reports.model.document import Document
from reports.model.result import NO_KERNEL, Result

MOST = 10
"""Annotations of each kind."""
LENGTH = 400
"""Characters of a message."""


def render(document: Document) -> str:
    """An error for each promise that is broken or flaky on a kernel, a warning for each test that has an error."""
    lines = [*_annotations("error", list(_broken(document)), "promises are not held")]
    lines += _annotations("warning", list(_undetermined(document)), "tests could not be determined")
    return "".join(f"{line}\n" for line in lines)


def _broken(document: Document) -> Iterator[tuple[str, str]]:
    """A title and a message for each promise and kernel."""
    first: dict[tuple[str, str], Result] = {}
    for result in document.tests():
        if result.verdict in ("fail", "flaky"):
            for promise in result.subjects or (result.nodeid,):
                first.setdefault((promise, result.kernel or NO_KERNEL), result)
    for (promise, kernel), result in first.items():
        is_broken = "broken" if result.verdict == "fail" else "flaky"
        text = f"{document.promises[promise].text} " if promise in document.promises else ""
        yield f"{promise} is {is_broken} on {kernel}", f"{text}{result.reason} ({result.nodeid})"


def _undetermined(document: Document) -> Iterator[tuple[str, str]]:
    for result in document.tests():
        if result.verdict == "error":
            yield "could not be determined", f"{result.reason} ({result.nodeid})"


def _annotations(kind: str, found: list[tuple[str, str]], rest: str) -> Iterator[str]:
    shown = found if len(found) <= MOST else found[: MOST - 1]
    for title, message in shown:
        yield f"::{kind} title={_property(title)}::{_data(message)}"
    if len(shown) < len(found):
        yield f"::{kind} title=and more::{len(found) - len(shown)} more {rest}; the report has all"


def _data(text: str) -> str:
    """What GitHub takes for a message.  On one line it has no line break; a percent sign begins an escape."""
    shown = one_line(text)
    return (shown if len(shown) <= LENGTH else f"{shown[: LENGTH - 3]}...").replace("%", "%25")


def _property(text: str) -> str:
    """The same for a title, which a colon or a comma would end."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
