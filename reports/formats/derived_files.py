# SPDX-License-Identifier: GPL-2.0-or-later
"""The files that are made of a results.json and lie beside it: KTAP, KCIDB, the summary."""

from __future__ import annotations

import os
from pathlib import Path

from reports.formats import kcidb, ktap
from reports.formats import markdown_summary as brief
from reports.judgement.comparison import Comparison
from reports.model.document import Document

NAMES = (ktap.FILE_NAME, kcidb.FILE_NAME, brief.FILE_NAME)


def write(document: Document, comparison: Comparison | None, *, origin: str) -> None:
    """Write them all into the document's directory, and the summary to GitHub's page if we run there.

    Raises OSError.  `origin` is the name of the CI system that KCIDB knows.
    """
    summary = brief.render(document, comparison)
    contents = (ktap.render(document), kcidb.render(document, origin), summary)
    for name, content in zip(NAMES, contents, strict=True):
        replace(document.directory / name, content)
    brief.append_to_step(summary)


def replace(path: Path, content: str) -> None:
    """Write a file as a whole or not at all.  Raises OSError, and then the file is what it was."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(content, encoding="utf-8", errors="backslashreplace", newline="")
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
