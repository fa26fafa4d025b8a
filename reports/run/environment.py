# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run was made with, and of what: versions, host, the commit of the suite, the chosen tests."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from common import git, project_files
from reports.model.result import JSON, clean_text
from reports.model.run_record import SuiteRecord

_CHOOSING = {
    "-m": "markexpr",
    "-k": "keyword",
    "--deselect": "deselect",
    "--ignore": "ignore",
    "--ignore-glob": "ignore_glob",
    "--last-failed": "lf",
    "--stepwise": "stepwise",
    "--cases": "cases",
    "--touched": "touched",
    "--since": "since",
}
"""The options that leave tests out, and the names under which pytest keeps them."""


@functools.cache
def versions() -> Mapping[str, JSON]:
    """Versions of the programs that a result depends on; more come from `notes.describe_run`."""
    found: dict[str, JSON] = {
        "kconform": project_files.version(),
        "python": platform.python_version(),
        "pytest": pytest.__version__,
    }
    try:
        found["pytest-xdist"] = importlib.metadata.version("pytest-xdist")
    except importlib.metadata.PackageNotFoundError:
        found["pytest-xdist"] = None
    return MappingProxyType(found)


def host() -> dict[str, str]:
    """The machine that the run used, by uname."""
    name = os.uname()
    return {
        "node": name.nodename,
        "system": name.sysname,
        "release": name.release,
        "version": name.version,
        "machine": name.machine,
    }


def selection(config: pytest.Config) -> str | None:
    """The tests that the run's options chose, as a user would type it; None if they chose all."""
    chosen = [] if _whole(config) else list(map(str, config.option.file_or_dir or config.args))
    for option, name in _CHOOSING.items():
        words = config.getoption(name, None)
        if words is True:
            chosen.append(option)
        else:
            for word in [words] if isinstance(words, str | int) else words or ():
                chosen += [option, str(word)] if word else []
    return clean_text(shlex.join(chosen)) or None


def _whole(config: pytest.Config) -> bool:
    """Whether all directories of tests (`testpaths`) are within what the run was given."""
    here = config.invocation_params.dir
    folders = [config.rootpath / path for path in config.getini("testpaths") or ["."]]
    given = [(here / argument).resolve() for argument in config.args]
    return all(any(path.resolve().is_relative_to(one) for one in given) for path in folders)


def suite(root: Path) -> SuiteRecord:
    """The git commit of the checkout at `root`, or null if that is unknown; a changed one's has `-dirty` appended."""
    if not project_files.IS_CHECKOUT:
        return SuiteRecord(None)  # the folder may be below an unrelated repository
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=10,
            check=True,
            env=git.environment(),
        )
    except (OSError, subprocess.SubprocessError):
        return SuiteRecord(None)
    return SuiteRecord(done.stdout.strip())
