# SPDX-License-Identifier: GPL-2.0-or-later
"""The processes of a run that was started here, found by a variable that the run has in its environment."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psutil


def new_mark(variable: str) -> str:
    """NAME=VALUE, as no other process has it."""
    return f"{variable}={uuid.uuid4()}"


def living(mark: str) -> Iterator[psutil.Process]:
    """The processes with this mark that are not zombies, each with its `info`: name, environ and status.

    Processes of other users cannot be looked at, and are left out.
    """
    name, _, value = mark.partition("=")
    for process in psutil.process_iter(["name", "environ", "status"]):
        environment = process.info["environ"] or {}
        if environment.get(name) == value and process.info["status"] != psutil.STATUS_ZOMBIE:
            yield process
