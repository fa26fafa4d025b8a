# SPDX-License-Identifier: GPL-2.0-or-later
"""Direct reads from a verified device into memory that somebody else changes meanwhile."""

from __future__ import annotations

import pytest

from guests.errors import require
from guests.guest import Guest
from guests.outcome import returned
from guests.uapi import O_DIRECT, O_RDONLY
from suites.loadpin.support.disks_and_log import ENFORCING, loadpin, root_after_pin, verity
from suites.loadpin.support.verified_devices import verity_of
from suites.races.race import Race

BLOCKS, COPIES = 4, 8


@pytest.mark.races
@loadpin
@verity
@ENFORCING
@pytest.mark.requirement("loadpin.verity-changed-buffer")
def test_buffer_that_changes_during_a_read(guest: Guest, race: Race) -> None:
    """Another task writes to the buffer, perhaps between the transfer from the disk and its verification."""
    root, tree = root_after_pin(guest), verity_of(guest, 2)
    device = root.create_mapped("verified", tree.target("/dev/vdc"))
    file = root.open(device, O_RDONLY | O_DIRECT).result()
    size, writer = BLOCKS * tree.block_size, root.spawn("writer")
    # A direct read needs an aligned buffer.  Each task can write to the memory of every other one.
    buffer = -(-root.store(bytes(size + tree.block_size)) // tree.block_size) * tree.block_size
    junk = writer.store(b"junk" * (size // 4))
    require(root.call("pread64", file, buffer, size, 0) == returned(size), f"{device} cannot be read")
    reading, writing = race.plan(root), race.plan(writer)
    race.go(reading, writing)
    race.watch("read", reading.call("pread64", file, buffer, size, 0))
    for _ in range(COPIES):
        writing.copy(buffer, junk, size)
    race.tally(reading, writing)
    race.check(("OK",))
