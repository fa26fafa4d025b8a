# SPDX-License-Identifier: GPL-2.0-or-later
"""What kernels take besides their tests: measured while a test is set up, and attached to its next report.

A process runs one test at a time, so if it has waited since its last report, that test has waited.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from common.stopwatch import Stopwatch, What
from reports.model.result import Preparation


@dataclass
class Measured:
    """What this process has measured since its last report."""

    waited_s: float = 0.0
    kernels: dict[str, Preparation] = field(default_factory=dict)
    """By id."""


BOOT = pytest.StashKey[tuple[int, int]]()
BOOT_OF = pytest.StashKey[Callable[[pytest.Item], Hashable]]()
MEASURED = pytest.StashKey[Measured]()
BUILDS = pytest.StashKey[Callable[[], Mapping[str, float | None]]]()


def stopwatch(config: pytest.Config) -> Stopwatch:
    """A stopwatch that calls `record`."""
    return Stopwatch(functools.partial(record, config))


def record(config: pytest.Config, kernel: str, what: What, seconds: float) -> None:
    """Keep what a kernel took until the next report, in any process of a run (see common.stopwatch)."""
    measured = config.stash.setdefault(MEASURED, Measured())
    if what == "wait":
        measured.waited_s += seconds
    else:
        more: dict[str, Any] = {f"{what}_s": seconds, "boots": int(what == "boot")}
        measured.kernels[kernel] = measured.kernels.get(kernel, Preparation()) + Preparation(**more)


def take(config: pytest.Config) -> Measured:
    """What was measured since the last call."""
    measured = config.stash.get(MEASURED, Measured())
    config.stash[MEASURED] = Measured()
    return measured


def group_boots(config: pytest.Config, function: Callable[[pytest.Item], Hashable]) -> None:
    """Register a function that returns the same for tests that need the same boot of the same kernel.

    None stands for no boot.
    """
    config.stash[BOOT_OF] = function


def boot_of(item: pytest.Item) -> Hashable:
    """What that function returns for a test."""
    function = item.config.stash.get(BOOT_OF, None)
    return None if function is None else function(item)


def number_boots(items: Sequence[pytest.Item]) -> None:
    """Note on each test which boot it needs, and how many boots all of them need."""
    wanted = [(item, boot) for item in items if (boot := boot_of(item)) is not None]
    numbers = {boot: number for number, boot in enumerate(dict.fromkeys(boot for _, boot in wanted))}
    for item, boot in wanted:
        item.stash[BOOT] = (numbers[boot], len(numbers))


def watch_builds(config: pytest.Config, builds: Callable[[], Mapping[str, float | None]]) -> None:
    """Register a function that returns the kernels being built, and the seconds to go where they are known."""
    config.stash[BUILDS] = builds


def builds_of(config: pytest.Config) -> Mapping[str, float | None]:
    """What that function returns now."""
    return config.stash.get(BUILDS, dict)()
