# SPDX-License-Identifier: GPL-2.0-or-later
"""Suites that a test writes, and the runs of pytest that execute them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reports.formats.markdown_summary import STEP_SUMMARY
from suites.harness.checkout import ROOT

_ERRORS = """
class Wrong(Exception):
    verdict = "error"
    exit_status = 4
    hint = "flavors: full"

class Ours(Wrong):
    exit_status = 3

class GuestHung(Exception):
    verdict = "fail"
"""


def prepare(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, settings: str = "") -> None:
    """Make the test's directory a project that has the plugin of reports and these settings of pytest."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in ("PYTEST_ADDOPTS", STEP_SUMMARY):
        monkeypatch.delenv(name, raising=False)
    # Without hypothesis a run starts in a third of the time.
    pytester.makeini(
        "[pytest]\naddopts = --strict-markers -p reports.run.plugin -p no:hypothesispytest\n"
        f"filterwarnings = error\nxfail_strict = true\n{settings}"
    )


def suite(pytester: pytest.Pytester, text: str, area: str = "harness") -> None:
    """Write `text` as the only tests of an area."""
    folder = pytester.path / "suites" / area
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "test_it.py").write_text(f"import os, signal, sys, pytest\n{_ERRORS}\n{text}\n")


def requirements_toml(*identifiers: str) -> str:
    """The text of a requirements.toml."""
    return "".join(
        f'[[requirement]]\nid = "{each}"\ntext = "It holds."\nsource = "yama_lsm.c"\nsince = "3.4"\n'
        for each in identifiers
    )


def run(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess(*args, timeout=120)


def document(path: str = "reports/out/latest") -> dict[str, Any]:
    """The results.json of the last run, or of the run with that report directory."""
    return dict(json.loads((Path(path) / "results.json").read_text(encoding="utf-8")))


HOLDS = "def test_pass(): pass\n"
FAIL = "def test_fail(): assert False\n"
SKIP = "def test_skip(): pytest.skip('not here')\n"
OURS = "def test_ours(): raise Ours('no boot')\n"
WRONG = "def test_wrong(): raise Wrong('no such flavor')\n"


def refusal(folder: Path, *arguments: str) -> str:
    """What is said when a run of the project's own suites, in a folder that has its cache too, is wrong use."""
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *arguments, str(ROOT / "suites/yama/test_talk.py")],
        cwd=folder,
        env={**os.environ, "KCONFORM_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4, done.stdout + done.stderr
    return done.stderr
