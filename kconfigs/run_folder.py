# SPDX-License-Identifier: GPL-2.0-or-later
"""A folder through which all processes of one test run share what they know of its kernels.

requests        what the options of the run ask for
settings        the system's sysctl settings, or None
kernels         the plan of the run, or the error instead of one; the first process that needs it makes it
selected.json   the ids of the kernels that have a test, once the tests are collected
builds/         the status files of kernels that are being built
boots/          the errors of boots that failed
"""

from __future__ import annotations

import functools
import json
import pickle
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from common import atomic
from common.errors import KconformError
from kconfigs.kernel_requests import KernelRequest
from kconfigs.planned_kernels import PlannedKernel
from kconfigs.profile import Profile
from kconfigs.sysctl_settings import SysctlSettings


class RunFolder:
    """`path` is an existing directory, empty at the beginning of the run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.builds = path / "builds"
        self.boots = path / "boots"
        self._requests = path / "requests"
        self._settings = path / "settings"
        self._kernels = path / "kernels"
        self._selected = path / "selected.json"

    def begin(self, requests: Sequence[KernelRequest], settings: SysctlSettings | None = None) -> None:
        """Record what is asked for."""
        atomic.write(self._requests, pickle.dumps(requests))
        atomic.write(self._settings, pickle.dumps(settings))

    @functools.cached_property
    def settings(self) -> SysctlSettings | None:
        """The system's sysctl settings (--sysctl); None if nobody has given any."""
        found: SysctlSettings | None = _unpickled(self._settings)
        return found

    def profiles(self) -> list[Profile]:
        """The profiles that are asked for; one may be there twice."""
        requests: list[KernelRequest] = _unpickled(self._requests)
        return [request.profile for request in requests if request.profile is not None]

    def kernels(self, plan: Callable[[Sequence[KernelRequest]], list[PlannedKernel]]) -> list[PlannedKernel]:
        """What `plan` returned the first time, or the KconformError that it raised then."""
        with FileLock(self.path / "kernels.lock"):
            if not self._kernels.exists():
                result: list[PlannedKernel] | KconformError
                try:
                    result = plan(_unpickled(self._requests))
                except KconformError as error:
                    result = error
                atomic.write(self._kernels, pickle.dumps(result))
        result = _unpickled(self._kernels)
        if isinstance(result, KconformError):
            raise result
        return result

    def select(self, ids: Iterable[str]) -> None:
        """Record which kernels have a test."""
        atomic.write(self._selected, json.dumps(sorted(ids)))

    def selected(self) -> set[str]:
        """The kernels that have a test; none before the tests are collected."""
        return set(json.loads(self._selected.read_text(encoding="utf-8"))) if self._selected.exists() else set()


def _unpickled(path: Path) -> Any:
    return pickle.loads(path.read_bytes())  # noqa: S301 - written by this run, into a folder that only we can write to
