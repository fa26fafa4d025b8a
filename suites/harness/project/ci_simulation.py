# SPDX-License-Identifier: GPL-2.0-or-later
"""A CI system's shell: scripts of docs/ci run in it as they stand, with a `tox` and a `kconform` that test nothing.

A run copies the sample report to its --report-dir, and ends with the status that it is told.  The commands that read
reports are the project's own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from suites.harness.checkout import ROOT
from suites.harness.reports.documents import result, write

PROGRAM = """\
#!{python}
import json, os, shutil, subprocess, sys
words = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
with open({calls!r}, "a") as file:
    file.write(json.dumps(words) + "\\n")
if words[0] in ("annotations", "diff", "merge"):
    sys.exit(subprocess.run([sys.executable, {kconform!r}, *words]).returncode)
status = int(os.environ["ENDS"])
[report] = [word.partition("=")[2] for word in words if word.startswith("--report-dir=")]
if status != 4:
    shutil.copytree({sample!r}, report, dirs_exist_ok=True)
sys.exit(status)
"""


class SimulatedCI:
    """A workspace, and a folder for programs that scripts find first."""

    def __init__(self, folder: Path, outcome: str = "pass") -> None:
        self.folder = folder
        self.workspace = folder / "work space"
        self.programs = folder / "programs"
        for made in (self.workspace, self.programs):
            made.mkdir()
        self._calls = folder / "calls"
        sample = write(folder / "sample", result("yama/scope", outcome), exit_status={"pass": 0, "fail": 1}[outcome])
        self._program = PROGRAM.format(
            python=sys.executable, calls=str(self._calls), kconform=str(ROOT / "kconform.py"), sample=str(sample)
        )
        self.install("tox")

    def install(self, name: str, text: str = "", *, folder: Path | None = None) -> None:
        """A program with this text, or the one that plays kconform."""
        path = (folder or self.programs) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text or self._program, encoding="utf-8")
        path.chmod(0o755)

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of each call of kconform, without what tox takes itself."""
        return [json.loads(line) for line in self._calls.read_text(encoding="utf-8").splitlines()]

    def run(
        self, script: str, *, ends: int = 0, through: Sequence[str] = ("bash", "-eo", "pipefail"), **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a script as the CI does; each run of the tests ends with the status `ends`."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "PYTEST_"))}
        path = f"{self.programs}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            [*through, "-c", script],
            cwd=self.workspace,
            env={**kept, "PATH": path, "ENDS": str(ends), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
