# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether this machine has what `tox -e accessibility` needs.  Run it first: without that, its tests are skipped."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator

from common.commandline import output, run
from common.errors import UsageError
from suites.harness.reports.formats.page_browser import CHROMIUM

MODULES = ("playwright", "axe_playwright_python")


def missing() -> Iterator[str]:
    """What is not there, and who has it."""
    for module in MODULES:
        if importlib.util.find_spec(module) is None:
            yield f"the Python package {module} (tox -e accessibility installs it)"
    if not any(map(shutil.which, CHROMIUM)):
        yield "Chromium (apt-get install chromium)"


def require() -> None:
    """UsageError if something is missing."""
    if found := list(missing()):
        raise UsageError(f"nothing was checked, because this machine lacks {' and '.join(found)}")
    output("accessibility: axe-core and Chromium are there")


if __name__ == "__main__":
    sys.exit(run(require))
