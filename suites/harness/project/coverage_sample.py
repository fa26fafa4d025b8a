# SPDX-License-Identifier: GPL-2.0-or-later
"""A folder of counters as guests leave them, of a program on this host that gcc gives the counters of a kernel."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from kconfigs.build.gcov_notes import FOLDER
from kconfigs.build.profiled_files import make_arguments
from kconfigs.kconfig import Config
from kconfigs.kernel import Kernel
from suites.coverage.counter_folder import CounterFolder, TestCounters

FILE = "security/yama/yama_lsm.c"
SOURCE = """\
#include <stdlib.h>

static int check(int scope, int caps)
{
	if (scope > 1 && !caps)
		return -1;
	return 0;
}

static int never(int value)
{
	return value + 1;
}

int main(int argc, char **argv)
{
	if (argc == 1)
		return 0;
	if (argc == 9)
		return never(argc);
	return check(atoi(argv[1]), atoi(argv[2]));
}
"""
KERNEL = "linux-6.12.7/coverage"
DENIED = "suites/yama/test_it.py::test_denied"
"""The test that executes `return -1;`."""
GRANTED = "suites/yama/test_it.py::test_granted[caps]"
OTHER = "suites/seccomp/test_it.py::test_other"
"""The test that executes nothing beyond its boot."""


def line_of(text: str) -> int:
    """The number of the only line that contains this."""
    [number] = [number for number, line in enumerate(SOURCE.splitlines(), 1) if text in line]
    return number


def nodeid(name: str) -> str:
    """With the kernel."""
    test, bracket, case = name.partition("[")
    return f"{test}[{KERNEL}-{case}" if bracket else f"{test}[{KERNEL}]"


class CountedProgram:
    """The program stands for the kernel: each run is a guest, and the program without arguments is a boot."""

    def __init__(self, folder: Path) -> None:
        for tool in ("gcc", "gcov", "gcov-tool"):
            if not shutil.which(tool):
                pytest.skip(f"needs {tool}")
        self._objects, tree = folder / "objects", folder / "tree"
        for root in (self._objects, tree):
            (root / FILE).parent.mkdir(parents=True)
        (tree / FILE).write_text(SOURCE)
        flags = make_arguments([FILE])[0].partition("=")[2].split()
        made = self._objects / FILE.replace(".c", ".o")
        subprocess.run(["gcc", "-Os", *flags, "-c", tree / FILE, "-o", made], cwd=self._objects, check=True)
        subprocess.run(["gcc", made, "-lgcov", "-o", self._objects / "program"], check=True)
        notes = folder / FOLDER
        (notes / FILE).parent.mkdir(parents=True)
        shutil.copy(tree / FILE, notes / FILE)
        shutil.copy(made.with_suffix(".gcno"), (notes / FILE).with_suffix(".gcno"))
        (notes / "files.json").write_text(json.dumps({"gcov": "gcov", "files": {FILE: "/sys/kernel/debug/gcov/x"}}))
        config = Config.parse("CONFIG_GCOV_KERNEL=y\n")
        self.kernel = Kernel(
            "linux-6.12.7",
            "coverage",
            "6.12.7",
            "x86_64",
            Path("image"),
            config,
            None,
            "tree",
            "1",
            "d",
            counted=notes,
        )

    def run(self, *arguments: str) -> dict[str, bytes]:
        """The counters of a boot and of what these arguments ask for."""
        counters = (self._objects / FILE).with_suffix(".gcda")
        counters.unlink(missing_ok=True)
        for each in ([], [*arguments]) if arguments else ([],):
            subprocess.run([self._objects / "program", *each], check=False)
        return {FILE: counters.read_bytes()}

    def folder(self, path: Path) -> CounterFolder:
        """The counters of a run of four tests, of which one has ended its guest."""
        made = CounterFolder(path)
        made.begin()
        made.set_kernel(self.kernel)
        made.add_boot("boot", self.run())
        made.add_test(TestCounters(nodeid(DENIED), "boot", "", self.run("2", "0")))
        made.add_test(TestCounters(nodeid(GRANTED), "boot", "", self.run("2", "1")))
        made.add_test(TestCounters(nodeid(OTHER), "boot", "", self.run()))
        made.add_test(TestCounters(nodeid("suites/yama/test_it.py::test_crash"), "boot", "it went down", {}))
        return made
