# SPDX-License-Identifier: GPL-2.0-or-later
"""A command of this project that may hang, because the kernel that it tests has a fault."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence

from common.project_files import ROOT


def run_within(command: Sequence[str], environment: Mapping[str, str], deadline_s: float) -> tuple[int | None, str]:
    """The exit status of a command, or None if it did not end in time and was killed, and its output."""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=deadline_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None, ""
        except BaseException:
            os.killpg(process.pid, signal.SIGINT)
            raise
    return process.returncode, said
