# SPDX-License-Identifier: GPL-2.0-or-later
"""`tox -e bisect -- ARGS`: a run of the suites whose exit status `git bisect run` understands.

git takes 0 for good, 125 for a commit that cannot be judged, any other up to 127 for bad, and from 128 on ends the
bisection (git-bisect(1)).  A run's own status is not made for that: wrong use would be bad, and so would a tree that
does not build.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from reports.judgement import exit_status as status
from reports.model import report_directory as folder
from reports.model import store as results
from reports.model.document import BadInputError, load

ROOT = Path(__file__).parents[2]
REPORT = folder.DEFAULT / "bisect"
"""Where the report of the last step is, below ROOT."""

DOCTOR = (sys.executable, "-m", "guests", "doctor", "--install", "--yes")
"""What other environments of tox.ini begin with.  Here tox must not, for its status would be the bisection's."""

GOOD, BAD, SKIP, STOP = 0, 1, 125, 128
WORDS = {GOOD: "good", BAD: "bad", SKIP: "cannot be judged", STOP: "the bisection has to end"}


def answer(exit_status: int, report: Path) -> int:
    """What to tell git of a run that ended with this and left its report there."""
    try:
        tested = len(load(report).results) > 0
    except BadInputError:
        tested = False
    if not tested:
        # 0 and 1 may come of something else than tests: of --collect-only, of a Python that has no pytest.
        return STOP
    if exit_status in (status.HELD, status.BROKEN):
        return GOOD if exit_status == status.HELD else BAD
    # A tree that does not build is wrong use too, but it has an error for each test; a misspelt option has none.
    return SKIP if exit_status in (status.OURS, status.WRONG_USE, status.NOTHING) else STOP


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--report-dir", default=str(REPORT))
    try:
        # What pytest makes of the same option: the last one counts, and ~ is a home.
        named, _ = parser.parse_known_args(arguments)
        report = ROOT / Path(named.report_dir).expanduser()
        # A run that ends early must not be judged by the last one's.
        (report / results.FILE_NAME).unlink(missing_ok=True)
    except (argparse.ArgumentError, OSError, RuntimeError) as error:
        print(f"bisect: {WORDS[STOP]}: --report-dir cannot be used: {error}", flush=True)
        return STOP
    if _run(DOCTOR):
        print(f"bisect: {WORDS[STOP]}: this machine lacks something", flush=True)
        return STOP
    command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", f"--report-dir={report}", *arguments]
    exit_status = _run(command)
    told = answer(exit_status, report)
    meaning = status.MEANING.get(exit_status, "not one of ours")
    print(f"bisect: {WORDS[told]} (exit status {exit_status}: {meaning})", flush=True)
    return told


def _run(command: Sequence[str]) -> int:
    """The exit status of the command, which is left the time that it takes to end after Ctrl-C."""
    with subprocess.Popen(command, cwd=ROOT) as running:
        try:
            return running.wait()
        except KeyboardInterrupt:
            # It has been told by the terminal, too: it ends its guests and writes its report.
            return running.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
