# SPDX-License-Identifier: GPL-2.0-or-later
"""The log of a boot is whole, or what needs it is an error: the kernel's buffer may have lost its first lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from guests.boot_log import splat_at_boot, whole_log_at_boot
from guests.errors import AgentError
from guests.guest_text import omission
from guests.vm.template import Template
from suites.harness.guests import fakes

CONSOLE = """\
[    0.000000] Linux version 6.12.7
[    0.001000][    T0] BUG: early
[    0.500000][    T1] LoadPin: ready to pin
"""
LAST_RECORD = "6,{},500000,-;LoadPin: ready to pin\n"


def booted(folder: Path, log: str, console: str) -> Template:
    (folder / "boot.log").write_text(log)
    (folder / "console.log").write_text(console)
    return Template(fakes.machine(folder), folder, "key")


def test_a_log_that_begins_with_the_first_record_is_whole(tmp_path: Path) -> None:
    template = booted(tmp_path, LAST_RECORD.format(0), CONSOLE)
    assert whole_log_at_boot(template) == ["LoadPin: ready to pin"]
    assert splat_at_boot(template) == ""


def test_what_the_buffer_has_lost_is_taken_from_the_console(tmp_path: Path) -> None:
    template = booted(tmp_path, LAST_RECORD.format(2), CONSOLE)
    assert whole_log_at_boot(template) == ["Linux version 6.12.7", "BUG: early", "LoadPin: ready to pin"]
    assert splat_at_boot(template) == "BUG: early"


@pytest.mark.parametrize(
    "console",
    ["", CONSOLE.replace("Linux version", "Booting"), CONSOLE + omission(70_000)],
    ids=["silent", "too-late", "cut"],
)
def test_a_log_without_its_beginning_proves_nothing(tmp_path: Path, console: str) -> None:
    """Neither that a line was logged, nor that it was not.  A complaint that is there counts all the same."""
    template = booted(tmp_path, LAST_RECORD.format(2), console)
    with pytest.raises(AgentError, match="the first 2 lines of the boot were overwritten"):
        whole_log_at_boot(template)
    assert splat_at_boot(template) == ("BUG: early" if "BUG" in console else "")
