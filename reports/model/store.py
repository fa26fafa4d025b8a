# SPDX-License-Identifier: GPL-2.0-or-later
"""The store: all results of a run so far, and their file, results.json, which is valid at every moment.

Each write goes to a temporary name, which then replaces the file, so that a reader finds the former state or the next
one, even if the run is killed.  Each result is encoded once: a run of thousands of tests pays for joining and writing
bytes, not for encoding its past again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from common import atomic
from reports.model.document import Document
from reports.model.failure_texts import FailureTexts
from reports.model.report_directory import RESULTS
from reports.model.requirements import Requirement
from reports.model.result import (
    NO_KERNEL,
    SCHEMA,
    KernelRecord,
    Preparation,
    PromiseRecord,
    Result,
    Verdict,
    promise_status,
)
from reports.model.run_record import ResultsFile, RunRecord

UNTHROTTLED_SIZE = 1 << 20
WRITE_RATE = 20 << 20
"""Bytes per second.  Up to UNTHROTTLED_SIZE each result is written at once; a larger file is written no faster than
this,
so that a run of thousands of results does not keep a disk busy with copies of itself.  A run that is killed then
loses no more than the results of its last fraction of a second."""


@dataclass
class Tested:
    """What the tests of one requirement have found so far."""

    nodeids: list[str] = field(default_factory=list)
    verdicts: dict[str, set[Verdict | None]] = field(default_factory=dict)
    """By kernel."""
    encoded: bytes | None = None


class Store:
    """The results so far, and their file."""

    def __init__(self, directory: Path, requirements: Mapping[str, Requirement], clock: Callable[[], float]) -> None:
        """`clock` counts seconds."""
        self.path = directory / RESULTS
        self._requirements = requirements
        self._clock = clock
        self._written_at = float("-inf")
        self._size = 0
        self.results: list[Result] = []
        self._encoded: list[bytes] = []
        self._kernels: dict[str, KernelRecord] = {}
        self._prepared: dict[str, Preparation] = {}
        self._tested: dict[str, Tested] = {identifier: Tested() for identifier in requirements}
        self._texts = FailureTexts()
        self.counts: Counter[Verdict] = Counter()

    def add(self, result: Result, kernel: KernelRecord | None) -> None:
        """Keep a finished test.  This does not write it yet."""
        result = self._texts.bounded(result)
        encoded = msgspec.json.encode(result)
        if kernel is not None:
            self.add_kernel(kernel)
        self.results.append(result)
        self._encoded.append(encoded)
        self.counts[result.verdict] += 1
        for identifier in result.requirements:
            tested = self._tested.setdefault(identifier, Tested())
            tested.nodeids.append(result.nodeid)
            tested.verdicts.setdefault(result.kernel or NO_KERNEL, set()).add(result.on(identifier))
            tested.encoded = None

    def add_kernel(self, kernel: KernelRecord) -> None:
        """Keep a kernel, or what is new about it: a test that is skipped before its guest starts knows less."""
        if kernel.preparation is not None:
            self.prepare(kernel.id, kernel.preparation)
            kernel = msgspec.structs.replace(kernel, preparation=None)
        known = self._kernels.get(kernel.id)
        if known is None:
            for tested in self._tested.values():
                tested.encoded = None
            # Not in the order in which their tests end: columns stay where they are from run to run, and when merged.
            self._kernels = {each.id: each for each in sorted([*self._kernels.values(), kernel], key=_numbered)}
        elif kernel != known:
            news = {name: getattr(kernel, name) for name in kernel.__struct_fields__ if getattr(known, name) is None}
            self._kernels[kernel.id] = msgspec.structs.replace(known, **news)

    def prepare(self, kernel: str, more: Preparation) -> None:
        """Add to what a kernel took besides its tests.  The kernel itself may come later."""
        self._prepared[kernel] = self._prepared.get(kernel, Preparation()) + more

    @property
    def kernels(self) -> dict[str, KernelRecord]:
        """All kernels by id, with what is known of them so far."""
        return {
            identifier: msgspec.structs.replace(kernel, preparation=self._prepared.get(identifier))
            for identifier, kernel in self._kernels.items()
        }

    def due(self) -> bool:
        """Whether writing the file now is worth the cost."""
        pause = 0.0 if self._size <= UNTHROTTLED_SIZE else self._size / WRITE_RATE
        return self._clock() - self._written_at >= pause

    def write(self, run: RunRecord) -> None:
        """Replace the file.  OSError if that fails; the file then stays as it was."""
        content = b"".join(self._content(run))
        atomic.write(self.path, content)
        self._size = len(content)
        self._written_at = self._clock()

    def document(self, run: RunRecord) -> Document:
        """What reading the file would give after `write`."""
        promises = [self._promise(requirement) for requirement in self._requirements.values()]
        return Document.of(
            self.path,
            ResultsFile(
                schema=SCHEMA,
                run=run,
                kernels=list(self.kernels.values()),
                requirements=promises,
                results=list(self.results),
            ),
        )

    def _content(self, run: RunRecord) -> Iterable[bytes]:
        yield b'{"schema": ' + str(SCHEMA).encode() + b',\n"run": ' + msgspec.json.encode(run)
        yield b',\n"kernels": [' + _lines(map(msgspec.json.encode, self.kernels.values()))
        yield b'],\n"requirements": [' + _lines(self._encoded_promise(each) for each in self._requirements.values())
        yield b'],\n"results": [' + _lines(self._encoded) + b"]}\n"

    def _encoded_promise(self, requirement: Requirement) -> bytes:
        tested = self._tested[requirement.id]
        if tested.encoded is None:
            tested.encoded = msgspec.json.encode(self._promise(requirement))
        return tested.encoded

    def _promise(self, requirement: Requirement) -> PromiseRecord:
        tested = self._tested[requirement.id]
        kernels = [*self._kernels, *([NO_KERNEL] if NO_KERNEL in tested.verdicts else [])]
        return PromiseRecord(
            id=requirement.id,
            area=requirement.area,
            text=requirement.text,
            source=requirement.source,
            since=requirement.since,
            until=requirement.until,
            note=requirement.remarks,
            status={kernel: promise_status(tested.verdicts.get(kernel, ())) for kernel in kernels},
            nodeids=list(tested.nodeids),
        )


def _numbered(kernel: KernelRecord) -> list[tuple[int, str]]:
    """A key that sorts kernels by their ids, and numbers in these by their size: 6.9 is before 6.12."""
    return [(len(number), number or text) for number, text in re.findall(r"(\d+)|(\D+)", kernel.id)]


def _lines(parts: Iterable[bytes]) -> bytes:
    """One element a line, which people and diff can read."""
    joined = b",\n".join(parts)
    return b"\n" + joined + b"\n" if joined else b""
