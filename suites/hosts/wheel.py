# SPDX-License-Identifier: GPL-2.0-or-later
"""The project's wheel, as pip builds it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from common.errors import KconformError


def command(source: Path, folder: Path) -> list[str]:
    """The command that builds the wheel of a checkout into a folder."""
    return [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", f"--wheel-dir={folder}", str(source)]


def build(source: Path, folder: Path) -> Path:
    """The wheel of a checkout, built into a folder.  KconformError if that fails."""
    done = subprocess.run(
        command(source, folder), capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    made = sorted(folder.glob("*.whl"))
    if done.returncode or len(made) != 1:
        lines = done.stderr.strip().splitlines() or ["pip left no wheel"]
        raise KconformError(f"the wheel could not be built: {lines[-1]}", hint=f"run: pip wheel --no-deps {source}")
    return made[0]
