# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that the kernel reads for its own use, or refuses to read, can be opened for writing only afterwards."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.guest import Guest
from guests.outcome import EFBIG, EINVAL, ENOEXEC, EPERM, ETXTBSY, OK, Expected, Outcome
from guests.promises import breaks
from guests.task import Task
from guests.uapi import O_WRONLY
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    NOT_ENFORCING,
    TMP,
    loadpin,
    modules,
    needs,
    probe_file,
    root_after_pin,
    verity,
)
from suites.loadpin.support.suspended_disk import SuspendedDisk
from suites.loadpin.support.verified_devices import set_digests

pytestmark = [loadpin, pytest.mark.requirement("loadpin.writable-again")]

FILE = f"{TMP}/file"
JUNK = b"nothing that anybody could load\n" * 128
Load = Callable[[Guest, Task, str], Outcome]


def list_of_digests(_: Guest, root: Task, path: str) -> Outcome:
    return set_digests(root, path)


@pytest.mark.parametrize(
    ("load", "content", "error"),
    [
        pytest.param(probe_file, JUNK, ENOEXEC, id="read", marks=NOT_ENFORCING),
        pytest.param(probe_file, JUNK, EPERM, id="denied", marks=ENFORCING),
        pytest.param(probe_file, b"", EINVAL, id="empty", marks=ENFORCING),
        pytest.param(list_of_digests, JUNK, EFBIG, id="too-long", marks=(ENFORCING, verity)),
    ],
)
def test_writing_to_a_file_that_was_loaded(guest: Guest, load: Load, content: bytes, error: Expected) -> None:
    """A file that was loaded can be opened for writing; as long as it is, loading it is ETXTBSY."""
    root = root_after_pin(guest, other=False)
    guest.upload(FILE, content)
    load(guest, root, FILE).require(error)
    assert root.open(FILE, O_WRONLY) == OK
    probe_file(guest, root, FILE).require(ETXTBSY)


@modules
@needs("BLK_DEV_DM")
@NOT_ENFORCING
@pytest.mark.requirement("loadpin.writable-again", "loadpin.not-writable")
def test_writing_to_a_file_that_is_being_loaded(guest: Guest) -> None:
    """While the kernel reads a file, opening it for writing is ETXTBSY; afterwards it is allowed."""
    root, writer = guest.root(), guest.root("writer")
    disk = SuspendedDisk(guest, root, read_only=False)
    junk = root.open(f"{disk.directory}/junk").result()
    with disk:
        loading = root.begin("finit_module", junk, "", 0)
        root.wait_state("D")  # for the disk
        with breaks("loadpin.not-writable"):
            assert writer.open(f"{disk.directory}/junk", O_WRONLY) == ETXTBSY
    loading.outcome().require(ENOEXEC)
    with breaks("loadpin.writable-again"):
        assert writer.open(f"{disk.directory}/junk", O_WRONLY) == OK
