# SPDX-License-Identifier: GPL-2.0-or-later
"""The folder that the site's generator reads: the documents, what they link to, and the generated pages.

It is laid out as the repository is, so that every link between documents works as it is written.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from common.errors import KconformError
from suites.website.site_markdown import contents

NAVIGATION: Mapping[str, Sequence[str]] = {
    "How to": (
        "docs/install", "docs/container", "docs/kernels", "docs/many-kernels", "docs/check-a-config",
        "docs/read-a-report", "docs/gate-a-ci", "docs/bisect", "docs/history", "docs/targets", "docs/reproducers",
        "docs/live-guest", "docs/coverage", "docs/troubleshooting", "docs/add-a-scenario", "docs/extend",
        "CONTRIBUTING",
    ),
    "Reference": (
        "docs/README", "docs/stability", "docs/hosts", "docs/architectures", "docs/hostile-input", "docs/faults",
        "docs/strength", "docs/results", "CHANGELOG",
    ),
    "Promises": ("promises/index",),
    "Explanation": ("docs/architecture", "docs/agent", "docs/walks", "docs/races", "docs/field"),
}  # fmt: skip
"""The pages of each group.  Those of areas and of faults are below promises/index."""

SETTINGS = Path(__file__).with_name("conf.py")
STYLE = Path(__file__).with_name("site.css")
ROOT_PAGE = "README"

_LINK = re.compile(r"(?:\]\(|^\[[^\]]+\]: )(?P<target>[^)#\s]+)", re.MULTILINE)
"""`[label](target#section)`, or its definition elsewhere: `[label]: target`."""


def documents(root: Path) -> list[Path]:
    """All documents of the project that are pages of the site."""
    return [
        *(root / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *sorted(root.glob("docs/*.md")),
    ]


def linked_files(root: Path, document: Path) -> Iterator[Path]:
    """The files that a document links to and that are no documents.  KconformError if one does not exist."""
    pages = documents(root)
    for target in _LINK.findall(document.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path = (document.parent / target).resolve()
        if not path.is_file() or not path.is_relative_to(root):
            raise KconformError(f"{document.relative_to(root)} links to {target}, which is no file of the project")
        if path not in pages:
            yield path


def write_sources(root: Path, folder: Path, generated: Mapping[str, str]) -> None:
    """Fill `folder`, which is new, with all pages and with the generator's settings."""
    root = root.resolve()
    for document in documents(root):
        for path in (document, *linked_files(root, document)):
            copy = folder / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    for name, content in generated.items():
        page = folder / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(content, encoding="utf-8")
    with (folder / f"{ROOT_PAGE}.md").open("a", encoding="utf-8") as file:
        file.writelines(contents(caption, pages) for caption, pages in NAVIGATION.items())
    (folder / "_static").mkdir()
    shutil.copyfile(STYLE, folder / "_static" / STYLE.name)
    shutil.copyfile(SETTINGS, folder / SETTINGS.name)
