# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands that we run in the user's terminal, and that have time to end if we are interrupted."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence

from common.commandline import INTERRUPTED
from common.project_files import working_folder


def wait_for(command: Sequence[str]) -> int:
    """The exit status of a command, which begins in `working_folder()` and cannot read from the terminal.

    Ctrl-C interrupts the command as well, and SIGTERM is passed on to it: a run then ends its guests and writes its
    report, for which subprocess.run() would not wait.
    """
    with subprocess.Popen(command, cwd=working_folder(), stdin=subprocess.DEVNULL) as running:
        former = signal.signal(signal.SIGTERM, lambda *_: running.terminate())
        try:
            return running.wait()
        except KeyboardInterrupt:
            return running.wait()
        finally:
            signal.signal(signal.SIGTERM, former)


def wait_for_tests(command: Sequence[str]) -> int:
    """The same of one that runs tests.  KeyboardInterrupt if it was interrupted."""
    status = wait_for(command)
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    return status
