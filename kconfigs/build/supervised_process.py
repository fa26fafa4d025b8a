# SPDX-License-Identifier: GPL-2.0-or-later
"""Long-running commands that end when the process that started them does."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

# The leader of a process group.  When it gets SIGTERM, from us or because we died, it kills the whole group; make
# would leave the compilers' children running.
_SUPERVISOR = 'trap "trap - TERM INT; kill -s KILL 0" TERM INT; "$@" & wait $!'


def dies_with_parent(command: Sequence[str]) -> list[str]:
    """The command, so wrapped that it gets SIGTERM when the thread that started it ends, for whatever reason."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", *command] if setpriv else list(command)


def supervised(command: Sequence[str]) -> list[str]:
    """The command, so wrapped that it and all its descendants end together.  Start it with process_group=0."""
    return dies_with_parent(["sh", "-c", _SUPERVISOR, "sh", *command])


def run_logged(
    command: Sequence[str],
    log: IO[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    on_line: Callable[[str], None] | None = None,
) -> int:
    """Run a command and return its exit status; output goes to the log and, line by line, to `on_line`.

    An exception ends the command and everything that it started.
    """
    with subprocess.Popen(
        supervised(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env=dict(env),
        cwd=cwd,
        process_group=0,
    ) as child:
        try:
            assert child.stdout is not None
            for line in child.stdout:
                log.write(line)
                if on_line is not None:
                    on_line(line)
            return child.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            raise
        finally:
            log.flush()
