# SPDX-License-Identifier: GPL-2.0-or-later
"""What a build keeps of a kernel that counts which lines it executes, so that gcov can read its counters later.

files.json                  the program gcov, and of each source file where debugfs has its counters
kernel/seccomp.gcno         gcc's notes: blocks, lines and arcs of the object file
kernel/seccomp.c            the source itself, for listings
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from common.errors import KconformError
from kconfigs.build.build_job import Job

FOLDER = "gcov"
"""The folder of a cache entry that has all of this."""
DEBUGFS = "/sys/kernel/debug"
_LIST = "files.json"
_COUNTERS = re.compile(rb"(/[^\0]+\.gcda)\0")
"""In an object file: the path that gcc gives to the counters."""


@dataclass(frozen=True)
class CountedFile:
    """A source file whose execution is counted."""

    source: str
    """Its path in the tree: `kernel/seccomp.c`."""
    counters: str
    """The path of its counters in a guest, if debugfs is mounted in the usual place."""

    @property
    def stem(self) -> str:
        """The path without its ending, which .gcno and .gcda share."""
        return self.source.removesuffix(".c")


def require_gcc(job: Job) -> None:
    """An error if the flavor counts and the compiler is not gcc: clang's notes need another reader."""
    if job.flavor.profiled and job.toolchain.gcov is None:
        raise job.failed(
            f"{job.what} cannot be built with {job.toolchain.compiler}: its counters need gcov, which is gcc's",
            hint="unset LLVM and CC, or name a gcc",
        )


def keep(job: Job, objects: Path, folder: Path) -> None:
    """Copy what gcov needs of the files that the flavor counts; nothing if there are none."""
    if not job.flavor.profiled:
        return
    found = {}
    for source in job.flavor.profiled:
        made = (objects / source).with_suffix(".o")
        name = _COUNTERS.search(made.read_bytes()) if made.is_file() else None
        if name is None:
            raise job.failed(
                f"{job.what}: {source} was not compiled with counters",
                hint="has the tree this file, and does its configuration build it in?",
            )
        (folder / source).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made.with_suffix(".gcno"), (folder / source).with_suffix(".gcno"))
        shutil.copyfile(job.tree.path / source, folder / source)
        found[source] = f"{DEBUGFS}/gcov{name[1].decode()}"
    listed = {"gcov": job.toolchain.gcov, "files": found}
    (folder / _LIST).write_text(json.dumps(listed, indent=1), encoding="utf-8")


def counted_files(folder: Path) -> tuple[CountedFile, ...]:
    """The files that a kernel counts, from the folder that `keep` has filled.  KconformError if it is damaged."""
    return tuple(CountedFile(source, path) for source, path in _listed(folder)["files"].items())


def gcov_program(folder: Path) -> str:
    """The gcov of the gcc that has built the kernel."""
    return str(_listed(folder)["gcov"])


def _listed(folder: Path) -> dict[str, dict[str, str]]:
    try:
        found: dict[str, dict[str, str]] = json.loads((folder / _LIST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise KconformError(f"{folder / _LIST} cannot be read: {error}", hint="build the kernel again") from error
    return found
