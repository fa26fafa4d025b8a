# SPDX-License-Identifier: GPL-2.0-or-later
"""index.html: kernels x promises on one page that needs no network, no server and no other file.

The page is data and a script.  What is computed here is which data: the results in short, and the evidence of those
that did not pass, as much of it as fits.  The rest is one click away in the files beside the page.
Everything that a kernel or a test's name says is data: it reaches the page as JSON, with its control characters
spelled out, and the script puts it there as text, never as HTML.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from reports.formats import derived_files as files
from reports.formats.report_html import LINES, OTHER_LINES
from reports.judgement.comparison import KINDS, Comparison
from reports.judgement.exit_status import MEANING
from reports.model import report_directory as folder
from reports.model import store as results
from reports.model.document import Document
from reports.model.evidence import printable, tail
from reports.model.result import OUTCOMES

SHOWN_OUTCOMES = ("fail", "error", "unexpected-pass", "waived")
"""Results whose evidence is in the page, in the order in which it is taken while there is room."""

EVIDENCE_LIMIT = 8 << 20
"""Characters of evidence in one page, all results together: a browser on a phone still opens that."""
PIECE_LIMIT = 60_000
"""Characters of one piece of evidence; its end is kept."""
COMPARISON_LIMIT = 20_000
"""Rows of a comparison."""

RUN_KEYS = (
    *("id", "state", "started", "duration_s", "exit_status", "collected", "selection"),
    *("host", "suite", "versions"),
)
"""What the page says of the run."""

BESIDE = (folder.PAGE, results.FILE_NAME, folder.JUNIT, *files.NAMES)
"""Other files of a report that the page links, where they are."""

_TEMPLATES = Path(__file__).parents[1] / "templates"
_SCRIPTS = ("state.js", "promise_matrix.js", "test_lists.js", "evidence_panel.js", "durations.js", "main.js")
"""Joined in this order to one script."""

_HTML_SAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
"""Inside of a JSON string these mean the same, and no `</script>` or `<!--` is left for HTML to see."""


@dataclass
class Room:
    """How many more characters of evidence fit into the page."""

    left: int

    def take(self, text: str) -> bool:
        """Whether `text` fits; then it has its place."""
        if len(text) > self.left:
            return False
        self.left -= len(text)
        return True


def render(
    document: Mapping[str, Any],
    evidence: Callable[[str], str],
    comparison: Sequence[Mapping[str, Any]] | None = None,
    beside: Sequence[str] = (results.FILE_NAME,),
) -> str:
    """The page of a results.json that has been parsed.

    `evidence` gives the text behind a path of a result's evidence, and raises OSError where there is none.
    `comparison` is what changed since another run, a mapping for each test: `test`, `kernel`, `was`, `now`, `kind`
    and `reason`, all text (see `rows`); None leaves it out.  `beside` names the other files of the report.
    """
    script = "".join(_template(name) for name in _SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return Template(_template("index.html")).substitute(
        title=escape(f"kconform {printable(str(document['run']['id']))}"),
        # Only this very script may run, and nothing may be fetched: should an escape be forgotten, it does no harm.
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'",
        style=_template("index.css"),
        data=_json(data(document, evidence, comparison) | {"beside": list(beside)}),
        script=script,
    )


def data(
    document: Mapping[str, Any],
    evidence: Callable[[str], str],
    comparison: Sequence[Mapping[str, Any]] | None = None,
    room: int = EVIDENCE_LIMIT,
) -> dict[str, Any]:
    """What the script works on; numbers stand for kernels, requirements, statuses and outcomes.  See `render`."""
    kernels = _kernels(document)
    kernel_at = {kernel["id"]: number for number, kernel in enumerate(kernels)}
    requirement_at = {each["id"]: number for number, each in enumerate(document["requirements"])}
    pieces: dict[tuple[str, str], int] = {}
    tests = [_row(result, kernel_at, requirement_at, pieces) for result in document["results"]]
    texts, without = _texts(document["results"], evidence, Room(room))
    compared = None if comparison is None else list(comparison)
    counted = Counter(result["outcome"] for result in document["results"])
    return {
        "run": _plain({key: document["run"].get(key) for key in RUN_KEYS}),
        "counts": {outcome: counted[outcome] for outcome in OUTCOMES},
        "meaning": MEANING.get(document["run"]["exit_status"], "the run has not ended"),
        "statuses": results.STATUSES,
        "outcomes": OUTCOMES,
        "kernels": _plain(kernels),
        "requirements": [_requirement(each, list(kernel_at)) for each in document["requirements"]],
        "kinds": list(KINDS.values()),
        "files": [_plain(pair) for pair in pieces],
        "results": tests,
        "texts": texts,
        "without": without,
        "comparison": None if compared is None else [_plain(row) for row in compared[:COMPARISON_LIMIT]],
        "uncompared": max(0, len(compared or ()) - COMPARISON_LIMIT),
    }


def rows(comparison: Comparison) -> list[dict[str, str]]:
    """What changed, as `render` wants it; the kind is one of compare.KINDS' titles."""
    found = []
    for kind, changes in comparison.changes.items():
        for change in changes:
            latest = change.new or change.old
            assert latest is not None
            found.append(
                {
                    "test": change.nodeid,
                    "kernel": latest.kernel or results.NO_KERNEL,
                    "was": change.old.outcome if change.old else "",
                    "now": change.new.outcome if change.new else "",
                    "kind": KINDS[kind],
                    "reason": latest.reason,
                }
            )
    return found


