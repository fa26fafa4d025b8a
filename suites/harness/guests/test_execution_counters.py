# SPDX-License-Identifier: GPL-2.0-or-later
"""Counters are read out of debugfs, which init mounts for it; a stand-in plays the guest."""

from __future__ import annotations

import errno
from typing import cast

import pytest

from guests.errors import AgentError
from guests.execution_counters import read_counters
from guests.outcome import Outcome
from guests.protocol.wire import State
from guests.session import Session
from kconfigs.build.gcov_notes import CountedFile

FILES = [CountedFile("kernel/seccomp.c", "/sys/kernel/debug/gcov/o/kernel/seccomp.gcda")]


class StandIn:
    """A session, and its init."""

    def __init__(self, mounted: int) -> None:
        self.init = self
        self._mounted = mounted
        self.mounts: list[tuple[str, ...]] = []

    def mount(self, *arguments: str) -> Outcome:
        self.mounts.append(arguments)
        return Outcome(State.RETURNED, self._mounted, "init[1].mount()")

    def read_bytes(self, path: str) -> bytes:
        return f"counters of {path}".encode()


@pytest.mark.parametrize("mounted", [0, -errno.EBUSY], ids=["mounted-now", "mounted-before"])
def test_each_file_is_read(mounted: int) -> None:
    guest = StandIn(mounted)
    found = read_counters(cast(Session, guest), FILES)
    assert found == {"kernel/seccomp.c": b"counters of /sys/kernel/debug/gcov/o/kernel/seccomp.gcda"}
    assert guest.mounts == [("debugfs", "/sys/kernel/debug", "debugfs")]


def test_a_guest_that_cannot_mount_gives_none() -> None:
    with pytest.raises(AgentError, match=r"the counters cannot be read: .*EPERM"):
        read_counters(cast(Session, StandIn(-errno.EPERM)), FILES)
