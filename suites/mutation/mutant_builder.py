# SPDX-License-Identifier: GPL-2.0-or-later
"""Building mutants in a private kernel tree, and running an area's tests on them.

The given tree is never modified: the private tree consists of links to it (kernel_tree.mirror), and a link is
replaced by a file to edit it.  Objects are kept, so a mutant only takes the compilation of a file, a link and a
compression.  While one mutant is tested, the next is built.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import atomic
from common.errors import KconformError
from kconfigs.architectures import architecture
from kconfigs.build import kbuild
from kconfigs.build.kernel_tree import Tree, identify, mirror, open_tree
from kconfigs.cache import Cache
from kconfigs.flavors import DEFAULT, flavor
from kconfigs.kconfig import Config
from suites.mutation.mutant_table import Mutant, MutantTableError, areas, load

ROOT = Path(__file__).parents[2]
TESTS_DEADLINE_S = 1800.0
UNCHANGED = Mutant("unchanged", "Nothing has changed.", "", "", "")


@dataclass(frozen=True)
class MutantResult:
    """The result of the tests of a mutant."""

    mutant: Mutant
    status: str
    """`detected`, `SURVIVED`, `equivalent`, `no match`: the edit is not for this source, or `error`: it could not be
    built or tested."""
    by: str = ""
    """The test that detected it, or the reason."""
    seconds: float = 0.0

    def json(self) -> dict[str, object]:
        fields: dict[str, object] = dataclasses.asdict(self.mutant)
        return fields | {"status": self.status, "by": self.by, "seconds": round(self.seconds, 1)}


def original(tree: Path, mutant: Mutant) -> str:
    """The content of the file that a mutant edits.  MutantTableError if this source has no such file."""
    path = tree / mutant.file
    if not path.is_file():
        raise MutantTableError(f"{mutant.id}: this source has no {mutant.file}")
    return path.read_text(encoding="utf-8")


def unfit(tree: Path, mutants: Iterable[Mutant]) -> Iterator[MutantResult]:
    """Those whose edit does not match this source; nothing is built."""
    for mutant in mutants:
        try:
            mutant.apply(original(tree, mutant))
        except MutantTableError as error:
            yield MutantResult(mutant, "no match", str(error))


class MutantBuilder:
    """A private kernel tree, and its objects.  One thread may build while another tests."""

    def __init__(self, tree: Path, objects: Path, cache: Cache, *, deadline_s: float = TESTS_DEADLINE_S) -> None:
        """`deadline_s` is for one run of tests; a mutant may hang all guests."""
        self._deadline_s = deadline_s
        self._objects = objects
        self._cache = cache
        self._job = kbuild.Job(
            tree=open_tree(tree), flavor=flavor(DEFAULT), name="mutants", spec=str(tree), identity="", cache=cache
        )

    @classmethod
    def prepare(cls, source: Path, cache: Cache) -> MutantBuilder:
        """A builder for a tree, with the private tree and its configuration in the cache, where they are kept."""
        tree = open_tree(source)
        folder = cache.root / ".mutants" / f"{tree.text_version}-{identify(source)}"
        if not (folder / "laid-out").exists():
            shutil.rmtree(folder, ignore_errors=True)
            mirror(tree.path, folder / "tree")
            (folder / "laid-out").touch()
        builder = cls(folder / "tree", folder / "objects", cache)
        for file in {mutant.file for area in areas() for mutant in load(area)}:
            if (original := tree.path / file).is_file():  # edited by a run that was killed
                builder._restore(file, original.read_text(encoding="utf-8"))
        if not kbuild.configured(builder._job, folder / "objects"):
            kbuild.configure(builder._job, folder / "objects")
        return builder

    @property
    def tree(self) -> Tree:
        return self._job.tree

    def build(self) -> None:
        """Compile everything that has changed, including modules.  Only one kernel is built at a time on a host.

        KconformError, with the compiler's output.
        """
        with self._cache.lock("kernel-build"):
            config = Config.load(self._objects / ".config")
            kbuild.compile_kernel(self._job, self._objects, config, on_line=lambda _: None)

    def build_mutant(self, mutant: Mutant) -> Path:
        """Build a mutant, and return its image.  MutantTableError if its edit does not match, else KconformError."""
        content = original(self.tree.path, mutant)
        edited = mutant.apply(content)
        try:
            atomic.write(self.tree.path / mutant.file, edited)
            self.build()
            return self._keep_image(mutant)
        finally:
            self._restore(mutant.file, content)

    def check_unchanged(self, area: str, arguments: list[str]) -> None:
        """Build and test the unmodified kernel.  KconformError if a test fails: mutants would count as detected."""
        self.build()
        result = self.test(UNCHANGED, self._keep_image(UNCHANGED), area, arguments)
        if result.status != "SURVIVED":
            raise KconformError(f"the tests already fail on the unmodified kernel: {result.by}")

    def _keep_image(self, mutant: Mutant) -> Path:
        """Copy the image to where the next build does not overwrite it."""
        built = self._objects / architecture().image
        # In arch/*/boot/, like other images, so that its config and modules are found (kconfigs/kernel_folder.py).
        kept = self._objects / "arch" / f"kconform-mutant-{mutant.id}" / "boot" / built.name
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(built, kept)
        return kept

    def _restore(self, name: str, content: str) -> None:
        """Restore a file with a new timestamp, so that make rebuilds everything that depends on it."""
        file = self.tree.path / name
        if file.read_text(encoding="utf-8") != content:
            atomic.write(file, content)

    def test(self, mutant: Mutant, image: Path, area: str, arguments: list[str]) -> MutantResult:
        """Run the mutant's own tests first, then all of the area, until a test fails."""
        started = time.monotonic()
        # A private cache, because templates of mutants are not used again.
        scratch = Cache(self._objects / "kconform-cache")
        try:
            status = by = ""
            if mutant.first:
                status, by = self._pytest(image, f"suites/{area}/{mutant.first}", [], scratch)
            if status != "detected":
                status, by = self._pytest(image, f"suites/{area}", arguments, scratch)
        finally:
            # The unchanged kernel stays: it is the control for mutants that do not boot.
            if mutant is not UNCHANGED:
                self._discard_templates(scratch, image)
                shutil.rmtree(image.parents[1])
        return MutantResult(mutant, status, by, time.monotonic() - started)

    @staticmethod
    def _discard_templates(scratch: Cache, image: Path) -> None:
        for entry in scratch.entries():
            if entry.kind == "templates" and str(image) in (entry.path / "meta.json").read_text(encoding="utf-8"):
                scratch.discard(entry.kind, entry.key)

    def _pytest(self, image: Path, tests: str, arguments: list[str], scratch: Cache) -> tuple[str, str]:
        report = self._objects / "kconform-report"
        shutil.rmtree(report, ignore_errors=True)
        command = [sys.executable, "-m", "pytest", tests, "-q", "-p", "no:cacheprovider"]
        command += ["-p", "suites.mutation.stop_at_failure"]
        command += ["--kernel", str(image), "--report-dir", str(report), *arguments]
        status, said = _run(command, {**os.environ, "KCONFORM_CACHE": str(scratch.root)}, self._deadline_s)
        results = _results_of(report)
        failed = [result for result in results if result["outcome"] == "fail"]
        if failed:
            broken = ", ".join(failed[0]["breaks"])
            return "detected", _name(str(failed[0]["nodeid"])) + (f" ({broken})" if broken else "")
        if status == 0:
            return "SURVIVED", ""
        if status is None:
            return "error", f"the tests did not end within {self._deadline_s:.0f} s"
        reasons = [str(result["reason"]) for result in results if result["outcome"] == "error"] or said.splitlines()
        return "error", f"pytest ended with {status}: {reasons[-1] if reasons else 'it said nothing'}"


def _run(command: list[str], environment: dict[str, str], deadline_s: float) -> tuple[int | None, str]:
    """The exit status of a command, or None if it did not end in time and was killed, and its output."""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=deadline_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None, ""
        except BaseException:
            os.killpg(process.pid, signal.SIGINT)
            raise
    return process.returncode, said


def _results_of(report: Path) -> list[dict[str, Any]]:
    """The results as far as they were written."""
    with contextlib.suppress(OSError, ValueError):
        results: list[dict[str, Any]] = json.loads((report / "results.json").read_text(encoding="utf-8"))["results"]
        return results
    return []


def _name(nodeid: str) -> str:
    """The id of a test without its kernel."""
    head, _, parameters = nodeid.rpartition("::")[2].partition("[")
    sentence = parameters.rstrip("]").partition("/")[2].partition("-")[2]
    return f"{head}[{sentence}]" if sentence else head
