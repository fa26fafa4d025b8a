# SPDX-License-Identifier: GPL-2.0-or-later
"""Where mutants are bred: a tree of one's own, its object directory, and the tests run against what comes out.

The tree that is given is never touched: the lab lays it out again as links (kconfigs.tree.mirror), replaces the link
of the file that it edits, and puts it back.  Objects are kept: a mutant costs a file, a link and a compression.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from kconfigs import kbuild
from kconfigs.cache import Cache
from kconfigs.errors import KconformError
from kconfigs.flavors import DEFAULT, flavor
from kconfigs.process import run_logged
from kconfigs.tree import Tree, identify, mirror, open_tree
from suites.harness.mutants.table import Mutant

ROOT = Path(__file__).parents[3]
TESTS_DEADLINE_S = 1800


@dataclass(frozen=True)
class Result:
    """What became of a mutant."""

    mutant: Mutant
    verdict: str
    """`noticed`, `SURVIVED`, `equivalent`, or `error`: it could not be built or tested."""
    by: str = ""
    """The test that noticed it, or what went wrong."""
    seconds: float = 0.0

    def json(self) -> dict[str, object]:
        fields: dict[str, object] = dataclasses.asdict(self.mutant)
        return fields | {"verdict": self.verdict, "by": self.by, "seconds": round(self.seconds, 1)}


class Lab:
    """A tree that may be edited, and its objects."""

    def __init__(self, tree: Path, objects: Path, cache: Cache) -> None:
        self._objects = objects
        self._cache = cache
        self._log = objects / "kconform-mutants.log"
        self._job = kbuild.Job(
            tree=open_tree(tree), flavor=flavor(DEFAULT), name="mutants", spec=str(tree), identity="", cache=cache
        )

    @classmethod
    def prepared(cls, source: Path, cache: Cache) -> Lab:
        """A lab for a tree, laid out and configured in the cache, where it stays for the next time."""
        tree = open_tree(source)
        folder = cache.root / ".mutants" / f"{tree.text_version}-{identify(source)}"
        if not (folder / "laid-out").exists():
            shutil.rmtree(folder, ignore_errors=True)
            mirror(tree.path, folder / "tree")
            (folder / "laid-out").touch()
        lab = cls(folder / "tree", folder / "objects", cache)
        if not (folder / "objects" / ".config").exists():
            kbuild.configure(lab._job, folder / "objects")
        for name in ("security", "kernel", "mm", "fs"):  # what a run that was killed has left
            for file in (folder / "tree" / name).rglob("*.c"):
                if not file.is_symlink():
                    lab._relink(file, tree.path / file.relative_to(folder / "tree"))
        return lab

    @property
    def tree(self) -> Tree:
        return self._job.tree

    @property
    def image(self) -> Path:
        return self._objects / kbuild.MACHINES[kbuild.machine_arch()].image

    def build(self) -> None:
        """Compile what has changed.  One kernel build at a time on a machine."""
        target = kbuild.MACHINES[kbuild.machine_arch()].target
        arguments = [f"-j{len(os.sched_getaffinity(0))}", target]
        with self._cache.lock("kernel-build"), self._log.open("a") as log:
            start = log.tell()
            command = kbuild.command(self._job, self._objects, arguments)
            status = run_logged(command, log, env=kbuild.environment(self._job))
        if status:
            with self._log.open() as log:
                log.seek(start)
                complaints = [line.strip() for line in log if "error" in line.lower()]
            raise KconformError(f"it does not compile: {complaints[:1]}", hint=f"the output is in {self._log}")

    def try_out(self, mutant: Mutant, area: str, arguments: list[str]) -> Result:
        """Build the mutant, run the area's tests until one fails, and put the file back."""
        if mutant.equivalent:
            return Result(mutant, "equivalent", mutant.equivalent)
        started = time.monotonic()
        file = self.tree.path / mutant.file
        original = file.readlink() if file.is_symlink() else None
        content = file.read_text()
        try:
            _replace(file, mutant.apply(content))
            self.build()
            verdict, by = self._test(mutant, area, arguments)
        except KconformError as error:
            verdict, by = "error", error.message
        finally:
            if original is None:
                _replace(file, content)
            else:
                self._relink(file, original)
        return Result(mutant, verdict, by, time.monotonic() - started)

    def _relink(self, file: Path, original: Path) -> None:
        file.unlink()
        file.symlink_to(original)
        # make goes by times, and what is behind the link is older than the mutant's object.
        relative = file.relative_to(self.tree.path)
        (self._objects / relative).with_suffix(".o").unlink(missing_ok=True)

    def _test(self, mutant: Mutant, area: str, arguments: list[str]) -> tuple[str, str]:
        """Which test notices it, if one does: of those that are near at hand, or of all."""
        # Templates of kernels that are gone tomorrow have no place in the user's cache.
        scratch = self._objects / "kconform-cache"
        try:
            if mutant.first:
                verdict, by = self._pytest(f"suites/{area}/{mutant.first}", [], scratch)
                if verdict != "SURVIVED":
                    return verdict, by
            return self._pytest(f"suites/{area}", arguments, scratch)
        finally:
            Cache(scratch).clear("templates")

    def _pytest(self, tests: str, arguments: list[str], scratch: Path) -> tuple[str, str]:
        report = self._objects / "kconform-report"
        shutil.rmtree(report, ignore_errors=True)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", tests, "-x", "-q", "-p", "no:cacheprovider"),
                *("--kernel", str(self.image), "--report-dir", str(report), *arguments),
            ],
            cwd=ROOT,
            env={**os.environ, "KCONFORM_CACHE": str(scratch)},
            capture_output=True,
            text=True,
            timeout=TESTS_DEADLINE_S,
            check=False,
        )
        results = json.loads((report / "results.json").read_text())["results"]
        failed = [result for result in results if result["outcome"] == "fail"]
        if failed:
            return "noticed", _name(str(failed[0]["nodeid"]))
        if done.returncode == 0:
            return "SURVIVED", ""
        return "error", f"pytest ended with {done.returncode}: {done.stdout.strip().splitlines()[-1:]}"


def _replace(file: Path, content: str) -> None:
    """Write a new file in the place of the link: what it led to is somebody else's."""
    temporary = file.with_name(f".{file.name}.mutant")
    temporary.write_text(content)
    temporary.replace(file)


def _name(nodeid: str) -> str:
    """A test's id without its kernel."""
    head, _, parameters = nodeid.rpartition("::")[2].partition("[")
    sentence = parameters.rstrip("]").partition("/")[2].partition("-")[2]
    return f"{head}[{sentence}]" if sentence else head
