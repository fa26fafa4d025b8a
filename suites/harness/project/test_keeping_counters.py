# SPDX-License-Identifier: GPL-2.0-or-later
"""The counters of a test's guest are kept before the guest ends; stand-ins play guests."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from guests.errors import GuestBroke
from kconfigs.kernel import Kernel
from suites.coverage import plugin
from suites.coverage.counter_folder import CounterFolder
from suites.harness.project.coverage_sample import FILE, CountedProgram

NODEID = "suites/yama/test_it.py::test_it[linux-6.12.7/coverage]"


class StandInGuest:
    """Counts how many there were."""

    made = 0
    down = False

    def __init__(self, kernel: Kernel, template: object) -> None:
        type(self).made += 1
        self.kernel = kernel
        self.template = template
        self.closed = False

    def resume(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def guests(monkeypatch: pytest.MonkeyPatch) -> type[StandInGuest]:
    class Guests(StandInGuest):
        pass

    def read(guest: StandInGuest, _: object) -> dict[str, bytes]:
        if guest.down:
            raise GuestBroke("the kernel went down")
        return {FILE: b"counters"}

    monkeypatch.setattr(plugin, "Guest", Guests)
    monkeypatch.setattr(plugin, "read_counters", read)
    return Guests


@pytest.fixture
def folder(tmp_path: Path) -> CounterFolder:
    made = CounterFolder(tmp_path / "counters")
    made.begin()
    return made


def end(folder: CounterFolder, kernel: Kernel, guests: type[StandInGuest], *, down: bool = False) -> None:
    """The end of a test that had a guest."""
    guest = guests(kernel, SimpleNamespace(key="boot"))
    guest.down = down
    item: Any = SimpleNamespace(
        nodeid=NODEID, funcargs={"guest": guest}, config=SimpleNamespace(stash={plugin.COUNTERS: folder})
    )
    plugin.pytest_runtest_teardown(item)
    assert not guest.closed


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Kernel:
    return CountedProgram(tmp_path_factory.mktemp("program")).kernel


def test_the_counters_of_a_test_and_of_its_boot_are_kept(
    folder: CounterFolder, counting: Kernel, guests: type[StandInGuest]
) -> None:
    end(folder, counting, guests)
    [test] = folder.tests()
    assert (test.nodeid, test.boot, test.missing, dict(test.counters)) == (NODEID, "boot", "", {FILE: b"counters"})
    assert folder.boot("boot") == {FILE: b"counters"}


def test_a_boot_is_counted_once(folder: CounterFolder, counting: Kernel, guests: type[StandInGuest]) -> None:
    end(folder, counting, guests)
    end(folder, counting, guests)
    assert guests.made == 3


def test_a_guest_that_has_gone_down_gives_a_reason(
    folder: CounterFolder, counting: Kernel, guests: type[StandInGuest]
) -> None:
    end(folder, counting, guests, down=True)
    [test] = folder.tests()
    assert (test.missing, dict(test.counters)) == ("the kernel went down", {})


def test_a_test_without_a_guest_leaves_nothing(folder: CounterFolder) -> None:
    item: Any = SimpleNamespace(nodeid=NODEID, funcargs={}, config=SimpleNamespace(stash={plugin.COUNTERS: folder}))
    plugin.pytest_runtest_teardown(item)
    assert folder.tests() == []
