# SPDX-License-Identifier: GPL-2.0-or-later
"""results.json: the whole run in one file, valid at every moment of it.

Each write goes to a temporary name and is renamed over the last one, so a reader, and a run that is killed,
find either the former state or the next.  What is written once is encoded once: a run of thousands of
tests pays for joining and writing bytes, not for encoding its past again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reports.model.requirements import Requirement
from reports.model.result import JSON, SCHEMA, Result

FILE_NAME = "results.json"
NO_KERNEL = "(no kernel)"
"""What stands for the kernel of a requirement's test that had none, such as one that could not be built."""

STATUSES = ("held", "broken", "unknown", "waived", "skipped", "untested")
"""What a promise can be on a kernel, as results.schema.json has it."""

UNTHROTTLED_SIZE = 1 << 20
WRITE_RATE = 20 << 20
"""Bytes per second.  Up to UNTHROTTLED_SIZE each result is written at once; a larger file is written no
faster than this, so that a run of thousands of results does not keep a disk busy with copies of itself.  A
run that is killed then loses at most the results of its last fraction of a second."""


@dataclass
class Tested:
    """What is known of one requirement."""

    nodeids: list[str] = field(default_factory=list)
    outcomes: dict[str, set[str]] = field(default_factory=dict)
    encoded: bytes | None = None

    def status(self, kernel: str) -> str:
        """held, broken, unknown, waived, skipped or untested, from all tests of it that have run on `kernel`."""
        seen = self.outcomes.get(kernel, set())
        for outcome, status in (
            ("fail", "broken"),
            ("error", "unknown"),
            ("waived", "waived"),
            ("pass", "held"),
            ("unexpected-pass", "held"),
            ("skip", "skipped"),
        ):
            if outcome in seen:
                return status
        return "untested"


class Store:
    """The results so far, and their file."""

    def __init__(
        self, path: Path, requirements: Mapping[str, Requirement], clock: Callable[[], float], *, owner: int
    ) -> None:
        """`clock` counts seconds; `owner` is the process id that makes the temporary name ours."""
        self._path = path
        self._temporary = path.with_name(f".{path.name}.{owner}.tmp")
        self._requirements = requirements
        self._clock = clock
        self._written_at = float("-inf")
        self._size = 0
        self.results: list[Result] = []
        self._encoded: list[bytes] = []
        self.kernels: dict[str, dict[str, JSON]] = {}
        self._tested: dict[str, Tested] = {identifier: Tested() for identifier in requirements}
        self.counts: Counter[str] = Counter()

    def add(self, result: Result, kernel: Mapping[str, JSON] | None) -> None:
        """Remember a finished test.  It is not written yet."""
        if kernel is not None:
            self.meet(kernel)
        self.results.append(result)
        self._encoded.append(_encode(result.to_json()))
        self.counts[result.outcome] += 1
        for identifier in result.requirements:
            tested = self._tested.setdefault(identifier, Tested())
            tested.nodeids.append(result.nodeid)
            tested.outcomes.setdefault(result.kernel or NO_KERNEL, set()).add(result.outcome)
            tested.encoded = None

    def meet(self, kernel: Mapping[str, JSON]) -> None:
        """Remember a kernel, or what is new about one.

        A test that is skipped before its guest starts knows less of the kernel (its acceleration).
        """
        identifier = str(kernel["id"])
        known = self.kernels.get(identifier)
        if known is None:
            for tested in self._tested.values():
                tested.encoded = None
            known = self.kernels[identifier] = {}
        known.update({key: value for key, value in kernel.items() if known.get(key) is None})

    def statuses(self) -> dict[str, dict[str, str]]:
        """What became of each requirement of which a test has run: kernel -> status, kernels in their order."""
        kernels = [*self.kernels, NO_KERNEL]
        return {
            identifier: {kernel: tested.status(kernel) for kernel in kernels if kernel in tested.outcomes}
            for identifier, tested in self._tested.items()
            if tested.outcomes and identifier in self._requirements
        }

    def due(self) -> bool:
        """Whether a write now is worth its cost."""
        pause = 0.0 if self._size <= UNTHROTTLED_SIZE else self._size / WRITE_RATE
        return self._clock() - self._written_at >= pause

    def write(self, run: Mapping[str, JSON]) -> None:
        """Replace the file.  Raises OSError, and then the file is what it was."""
        content = b"".join(self._document(run))
        try:
            self._temporary.write_bytes(content)
            self._temporary.replace(self._path)
        except OSError:
            self._temporary.unlink(missing_ok=True)
            raise
        self._size = len(content)
        self._written_at = self._clock()

    def document(self, run: Mapping[str, JSON]) -> Any:
        """What `write` would write, decoded."""
        return json.loads(b"".join(self._document(run)))

    def _document(self, run: Mapping[str, JSON]) -> Iterable[bytes]:
        yield b'{"schema": ' + str(SCHEMA).encode() + b',\n"run": ' + _encode(run)
        yield b',\n"kernels": [' + _lines(_encode(kernel) for kernel in self.kernels.values())
        yield b'],\n"requirements": [' + _lines(self._requirement(each) for each in self._requirements.values())
        yield b'],\n"results": [' + _lines(self._encoded) + b"]}\n"

    def _requirement(self, requirement: Requirement) -> bytes:
        tested = self._tested[requirement.id]
        if tested.encoded is None:
            kernels = [*self.kernels, *([NO_KERNEL] if NO_KERNEL in tested.outcomes else [])]
            tested.encoded = _encode(
                {
                    "id": requirement.id,
                    "area": requirement.area,
                    "text": requirement.text,
                    "source": requirement.source,
                    "since": requirement.since,
                    "until": requirement.until,
                    "note": requirement.note,
                    "status": {kernel: tested.status(kernel) for kernel in kernels},
                    "nodeids": tested.nodeids,
                }
            )
        return tested.encoded


def _encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8")


def _lines(parts: Iterable[bytes]) -> bytes:
    """One element a line: such a file can be read by eye and by diff."""
    joined = b",\n".join(parts)
    return b"\n" + joined + b"\n" if joined else b""


def is_ours(path: Path) -> bool:
    """Whether the file at `path` is a results.json of any version, and the folder therefore a report's."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and {"schema", "run", "results"} <= set(document)
