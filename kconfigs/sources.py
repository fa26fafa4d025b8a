# SPDX-License-Identifier: GPL-2.0-or-later
"""Where kernels come from: packages, trees and images, and what each takes to become a kernel."""

from __future__ import annotations

import platform
from abc import ABC, abstractmethod
from pathlib import Path

from kconfigs import deb
from kconfigs.apt import Apt, KernelPackages
from kconfigs.beside import find_config, find_modules, foreign, require_machine
from kconfigs.build import build, digest, is_built
from kconfigs.cache import Cache
from kconfigs.deb import Package, clean, unpack_source
from kconfigs.errors import UsageError
from kconfigs.flavors import Flavor
from kconfigs.flavors import flavor as flavor_of
from kconfigs.fragments import Config
from kconfigs.image import Image, banner_release, inspect
from kconfigs.kbuild import Job
from kconfigs.kernel import Kernel, require_supported, version_of
from kconfigs.progress import NoAnswer, Progress, State
from kconfigs.tree import Tree, identify, open_tree

SHIPPED = "shipped"
"""The flavor of a kernel that was found, not built."""

_DEB_ARCHES = {"amd64": "x86_64", "arm64": "aarch64", "i386": "i386", "riscv64": "riscv64"}


class Source(ABC):
    """A place that a kernel comes from."""

    name: str
    """What test ids call it; only letters, digits and `._-`."""
    spec: str
    builds: bool
    """It is built, with a flavor.  Otherwise there is one kernel, and flavors do not matter."""
    arch: str
    """`uname -m`."""
    origin: str
    """The package with its version, or the path.  Two sources of one origin are one kernel."""

    def is_built(self, flavor: str | None = None) -> bool:  # noqa: ARG002
        """Would `kernel` find it in the cache?"""
        return not self.builds

    @abstractmethod
    def kernel(self, flavor: str | None = None, progress: Progress | None = None) -> Kernel:
        """Download, unpack or build as needed.  This may take minutes; a second time it takes none."""


class _Built(Source):
    """A kernel that is built here."""

    builds = True

    @abstractmethod
    def _job(self, flavor: str | None, progress: Progress | None = None) -> Job:
        """What is to be built; to know that, the source is unpacked where it is not yet."""

    def is_built(self, flavor: str | None = None) -> bool:
        return is_built(self._job(flavor))

    def kernel(self, flavor: str | None = None, progress: Progress | None = None) -> Kernel:
        return build(self._job(flavor, progress))


class PackagedSource(_Built):
    """The distribution's own kernel source package: the newest, if none is named."""

    def __init__(
        self,
        apt: Apt,
        cache: Cache,
        package: Package | None = None,
        spec: str = "source",
        own_config: Path | None = None,
    ) -> None:
        self._apt, self._cache, self.spec, self._own_config = apt, cache, spec, own_config
        self._package = package or apt.newest_source()
        self.origin = f"{self._package.name} {self._package.version}"
        self.arch = platform.machine()
        upstream = self._package.version.split("-")[0].split("~")[0]
        require_supported(spec, version_of(upstream))
        self.name = clean(f"{self._package.vendor}-{upstream}")

    def tree(self, progress: Progress | None = None) -> Path:
        """The unpacked source, for reading only."""
        package, progress = self._package, progress or NoAnswer()

        def make(folder: Path) -> None:
            progress.update(State("fetching", f"{package.name} {package.version}"))
            unpack_source(self._apt.download(package, folder), folder / "tree")

        def check(folder: Path) -> None:
            open_tree(folder / "tree")

        return self._cache.get("source", self._key, make, check) / "tree"

    @property
    def _key(self) -> str:
        return f"{self._package.name}_{self._package.version}"

    def is_built(self, flavor: str | None = None) -> bool:
        return self._cache.has("source", self._key) and super().is_built(flavor)

    def _job(self, flavor: str | None, progress: Progress | None = None) -> Job:
        chosen = flavor_of(flavor)
        tree = open_tree(self.tree(progress))
        own = own_config(chosen, tree, self._own_config)
        progress = progress or NoAnswer()
        return Job(tree, chosen, self.name, self.spec, self.origin, self._cache, progress, theirs=False, own=own)


class TreeSource(_Built):
    """A kernel tree of the user's."""

    def __init__(self, spec: str, tree: Tree, cache: Cache, own_config: Path | None = None) -> None:
        self.spec, self._tree, self._cache, self._own_config = spec, tree, cache, own_config
        self.origin = str(tree.path)
        require_supported(str(tree.path), tree.version)
        self.arch = platform.machine()
        self.name = clean(f"{tree.path.name}-{tree.text_version}")

    def _job(self, flavor: str | None, progress: Progress | None = None) -> Job:
        chosen = flavor_of(flavor)
        identity = identify(self._tree.path)
        own = own_config(chosen, self._tree, self._own_config)
        return Job(self._tree, chosen, self.name, self.spec, identity, self._cache, progress or NoAnswer(), own=own)


def own_config(flavor: Flavor, tree: Tree, named: Path | None) -> Path | None:
    """The config that the flavor is laid over, if it is: the one that the user named, or the tree's own."""
    if not flavor.on_own_config:
        return None
    path = named or tree.path / ".config"
    if not path.is_file():
        raise UsageError(
            f"{tree.path} has no .config, which flavor {flavor.name} is about",
            hint="make one there (make defconfig), or name one with --kernel-config",
        )
    return path


