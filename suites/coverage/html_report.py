# SPDX-License-Identifier: GPL-2.0-or-later
"""Counters as pages of HTML, made by gcovr: each line of the sources, with its count and its branches."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from common.errors import KconformError, UsageError
from suites.coverage import gcov_reader
from suites.coverage.counter_folder import CounterFolder
from suites.coverage.gcov_reader import GcovReader


def require_gcovr() -> None:
    """UsageError if it is not installed."""
    if importlib.util.find_spec("gcovr") is None:
        raise UsageError(
            "pages of HTML need gcovr, which is not installed",
            hint="pip install gcovr, or use tox -e coverage, which has it; without --html, there are tables only",
        )


def write_html(folder: CounterFolder, into: Path) -> Path:
    """Write the pages of all counters into a folder, and return the first.

    gcov names the sources as they were when the kernel was built.  The pages show those that were kept.
    """
    require_gcovr()
    into.mkdir(parents=True, exist_ok=True)
    page = into / "index.html"
    with tempfile.TemporaryDirectory(prefix="kconform-gcov-") as scratch:
        sums, figures = Path(scratch, "sums"), Path(scratch, "figures.json")
        counters = [test.counters for test in folder.tests() if test.counters]
        gcov_reader.merge(folder, counters, sums)
        notes = Path(scratch, "notes")
        tree = GcovReader(folder, notes).tree(counters[0])
        where = [
            "--filter",
            rf"{re.escape(str(tree))}/(?:{'|'.join(re.escape(file.source) for file in folder.files)})$",
        ]
        # To gcovr, functions such as __seccomp_filter would be the compiler's own.
        lenient = ["--gcov-ignore-errors=all", f"--gcov-executable={folder.gcov}", "--include-internal-functions"]
        _gcovr(["--root", str(tree), *where, *lenient, "--json", str(figures), str(sums)], sums)
        title = ["--html-title", f"Coverage of {folder.kernel()['id']}"]
        _gcovr(["--root", str(folder.notes), "-a", str(figures), *title, "--html-nested", str(page)], sums)
    return page


def _gcovr(arguments: Sequence[str], folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gcovr", *arguments],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise KconformError(f"gcovr ended with {done.returncode}: {done.stderr.strip()}")
