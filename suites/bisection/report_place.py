# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the reports of a bisection go."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from reports.tools import bisect


def reports_of(arguments: Sequence[str]) -> Path:
    """What --report-dir names among the arguments of a run, or else the default; relative to `working_folder()`."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--report-dir", type=Path, default=bisect.REPORT)
    named: Path = parser.parse_known_args(arguments)[0].report_dir
    return named.expanduser()
