# SPDX-License-Identifier: GPL-2.0-or-later
"""When there is no memory, a load that LoadPin denies is not allowed, and a list of digests has no gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from guests.errors import require
from guests.guest import Guest
from guests.outcome import ENOEXEC, ENOMEM, EPERM, OK, Outcome
from guests.task import Task
from guests.uapi import LOADPIN_SET_TRUSTED_DIGESTS
from guests.vm.disk_images import digest_list
from suites.failing_allocations import MARKS, MOST, FailingAllocations
from suites.loadpin.support import origins
from suites.loadpin.support.digest_lists import LIST, check_closed
from suites.loadpin.support.disks_and_log import (
    DM_VERITY,
    ENFORCING,
    FILES,
    PINNED,
    TMP,
    loadpin,
    modules,
    probe,
    root_after_pin,
    verity,
)
from suites.loadpin.support.verified_devices import check_trusted, mount_verified, verity_of
from suites.walks.fresh_guests import GuestSupply, one_after_another

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
    """A load that is to be denied fails, whichever allocation fails; the control is a load from the pinned disk."""
    root = root_after_pin(guest, other=False)
    allowed, denied = (root.open(f"{directory}/junk").result() for directory in (PINNED, origin(guest, root)))
    attempts = FailingAllocations(guest).one_after_another(
        lambda: root, lambda root: root.call("finit_module", denied, b"\0", 0)
    )
    outcomes = [done for _, done in attempts]
    assert [done for done in outcomes if done not in (EPERM, ENOMEM)] == []
    assert outcomes[-1] == EPERM
    assert root.call("finit_module", allowed, b"\0", 0) == ENOEXEC


@pytest.fixture
def fresh_guests(guest_supply: GuestSupply) -> Iterator[Iterator[Guest]]:
    """Guests one after the other, of which the last remains for the report."""
    with one_after_another(guest_supply.take) as next_guest:
        yield without_complaints(next_guest, guest_supply)


def without_complaints(next_guest: Callable[[], Guest], supply: GuestSupply) -> Iterator[Guest]:
    while True:
        guest = next_guest()
        yield guest
        check_no_complaint(supply, guest)


def check_no_complaint(supply: GuestSupply, guest: Guest) -> None:
    assert not (found := supply.complaint(guest)), found


@verity
@ENFORCING
@pytest.mark.requirement("loadpin.no-memory-list")
def test_list_of_digests(fresh_guests: Iterator[Guest]) -> None:
    """Whichever allocation fails, all of a list is in effect, or none of it; the control is a list that has memory.

    Each attempt has its own guest: a list is set once, and after one that failed, no other is accepted.
    """
    for number, guest in enumerate(fresh_guests, 1):
        root = guest.root()
        guest.upload(f"{TMP}/junk", dict(FILES)["junk"])
        probe(guest, root, TMP).require(ENOEXEC)  # pins the file system that the list is on
        done, failed = set_list(guest, root, number)
        if done == OK:
            mount_verified(guest, root, 3)
            check_trusted(guest, root)
        else:
            assert done == ENOMEM
            check_closed(guest, root)
        if not failed:
            assert done == OK
            break
        require(number < MOST, f"{done!r} has allocated {MOST} times")


def set_list(guest: Guest, root: Task, number: int) -> tuple[Outcome, bool]:
    """Set a list of /dev/vdc and /dev/vdd with an allocation that fails, by its number; whether it has failed."""
    guest.upload(LIST, digest_list(*(verity_of(guest, disk).root_digest for disk in (2, 3))))
    interface, digests = root.open(DM_VERITY).result(), root.abi.pack("I", root.open(LIST).result())
    return FailingAllocations(guest).attempt(
        root, number, lambda root: root.call("ioctl", interface, LOADPIN_SET_TRUSTED_DIGESTS, digests)
    )
