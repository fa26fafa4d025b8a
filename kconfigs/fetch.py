# SPDX-License-Identifier: GPL-2.0-or-later
"""From a source to a kernel: downloaded, unpacked or built, and kept in the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from common.errors import UsageError
from common.text import printable
from common.versions import release_version
from kconfigs.architectures import require_testable
from kconfigs.build import kernel_build
from kconfigs.build.build_job import Job
from kconfigs.build.build_progress import BuildProgress, BuildState, NoProgress
from kconfigs.build.kernel_tree import Tree, identify, open_tree
from kconfigs.cache import Cache
from kconfigs.debian import deb_package
from kconfigs.debian.apt import Apt
from kconfigs.debian.deb_package import Package
from kconfigs.flavors import Flavor
from kconfigs.flavors import flavor as flavor_of
from kconfigs.image import Image, banner_release, banner_version, inspect, stable_version
from kconfigs.image_config import NoConfigError, find_config
from kconfigs.kconfig import Config
from kconfigs.kernel import Kernel, kernel_digest
from kconfigs.kernel_folder import find_modules, named_modules
from kconfigs.kernel_names import clean
from kconfigs.packages import package_file
from kconfigs.resolve import apt_for
from kconfigs.sources import (
    SHIPPED,
    AptSource,
    ImageSource,
    PackageFilesSource,
    Source,
    SourcePackage,
    TargetSource,
    TreeSource,
)


def fetch(
    source: Source,
    flavor: str | None = None,
    progress: BuildProgress | None = None,
    *,
    cache: Cache | None = None,
    apt: Apt | None = None,
) -> Kernel:
    """The kernel.  The first time this may take minutes; afterwards the cache has it.

    `flavor` (without it, the default one) is for sources that are built; `apt` stands in for the machine's.
    """
    cache, progress = cache or Cache(), progress or NoProgress()
    match source:
        case SourcePackage() | TreeSource():
            return kernel_build.build(_job(source, flavor, progress, cache, apt))
        case ImageSource(image=image, release=release):
            return _found(source, image, release, source.config, find_modules(image.path, release))
        case TargetSource():
            return _running_elsewhere(source)
        case PackageFilesSource():
            return _unpacked(source, source.origin, _unpacked_files(source, progress, cache))
        case AptSource():
            return _offered(source, progress, cache, apt)
    raise TypeError(f"not a source: {source!r}")


def is_built(source: Source, flavor: str | None = None, *, cache: Cache | None = None) -> bool:
    """Whether the cache has the kernel already; one that needs no build counts as built."""
    cache = cache or Cache()
    match source:
        case SourcePackage() if not cache.has("source", _key_of(source.package)):
            return False
        case SourcePackage() | TreeSource():
            return kernel_build.is_built(_job(source, flavor, NoProgress(), cache, None))
    return True


# Kernels that are built


def source_tree(
    source: SourcePackage,
    progress: BuildProgress | None = None,
    *,
    cache: Cache | None = None,
    apt: Apt | None = None,
) -> Path:
    """The tree out of a source package, for reading only."""
    cache, progress, package = cache or Cache(), progress or NoProgress(), source.package

    def make(folder: Path) -> None:
        progress.update(BuildState("fetching", f"{package.name} {package.version}"))
        file = apt_for(source.suite, cache, apt).download(package, folder)
        deb_package.unpack_source(file, folder / "tree")

    def check(folder: Path) -> None:
        open_tree(folder / "tree")

    return cache.get("source", _key_of(package), make, check) / "tree"


def _key_of(package: Package) -> str:
    return f"{package.name}_{package.version.replace(':', '-')}"  # after an epoch


def _job(
    source: SourcePackage | TreeSource, flavor: str | None, progress: BuildProgress, cache: Cache, apt: Apt | None
) -> Job:
    chosen = flavor_of(flavor)
    if isinstance(source, TreeSource):
        tree, identity = source.tree, identify(source.tree.path)
    else:
        tree, identity = open_tree(source_tree(source, progress, cache=cache, apt=apt)), source.origin
    return Job(
        tree=tree,
        flavor=chosen,
        name=source.name,
        spec=source.spec,
        identity=identity,
        cache=cache,
        progress=progress,
        is_users_tree=isinstance(source, TreeSource),
        own_config=_own_config(chosen, tree, source.kernel_config),
        arch=source.arch,
        allow_dropped=source.allow_dropped,
        changes=source.changes,
    )


def _own_config(flavor: Flavor, tree: Tree, named: Path | None) -> Path | None:
    """The config that the flavor's fragments are added to: the one that the user named, or the tree's own."""
    if not flavor.on_own_config:
        return None
    path = named or tree.path / ".config"
    if not path.is_file():
        raise UsageError(
            f"{printable(tree.path)} has no .config, which flavor {flavor.name} needs",
            hint="make one there (make defconfig), or name one with --kernel-config",
        )
    return path


# Kernels that are found


def _unpacked_files(source: PackageFilesSource, progress: BuildProgress, cache: Cache) -> Path:
    def make(folder: Path) -> None:
        for path in source.paths:
            progress.update(BuildState("fetching", path.name))
            package_file.unpack(path, folder)

    first, *others = (f"{clean(path.name)}-{_state(path)}" for path in source.paths)
    key = _with_digest(first, others)
    return cache.get("packages", key, make, lambda entry: _check_unpacked(source, source.needs, entry))


def _with_digest(first: str, others: Sequence[str]) -> str:
    """The key of what is unpacked of the first package together with the others."""
    return f"{first}-{hashlib.sha256(' '.join(others).encode()).hexdigest()[:12]}" if others else first


def _state(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_size:x}-{stat.st_mtime_ns:x}"


def _offered(source: AptSource, progress: BuildProgress, cache: Cache, apt: Apt | None) -> Kernel:
    packages, kernel = source.packages, source.packages.kernel

    def make(folder: Path) -> None:
        machine = apt_for(source.suite, cache, apt, source.package_arch)
        for package in packages.all:
            progress.update(BuildState("fetching", f"{package.name} {package.version}"))
            file = machine.download(package, folder)
            deb_package.unpack_kernel(file, folder)
            file.unlink()

    # The same package with the kernel may be named alone, without the one that has the modules.
    others = sorted(f"{package.name}={package.version}" for package in packages.all if package != kernel)
    key = _with_digest(f"{_key_of(kernel)}_{kernel.arch}", others)
    entry = cache.get("packages", key, make, lambda entry: _check_unpacked(source, tuple(kernel.parts), entry))
    try:
        return _unpacked(source, f"{kernel.name} {kernel.version}", entry)
    except NoConfigError as error:
        if not packages.missing:
            raise
        removed = packages.missing[0]
        raise UsageError(
            f"{source.spec} is incomplete: it has no configuration, and the archive has removed {removed}",
            hint="name a newer version of the kernel, or give its config with --kernel-config",
        ) from error


def _check_unpacked(source: Source, needs: Sequence[str], entry: Path) -> None:
    for image in _images(entry)[:1]:
        inspect(image)
        return
    raise UsageError(
        f"{printable(source.spec)} holds no kernel",
        hint=f"it depends on {', '.join(needs)}" if needs else "name the package with the image, such as linux-image",
    )


def _images(entry: Path) -> list[Path]:
    """The images in an unpacked package, those that boot first: vmlinux may be there for debuggers."""
    return [image for name in ("vmlinuz", "vmlinux") for image in sorted((entry / "boot").glob(f"{name}-*"))]


def _unpacked(source: Source, identity: str, entry: Path) -> Kernel:
    image = inspect(_images(entry)[0])
    named = image.path.name.split("-", 1)[1]
    there = [path.name for path in entry.glob("modules/*") if path.is_dir()]
    # Alpine's image is called vmlinuz-lts.
    release = image.release or (named if named in there else banner_release(image) or named)
    if there and release not in there:
        raise UsageError(
            f"{printable(source.spec)} has modules of {printable(there[0])}, and the kernel is {printable(release)}",
            hint="name packages of the same version",
        )
    return _found(
        source,
        image,
        release,
        _config_of(source, image, release),
        entry / "modules" / release if there else None,
        identity,
    )


def _config_of(source: Source, image: Image, release: str) -> Config:
    try:
        return find_config(image, release, source.kernel_config)
    except NoConfigError as error:
        raise NoConfigError(
            f"{printable(source.spec)} has no configuration, and none inside its image (CONFIG_IKCONFIG)",
            hint="name the package that has it too, after a comma, or give it with --kernel-config FILE",
        ) from error


def _running_elsewhere(source: TargetSource) -> Kernel:
    facts = source.facts
    content = f"{facts.release} {facts.build} {facts.arch} {source.config.digest}"
    return Kernel(
        name=source.name,
        flavor=SHIPPED,
        release=facts.release,
        arch=facts.arch,
        image=Path("/"),  # nobody boots it
        config=source.config,
        modules=None,
        spec=source.spec,
        identity=source.origin,
        digest=hashlib.sha256(content.encode()).hexdigest(),
        arguments=facts.arguments,
        target=source.spec,
        stable=banner_version(f" {facts.build}".encode()),
    )


def _found(
    source: Source, image: Image, release: str, config: Config, modules: Path | None, identity: str = ""
) -> Kernel:
    """The kernel that an image and what belongs to it make."""
    require_testable(printable(source.spec), image.arch, release_version(release))
    digest = kernel_digest(image.path, config)
    return Kernel(
        name=source.name,
        flavor=SHIPPED,
        release=release,
        arch=image.arch,
        image=image.path,
        config=config,
        modules=modules if source.modules is None else named_modules(source.modules, release),
        spec=source.spec,
        identity=identity or f"sha256:{digest[:12]}",
        digest=digest,
        stable=stable_version(image),
    )
