# SPDX-License-Identifier: GPL-2.0-or-later
"""User namespaces of tasks."""

from __future__ import annotations

from guests.guest import Guest
from guests.task import Task


def map_ids(guest: Guest, task: Task, ranges: str) -> None:
    """Have init map users and groups of the task's namespace alike (user_namespaces(7): uid_map)."""
    for ids in ("uid_map", "gid_map"):
        guest.write_file(f"/proc/{task.pid}/{ids}", ranges).result()
