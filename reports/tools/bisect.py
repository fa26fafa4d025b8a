# SPDX-License-Identifier: GPL-2.0-or-later
"""`tox -e bisect -- ARGS`: a run of the suites whose exit status `git bisect run` understands.

git takes 0 for good, 125 for a commit that cannot be judged, any other status up to 127 for bad, and ends the
bisection at 128 or more (git-bisect(1)).  A run's own status does not fit: wrong use would be bad, and so would a
tree that does not build.

A waived failure does not make a commit bad, because most searches are for another one.  Waivers are for ranges of
versions, and a search for what they excuse would end where such a range does; that takes --no-waivers among ARGS.

With --repeat among ARGS, a commit is good if it keeps its promises in every attempt, and bad if it breaks one in any.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.child_command import wait_for
from common.errors import UsageError
from common.project_files import REPORTS, kconform_command, pytest_command, working_folder
from reports.judgement.exit_status import BROKEN, HELD, NOTHING_RAN, UNDETERMINED, WRONG_USE, meaning
from reports.model.document import load
from reports.model.report_directory import RESULTS
from reports.model.result import Verdict

REPORT = REPORTS / "bisect"
"""The report of the last step, below `working_folder()`."""

DOCTOR = kconform_command("doctor", "--install", "--yes")
"""Other environments of tox.ini run it first.  Here it must not run there: its status would be the bisection's."""

GOOD, BAD, SKIP, STOP = 0, 1, 125, 128
WORDS = {GOOD: "good", BAD: "bad", SKIP: "cannot be judged", STOP: "the bisection cannot go on"}


def verdicts_in(report: Path) -> Counter[Verdict]:
    """How many tests of each verdict the run has left there; none without a report."""
    try:
        return Counter(result.verdict for result in load(report).results)
    except UsageError:
        return Counter()


def answer(exit_status: int, counts: Mapping[Verdict, int]) -> int:
    """What to tell git about a run that ended with this status and so many tests of each verdict."""
    if not any(counts.values()):
        # 0 and 1 may have another cause than tests: --collect-only, or a Python without pytest.
        return STOP
    if exit_status in (HELD, BROKEN):
        return GOOD if exit_status == HELD else BAD
    # A tree that does not build is wrong use too, but each of its tests has an error; a misspelt option has none.
    return SKIP if exit_status in (UNDETERMINED, WRONG_USE, NOTHING_RAN) else STOP


@dataclass(frozen=True)
class StepResult:
    """What one run has shown."""

    answer: int
    """GOOD, BAD, SKIP or STOP."""
    exit_status: int
    """That of the run; WRONG_USE if there was none."""


def main(arguments: Sequence[str]) -> int:
    return judge(arguments).answer


def judge(arguments: Sequence[str]) -> StepResult:
    """Run the suites with these arguments, and say what git is told about the result."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--report-dir", default=str(REPORT))
    try:
        # As pytest reads the same option: the last one counts, and ~ is a home directory.
        named, _ = parser.parse_known_args(arguments)
        report = working_folder() / Path(named.report_dir).expanduser()
        # A run that ends early must not be judged by the report of the last one.
        (report / RESULTS).unlink(missing_ok=True)
    except (argparse.ArgumentError, OSError, RuntimeError) as error:
        print(f"bisect: {WORDS[STOP]}: --report-dir cannot be used: {error}", flush=True)
        return StepResult(STOP, WRONG_USE)
    if wait_for(DOCTOR):
        print(f"bisect: {WORDS[STOP]}: this machine lacks something", flush=True)
        return StepResult(STOP, WRONG_USE)
    exit_status = wait_for(pytest_command(f"--report-dir={report}", "--reproducers=none", "--vmcores=0", *arguments))
    counts = verdicts_in(report)
    answered = answer(exit_status, counts)
    but = (
        f", but for {waived} waived: see --no-waivers" if exit_status == HELD and (waived := counts["waived"]) else ""
    )
    print(f"bisect: {WORDS[answered]} (exit status {exit_status}: {meaning(exit_status, counts)}{but})", flush=True)
    return StepResult(answered, exit_status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
