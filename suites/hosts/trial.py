# SPDX-License-Identifier: GPL-2.0-or-later
"""The trial of one host: the steps of a new user, and their results."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from common import git
from common.errors import KconformError, UsageError
from reports.model.document import load
from suites.hosts import host_commands, settings
from suites.hosts.distributions import Host
from suites.hosts.host_table import Row
from suites.hosts.installation import Installation
from suites.hosts.settings import Bind
from suites.hosts.trial_ways import TrialWay

ROOT = Path(__file__).parents[2]
LAST_LINES = 30
"""The number of lines to show of a failed step's output; the log contains all of it."""

_NUMBER = re.compile(r"\d+(?:\.\d+)+")


class Trial:
    """A trial of the project's files in an installation of the host, in one way; all output is appended to `file`.

    `say` is called with a message about each step.
    """

    def __init__(
        self, host: Host, on: Installation, way: TrialWay, files: Path, file: IO[str], say: Callable[[str], None]
    ) -> None:
        self._host = host
        self._on = on
        self._way = way
        self._files = files
        self._file = file
        self._say = say
        if cache := settings.pip_cache():
            cache.mkdir(parents=True, exist_ok=True)
            on.bind(Bind(cache, f"{host_commands.HOME}/.cache/pip", writable=True))

    def run(self, arguments: Sequence[str], reports: Path) -> Row:
        """Run all steps, and copy the suites' report to `reports`.  KconformError if the installation fails."""
        shutil.copytree(self._files, self._on.path(self._way.files), symlinks=True)
        self._on.path(self._way.folder).mkdir(exist_ok=True)
        for command in self._way.install:
            if status := self._step(command):
                raise KconformError(f"{shlex.join(command)} ended with status {status} on {self._host.name}")
        started = time.monotonic()
        status = self._step(self._way.main_job(self._host, arguments))
        seconds = time.monotonic() - started
        counts = self._counts(reports)  # before the quick tests, which write another report
        quick = self._step(self._way.quick) if self._way.quick else None
        versions = {name: number(self._on.ask(command)) for name, command in self._way.versions.items()}
        return Row(self._host.name, versions, counts, seconds=seconds, status=status, quick=quick)

    def _step(self, command: Sequence[str]) -> int:
        """Run a command, and return its exit status."""
        shown = shlex.join(command)
        self._file.write(f"\n$ {shown}\n")
        last: deque[str] = deque(maxlen=LAST_LINES)
        started = time.monotonic()
        status = self._on.run(command, self._file, folder=self._way.folder, on_line=last.append)
        self._say(f"{shown}: {time.monotonic() - started:.0f} s, exit status {status}")
        if status:
            self._say("its last lines:\n" + "".join(f"    {line}" for line in last))
        return status

    def _counts(self, reports: Path) -> Mapping[str, int]:
        """The number of tests by outcome; empty if the run wrote no report."""
        made = (self._on.path(self._way.folder) / self._way.report).resolve()
        try:
            found = Counter(str(result.verdict) for result in load(made).tests())
        except UsageError:
            return {}
        shutil.rmtree(reports, ignore_errors=True)
        shutil.copytree(made, reports, symlinks=True)
        return found


def number(text: str) -> str:
    """The first version number in a program's output."""
    match = _NUMBER.search(text)
    return match[0] if match else ""


def copy_checkout(source: Path, target: Path) -> None:
    """Copy the project's files: those that git tracks or would add.  UsageError if git cannot list them."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(
        listed,
        cwd=source,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        env=git.environment(),
    )
    if done.returncode:
        raise UsageError(f"git cannot list the project's files: {done.stderr.strip()}", hint="use a clone of it")
    for name in filter(None, done.stdout.split("\0")):
        path = source / name
        # A file may be deleted in the working tree and still be in the index.
        if path.is_symlink() or path.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target / name, follow_symlinks=False)