def write(document: Document, comparison: Comparison | None = None) -> Path:
    """Make the page of a results.json, beside it, in one step.  Raises OSError."""
    directory = document.directory
    page = render(
        document.raw,
        evidence=lambda path: (directory / path).read_text("utf-8", errors="replace"),
        comparison=None if comparison is None else rows(comparison),
        beside=[name for name in BESIDE if (directory / name).exists()],
    )
    path = directory / folder.MATRIX
    files.replace(path, page)
    return path


def _kernels(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those of the run in their order, and one more for the tests that had none, if there are any."""
    keys = ("id", "release", "arch", "accel", "spec")
    known = {each["id"]: {key: each.get(key) for key in keys} for each in document["kernels"]}
    for result in document["results"]:
        name = result["kernel"] or results.NO_KERNEL
        if name not in known:
            known[name] = dict.fromkeys(keys) | {"id": name}
    return list(known.values())


def _requirement(requirement: Mapping[str, Any], kernels: Sequence[str]) -> dict[str, Any]:
    said = requirement["status"]
    keys = ("id", "area", "text", "source", "since", "until", "note")
    return {
        **{key: _plain(requirement[key]) for key in keys},
        "status": [results.STATUSES.index(said.get(kernel, "untested")) for kernel in kernels],
    }


def _row(
    result: Mapping[str, Any],
    kernel_at: Mapping[str, int],
    requirement_at: Mapping[str, int],
    files: dict[tuple[str, str], int],
) -> list[Any]:
    """A result in short: ten thousand of them are in one page.

    [nodeid, area, kernel, outcome, seconds, reason, requirements, folder of its evidence, files in it]; a file is a
    number of `files`, which grows by the (title, name) that it does not have yet.
    """
    places = {path.rpartition("/")[0] for path in result["evidence"].values()}
    place = places.pop() if len(places) == 1 else ""
    names = [(title, path[len(place) :].lstrip("/")) for title, path in result["evidence"].items()]
    return [
        printable(result["nodeid"]),
        printable(result["area"]),
        kernel_at[result["kernel"] or results.NO_KERNEL],
        OUTCOMES.index(result["outcome"]),
        round(result["duration_s"], 3),
        printable(result["reason"]),
        [requirement_at[each] for each in result["requirements"] if each in requirement_at],
        place,
        [files.setdefault(name, len(files)) for name in names],
    ]


def _texts(
    all_results: Sequence[Mapping[str, Any]], evidence: Callable[[str], str], room: Room
) -> tuple[dict[int, list[tuple[str, str]]], int]:
    """The evidence in the page, by the number of the result: (title, text) each; and how many results lack some."""
    wanted = [
        (number, result)
        for outcome in SHOWN_OUTCOMES
        for number, result in enumerate(all_results)
        if result["outcome"] == outcome
    ]
    texts: dict[int, list[tuple[str, str]]] = {}
    without = 0
    for number, result in wanted:
        pieces: list[tuple[str, str]] = []
        for title, text in _pieces(result, evidence) if room.left else ():
            if not room.take(text):
                room.left = 0  # what comes later is not worse: no small piece of it takes the last place
                break
            pieces.append((printable(title), text))
        if pieces:
            texts[number] = pieces
        without += not room.left and len(pieces) < len(result["evidence"]) + bool(result["longrepr"])
    return texts, without


def _pieces(result: Mapping[str, Any], evidence: Callable[[str], str]) -> Iterable[tuple[str, str]]:
    """Title and end of each piece; read one by one, so that what has no room is not read."""
    if result["longrepr"]:
        yield "failure", _end(tail(result["longrepr"], LINES["kernel log"]))
    for title, path in result["evidence"].items():
        try:
            text = evidence(path)
        except OSError as error:
            text = f"[{path} cannot be read: {error.strerror or error}]"
        yield title, _end(tail(text, LINES.get(title, OTHER_LINES)))


def _end(text: str) -> str:
    missing = len(text) - PIECE_LIMIT
    return text if missing <= 0 else f"[... {missing} characters before these]\n{text[missing:]}"


def _plain(value: Any) -> Any:
    """`value` with nothing in its strings that is not printable."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable(str(key)): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value


def _json(value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"))
    for char, code in _HTML_SAFE.items():
        text = text.replace(char, code)
    return text


def _template(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
