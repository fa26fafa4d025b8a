# SPDX-License-Identifier: GPL-2.0-or-later
"""The connection to a machine that somebody else booted, as the ssh of this host understands it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from kconfigs.target_machine import parse_target
from suites.harness.guests.fakes import tool

CONFIG = """
Host *
    ControlMaster auto
    ControlPath ~/.ssh/%C
    ControlPersist 10m
"""
"""What many users have in their ~/.ssh/config."""


def test_the_connection_stays_in_the_foreground(tmp_path: Path) -> None:
    """Whatever the user's configuration says: in the background, nothing would end it, and its socket would stay."""
    config, control = tmp_path / "config", tmp_path / "control"
    config.write_text(CONFIG)
    _, *arguments = parse_target("ssh:board").connection(control)
    command = [tool("ssh"), "-G", "-F", str(config), *arguments]
    printed = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    assert {"controlmaster true", f"controlpath {control}", "controlpersist no"} <= set(printed.splitlines())
