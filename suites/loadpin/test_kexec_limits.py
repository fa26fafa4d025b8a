# SPDX-License-Identifier: GPL-2.0-or-later
"""What kexec refuses although LoadPin lets it pass: too many kernels, and segments that do not fit together."""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import EINVAL, EPERM, OK, Outcome
from guests.sysctl_path import sysctl_path
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    NOT_ENFORCING,
    PINNED,
    LogReader,
    line_without_file,
    loadpin,
    needs,
    root_after_pin,
)
from suites.loadpin.support.load_kinds import KEXEC_FILE

pytestmark = [loadpin, needs("KEXEC")]

requirement = pytest.mark.requirement
LIMIT = "kernel.kexec_load_limit_reboot"
MOST_SEGMENTS = 16


@KEXEC_FILE
@needs("SYSCTL")
@ENFORCING
@requirement("loadpin.kexec-limit")
def test_limit_of_loads(guest: Guest) -> None:
    """Two kernels can be loaded, and none after them; the limit can be lowered meanwhile, but not raised."""
    root = root_after_pin(guest, other=False)
    log = LogReader(guest)
    for value, outcome in (("3", OK), ("4", EINVAL), ("2", OK), ("2", EINVAL), ("-1", EINVAL)):
        assert guest.write_file(sysctl_path(LIMIT), value) == outcome
    for _ in range(2):
        assert root.load_kernel(f"{PINNED}/image") == OK
    assert root.load_kernel(f"{PINNED}/image") == EPERM
    assert root.kexec_load() == EPERM
    assert root.unload_kernel() == EPERM
    assert root.kernel_is_loaded()
    assert guest.write_file(sysctl_path(LIMIT), "1") == EINVAL
    assert log.new_lines() == []


@needs("SYSCTL")
@ENFORCING
@requirement("loadpin.kexec-limit")
def test_a_load_that_is_denied_counts(guest: Guest) -> None:
    """A kernel from memory, which LoadPin denies, uses up the limit: about the next one, LoadPin is not consulted."""
    root = guest.root()
    log = LogReader(guest)
    guest.set_sysctl(LIMIT, 1)
    for lines in ([line_without_file("kexec-image", "old-api-denied", root)], []):
        assert root.kexec_load() == EPERM
        assert log.new_lines() == lines


@NOT_ENFORCING
@requirement("loadpin.kexec-segment-list")
def test_segments_that_do_not_fit_together(guest: Guest) -> None:
    """Segments that overlap, or have more bytes than room for them, are refused; segments side by side are not."""
    root = guest.root()
    page, place = root.hello().page_size, root.abi.memory_begins + (32 << 20)
    assert root.kexec_load(segments=2) == OK
    assert root.kexec_load(segments=0) == OK

    def load(*segments: tuple[int, int, int]) -> Outcome:
        """Load segments, each of so many bytes, from NULL, and with room from this page on for so many pages."""
        rooms = ((content, place + first * page, pages * page) for content, first, pages in segments)
        laid = b"".join(root.abi.words(0, *room) for room in rooms)
        return root.call("kexec_load", place, len(segments), laid, 0, shown=f"kexec_load{segments}")

    assert load((0, 0, 2), (0, 1, 2)) == EINVAL
    assert load((0, 1, 2), (0, 0, 2)) == EINVAL
    assert load((0, 0, 1), (0, 0, 1)) == EINVAL
    assert load((page + 1, 0, 1)) == EINVAL
    assert not root.kernel_is_loaded()


@NOT_ENFORCING
@requirement("loadpin.kexec-segment-list")
def test_number_of_segments(guest: Guest) -> None:
    """A kernel may have sixteen segments, and not one more."""
    root = guest.root()
    assert root.kexec_load(segments=MOST_SEGMENTS) == OK
    assert root.kexec_load(segments=0) == OK
    assert root.kexec_load(segments=MOST_SEGMENTS + 1) == EINVAL
    assert not root.kernel_is_loaded()
