# SPDX-License-Identifier: GPL-2.0-or-later
"""The file that takes the list of trusted digests: who may use it, and errors that have no further effect."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.call_arguments import Argument
from guests.guest import Guest
from guests.outcome import EACCES, EFAULT, EINVAL, OK, Expected, Outcome
from guests.task import Task
from guests.uapi import LOADPIN_SET_TRUSTED_DIGESTS, O_PATH, Cap
from suites.loadpin.support.digest_lists import check_list_in_effect
from suites.loadpin.support.disks_and_log import (
    DM_VERITY,
    ENFORCING,
    PINNED,
    LogReader,
    loadpin,
    needs,
    root_after_pin,
    verity,
)
from suites.loadpin.support.verified_devices import set_digests, set_digests_of

pytestmark = [loadpin, verity]

requirement = pytest.mark.requirement


@ENFORCING
@requirement("loadpin.verity-interface")
def test_only_root_can_open_the_interface(guest: Guest) -> None:
    """LoadPin's file dm-verity has mode 0600: another user cannot even open it."""
    assert guest.exists(DM_VERITY)
    assert guest.init.mode(DM_VERITY) == 0o600
    assert guest.spawn("unprivileged", caps=Cap.SYS_ADMIN).open(DM_VERITY) == EACCES


@needs("IA32_EMULATION")
@ENFORCING
@requirement("loadpin.verity-interface")
def test_by_int_0x80(guest: Guest) -> None:
    """A 32-bit program can set a list of trusted digests too."""
    root = root_after_pin(guest)
    file = root.open(f"{PINNED}/digests").result()
    interface = root.open(DM_VERITY).result()
    number = root.abi.pack("I", file)
    assert root.call32("ioctl", interface, LOADPIN_SET_TRUSTED_DIGESTS, number) == OK
    check_list_in_effect(guest, root)


# Errors without further effect


def ioctl(request: int, argument: Argument) -> Callable[[Task], Outcome]:
    def act(task: Task) -> Outcome:
        return task.call("ioctl", task.open(DM_VERITY).result(), request, argument)

    return act


def descriptor(number: int) -> Callable[[Task], Outcome]:
    return lambda task: set_digests_of(task, number)


def path_only(task: Task) -> Outcome:
    return set_digests_of(task, task.open(f"{PINNED}/digests", O_PATH).result())


@ENFORCING
@requirement("loadpin.verity-retry")
@pytest.mark.parametrize(
    ("act", "error"),
    [
        pytest.param(ioctl(LOADPIN_SET_TRUSTED_DIGESTS + 1, b"\0\0\0\0"), EINVAL, id="another-command"),
        pytest.param(ioctl(LOADPIN_SET_TRUSTED_DIGESTS ^ 0x40000000, 0), EINVAL, id="another-direction"),
        pytest.param(ioctl(LOADPIN_SET_TRUSTED_DIGESTS ^ 0x000C0000, b"\0" * 8), EINVAL, id="another-size"),
        pytest.param(ioctl(LOADPIN_SET_TRUSTED_DIGESTS, None), EFAULT, id="a-null-pointer"),
        pytest.param(ioctl(LOADPIN_SET_TRUSTED_DIGESTS, (1 << 63) | 4096), EFAULT, id="a-pointer-into-the-kernel"),
        pytest.param(descriptor(999), EINVAL, id="a-descriptor-that-is-not-open"),
        pytest.param(descriptor(-1), EINVAL, id="descriptor-minus-one"),
        pytest.param(path_only, EINVAL, id="a-path-descriptor"),
    ],
)
def test_an_error_without_further_effect(guest: Guest, act: Callable[[Task], Outcome], error: Expected) -> None:
    """After a wrong ioctl, setting a list of trusted digests can be tried again and succeeds."""
    root = root_after_pin(guest, other=False)
    log = LogReader(guest)
    assert act(root) == error
    assert log.new_lines() == []
    assert set_digests(root, f"{PINNED}/digests") == OK
    check_list_in_effect(guest, root)
