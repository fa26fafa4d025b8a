# SPDX-License-Identifier: GPL-2.0-or-later
"""The records of a run, and the three calls through which the rest of the project fills them.

`attach`, `set_kernel` and `describe_run` may be called in any process of a run.  What they are told is
kept on the pytest item or config until the item's next report is made; it then travels on that report as
plain JSON (`report.kconform`), which pytest-xdist carries from a worker to the controller.  Only the
controller turns reports into `Result`s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

import pytest

SCHEMA = 1
"""Version of results.json.  It grows when a reader of the former version could be misled."""

OUTCOMES = ("pass", "fail", "error", "skip", "waived", "unexpected-pass")
"""Every word that `Result.outcome` may be; the last two come of waivers."""

JSON: TypeAlias = bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"] | None

REPORT_ATTRIBUTE = "kconform"
"""The attribute of a pytest report that holds its `Note` as JSON."""

KERNEL_KEYS = ("id", "name", "flavor", "release", "arch", "spec", "identity", "digest", "accel", "version")
"""What results.json says of each kernel; more may be added, none is missing (unknown ones are null)."""


@dataclass(frozen=True)
class Result:
    """One test's last word, as results.json has it."""

    nodeid: str
    area: str
    """The folder below suites/: yama, loadpin, seccomp, harness."""
    requirements: tuple[str, ...]
    kernel: str | None
    """The kernel's id, such as `debian-6.12.117/full`; None for a test that boots none."""
    flavor: str | None
    outcome: str
    reason: str
    """One line: why it is not a plain pass.  Empty for a pass."""
    duration_s: float
    """Seconds for setup, call and teardown together."""
    accel: str | None = None
    worker: str | None = None
    """pytest-xdist's name for the process that ran it, None without xdist."""
    started: str = ""
    """UTC, ISO 8601."""
    longrepr: str = ""
    """The failure as pytest prints it; empty where nothing failed."""
    evidence: Mapping[str, str] = field(default_factory=dict)
    """Title of each piece of evidence, and its path relative to the report directory."""

    def to_json(self) -> dict[str, JSON]:
        """The record as results.json spells it."""
        record = asdict(self)
        record["requirements"] = list(self.requirements)
        record["evidence"] = dict(self.evidence)
        return record


@dataclass(frozen=True)
class Note:
    """What one phase (setup, call, teardown) of one test adds to pytest's own report of it."""

    outcome: str
    reason: str
    exit_status: int | None
    """What an error of ours wants the run to end with (3 or 4), None where there is no error."""
    requirements: tuple[str, ...]
    kernel: Mapping[str, JSON] | None
    evidence: tuple[tuple[str, str], ...]
    run: Mapping[str, JSON]
    """What `describe_run` was told in the process that made the report."""

    def to_json(self) -> dict[str, JSON]:
        """Builtin containers only: xdist's serialiser takes nothing else."""
        return {
            "outcome": self.outcome,
            "reason": self.reason,
            "exit_status": self.exit_status,
            "requirements": list(self.requirements),
            "kernel": None if self.kernel is None else dict(self.kernel),
            "evidence": [list(piece) for piece in self.evidence],
            "run": dict(self.run),
        }


@dataclass
class Attached:
    """What an item has been given so far, in order, and how much of it a report has taken along."""

    pieces: list[tuple[str, str]] = field(default_factory=list)
    sent: int = 0


ATTACHED_KEY = pytest.StashKey[Attached]()
KERNEL_KEY = pytest.StashKey[dict[str, JSON]]()
RUN_KEY = pytest.StashKey[dict[str, JSON]]()


def attach(item: pytest.Item, title: str, text: str) -> None:
    """Keep `text` as evidence of `item`: `transcript`, `kernel log`, `console`, `process tree`.

    Attach before the `call` report is made (a makereport hook of conftest.py does); what comes later is
    reported with the teardown.  A title that is used twice for different texts is kept twice, numbered.
    """
    attached = item.stash.setdefault(ATTACHED_KEY, Attached())
    add_piece(attached.pieces, title, text)


def add_piece(pieces: list[tuple[str, str]], title: str, text: str) -> None:
    """Append to `pieces`, numbering a title that is taken; the very same piece is not added again."""
    title, text = clean_text(title), clean_text(text)
    if (title, text) in pieces:
        return
    taken = {known for known, _ in pieces}
    numbered, count = title, 1
    while numbered in taken:
        count += 1
        numbered = f"{title} ({count})"
    pieces.append((numbered, text))


def set_kernel(item: pytest.Item, info: Mapping[str, JSON]) -> None:
    """Say which kernel `item` is about.  Call it before anything can skip or fail the test.

    `info` has at least `id` (`debian-6.12.117/full`); see KERNEL_KEYS for the others.  What is missing
    is null in results.json, except name and flavor, which are then read from the id.
    """
    identifier = str(info["id"])
    name, _, flavor = identifier.partition("/")
    known: dict[str, JSON] = {"name": name, "flavor": flavor or None}
    item.stash[KERNEL_KEY] = {key: known.get(key) for key in KERNEL_KEYS} | plain(info)


def describe_run(config: pytest.Config, key: str, value: JSON) -> None:
    """Add to `run.versions` of results.json: `qemu`, `virtme-ng`, `accel` and whatever else a reader needs.

    Works in a worker too; what a worker says arrives with its next report.
    """
    run_description(config).update(plain({key: value}))


def run_description(config: pytest.Config) -> dict[str, JSON]:
    """All that `describe_run` was told in this process; in the controller, in its workers too."""
    return config.stash.setdefault(RUN_KEY, {})


def plain(value: Mapping[str, JSON]) -> dict[str, JSON]:
    """A copy of builtin types only: tuples become lists, text loses what no encoder takes."""
    return {clean_text(str(key)): _plain(part) for key, part in value.items()}


def _plain(value: JSON) -> JSON:
    if isinstance(value, str):
        return clean_text(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return plain(value)
    if isinstance(value, Sequence):
        return [_plain(part) for part in value]
    raise TypeError(f"{value!r} of type {type(value).__name__} cannot be reported: JSON has no such thing")


def clean_text(text: str) -> str:
    """`text` without lone surrogates: a console is decoded with surrogateescape, and UTF-8 has none."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def utc(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
