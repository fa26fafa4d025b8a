# SPDX-License-Identifier: GPL-2.0-or-later
"""A folder through which all processes of one test run share what they know of its kernels.

kernels         the plan of the run, or why there is none: whichever process needs it first makes it
selected.json   the ids of the kernels that have a test, once the tests are collected
builds/         the status files of kernels that are being built
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path

from filelock import FileLock

from common import atomic
from common.errors import KconformError
from kconfigs.candidates import PlannedKernel


class RunFolder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.builds = path / "builds"
        self._kernels = path / "kernels"
        self._selected = path / "selected.json"

    def kernels(self, plan: Callable[[], list[PlannedKernel]]) -> list[PlannedKernel]:
        """The plan, from `plan()` the first time; or the KconformError that it raised then."""
        with FileLock(self.path / "kernels.lock"):
            if not self._kernels.exists():
                result: list[PlannedKernel] | KconformError
                try:
                    result = plan()
                except KconformError as error:
                    result = error
                atomic.write(self._kernels, pickle.dumps(result))
        result = pickle.loads(self._kernels.read_bytes())  # noqa: S301 - written just above, in a folder of ours
        if isinstance(result, KconformError):
            raise result
        return result

    def select(self, ids: Iterable[str]) -> None:
        """Record which kernels have a test."""
        atomic.write(self._selected, json.dumps(sorted(ids)))

    def selected(self) -> set[str]:
        """The kernels that have a test; none before the tests are collected."""
        return set(json.loads(self._selected.read_text())) if self._selected.exists() else set()
