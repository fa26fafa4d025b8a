# SPDX-License-Identifier: GPL-2.0-or-later
"""32-bit programs that access one another: by every kind of access, with the structures of their ABI."""

from __future__ import annotations

import pytest

from guests.abi import AgentProgram
from guests.guest import Guest
from guests.outcome import OK
from suites.yama.support.accesses import AccessResult, prepare, supported_accesses, wrong_accesses

pytestmark = pytest.mark.needs("SECURITY_YAMA", "SYSCTL", "COMPAT")


@pytest.mark.requirement("yama.32-bit")
def test_strangers(compat: AgentProgram, guest: Guest) -> None:
    """A 32-bit stranger has access at scope 0, at scope 1 once its 32-bit target has declared it, and never at 2."""
    target, stranger = guest.spawn("target"), guest.spawn("stranger")
    for task in (target, stranger):
        task.become(compat).result()
    accesses = supported_accesses(guest)
    prepare(guest, 0)
    assert wrong_accesses(stranger, target, accesses, AccessResult.YES) == []
    prepare(guest, 1)
    assert wrong_accesses(stranger, target, accesses, AccessResult.NO) == []
    assert target.set_ptracer(stranger) == OK
    assert wrong_accesses(stranger, target, accesses, AccessResult.YES) == []
    prepare(guest, 2)
    assert wrong_accesses(stranger, target, accesses, AccessResult.NO) == []
