# SPDX-License-Identifier: GPL-2.0-or-later
"""Keeps GitHub from obeying what tests and guests print.

GitHub takes lines of a job's output as commands, `::error file=...::...` for example.  Between
`::stop-commands::TOKEN` and `::TOKEN::` it takes none, and a guest cannot know the token.
"""

from __future__ import annotations

import os
import secrets

import pytest

TOKEN = pytest.StashKey[str]()


def stop(config: pytest.Config) -> None:
    """Before anything of a test is printed."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        config.stash[TOKEN] = secrets.token_hex(16)
        _write(config, f"::stop-commands::{config.stash[TOKEN]}")


def resume(config: pytest.Config) -> None:
    """After everything has been printed."""
    if TOKEN in config.stash:
        _write(config, f"::{config.stash[TOKEN]}::")


def _write(config: pytest.Config, line: str) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:
        terminal.ensure_newline()
        terminal.write_line(line)
        terminal.flush()
