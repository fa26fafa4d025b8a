# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel with one fault, and the edits of its source that make the fault."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import KconformError
from common.versions import ANY, VersionRange
from kconfigs.architectures import Architecture
from kconfigs.build.kernel_tree import Tree

NEEDS: Mapping[str, str] = {
    "smp": "several CPUs",
    "kvm": "hardware virtualisation",
    "hardware": "a device that QEMU lacks",
    "time": "more time than a test has",
}
"""What a bug may need, and what messages call it."""

AVAILABLE: frozenset[str] = frozenset()
"""Those of NEEDS that guests have."""


class EditMismatchError(KconformError):
    """The source has not exactly one place for an edit; the message says which."""


@dataclass(frozen=True)
class Edit:
    """The replacement of one place of one file."""

    file: str
    find: str
    replace: str
    versions: VersionRange = ANY
    """The kernel versions that it is for."""


@dataclass(frozen=True)
class Fix:
    """The upstream commit that fixed a bug."""

    title: str
    commit: str
    release: str
    confirmed: bool = True


@dataclass(frozen=True)
class Mutant:
    """A kernel with one fault."""

    id: str
    text: str
    """What is wrong with it, in a sentence."""
    edits: tuple[Edit, ...] = ()
    first: str = ""
    """The file of the area's tests that is run before the others, or one of its tests, as `file.py::test_name`."""
    argued: str = ""
    """Why no test can detect it."""
    needs: tuple[str, ...] = ()
    config: tuple[str, ...] = ()
    """Options, as in `--config`."""
    arch: str = ""
    """The only architecture that it is for, by `uname -m`, if its files do not tell."""
    fix: Fix | None = None

    @property
    def options(self) -> dict[str, str]:
        """The options that it needs, by name, without `CONFIG_`."""
        return dict(option.removeprefix("CONFIG_").split("=", 1) for option in self.config)

    @property
    def missing(self) -> str:
        """What guests would need to show the fault, and do not have; empty if there is nothing."""
        return ", ".join(NEEDS[need] for need in self.needs if need not in AVAILABLE)

    def foreign(self, own: Architecture) -> str:
        """Another architecture that it is for, or its folder; empty if it is for this one, or for all."""
        if self.arch not in ("", own.name):
            return self.arch
        folders = [Path(edit.file).parts[:2] for edit in self.edits]
        others = ["/".join(folder) for folder in folders if folder[0] == "arch" and folder[1] != own.srcarch]
        return others[0] if others and len(others) == len(folders) else ""

    def edited(self, tree: Tree) -> dict[str, str]:
        """The new content of each file that it edits.  EditMismatchError unless each edit has exactly one place."""
        edits = [edit for edit in self.edits if tree.version in edit.versions]
        if not edits:
            raise EditMismatchError(f"{self.id}: no edit is for Linux {tree.text_version}")
        by_file: dict[str, list[Edit]] = {}
        for edit in edits:
            by_file.setdefault(edit.file, []).append(edit)
        return {file: self._edit(tree.path / file, of_file) for file, of_file in by_file.items()}

    def _edit(self, path: Path, edits: Sequence[Edit]) -> str:
        """The content of the file with all edits; each place is looked up in the file as it is."""
        name = edits[0].file
        if not path.is_file():
            raise EditMismatchError(f"{self.id}: this source has no {name}")
        content = path.read_text(encoding="utf-8")
        parts, at = [], 0
        for start, edit in sorted(((self._place(content, edit), edit) for edit in edits), key=lambda pair: pair[0]):
            if start < at:
                raise EditMismatchError(f"{self.id}: two edits of {name} overlap")
            parts += [content[at:start], edit.replace]
            at = start + len(edit.find)
        return "".join([*parts, content[at:]])

    def _place(self, content: str, edit: Edit) -> int:
        places = content.count(edit.find)
        if places != 1:
            raise EditMismatchError(
                f"{self.id}: {edit.file} has {places} places that match {_shortened(edit.find)}, expected one"
            )
        return content.index(edit.find)


def _shortened(text: str) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return repr(line if len(line) <= 60 else f"{line[:57]}...")


def mismatches(tree: Tree, mutants: Iterable[Mutant]) -> Iterator[str]:
    """What is wrong with those whose edits do not match this source; nothing is built."""
    for mutant in mutants:
        try:
            mutant.edited(tree)
        except EditMismatchError as error:
            yield error.message
