# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of the host that convert files."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from common.project_files import COMMAND
from guests.errors import KconformError

_UNSET = {"POSIXLY_CORRECT", "SOURCE_DATE_EPOCH"}
"""Variables that change what options mean: with the first, those that follow a file name are file names, too; with
the second, which some builds set, mksquashfs rejects options for times."""


def run_host_tool(command: Sequence[str]) -> bytes:
    """Run a command, and return its output.  KconformError if it is not installed or fails."""
    # On Debian, file system tools are in directories that are only in root's PATH.
    program = shutil.which(command[0]) or shutil.which(command[0], path="/usr/sbin:/sbin")
    if program is None:
        raise KconformError(f"{command[0]} is not installed", hint=f"run `{COMMAND} doctor`, which can install it")
    # Its output must not be translated.
    environment = {name: value for name, value in os.environ.items() if name not in _UNSET} | {"LC_ALL": "C"}
    done = subprocess.run([program, *command[1:]], capture_output=True, env=environment, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise KconformError(f"{command[0]} failed: {said[-1] if said else f'exit status {done.returncode}'}")
    return done.stdout
