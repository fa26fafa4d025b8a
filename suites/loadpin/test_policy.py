# SPDX-License-Identifier: GPL-2.0-or-later
"""IMA's policy, which IMA reads from a file whose name a program writes to it."""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import EPERM, OK
from suites.loadpin.support.disks_and_log import ENFORCING, OTHER, PINNED, loadpin, needs, root_after_pin
from suites.loadpin.support.load_kinds import IMA_POLICY_FILE

pytestmark = [loadpin, needs("IMA", "IMA_WRITE_POLICY")]


@ENFORCING
@pytest.mark.requirement("loadpin.policy-after-refusal")
def test_after_a_refused_policy(guest: Guest) -> None:
    """After LoadPin has denied a policy, IMA takes another one from the pinned file system."""
    root = root_after_pin(guest)
    root.load_policy(f"{OTHER}/policy").require(EPERM)
    assert root.load_policy(f"{PINNED}/policy") == OK
    IMA_POLICY_FILE.check_and_unload(guest, root)


@ENFORCING
@pytest.mark.requirement("loadpin.policy-path")
def test_a_path_that_echo_has_written(guest: Guest) -> None:
    """A newline after the path of a policy, as echo writes it, is not part of the path."""
    root = root_after_pin(guest, other=False)
    assert root.load_policy(f"{PINNED}/policy\n") == OK
    IMA_POLICY_FILE.check_and_unload(guest, root)
