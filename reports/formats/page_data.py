# SPDX-License-Identifier: GPL-2.0-or-later
"""The data of index.html: a document in short, and the evidence of the tests that did not pass, as much as fits.

Numbers stand for kernels, promises, statuses and verdicts, because a page may hold ten thousand results.  Every text
is spelled out where it does not print.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from common.text import printable
from reports.judgement.comparison import KINDS, Comparison
from reports.judgement.exit_status import meaning
from reports.model.display import tail
from reports.model.document import Document
from reports.model.result import NO_KERNEL, STATUSES, VERDICTS, PromiseRecord, Repetition, Result, Verdict

SHOWN_VERDICTS: tuple[Verdict, ...] = ("fail", "flaky", "error", "unexpected-pass", "waived")
"""Results whose evidence is in the page, in the order in which it is taken while there is room."""

EVIDENCE_LIMIT = 8 << 20
"""Characters of evidence in one page, all results together: the browser of a phone can still open that."""
PIECE_LIMIT = 60_000
"""Characters of one piece of evidence; its end is kept."""
COMPARISON_LIMIT = 20_000
"""Rows of a comparison."""

LINES = {"transcript": 1000, "kernel log": 500, "failure": 500}
OTHER_LINES = 100
"""Lines of a piece of evidence, by its title."""

RUN_KEYS = (
    *("id", "state", "started", "duration_s", "exit_status", "collected", "selection"),
    *("host", "suite", "versions"),
)
KERNEL_KEYS = ("id", "release", "arch", "accel", "machine_options", "target", "spec", "preparation")
PROMISE_KEYS = ("id", "area", "text", "source", "since", "until", "note")


@dataclass
class Room:
    """How many more characters of evidence fit into the page."""

    left: int

    def take(self, text: str) -> bool:
        """Whether `text` fits; if so, its place is taken."""
        if len(text) > self.left:
            return False
        self.left -= len(text)
        return True


def page_data(
    document: Document,
    evidence: Callable[[str], str],
    comparison: Sequence[Mapping[str, str]] | None = None,
    room: int = EVIDENCE_LIMIT,
) -> dict[str, Any]:
    """What the script of the page works on.

    `evidence` gives the text at a path of a result's evidence, or raises OSError if there is none.  `comparison` is
    what `rows` makes of a comparison; None leaves that view out.
    """
    kernels = _kernels(document)
    kernel_at = {kernel["id"]: number for number, kernel in enumerate(kernels)}
    promise_at = {identifier: number for number, identifier in enumerate(document.promises)}
    files: dict[tuple[str, str], int] = {}
    tests = [_row(result, kernel_at, promise_at, files) for result in document.results]
    texts, without = _texts(document.results, evidence, Room(room))
    counted = Counter(result.verdict for result in document.results)
    run = msgspec.to_builtins(document.run)
    return {
        "run": plain({key: run[key] for key in RUN_KEYS}),
        "counts": {verdict: counted[verdict] for verdict in VERDICTS},
        "meaning": _meaning(document.run.exit_status, counted),
        "statuses": STATUSES,
        "outcomes": VERDICTS,
        "kernels": plain(kernels),
        "requirements": [_promise(each, list(kernel_at)) for each in document.promises.values()],
        "kinds": list(KINDS.values()),
        "files": [plain(pair) for pair in files],
        "results": tests,
        "texts": texts,
        "without": without,
        "comparison": None if comparison is None else [plain(row) for row in comparison[:COMPARISON_LIMIT]],
        "uncompared": max(0, len(comparison or ()) - COMPARISON_LIMIT),
    }


def rows(comparison: Comparison) -> list[dict[str, str]]:
    """The changes of a comparison: test, kernel, verdicts, kind of change (a title in KINDS) and reason of each."""
    found = []
    for kind, changes in comparison.changes.items():
        for change in changes:
            latest = change.new or change.old
            assert latest is not None
            found.append(
                {
                    "test": change.nodeid,
                    "kernel": latest.kernel or NO_KERNEL,
                    "was": change.old.verdict if change.old else "",
                    "now": change.new.verdict if change.new else "",
                    "kind": KINDS[kind],
                    "reason": latest.reason,
                }
            )
    return found


def _meaning(exit_status: int | None, counts: Mapping[Verdict, int]) -> str:
    return "the run has not ended" if exit_status is None else meaning(exit_status, counts)


def _kernels(document: Document) -> list[dict[str, Any]]:
    """Those of the run in their order, and one more for the tests without a kernel, if there are any."""
    known = {
        each.id: {key: msgspec.to_builtins(getattr(each, key)) for key in KERNEL_KEYS}
        for each in document.kernels.values()
    }
    if any(result.kernel is None for result in document.results):
        known.setdefault(NO_KERNEL, dict.fromkeys(KERNEL_KEYS) | {"id": NO_KERNEL})
    return list(known.values())


def _promise(promise: PromiseRecord, kernels: Sequence[str]) -> dict[str, Any]:
    return {
        **{key: plain(getattr(promise, key)) for key in PROMISE_KEYS},
        "status": [STATUSES.index(promise.status.get(kernel, "untested")) for kernel in kernels],
    }


def _row(
    result: Result,
    kernel_at: Mapping[str, int],
    promise_at: Mapping[str, int],
    files: dict[tuple[str, str], int],
) -> list[Any]:
    """A result in short.

    [nodeid, area, kernel, verdict, seconds, reason, promises, directory of its evidence, files in it, those of the
    promises that it broke if not all]; a file is a number in `files`, to which a (title, name) that is not there yet
    is added.
    """
    places = {path.rpartition("/")[0] for path in result.evidence.values()}
    place = places.pop() if len(places) == 1 else ""
    names = [(title, path[len(place) :].lstrip("/")) for title, path in result.evidence.items()]
    return [
        printable(result.nodeid),
        printable(result.area),
        kernel_at[result.kernel or NO_KERNEL],
        VERDICTS.index(result.verdict),
        round(result.duration_s, 3),
        printable(result.reason),
        [promise_at[each] for each in result.requirements if each in promise_at],
        place,
        [files.setdefault(name, len(files)) for name in names],
        [promise_at[each] for each in result.breaks if each in promise_at],
    ]


def _texts(
    results: Sequence[Result], evidence: Callable[[str], str], room: Room
) -> tuple[dict[int, list[tuple[str, str]]], int]:
    """The evidence by the number of the result, each piece as (title, text); and how many results lack some."""
    wanted = [
        (number, result)
        for verdict in SHOWN_VERDICTS
        for number, result in enumerate(results)
        if result.verdict == verdict
    ]
    texts: dict[int, list[tuple[str, str]]] = {}
    without = 0
    for number, result in wanted:
        pieces: list[tuple[str, str]] = []
        for title, text in _pieces(result, evidence) if room.left else ():
            if not room.take(text):
                room.left = 0  # what follows is less severe: no small piece of it takes the last place
                break
            pieces.append((printable(title), text))
        if pieces:
            texts[number] = pieces
        all_pieces = len(result.evidence) + bool(result.longrepr) + bool(result.repetition)
        without += not room.left and len(pieces) < all_pieces
    return texts, without


def _pieces(result: Result, evidence: Callable[[str], str]) -> Iterable[tuple[str, str]]:
    """Title and end of each piece; they are read one by one, so that those without room are not read."""
    if result.repetition:
        yield "attempts", _attempts(result.repetition)
    if result.longrepr:
        yield "failure", _end("failure", result.longrepr)
    for title, path in result.evidence.items():
        try:
            text = evidence(path)
        except OSError as error:
            text = f"[{path} cannot be read: {error.strerror or error}]"
        yield title, _end(title, text)


def _attempts(repetition: Repetition) -> str:
    """One line for each."""
    numbered = enumerate(repetition.attempts, 1)
    return "\n".join(
        f"{number}: {each.verdict} after {each.duration_s:.2f} s {each.reason}".rstrip() for number, each in numbered
    )


def _end(title: str, text: str) -> str:
    text = tail(text, LINES.get(title, OTHER_LINES))
    missing = len(text) - PIECE_LIMIT
    return text if missing <= 0 else f"[... {missing} characters before these]\n{text[missing:]}"


def plain(value: Any) -> Any:
    """`value` with nothing in its texts that does not print."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable(str(key)): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value
