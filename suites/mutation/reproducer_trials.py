# SPDX-License-Identifier: GPL-2.0-or-later
"""Does the reproducer of a failed test show a mutant's fault, and only that?

It has to end with 1 on the mutant, where the run that made it has tried it, and with 0 on a kernel without the fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.project_files import kconform_command
from common.text import printable
from guests.reproducer.guest_trial import says_broken
from reports.judgement.exit_status import BROKEN, HELD
from suites.mutation.limited_run import run_within
from suites.reproducers import REASON, SOURCE, TRIAL

DEADLINE_S = 600.0
"""For one run of a reproducer, with the boot."""

REPRODUCES = "reproduces"
REPRODUCES_LATER = "reproduces, of a later test that failed"
NO_REPRODUCER = "none: "
"""What the result begins with if the test has no reproducer; the reason follows."""
ACCUSES = "accuses the unchanged kernel"


def try_reproducers(
    report: Path, failed: Sequence[Mapping[str, Any]], unchanged: Path, environment: Mapping[str, str]
) -> str:
    """Try the reproducers of failed tests, at least one, in their order, until one shows the fault.

    Returns REPRODUCES, REPRODUCES_LATER, ACCUSES, or what `try_reproducer` says of the first test.
    """
    said = []
    for result in failed:
        said.append(try_reproducer(report, result, unchanged, environment))
        if said[-1] == ACCUSES:
            return ACCUSES
        if said[-1] == REPRODUCES:
            return REPRODUCES if len(said) == 1 else REPRODUCES_LATER
    return said[0]


def try_reproducer(report: Path, failed: Mapping[str, Any], unchanged: Path, environment: Mapping[str, str]) -> str:
    """Run the reproducer that a mutant's report has for a failed test, in a guest of the kernel without the fault.

    Returns REPRODUCES, ACCUSES, or a sentence that begins with NO_REPRODUCER or says what else happened.
    """
    evidence: Mapping[str, str] = failed.get("evidence", {})
    if SOURCE not in evidence:
        if REASON not in evidence:
            return f"{NO_REPRODUCER}the test had no guest"
        return f"{NO_REPRODUCER}{printable((report / evidence[REASON]).read_text(encoding='utf-8').strip())}"
    without, said = _status(report / evidence[SOURCE], unchanged, environment)
    if without == BROKEN:
        return ACCUSES
    if without != HELD:
        return f"status {without} on the unchanged kernel: {said}"
    with_fault = (report / evidence[TRIAL]).read_text(encoding="utf-8")
    return REPRODUCES if says_broken(with_fault) else f"on the mutant: {_end(with_fault)}"


def _status(source: Path, image: Path, environment: Mapping[str, str]) -> tuple[int | None, str]:
    """The exit status of `kconform reproduce`, None if it took too long, and the end of what it printed."""
    command = kconform_command("reproduce", str(source), f"--kernel={image}")
    status, printed = run_within(command, environment, DEADLINE_S)
    if status is None:
        return None, f"it did not end within {DEADLINE_S:.0f} s"
    return status, _end(printed)


def _end(printed: str) -> str:
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return "; ".join(lines[-2:]) or "it said nothing"
