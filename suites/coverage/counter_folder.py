# SPDX-License-Identifier: GPL-2.0-or-later
"""The folder that a run leaves counters in: those of each test's guest, and what is needed to read them.

    kernel.json         the kernel that counted: id, version, digest
    gcov/               gcc's notes and the sources (kconfigs/build/gcov_notes.py)
    boots/KEY.zip       the counters of a guest that did nothing, by template: what the boot executes
    tests/DIGEST.zip    those of a test's guest, boot included; or the reason why there are none

The processes of a run write to it at the same time, and each file appears when it is complete.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from common import atomic
from common.errors import UsageError
from common.text import printable
from kconfigs.build.gcov_notes import CountedFile, counted_files, gcov_program
from kconfigs.kernel import Kernel

_ABOUT = "about.json"
_PARTS = {"boots", "tests", "gcov", "kernel.json", "kernel.lock"}


@dataclass(frozen=True)
class TestCounters:
    """What the guest of a test has counted."""

    __test__ = False
    """To pytest: this class has no tests."""

    nodeid: str
    boot: str
    """The key of the template that it was cloned from."""
    missing: str
    """Why there are no counters; empty if there are."""
    counters: Mapping[str, bytes]
    """By source file."""


@dataclass(frozen=True)
class CounterFolder:
    """Such a folder."""

    path: Path

    def begin(self) -> None:
        """Make it empty.  UsageError if it has something else than counters."""
        if self.path.exists() and {path.name for path in self.path.iterdir()} - _PARTS:
            raise UsageError(
                f"{printable(self.path)} has something else than counters", hint="name another with --counters"
            )
        shutil.rmtree(self.path, ignore_errors=True)
        for part in ("boots", "tests"):
            (self.path / part).mkdir(parents=True)

    def set_kernel(self, kernel: Kernel) -> None:
        """Keep what is needed to read this kernel's counters.  UsageError if the folder has those of another."""
        if kernel.counted is None:
            raise UsageError(
                f"{kernel.id} does not count which lines it executes", hint="build it with --flavor=coverage"
            )
        about = {"id": kernel.id, "version": ".".join(map(str, kernel.version)), "digest": kernel.digest}
        with FileLock(self.path / "kernel.lock"):
            if not self._about_kernel.exists():
                shutil.copytree(kernel.counted, self.notes, dirs_exist_ok=True)
                atomic.write(self._about_kernel, json.dumps(about))
        if self.kernel() != about:
            raise UsageError(
                f"{printable(self.path)} has counters of {self.kernel()['id']}, and cannot take those of {kernel.id}",
                hint="test one kernel at a time",
            )

    @property
    def _about_kernel(self) -> Path:
        return self.path / "kernel.json"

    def kernel(self) -> dict[str, str]:
        """id, version and digest of the kernel.  UsageError if there are no counters."""
        try:
            found: dict[str, str] = json.loads(self._about_kernel.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(
                f"there are no counters in {printable(self.path)}",
                hint="kconform coverage AREA runs tests, and keeps their counters",
            ) from error
        return found

    @property
    def notes(self) -> Path:
        """What gcov needs besides counters."""
        return self.path / "gcov"

    @property
    def files(self) -> tuple[CountedFile, ...]:
        return counted_files(self.notes)

    @property
    def gcov(self) -> str:
        return gcov_program(self.notes)

    # Writing

    def has_boot(self, key: str) -> bool:
        return self._boot(key).exists()

    def add_boot(self, key: str, counters: Mapping[str, bytes]) -> None:
        atomic.write(self._boot(key), _zipped(counters, {}))

    def add_test(self, found: TestCounters) -> None:
        about = {"nodeid": found.nodeid, "boot": found.boot, "missing": found.missing}
        name = hashlib.sha256(found.nodeid.encode()).hexdigest()[:24]
        atomic.write(self.path / "tests" / f"{name}.zip", _zipped(found.counters, about))

    # Reading

    def boots(self) -> Iterator[str]:
        yield from sorted(path.stem for path in (self.path / "boots").glob("*.zip"))

    def boot(self, key: str) -> dict[str, bytes]:
        return _unzipped(self._boot(key))[0]

    def tests(self) -> list[TestCounters]:
        """All tests that had a guest, by node id."""
        found = []
        for path in (self.path / "tests").glob("*.zip"):
            counters, about = _unzipped(path)
            found.append(TestCounters(about["nodeid"], about["boot"], about["missing"], counters))
        return sorted(found, key=lambda test: test.nodeid)

    def _boot(self, key: str) -> Path:
        return self.path / "boots" / f"{key}.zip"


def _zipped(counters: Mapping[str, bytes], about: Mapping[str, str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_ABOUT, json.dumps(about))
        for source, counted in counters.items():
            archive.writestr(source, counted)
    return content.getvalue()


def _unzipped(path: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    return content, json.loads(content.pop(_ABOUT))


def folder_of(report: Path) -> CounterFolder:
    """The counters of a run that had this report directory."""
    return CounterFolder(report / "coverage")
