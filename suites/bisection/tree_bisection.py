# SPDX-License-Identifier: GPL-2.0-or-later
"""Bisection of a git tree between two revisions, by git bisect in that tree.

The tree must have no changes of its own.  Afterwards, it is as it was, whatever happened; the log of the bisection
is kept, for `git bisect replay`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from common import git
from common.commandline import INTERRUPTED, output, say
from common.errors import UsageError
from common.paths import users_path
from common.project_files import kconform_command, working_folder
from common.text import printable
from reports.judgement.exit_status import HELD, UNDETERMINED, WRONG_USE
from suites.bisection.bisection_steps import run_bisection
from suites.bisection.report_place import reports_of

LOG = "bisect.log"


def bisect_tree(tree: Path, good: Sequence[str], bad: str, arguments: Sequence[str]) -> int:
    """Find the first bad commit, and return the exit status.  `arguments` are those of each run."""
    tree = users_path(tree).absolute()
    _require_ready(tree)
    for revision in (*good, bad):
        if _git(tree, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").returncode:
            raise UsageError(f"{printable(str(tree))} has no revision {printable(revision)}")
    step = kconform_command("bisect", f"--kernel={tree}", *arguments)
    try:
        started = _git(tree, "bisect", "start", bad, *good, "--")
        if started.returncode:
            raise UsageError(f"git cannot bisect from {', '.join(good)} to {bad}: {_last_line(started.stderr)}")
        output(started.stdout.strip())
        # git runs a step in the tree, and paths among the arguments start from where the user is.
        return _ended(tree, run_bisection(tree, step, working_folder()))
    finally:
        _keep_log(tree, arguments)
        _git(tree, "bisect", "reset")


def _require_ready(tree: Path) -> None:
    """UsageError unless it is a git tree that git bisect can check out other commits in."""
    top = _git(tree, "rev-parse", "--show-toplevel") if tree.is_dir() else None
    if top is None or top.returncode:
        raise UsageError(f"{printable(str(tree))} is not a git tree", hint="name the directory with --tree")
    if _git(tree, "bisect", "log").returncode == 0:
        raise UsageError(
            f"{printable(str(tree))} is being bisected already", hint=f"end that first: git -C {tree} bisect reset"
        )
    if _git(tree, "status", "--porcelain", "--untracked-files=no").stdout.strip():
        raise UsageError(
            f"{printable(str(tree))} has changes that are not committed", hint="commit them, or use git stash"
        )


def _ended(tree: Path, status: int) -> int:
    """Say what was found, once git bisect run has ended."""
    if status == 0:
        found = _git(tree, "show", "--no-patch", "--format=%H %s", "refs/bisect/bad").stdout.strip()
        # git's last line has no end.
        output(f"\nfirst bad: {printable(found)}")
        return HELD
    log = _git(tree, "bisect", "log").stdout
    if "# only skipped commits left" in log:
        output("\nthe first bad commit is one of those above, of which the others could not be judged")
        return UNDETERMINED
    return INTERRUPTED if status < 0 or status == 130 else WRONG_USE


def _keep_log(tree: Path, arguments: Sequence[str]) -> None:
    log = _git(tree, "bisect", "log").stdout
    path = working_folder() / reports_of(arguments) / LOG
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(log, encoding="utf-8")
    except OSError as error:
        say(f"remark: the log of the bisection cannot be kept: {error}")


def _git(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "-C", str(tree), *arguments],
        env=git.environment(),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return printable(lines[-1]) if lines else "no reason given"
