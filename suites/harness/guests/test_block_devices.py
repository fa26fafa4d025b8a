# SPDX-License-Identifier: GPL-2.0-or-later
"""Block devices that tasks set up in a guest."""

from __future__ import annotations

import pytest

from guests.guest import Guest


@pytest.mark.needs("BLK_DEV_LOOP")
@pytest.mark.boot("max_loop=0")
def test_a_loop_device_is_made_if_there_is_none(guest: Guest) -> None:
    """As with CONFIG_BLK_DEV_LOOP_MIN_COUNT=0, which distributions have."""
    if not guest.kernel.config.builtin("BLK_DEV_LOOP"):
        pytest.skip("needs CONFIG_BLK_DEV_LOOP built in")
    root, content = guest.root(), b"a sector's worth" * 32
    assert not guest.exists("/dev/loop0")
    guest.upload("/disk", content)
    assert guest.read_file(root.attach_loop("/disk")) == content.decode()