class ImageSource(Source):
    """An image file, with its configuration beside it, in it, or given."""

    builds = False

    def __init__(
        self, spec: str, path: Path, named: Path | None, *, config: Config | None = None, name: str = ""
    ) -> None:
        """`named` is a configuration file of the user's, `config` what is known of it already."""
        self.spec = spec
        self.origin = str(path.resolve())
        self._image = inspect(path.absolute())
        require_machine(self._image)
        self.arch = self._image.arch
        self._release = self._image.release or banner_release(self._image)
        require_supported(spec, version_of(self._release))
        self._config = config or find_config(self._image, self._release, named)
        stem = path.name if self._release in path.name else f"{path.name}-{self._release}"
        self.name = clean(name or stem)

    def kernel(self, flavor: str | None = None, progress: Progress | None = None) -> Kernel:  # noqa: ARG002
        return found_kernel(
            self.name,
            self.spec,
            self._image,
            self._release,
            self._config,
            find_modules(self._image, self._release),
        )


class _Unpacked(Source):
    """A kernel out of packages."""

    builds = False

    def __init__(self, spec: str, package: Package, cache: Cache, named: Path | None) -> None:
        self.spec, self._package, self._cache, self._named = spec, package, cache, named
        self.origin = f"{package.name} {package.version}"
        self.arch = _DEB_ARCHES.get(package.arch, package.arch)
        if package.arch == "all":
            raise UsageError(
                f"{spec} holds no kernel: it is for all architectures",
                hint="name a linux-image package, such as deb:linux-image-cloud-amd64",
            )
        if self.arch != platform.machine():
            raise foreign(spec, self.arch)
        require_supported(spec, version_of(package.release))
        self.name = package.kernel_name

    def _kernel(self, entry: Path) -> Kernel:
        image = inspect(next((entry / "boot").glob("vmlinu[xz]-*")))
        require_machine(image)
        release = image.path.name.split("-", 1)[1]
        config = find_config(image, release, self._named)
        modules = entry / "modules" / release
        return found_kernel(
            self.name, self.spec, image, release, config, modules if modules.is_dir() else None, self.origin
        )

    def _check(self, entry: Path) -> None:
        for image in (entry / "boot").glob("vmlinu[xz]-*"):
            inspect(image)
            return
        raise UsageError(
            f"{self.spec} holds no kernel",
            hint=f"it depends on {', '.join(self._package.parts)}"
            if self._package.parts
            else "name a linux-image package",
        )


class DebFileKernel(_Unpacked):
    """A package file."""

    def __init__(self, spec: str, path: Path, cache: Cache, named: Path | None) -> None:
        super().__init__(spec, deb.read_control(path), cache, named)
        self._path = path

    def kernel(self, flavor: str | None = None, progress: Progress | None = None) -> Kernel:  # noqa: ARG002
        stat = self._path.stat()
        key = f"{clean(self._path.name)}-{stat.st_size:x}-{stat.st_mtime_ns:x}"
        entry = self._cache.get("packages", key, lambda folder: deb.unpack_kernel(self._path, folder), self._check)
        return self._kernel(entry)


class AptKernel(_Unpacked):
    """A package that apt offers."""

    def __init__(
        self, spec: str, packages: KernelPackages, pinned: bool, apt: Apt, cache: Cache, named: Path | None
    ) -> None:
        super().__init__(spec, packages.kernel, cache, named)
        self._packages, self._apt = packages, apt
        if pinned:
            # Two versions of one package may differ in the revision alone.
            self.name = clean(f"{self.name}-{packages.kernel.version}")

    def kernel(self, flavor: str | None = None, progress: Progress | None = None) -> Kernel:  # noqa: ARG002
        progress = progress or NoAnswer()
        kernel = self._packages.kernel

        def make(folder: Path) -> None:
            for package in self._packages.all:
                progress.update(State("fetching", f"{package.name} {package.version}"))
                file = self._apt.download(package, folder)
                deb.unpack_kernel(file, folder)
                file.unlink()

        entry = self._cache.get("packages", f"{kernel.name}_{kernel.version}_{kernel.arch}", make, self._check)
        try:
            return self._kernel(entry)
        except UsageError as error:
            has_config = self._named is not None or any((entry / "boot").glob("config-*"))
            if has_config or not self._packages.missing:
                raise
            gone = self._packages.missing[0]
            raise UsageError(
                f"{self.spec} is not whole: {error.message}, and there is no package {gone} any more",
                hint="name a newer version of the kernel, or give the config with --kernel-config",
            ) from error


def found_kernel(
    name: str, spec: str, image: Image, release: str, config: Config, modules: Path | None, identity: str = ""
) -> Kernel:
    """The value for a kernel that was not built here."""
    content = digest(image.path, config)
    return Kernel(
        name=name,
        flavor=SHIPPED,
        release=release,
        arch=image.arch,
        image=image.path,
        config=config,
        modules=modules,
        spec=spec,
        identity=identity or f"sha256:{content[:12]}",
        digest=content,
        stable=image.stable,
    )
