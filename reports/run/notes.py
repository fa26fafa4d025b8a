# SPDX-License-Identifier: GPL-2.0-or-later
"""What the rest of the project tells the report: of a test its evidence and its kernel, and what the run depends on.

`attach`, `set_kernel` and `describe_run` may be called in any process of a run.  What they are told is kept on the
pytest item or config until the next report of the item is made, and travels to the controller with that report (see
`phases`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from common.workers import handed_over
from reports.model.evidence import slug
from reports.model.report_directory import EVIDENCE
from reports.model.result import JSON, KernelRecord, clean, clean_text


@dataclass
class Attached:
    """The evidence that an item has so far, in order, and how much of it a report has taken along."""

    pieces: list[tuple[str, str]] = field(default_factory=list)
    sent: int = 0


ATTACHED = pytest.StashKey[Attached]()
REMARKS = pytest.StashKey[list[str]]()
KERNEL = pytest.StashKey[KernelRecord]()
DIRECTORY = pytest.StashKey[Path]()
WORKER_INPUT = "kconform_report"
VERSIONS = pytest.StashKey[dict[str, JSON]]()


def attach(item: pytest.Item, title: str, text: str) -> None:
    """Keep `text` as evidence of `item`: `transcript`, `kernel log`, `console`, `process tree`.

    Attach before the `call` report is made (a makereport hook of conftest.py does); what comes later is reported with
    the teardown.  A title that is used twice for different texts is numbered.
    """
    add_piece(item.stash.setdefault(ATTACHED, Attached()).pieces, title, text)


def add_piece(pieces: list[tuple[str, str]], title: str, text: str) -> None:
    """Append to `pieces`, numbering a title that is taken; the same piece is not added twice."""
    title, text = clean_text(title), clean_text(text)
    if (title, text) in pieces:
        return
    taken = {known for known, _ in pieces}
    numbered, count = title, 1
    while numbered in taken:
        count += 1
        numbered = f"{title} ({count})"
    pieces.append((numbered, text))


def set_report_directory(config: pytest.Config, path: Path) -> None:
    """Where this run's report goes."""
    config.stash[DIRECTORY] = path.absolute()


def tell_worker(node: Any) -> None:
    """Tell a worker of xdist where the report goes."""
    if (path := node.config.stash.get(DIRECTORY, None)) is not None:
        node.workerinput[WORKER_INPUT] = str(path)


def evidence_directory(item: pytest.Item) -> Path | None:
    """Where the item's evidence goes, for files that are no text; the directory need not exist yet.

    None if the run leaves no report.
    """
    handed = handed_over(item.config, WORKER_INPUT)
    path = Path(handed) if handed else item.config.stash.get(DIRECTORY, None)
    return path and path / EVIDENCE / slug(item.nodeid)


def add_remark(item: pytest.Item, text: str) -> None:
    """Say what a reader of a pass should know, in one line; it is the reason of a pass, and part of the evidence."""
    item.stash.setdefault(REMARKS, []).append(text)
    attach(item, "remark", text)


def remarks_of(item: pytest.Item) -> str:
    """What `add_remark` was told, in one line."""
    remarks = item.stash.get(REMARKS, None)
    return "; ".join(remarks) if remarks else ""


def set_kernel(item: pytest.Item, info: Mapping[str, JSON]) -> None:
    """Say which kernel `item` is about.  Call it before anything can skip or fail the test.

    `info` has at least `id` (`debian-6.12.117/full`); its keys are the fields of KernelRecord.
    """
    item.stash[KERNEL] = KernelRecord.of(clean(info))


def kernel_of(item: pytest.Item) -> KernelRecord | None:
    """The kernel that the item is about, if it has said so."""
    return item.stash.get(KERNEL, None)


def describe_run(config: pytest.Config, key: str, value: JSON) -> None:
    """Add to `run.versions` of results.json: `qemu`, `virtme-ng`, and whatever else a reader needs.

    Works in a worker too; what a worker says arrives with its next report.
    """
    run_versions(config).update(clean({key: value}))


def run_versions(config: pytest.Config) -> dict[str, JSON]:
    """What `describe_run` was told in this process; in the controller, also in its workers."""
    return config.stash.setdefault(VERSIONS, {})
