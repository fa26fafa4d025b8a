# SPDX-License-Identifier: GPL-2.0-or-later
"""Building mutants in a private kernel tree.

The given tree is never modified: the private tree consists of links to it (kernel_tree.mirror), and a link is
replaced by a file to edit it.  Objects are kept, so a mutant only takes the compilation of what its edits affect, a
link and a compression.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from common import atomic
from common.errors import KconformError
from kconfigs.architectures import architecture, machine
from kconfigs.build import kbuild, kept_objects
from kconfigs.build.build_job import Job
from kconfigs.build.kernel_tree import Tree, identify, mirror, open_tree
from kconfigs.build.supervised_process import run_logged
from kconfigs.cache import Cache
from kconfigs.config_changes import parse_changes
from kconfigs.flavors import DEFAULT, flavor
from kconfigs.kconfig import Config
from suites.mutation.mutant import Mutant

UNCHANGED = Mutant("unchanged", "Nothing has changed.")
_WAITING = "mutants are waiting for another kernel build"

_KEPT = "kconform-mutants"
"""The folder with what is kept of each mutant, in the object directory."""


class NoEffectError(KconformError):
    """The kernel is byte for byte the one without the edits."""


class MutantBuilder:
    """A private kernel tree, and its objects.  One thread may build while another tests."""

    def __init__(
        self,
        tree: Path,
        objects: Path,
        cache: Cache,
        config: Sequence[str] = (),
        arch: str = "",
        flavor_name: str = DEFAULT,
    ) -> None:
        """`config` has options beyond those of the flavor.  `arch` is as for `architecture()`."""
        self.objects = objects
        self._cache = cache
        self._unchanged = ""
        self._unfinished = objects / "kconform-unfinished"
        """There while make runs."""
        self._job = Job(
            tree=open_tree(tree),
            flavor=flavor(flavor_name),
            name="mutants",
            spec=str(tree),
            identity="",
            cache=cache,
            arch=architecture(arch).name,
            changes=parse_changes(config),
        )

    @classmethod
    def prepare(
        cls,
        source: Path,
        cache: Cache,
        objects: str = "objects",
        config: Sequence[str] = (),
        arch: str = "",
        flavor_name: str = DEFAULT,
    ) -> MutantBuilder:
        """A builder for a tree, with the private tree and its configuration in the cache, where they are kept.

        `objects` is the name of the object directory there, to which another architecture's is added.
        """
        tree = open_tree(source)
        folder = cache.root / ".mutants" / f"{tree.text_version}-{identify(source)}"
        if not (folder / "laid-out").exists():
            shutil.rmtree(folder, ignore_errors=True)
            mirror(tree.path, folder / "tree")
            (folder / "laid-out").touch()
        _restore_all(folder / "tree", tree.path)
        builder = cls(
            folder / "tree",
            folder / (objects if arch in ("", machine()) else f"{objects}-{arch}"),
            cache,
            config,
            arch,
            flavor_name,
        )
        if builder._unfinished.exists():
            # Kbuild would take for finished what the killed build has left.
            shutil.rmtree(builder.objects)
        if not kbuild.configured(builder._job, builder.objects):
            kbuild.configure(builder._job, builder.objects)
        return builder

    @property
    def tree(self) -> Tree:
        return self._job.tree

    def lacks(self, mutant: Mutant) -> str:
        """The options of a mutant that this configuration does not have; empty if it has all."""
        config = Config.load(self.objects / ".config")
        return ", ".join(f"CONFIG_{name}={value}" for name, value in mutant.options.items() if config[name] != value)

    def foreign(self, mutant: Mutant) -> str:
        """Another architecture that a mutant is for, or its folder; empty if it is for this one, or for all."""
        return mutant.foreign(self._job.architecture)

    def build(self) -> None:
        """Compile everything that has changed, including modules.  Only one kernel is built at a time on a host.

        KconformError, with the compiler's output.
        """
        with self._cache.lock("kernel-build", waiting=_WAITING):
            config = Config.load(self.objects / ".config")
            self._unfinished.touch()
            with kept_objects.unless_killed(self._unfinished.unlink):
                kbuild.compile_kernel(self._job, self.objects, config, on_line=lambda _: None)

    def build_unchanged(self) -> Path:
        """Build the kernel without a fault, and return its image.  Later mutants are compared with it."""
        self.build()
        self._unchanged = self._fingerprint()
        return self._keep(UNCHANGED)

    def build_mutant(self, mutant: Mutant) -> Path:
        """Build a mutant, and return its image.

        EditMismatchError if its edits do not match this source, NoEffectError if they do not change the kernel, and
        another KconformError if it cannot be built.
        """
        edited = mutant.edited(self.tree)
        originals = {file: (self.tree.path / file).read_bytes() for file in edited}
        try:
            for file, content in edited.items():
                atomic.write(self.tree.path / file, content)
            self.build()
            if self._fingerprint() == self._unchanged:
                raise NoEffectError(f"{mutant.id}: the build makes the same kernel of the edited {', '.join(edited)}")
            return self._keep(mutant)
        finally:
            for file, original in originals.items():
                _restore(self.tree.path / file, original)

    def preprocessed(self, file: str) -> str:
        """What the preprocessor makes of a source file, with its line markers."""
        target = str(Path(file).with_suffix(".i"))
        self._job.log.parent.mkdir(parents=True, exist_ok=True)
        with self._cache.lock("kernel-build", waiting=_WAITING), self._job.log.open("a", encoding="utf-8") as log:
            command = kbuild.command(self._job, self.objects, [target])
            status = run_logged(command, log, env=kbuild.environment(self._job))
        if status:
            raise KconformError(
                f"{file} could not be preprocessed (make ended with status {status})",
                hint=f"the whole output is in {self._job.log}",
            )
        return (self.objects / target).read_text(encoding="utf-8", errors="replace")

    def _products(self) -> Iterator[Path]:
        """The image and the modules, relative to the object directory."""
        yield Path(self._job.architecture.image)
        listed = self.objects / "modules.order"
        for line in listed.read_text(encoding="utf-8").splitlines() if listed.exists() else []:
            # modules.order has named object files since 6.3, and modules before that.
            yield Path(line.strip()).with_suffix(".ko")

    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for product in self._products():
            digest.update(hashlib.sha256((self.objects / product).read_bytes()).digest())
        return digest.hexdigest()

    def _keep(self, mutant: Mutant) -> Path:
        """Copy the image, its config and its modules to where the next build does not overwrite them."""
        # Laid out as an object directory, so that they are found (kconfigs/kernel_folder.py).
        kept = self.objects / _KEPT / mutant.id
        shutil.rmtree(kept, ignore_errors=True)
        for product in [*self._products(), Path(".config"), Path("modules.order")]:
            if (self.objects / product).exists():
                (kept / product).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.objects / product, kept / product)
        return kept / self._job.architecture.image


def discard_image(image: Path) -> None:
    """Remove what was kept of a mutant."""
    shutil.rmtree(next(folder for folder in image.parents if folder.parent.name == _KEPT))


def _restore_all(private: Path, original: Path) -> None:
    """Restore what a run that was killed has edited: a file of the private tree that is no link, and differs."""
    for folder, _, names in os.walk(private):
        for name in names:
            path = Path(folder, name)
            source = original / path.relative_to(private)
            if not path.is_symlink() and source.is_file():
                _restore(path, source.read_bytes())


def _restore(path: Path, content: bytes) -> None:
    """Restore a file with a new timestamp, so that make rebuilds everything that depends on it."""
    if path.read_bytes() != content:
        atomic.write(path, content)
