# SPDX-License-Identifier: GPL-2.0-or-later
"""Lists of trusted digests that a test writes itself, and whether LoadPin applies them."""

from __future__ import annotations

from guests.guest import Guest
from guests.outcome import EPERM
from guests.task import Task
from guests.vm.disk_images import DIGESTS_HEADER
from suites.loadpin.support.disks_and_log import TMP, LogReader
from suites.loadpin.support.verified_devices import (
    check_trusted,
    check_untrusted,
    mount_verified,
    set_digests,
    verity_of,
)

HEADER = DIGESTS_HEADER
LIST = f"{TMP}/digests"
GOOD = f"{HEADER}\n{{digest}}\n"
"""A list that trusts /dev/vdc alone."""


def write_list(guest: Guest, text: str, path: str = LIST) -> str:
    """Write a list to a tmpfs, with `{digest}` in it replaced by the root digest of /dev/vdc."""
    digest = verity_of(guest, 2).root_digest
    guest.upload(path, text.replace("{digest}", digest).replace("{DIGEST}", digest.upper()).encode())
    return path


def check_list_in_effect(guest: Guest, root: Task) -> None:
    """/dev/vdc, whose digest is listed, is trusted."""
    mount_verified(guest, root, 2)
    check_trusted(guest, root)


def check_no_list_in_effect(guest: Guest, root: Task) -> None:
    mount_verified(guest, root, 2)
    check_untrusted(guest, root)


def check_closed(guest: Guest, root: Task) -> None:
    """No list is accepted any more, not even a valid one, which LoadPin does not look at; no device is trusted."""
    good = write_list(guest, GOOD, f"{TMP}/good")
    log = LogReader(guest)
    assert set_digests(root, good) == EPERM
    assert log.new_lines() == []
    check_no_list_in_effect(guest, root)
