# SPDX-License-Identifier: GPL-2.0-or-later
"""A pytest plugin that finds the project's tests by name from any folder.

Without a path, all of `testpaths` are run.  A path that does not exist in the current folder is one of the project:
`suites/yama/test_talk.py`, or an area such as `yama`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest


def places(given: Sequence[str], default: Sequence[str], invoked_in: Path, root: Path) -> list[str]:
    """The paths and node ids to run, for those that are given."""
    return [_place(one, invoked_in, root) for one in given] or [
        str(root / path) for path in default if (root / path).exists()
    ]


def _place(given: str, invoked_in: Path, root: Path) -> str:
    path, colons, names = given.partition("::")
    if (invoked_in / path).exists():
        return given
    for of_project in (root / path, root / "suites" / path):
        if of_project.exists():
            return f"{of_project}{colons}{names}"
    return given


def _places(config: pytest.Config, given: Sequence[str]) -> list[str]:
    return places(given, config.getini("testpaths"), config.invocation_params.dir, config.rootpath)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """pytest then finds the conftest.py of these tests before it parses the options."""
    known = early_config.known_args_namespace
    known.file_or_dir = _places(early_config, known.file_or_dir)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """What is collected, and what a report says of the run's completeness."""
    if not config.option.help:
        config.args = _places(config, config.option.file_or_dir)
