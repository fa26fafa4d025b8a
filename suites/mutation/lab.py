# SPDX-License-Identifier: GPL-2.0-or-later
"""Where mutants are bred: a tree of one's own, its object directory, and the tests run against what comes out.

The tree that is given is never touched: the lab lays it out again as links (kernel_tree.mirror), and puts a file of
its own in the place of the link that it edits.  Objects are kept: a mutant costs a file, a link and a compression.
While one is tested, the next is built.
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

from common.errors import KconformError
from kconfigs.architectures import architecture
from kconfigs.build import kbuild
from kconfigs.build.kernel_tree import Tree, identify, mirror, open_tree
from kconfigs.cache import Cache
from kconfigs.flavors import DEFAULT, flavor
from kconfigs.kconfig import Config
from suites.mutation.table import Mutant, areas, load

ROOT = Path(__file__).parents[2]
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
    """A tree that may be edited, and its objects.  One thread builds, another may test."""

    def __init__(self, tree: Path, objects: Path, cache: Cache) -> None:
        self._objects = objects
        self._cache = cache
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
        for file in {mutant.file for area in areas() for mutant in load(area)}:
            if (original := tree.path / file).is_file():  # what a run that was killed has left
                lab._restore(file, original.read_text())
        if not kbuild.configured(lab._job, folder / "objects"):
            kbuild.configure(lab._job, folder / "objects")
        return lab

    @property
    def tree(self) -> Tree:
        return self._job.tree

    def build(self) -> None:
        """Compile what has changed, modules too.  One kernel build at a time on a machine.

        KconformError, with what the compiler said.
        """
        with self._cache.lock("kernel-build"):
            config = Config.load(self._objects / ".config")
            kbuild.compile_kernel(self._job, self._objects, config, on_line=lambda _: None)

    def breed(self, mutant: Mutant) -> Path:
        """The image of a mutant.  BadTable where the edit does not fit, KconformError where it does not compile."""
        file = self.tree.path / mutant.file
        content = file.read_text()
        try:
            _replace(file, mutant.apply(content))
            self.build()
            return self._kept(mutant)
        finally:
            self._restore(mutant.file, content)

    def unchanged(self, area: str, arguments: list[str]) -> None:
        """Build and test the kernel without a mutant: what it fails would count as noticed.  KconformError if so."""
        self.build()
        nothing = Mutant("unchanged", "Nothing has changed.", "", "", "")
        result = self.test(nothing, self._kept(nothing), area, arguments)
        if result.verdict != "SURVIVED":
            raise KconformError(f"the unchanged kernel fails already: {result.by}")

    def _kept(self, mutant: Mutant) -> Path:
        """The image, where the next build does not replace it."""
        built = self._objects / architecture().image
        # Three directories below the objects, as every image is: there its config and its modules are found.
        kept = self._objects / "kconform-mutants" / mutant.id / "boot" / built.name
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(built, kept)
        return kept

    def _restore(self, name: str, content: str) -> None:
        """Put a file back as a new one: make goes by times, and whatever depends on it must be made again."""
        file = self.tree.path / name
        if file.read_text() != content:
            _replace(file, content)

    def test(self, mutant: Mutant, image: Path, area: str, arguments: list[str]) -> Result:
        """Which test notices it, if one does: of those that are near at hand, or of all."""
        started = time.monotonic()
        # Templates of kernels that are gone tomorrow have no place in the user's cache.
        scratch = self._objects / "kconform-cache"
        try:
            verdict, by = "SURVIVED", ""
            if mutant.first:
                verdict, by = self._pytest(image, f"suites/{area}/{mutant.first}", [], scratch)
            if verdict == "SURVIVED":
                verdict, by = self._pytest(image, f"suites/{area}", arguments, scratch)
        finally:
            Cache(scratch).clear("templates")
            shutil.rmtree(image.parents[1])
        return Result(mutant, verdict, by, time.monotonic() - started)

    def _pytest(self, image: Path, tests: str, arguments: list[str], scratch: Path) -> tuple[str, str]:
        report = self._objects / "kconform-report"
        shutil.rmtree(report, ignore_errors=True)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", tests, "-x", "-q", "-p", "no:cacheprovider"),
                *("--kernel", str(image), "--report-dir", str(report), *arguments),
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
        said = [
            str(result["reason"]) for result in results if result["outcome"] == "error"
        ] or done.stdout.splitlines()
        return "error", f"pytest ended with {done.returncode}: {said[-1] if said else done.stderr}"


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
