# SPDX-License-Identifier: GPL-2.0-or-later
"""A test whose guest writes to its disk when the host has no room for that (for test_faults_guests.py)."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest

from guests.guest import Guest
from guests.outcome import ENOENT
from guests.uapi import AT_FDCWD, O_RDWR
from guests.vm.disk_images import DiskPlan
from suites.harness.project.samples.faults import impatient

O_DIRECT = 0o40000
BLOCK = 16384


@pytest.mark.boot(disks=[DiskPlan("ext2")])
def test_write(guest: Guest) -> None:
    """QEMU keeps what guests write in a file of its own, in the directory for temporary files."""
    task = guest.root("writer")
    opened = task.call("openat", AT_FDCWD, "/dev/vda", O_RDWR | O_DIRECT, 0)
    if opened == ENOENT:
        pytest.skip("needs a kernel with its driver built in")
    disk = opened.result()
    with Path(tempfile.gettempdir(), "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(1 << 16))
    with impatient():
        for number in range(30):
            task.call("pwrite64", disk, b"x" * BLOCK, BLOCK, number * 2 * BLOCK)
