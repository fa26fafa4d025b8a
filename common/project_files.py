# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the project is, and how it runs its tests: from a checkout, or as pip has installed it.

In a checkout, runs start in its folder, and reports are below it.  An installation leaves its own folder alone: runs
start where the user is, and reports are there.
"""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path

from common.paths import cache_folder

ROOT = Path(__file__).parents[1]
"""The folder of conftest.py and pyproject.toml."""

IS_CHECKOUT = (ROOT / "tox.ini").is_file()
"""Whether this is a checkout, or a source archive: what pip installs has no tox.ini."""

REPORTS_BESIDE_USER = "kconform-reports"
"""The folder that an installation makes for reports where the user is, which may be a kernel tree."""

REPORTS = Path("reports", "out") if IS_CHECKOUT else Path(REPORTS_BESIDE_USER)
"""The folder of reports, below `working_folder()`."""

COMMAND = "./kconform" if IS_CHECKOUT else "kconform"
"""How a user types the project's command."""

PLUGINS = ("xdist.plugin", "_hypothesis_pytestplugin")
"""The plugins of pytest that the project needs, besides its own."""


def version() -> str:
    """The project's version, `unknown` if its pyproject.toml cannot be read."""
    try:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        return str(project["version"])
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return "unknown"


def working_folder() -> Path:
    """Where runs start."""
    return ROOT if IS_CHECKOUT else Path.cwd()


def pytest_command(*arguments: str) -> list[str]:
    """The command that runs tests, to be started in `working_folder()`.  UsageError as in `cache_folder()`.

    The system's Python may have plugins that are there for other programs.  A warning of one would end the run, and
    another may change the order of tests; so only those of the project are loaded.  A virtual environment has no
    others, unless its user wants them.
    """
    named = [word for plugin in PLUGINS for word in ("-p", plugin)]
    only = [] if in_virtual_environment() else ["--disable-plugin-autoload", *named]
    return [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), *only, *_remembered(), *arguments]


def _remembered() -> list[str]:
    """Where pytest and Hypothesis remember things: neither in an installation nor in the user's folder."""
    if IS_CHECKOUT:
        return []
    folder = cache_folder()
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(folder / "hypothesis"))
    return ["-o", f"cache_dir={folder / 'pytest'}"]


def areas() -> list[str]:
    """The areas that have tests of kernels, by their names."""
    return sorted(path.parent.name for path in ROOT.glob("suites/*/requirements.toml"))


def in_virtual_environment() -> bool:
    return sys.prefix != sys.base_prefix


def kconform_command(*arguments: str) -> list[str]:
    """A command of this project, to be started in `working_folder()`."""
    return [sys.executable, str(ROOT / "kconform.py"), *arguments]
