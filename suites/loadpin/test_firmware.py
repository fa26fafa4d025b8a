# SPDX-License-Identifier: GPL-2.0-or-later
"""The error that a driver gets when LoadPin refuses its firmware."""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import ENOENT, EPERM, Expected
from suites.loadpin.support.disks_and_log import ENFORCING, OTHER, LogReader, line, loadpin, needs, root_after_pin
from suites.loadpin.support.load_kinds import FIRMWARE_WHOLE, prepare

pytestmark = loadpin

requirement = pytest.mark.requirement


@needs("FW_LOADER", "TEST_FIRMWARE")
@ENFORCING
@requirement("loadpin.firmware-errno")
@pytest.mark.parametrize(
    ("searched_last", "error"),
    [
        pytest.param(False, ENOENT, id="first-directory-of-the-search-is-ENOENT"),
        pytest.param(True, EPERM, id="last-directory-of-the-search-is-EPERM"),
    ],
)
def test_errno_of_refused_firmware(guest: Guest, searched_last: bool, error: Expected) -> None:
    """The search continues after a refusal, and the driver gets its last result; LoadPin always logs the denial."""
    root = root_after_pin(guest)
    prepare(guest, FIRMWARE_WHOLE, root)
    root.mkdir("/lib").result()
    where = "/lib/firmware" if searched_last else OTHER
    if searched_last:
        root.bind_mount(OTHER, where).result()
    log = LogReader(guest)
    assert root.request_firmware("/nowhere" if searched_last else where, "firmware") == error
    assert log.new_lines() == [line("firmware", "denied", f"{where}/firmware", root)]
