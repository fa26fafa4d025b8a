# SPDX-License-Identifier: GPL-2.0-or-later
"""Nothing remains in memory of a load that was denied: neither a path nor a command line of the log line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.call_plan import Plan, run
from guests.guest import Guest
from guests.task import Task
from suites.loadpin.support.disks_and_log import ENFORCING, OTHER, loadpin, modules, root_after_pin
from suites.slab_growth import SIZE_IS_EXACT, check_stops_growing

pytestmark = [
    loadpin,
    modules,
    SIZE_IS_EXACT,
    pytest.mark.requirement("loadpin.no-leak"),
]

NAME_SIZE = 900
"""Bytes of a path or a command line."""
AT_A_TIME, TIMES = 64, 4
"""Denials, of which the log has room for the lines, and how often they are made in a period."""


def at_long_path(root: Task) -> str:
    """A directory with a long path, where the disk that is not pinned is mounted a second time."""
    path = "/tmp"  # noqa: S108 - the guest's
    for letter in "abcd":
        path += "/" + letter * (NAME_SIZE // 4)
        root.mkdir(path).result()
    root.bind_mount(OTHER, path).result()
    return path


def with_long_command_line(root: Task) -> str:
    """Give the task one; returns the directory that it loads from."""
    root.execute_again("x" * NAME_SIZE).result()
    return OTHER


@ENFORCING
@pytest.mark.parametrize("prepare", [at_long_path, with_long_command_line], ids=["path", "command-line"])
def test_names(guest: Guest, prepare: Callable[[Task], str]) -> None:
    """Many denials leave no copy of a path or a command line."""
    root = root_after_pin(guest)
    junk = root.open(f"{prepare(root)}/junk").result()
    plan = Plan(root.slot)
    plan.call("finit_module", junk, root.store(b"\0"), 0)

    def attempt() -> None:
        for _ in range(TIMES):
            assert run(root, plan, AT_A_TIME) == [{"EPERM": AT_A_TIME}]
            guest.log()

    check_stops_growing(guest, attempt, TIMES * AT_A_TIME * NAME_SIZE)
