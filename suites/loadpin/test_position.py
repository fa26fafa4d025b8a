# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that a program has begun to read before it has the kernel load them, as one that looks at a header does."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from guests.guest import Guest
from guests.outcome import OK, Outcome, returned
from guests.task import Task
from guests.uapi import KexecFile
from suites.loadpin.support.disks_and_log import ENFORCING, MODULE, PINNED, loadpin, modules, root_before_pin, verity
from suites.loadpin.support.load_kinds import KEXEC_FILE
from suites.loadpin.support.verified_devices import set_digests_of

pytestmark = loadpin


def module(root: Task, file: int) -> Outcome:
    return root.finit_module(file)


def image(root: Task, file: int) -> Outcome:
    return root.kexec_file_load(file, -1, KexecFile.NO_INITRAMFS)


def digests(root: Task, file: int) -> Outcome:
    return set_digests_of(root, file)


@ENFORCING
@pytest.mark.requirement("loadpin.whole-file")
@pytest.mark.parametrize(
    ("load", "name"),
    [
        pytest.param(module, f"{MODULE}.ko", id="module", marks=modules),
        pytest.param(image, "image", id="kexec-image", marks=KEXEC_FILE),
        pytest.param(digests, "digests", id="list-of-digests", marks=verity),
    ],
)
def test_a_file_of_which_a_part_was_read(guest: Guest, load: Callable[[Task, int], Outcome], name: str) -> None:
    """The kernel loads all of the file, and the program continues to read where it was."""
    root = root_before_pin(guest, other=False)
    file = root.open(f"{PINNED}/{name}").result()
    root.read(file, 64).require(returned(64))
    assert load(root, file) == OK
    assert root.call("lseek", file, 0, os.SEEK_CUR) == returned(64)
