# SPDX-License-Identifier: GPL-2.0-or-later
"""kconform, as pip installs it: the whole project is in a folder of this package, so that none of its packages, whose
names are as common as `guests` and `reports`, is importable by others.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

PROJECT = Path(__file__).with_name("project")


def main() -> NoReturn:
    """The command `kconform`.  The processes that it starts find the project by PYTHONPATH."""
    others = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PROJECT), *others])
    os.execv(sys.executable, [sys.executable, str(PROJECT / "kconform.py"), *sys.argv[1:]])  # noqa: S606 - no shell is wanted
