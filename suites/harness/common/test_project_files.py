# SPDX-License-Identifier: GPL-2.0-or-later
"""How the project runs its tests: with plugins of its own, whatever else Python has."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from common import project_files

ROOT = project_files.ROOT


@pytest.fixture
def intruder(tmp_path: Path) -> Path:
    """A folder with a distribution whose plugin of pytest warns, as that of pytest-benchmark does beside xdist."""
    (tmp_path / "intruder.py").write_text(
        "import warnings\n\ndef pytest_configure(config):\n    warnings.warn('not for you')\n"
    )
    information = tmp_path / "intruder-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: intruder\nVersion: 1\n")
    (information / "entry_points.txt").write_text("[pytest11]\nintruder = intruder\n")
    return tmp_path


@pytest.mark.parametrize(
    ("virtual", "status"), [(False, 0), (True, 3)], ids=["the-systems-python", "virtual-environment"]
)
def test_plugins_of_others_are_loaded_in_a_virtual_environment_only(
    intruder: Path, virtual: bool, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the workers of xdist, too; a virtual environment has what its user has put there."""
    monkeypatch.setattr(project_files, "in_virtual_environment", lambda: virtual)
    command = project_files.pytest_command("-n", "2", f"--report-dir={intruder}/report", "-p", "no:cacheprovider")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [*command, "-q", "suites/harness/common/test_versions.py"],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(intruder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert ("not for you" in done.stdout + done.stderr) == virtual


def test_an_installation_remembers_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever runs tests there, root included: its own folder and the user's stay as they are."""
    monkeypatch.setenv("KCONFORM_CACHE", str(tmp_path))
    monkeypatch.delenv("HYPOTHESIS_STORAGE_DIRECTORY", raising=False)
    assert f"cache_dir={tmp_path}/pytest" not in project_files.pytest_command()
    monkeypatch.setattr(project_files, "IS_CHECKOUT", False)
    assert f"cache_dir={tmp_path}/pytest" in project_files.pytest_command()
    assert os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] == f"{tmp_path}/hypothesis"


def test_a_virtual_environment_is_recognized(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.prefix", "/usr")
    monkeypatch.setattr("sys.base_prefix", "/usr")
    assert not project_files.in_virtual_environment()
    monkeypatch.setattr("sys.prefix", "/srv/venv")
    assert project_files.in_virtual_environment()
