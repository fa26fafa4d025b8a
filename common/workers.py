# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes of a pytest run: with pytest-xdist a controller and its workers, otherwise only one.

What a worker has to know goes through `workerinput`, which the controller fills in `pytest_configure_node`:

    node.workerinput["kconform_builds"] = str(folder)          # in the controller
    handed_over(config, "kconform_builds")                     # in the worker
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is one of pytest-xdist's workers."""
    return hasattr(config, "workerinput")


def handed_over(config: pytest.Config, key: str) -> Any:
    """What the controller handed to this worker under that key; None if nothing, or if this is not a worker."""
    return getattr(config, "workerinput", {}).get(key)


def run_in_one_process(config: pytest.Config) -> None:
    """Have no workers, whatever -n says: for what only a process can do that collects, or that has the terminal.

    Call it in pytest_cmdline_main, after pytest-xdist's, which is the first.
    """
    if hasattr(config.option, "numprocesses"):
        config.option.numprocesses = None
        config.option.dist = "no"
        config.option.tx = []
