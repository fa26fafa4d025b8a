# SPDX-License-Identifier: GPL-2.0-or-later
"""A pytest plugin that runs each test many times in one session, and samples what its process uses after each.

--soak-times N      run all tests N times, one after the other
--soak-faults SEED  inject faults into some of the guests (guest_faults.py)
--soak-samples DIR  where each process writes its samples, one JSON object in a line
"""

from __future__ import annotations

import copy
import time
from collections.abc import Generator
from pathlib import Path

import msgspec
import psutil
import pytest

from common.workers import handed_over, is_worker
from suites.soak import guest_faults


class Sample(msgspec.Struct, frozen=True):
    """What a process uses after a test."""

    worker: str
    nodeid: str
    end_s: float
    """Seconds since the epoch."""
    duration_s: float
    rss_mib: float
    descriptors: int
    children: int
    """Processes below this one that are alive: QEMUs that wait for the next test."""
    fault: str = ""
    """The fault that the test's guest had; empty if it had none."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("soak")
    group.addoption("--soak-times", type=int, default=1)
    group.addoption("--soak-faults", type=int)
    group.addoption("--soak-samples", type=Path)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Sampler(config), "soak-sampler")


class Sampler:
    def __init__(self, config: pytest.Config) -> None:
        self._worker = str(handed_over(config, "workerid")) if is_worker(config) else "main"
        self._process = psutil.Process()
        self._faults: guest_faults.Faults | None = None
        self._is_controller = not is_worker(config) and bool(config.getoption("tx", None))
        folder: Path = config.getoption("soak_samples")
        if config.getoption("soak_faults") is not None:
            self._faults = guest_faults.Faults(f"{config.getoption('soak_faults')}-{self._worker}")
        self._path = folder / f"{self._worker}.jsonl"
        self._times: int = config.getoption("soak_times")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [_copy(item) for _ in range(self._times) for item in items]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        start = time.monotonic()
        if self._faults is not None:
            self._faults.begin()
        done = yield
        self._write(item.nodeid, time.monotonic() - start, self._faults.end() if self._faults else "")
        return done

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """In the controller of pytest-xdist, which runs no test itself."""
        if self._is_controller:
            self._write(nodeid, 0.0, "")

    def _write(self, nodeid: str, duration_s: float, fault: str) -> None:
        sample = Sample(
            worker=self._worker,
            nodeid=nodeid,
            end_s=time.time(),
            duration_s=duration_s,
            rss_mib=self._process.memory_info().rss / 2**20,
            descriptors=self._process.num_fds(),
            children=len(self._process.children(recursive=True)),
            fault=fault,
        )
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(sample) + b"\n")


def _copy(item: pytest.Item) -> pytest.Item:
    """Another item with the same id.  pytest does not tear down an item that it runs twice in a row."""
    copied = copy.copy(item)
    copied.stash = pytest.Stash()
    copied.own_markers = list(item.own_markers)
    if isinstance(copied, pytest.Function):
        copied._initrequest()
    return copied
