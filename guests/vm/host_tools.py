# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of this machine that turn one file into another."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from guests.errors import KconformError

_LEFT_OUT = {"SOURCE_DATE_EPOCH"}
"""What a build may have set: mksquashfs takes no other times than those any more."""


def run_tool(command: Sequence[str]) -> bytes:
    """What it prints.  KconformError if it is not installed or fails."""
    # Debian keeps file system tools where only root's PATH looks.
    program = shutil.which(command[0]) or shutil.which(command[0], path="/usr/sbin:/sbin")
    if program is None:
        raise KconformError(f"{command[0]} is not installed", hint="run `./kconform doctor`, which can install it")
    # What is read of it is not translated.
    environment = {name: value for name, value in os.environ.items() if name not in _LEFT_OUT} | {"LC_ALL": "C"}
    done = subprocess.run([program, *command[1:]], capture_output=True, env=environment, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise KconformError(f"{command[0]} failed: {said[-1] if said else f'exit status {done.returncode}'}")
    return done.stdout
