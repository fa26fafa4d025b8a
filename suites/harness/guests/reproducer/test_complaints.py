# SPDX-License-Identifier: GPL-2.0-or-later
"""A reproducer recognizes the complaints in the kernel's log that a run recognizes."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from guests.log import splats
from guests.reproducer import guest_trial, program_source
from suites.harness.guests.log import test_splats
from suites.harness.guests.log.test_splats import NO_SPLATS, SPLATS

Complaint = Callable[[Iterable[str]], str]

MAIN = """
static void read_log(void)
{
	if (read(0, logged, sizeof(logged) - 1) < 0)
		abort();
}

int main(void)
{
	const char *found = complaint();

	if (found)
		puts(found);
	return 0;
}
"""
"""The rest of a program that reads records from standard input, and prints the complaint."""


@pytest.fixture(scope="module")
def complaint(tmp_path_factory: pytest.TempPathFactory) -> Complaint:
    """What a reproducer finds in a log of these records, which /dev/kmsg shows without times; empty if nothing."""
    source = "\n".join(
        [
            *(f"#include <{name}>" for name in program_source._INCLUDES),
            "static char logged[1 << 20];",
            program_source._runtime("complaints.c"),
            MAIN,
        ]
    )
    program = tmp_path_factory.mktemp("complaints") / "complaints"
    program.write_bytes(guest_trial.build(f"#define _GNU_SOURCE\n{source}", platform.machine()))
    program.chmod(0o755)
    return lambda records: _printed(program, records)


def _printed(program: Path, records: Iterable[str]) -> str:
    lines = ["\\x0a".join(splats.untimed(line) for line in record.split("\n")) for record in records]
    log = "".join(f"{line}\n" for line in lines)
    return subprocess.run([program], input=log, capture_output=True, encoding="utf-8", check=True).stdout.strip()


@pytest.mark.parametrize("name", SPLATS)
def test_a_complaint_is_found_among_other_lines(complaint: Complaint, name: str) -> None:
    assert complaint([*NO_SPLATS, *SPLATS[name]]) == test_splats.telling(name)


@pytest.mark.parametrize("line", NO_SPLATS)
def test_other_messages_are_no_complaints(complaint: Complaint, line: str) -> None:
    assert complaint([line, line]) == ""


def test_the_first_of_several_is_reported(complaint: Complaint) -> None:
    assert complaint(["WARNING: suspicious RCU usage", "BUG: second"]) == "WARNING: suspicious RCU usage"


@pytest.mark.parametrize("report", ["6.12.7 #1 Not tainted", "CPU: 0 Comm: evil Tainted: G        W", "Call Trace:"])
def test_an_unknown_warning_counts_if_a_report_follows(complaint: Complaint, report: str) -> None:
    line = test_splats.TestUnknownWarning.LINE
    assert complaint([line, *["a line"] * 7, report]) == line
    assert complaint([line, *["a line"] * 8, report]) == ""
    assert complaint([line, "BUG: another", report]) == "BUG: another"
