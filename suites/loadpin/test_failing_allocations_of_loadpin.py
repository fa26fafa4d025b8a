# SPDX-License-Identifier: GPL-2.0-or-later
"""When there is no memory, a load that LoadPin denies is not allowed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.guest import Guest
from guests.outcome import ENOEXEC, ENOMEM, EPERM
from guests.task import Task
from suites.failing_allocations import MARKS, FailingAllocations
from suites.loadpin.support import origins
from suites.loadpin.support.disks_and_log import ENFORCING, PINNED, loadpin, modules, root_after_pin, verity

pytestmark = [loadpin, modules, *MARKS]


@ENFORCING
@pytest.mark.requirement("loadpin.no-memory")
@pytest.mark.parametrize(
    "origin",
    [
        pytest.param(origins.other_disk, id="from-another-disk"),
        pytest.param(origins.untrusted_verity, id="from-an-untrusted-verity-device", marks=verity),
    ],
)
def test_denied_load(guest: Guest, origin: Callable[[Guest, Task], str]) -> None:
    """Whichever allocation fails, the load fails; the control is a load from the pinned disk."""
    root = root_after_pin(guest, other=False)
    allowed, denied = (root.open(f"{directory}/junk").result() for directory in (PINNED, origin(guest, root)))
    attempts = FailingAllocations(guest).one_after_another(
        lambda: root, lambda root: root.call("finit_module", denied, b"\0", 0)
    )
    outcomes = [done for _, done in attempts]
    assert [done for done in outcomes if done not in (EPERM, ENOMEM)] == []
    assert outcomes[-1] == EPERM
    assert root.call("finit_module", allowed, b"\0", 0) == ENOEXEC
