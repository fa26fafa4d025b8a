# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the evidence of a test is: <report directory>/evidence/<slug of the test>/<slug of the title>.txt."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from reports.model.report_directory import EVIDENCE

SLUG_LIMIT = 100
"""Characters of a slug: well below the 255 bytes that file systems allow."""

_HASH_LENGTH = 10
_UNSAFE = re.compile(r"[^A-Za-z0-9._]+")


def slug(nodeid: str) -> str:
    """A folder name for a test: readable, ASCII, at most SLUG_LIMIT characters, the same in each run.

    Two tests never share one, not even on a file system that ignores case, because it ends with a piece of a digest
    of the whole id.
    """
    readable = nodeid.removeprefix("suites/").replace(".py::", "::")
    readable = _UNSAFE.sub("-", readable)[: SLUG_LIMIT - _HASH_LENGTH - 1].strip("-.")
    digest = hashlib.sha256(nodeid.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
    return f"{readable}-{digest}" if readable else digest


def file_name(title: str, taken: Iterable[str] = ()) -> str:
    """A file name for a piece of evidence: `kernel log` is kernel-log.txt.  Differs from all of `taken`."""
    stem = _UNSAFE.sub("-", title)[:SLUG_LIMIT].strip("-.") or "evidence"
    # A program keeps its suffix: compilers go by it.
    stem, suffix = (stem[:-2], ".c") if stem.endswith(".c") else (stem, ".txt")
    used = {name.lower() for name in taken}
    name, count = f"{stem}{suffix}", 1
    while name.lower() in used:
        count += 1
        name = f"{stem}-{count}{suffix}"
    return name


def write(report_dir: Path, nodeid: str, pieces: Iterable[tuple[str, str]], paths: dict[str, str]) -> None:
    """Write each (title, text), and add its title and its path below `report_dir` to `paths`.

    OSError if that fails; `paths` then has what was written before.
    """
    folder = report_dir / EVIDENCE / slug(nodeid)
    for title, text in pieces:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / file_name(title, (Path(known).name for known in paths.values()))
        path.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8", newline="")
        paths[title] = path.relative_to(report_dir).as_posix()
