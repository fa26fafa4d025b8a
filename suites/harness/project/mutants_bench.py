# SPDX-License-Identifier: GPL-2.0-or-later
"""`kconform mutants` with fake builds and tests: the image is the source, and a test fails if there is a 7 in it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from common.errors import KconformError
from kconfigs.architectures import architecture
from kconfigs.build import kbuild
from kconfigs.build.build_job import Job
from kconfigs.kconfig import Config
from suites.harness.kconfigs import fake_kernels as fakes
from suites.mutation import __main__ as command
from suites.mutation import mechanical_mutants, mutant_table
from suites.mutation.executing_tests import UNKNOWN, Execution
from suites.mutation.mutant import Mutant
from suites.mutation.mutant_builder import UNCHANGED, MutantBuilder, discard_image
from suites.mutation.mutant_tester import MutantResult, MutantTester

FILE = "security/yama/yama_lsm.c"
SOURCE = "static int f(int a)\n{\n\tif (a == 1)\n\t\treturn g(a);\n\treturn 0;\n}\n"


def edit(find: str, replace: str, kind: str = "") -> str:
    return f'{kind}file = "{FILE}"\nfind = "{find}"\nreplace = "{replace}"\n'


def made_up(name: str, find: str, replace: str, more: str = "") -> str:
    return f'[[mutant]]\nid = "{name}"\ntext = "It is wrong."\n{edit(find, replace)}{more}\n'


def bug(name: str, find: str, replace: str, more: str = "") -> str:
    head = (
        f'[[bug]]\nid = "{name}"\ntitle = "yama: Fix it"\ncommit = "0123456789ab"\nfixed = "5.2"\nseen = "It hung."\n'
    )
    return head + more + edit(find, replace, "[[bug.edit]]\n")


class Bench:
    """A tree, the tables of the area yama, and what was done."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tree = fakes.tree(folder / "linux")
        (self.tree / FILE).parent.mkdir(parents=True)
        (self.tree / FILE).write_text(SOURCE)
        self.area = folder / "suites" / "yama"
        self.area.mkdir(parents=True)
        self.results = folder / "results.json"
        self.tested: list[str] = []
        self.beside_builds = False
        """Whether another thread has tested than the one that builds."""
        self.all_areas: set[bool] = set()
        self.executions: list[Execution] = []
        self.flavors: set[str] = set()
        self.objects: set[str] = set()
        self.arguments: list[str] = []
        """For pytest with an area's tests."""
        self.first: list[str] | None = []
        """The same with those that a mutant names as its first."""
        self.fails_unchanged = False
        for module in (mutant_table, mechanical_mutants):
            monkeypatch.setattr(module, "SUITES", folder / "suites")
        monkeypatch.setattr("common.project_files.areas", lambda: ["yama"])
        monkeypatch.setattr(kbuild, "compile_kernel", self._compile)
        monkeypatch.setattr(MutantBuilder, "preprocessed", lambda *_: f'# 1 "{FILE}"\n{SOURCE}')
        monkeypatch.setattr(command, "MutantTester", self._tester)
        monkeypatch.setattr(command, "run", lambda wanted: self._run(wanted))
        monkeypatch.setenv("KCONFORM_CACHE", str(folder / "cache"))

    def __call__(self, *arguments: str) -> int:
        self.tested.clear()
        return command.main(["yama", f"--source={self.tree}", f"--results={self.results}", *arguments])

    def statuses(self) -> dict[str, str]:
        return {row["id"]: row["status"] for row in json.loads(self.results.read_text())}

    @staticmethod
    def _run(wanted: Callable[[], int]) -> int:
        """Without a handler for SIGTERM, which would stay."""
        try:
            return wanted()
        except KconformError as error:
            print(f"error: {error}")
            return error.exit_status

    def _compile(self, job: Job, objects: Path, _: Config, on_line: Callable[[str], None]) -> None:
        self.flavors.add(job.flavor.name)
        self.objects.add(objects.name)
        on_line("  CC      a.o")
        source = (job.tree.path / FILE).read_text()
        if "broken" in source or "||" in source:
            raise KconformError("error: broken")
        image = objects / architecture().image
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_text(source.replace("==", ">="))

    def _tester(self, objects: Path, area: str, arguments: Sequence[str], **options: Any) -> MutantTester:
        self.all_areas.add(options["all_areas"])
        self.arguments, self.first = list(arguments), options["first"]
        tester = MutantTester(objects, area, arguments, **options)

        def test(mutant: Mutant, image: Path, execution: Execution = UNKNOWN) -> MutantResult:
            self.executions.append(execution)
            self.tested.append(mutant.id)
            self.beside_builds |= threading.current_thread() is not threading.main_thread()
            content = image.read_text()
            if mutant is UNCHANGED:
                return MutantResult(mutant, "detected" if self.fails_unchanged else "SURVIVED", "test_a")
            discard_image(image)
            return MutantResult(mutant, *(("detected", "test_a") if "7" in content else ("SURVIVED", "")))

        tester.test = test  # type: ignore[method-assign]
        return tester
