# SPDX-License-Identifier: GPL-2.0-or-later
"""From a SPEC to a source: what it means on this machine.

Files are looked at and apt is asked, and whatever cannot be tested is refused here; nothing is downloaded, unpacked
or built.
"""

from __future__ import annotations

import contextlib
import platform
from dataclasses import replace
from pathlib import Path

from common.errors import UsageError
from common.paths import users_path
from common.text import printable
from common.versions import release_version
from kconfigs.architectures import architecture, from_debian, machine, require_testable
from kconfigs.build.kernel_tree import is_tree, open_tree
from kconfigs.cache import Cache
from kconfigs.debian.apt import Apt, Memory, is_source
from kconfigs.debian.archive_suite import apt_of
from kconfigs.image import banner_release, banner_version, inspect
from kconfigs.image_config import find_config, read_config, running_config
from kconfigs.kconfig import Config
from kconfigs.kernel_folder import checked_folder, find_image, named_modules
from kconfigs.kernel_names import clean
from kconfigs.packages import package_file
from kconfigs.packages.package_file import format_of_package
from kconfigs.sources import (
    AptSource,
    ImageSource,
    PackageFilesSource,
    Source,
    SourcePackage,
    TargetSource,
    TreeSource,
)
from kconfigs.spec import PackageSpec, PathSpec, Spec, TargetSpec
from kconfigs.target_facts import ask


def resolve(
    spec: Spec,
    *,
    kernel_config: Path | None = None,
    modules: Path | None = None,
    arch: str = "",
    cache: Cache | None = None,
    apt: Apt | None = None,
) -> Source:
    """The source that the SPEC names.  UsageError, in one sentence, if there is none or it cannot be tested here.

    `kernel_config` is a .config that the user named for it, `modules` a folder with its modules.  `arch` (`uname -m`)
    is for kernels that are built: without it, they are for this machine's architecture.
    """
    cache = cache or Cache()
    kernel_config, modules = _checked_config(kernel_config), checked_folder(modules)
    match spec:
        case PackageSpec():
            source = _offered(spec, kernel_config, apt_for(spec.suite, cache, apt, spec.arch))
        case PathSpec():
            source = _at_path(spec, kernel_config)
        case TargetSpec():
            source = _target(spec, kernel_config)
        case _:
            source = _running(spec, kernel_config)
    if source.builds and arch and arch != source.arch:
        source = replace(source, arch=arch, name=f"{source.name}-{architecture(arch).debian}")
    require_testable(printable(spec.text), source.arch, source.version)
    if modules is not None and isinstance(source, ImageSource):
        named_modules(modules, source.release)  # of a package, the release is not known yet
    return replace(source, modules=None if source.builds else modules)


def packaged_source() -> SourcePackage:
    """The distribution's own kernel source, as the SPEC `source` names it.  KconformError if there is none."""
    return _source_package(PackageSpec("source", ""), None, apt_for("", Cache()))


def apt_for(suite: str, cache: Cache, apt: Apt | None = None, arch: str = "") -> Apt:
    """The machine's apt, or one for a suite of the archive or for another architecture, by Debian's name.

    `apt` stands in for the machine's.
    """
    apt = apt or Apt(memory=Memory(cache.root / "apt.json"))
    foreign = arch if from_debian(arch) != machine() else ""
    return apt_of(suite, apt, cache, arch=foreign) if suite or foreign else apt


def _checked_config(path: Path | None) -> Path | None:
    if path is None:
        return None
    path = users_path(path)
    if not path.is_file():
        raise UsageError(f"there is no configuration file {printable(path)}", hint="name the .config of the kernel")
    read_config(path)
    return path


def _offered(spec: PackageSpec, kernel_config: Path | None, apt: Apt) -> Source:
    if not spec.package or is_source(spec.package):
        if spec.arch:
            raise UsageError(
                f"{printable(spec.text)} is source, which is the same for all architectures",
                hint="leave out the architecture",
            )
        return _source_package(spec, kernel_config, apt)
    packages = apt.kernel(spec.package, spec.version)
    kernel = packages.kernel
    # Two versions of one package may differ in the revision alone.
    pinned = f"{kernel.kernel_name}-{kernel.version}" if spec.version else kernel.kernel_name
    # Ubuntu's packages have the same name for all architectures.
    foreign = kernel.arch if from_debian(kernel.arch) != machine() else ""
    return AptSource(
        spec=spec.text,
        name=clean(pinned if kernel.name.endswith(foreign) else f"{pinned}-{foreign}"),
        origin=f"{kernel.name}{f':{foreign}' if foreign else ''} {kernel.version}",
        arch=_arch_of(spec, from_debian(kernel.arch)),
        version=release_version(kernel.release),
        kernel_config=kernel_config,
        packages=packages,
        suite=spec.suite,
        package_arch=spec.arch,
    )


def _source_package(spec: PackageSpec, kernel_config: Path | None, apt: Apt) -> SourcePackage:
    package = apt.source(spec.package, spec.version) if spec.package else apt.newest_source()
    upstream = package.version.split("-")[0].split("~")[0]
    return SourcePackage(
        spec=spec.text,
        name=clean(f"{package.vendor}-{upstream}"),
        origin=f"{package.name} {package.version}",
        arch=machine(),
        version=release_version(upstream),
        kernel_config=kernel_config,
        package=package,
        suite=spec.suite,
    )


def _at_path(spec: PathSpec, kernel_config: Path | None) -> Source:
    path = spec.path
    if path.is_dir():
        if not is_tree(path) and (inside := find_image(path)) is not None:
            return _image(spec, inside, kernel_config)
        tree = open_tree(path)
        return TreeSource(
            spec=spec.text,
            name=clean(f"{tree.path.name}-{tree.text_version}"),
            origin=str(tree.path),
            arch=machine(),
            version=tree.version,
            kernel_config=kernel_config,
            tree=tree,
        )
    for one in (path, *spec.others):
        if not one.exists():
            raise UsageError(
                f"there is no kernel at {printable(one if spec.others else spec.text)}",
                hint="a SPEC is source, running, deb:PACKAGE, a kernel tree, a folder, an image or a package file",
            )
    if spec.others or format_of_package(path) is not None:
        return _package_files(spec, kernel_config)
    return _image(spec, path, kernel_config)


def _package_files(spec: PathSpec, kernel_config: Path | None) -> Source:
    paths = (spec.path, *spec.others)
    found = [package_file.read_info(path) for path in paths]
    # The one with the image names the kernel, wherever it stands.
    main = next((one for one in found if one.holds_kernel), found[0])
    return PackageFilesSource(
        spec=spec.text,
        name=main.kernel_name,
        origin=" + ".join(one.identity for one in [main, *(other for other in found if other is not main)]),
        arch=_arch_of(spec, main.arch),
        version=release_version(main.linux),
        kernel_config=kernel_config,
        paths=tuple(path.absolute() for path in paths),
        needs=tuple(name for one in found for name in one.needs),
    )


def _running(spec: Spec, kernel_config: Path | None) -> Source:
    release = platform.release()
    image = running_image(Path("/"), release)
    if image is None:
        raise UsageError(
            f"the running kernel, {release}, has no image in /boot or /usr/lib/modules",
            hint="pass the image that was booted, with --kernel-config if needed",
        )
    return _image(spec, image, kernel_config, None if kernel_config else running_config(), f"running-{release}")


def running_image(root: Path, release: str) -> Path | None:
    """The image of the kernel of that release that is installed below `root`, or None."""
    places = ("boot/vmlinuz-{}", "usr/lib/modules/{}/vmlinuz", "lib/modules/{}/vmlinuz")
    found = next((path for place in places if (path := root / place.format(release)).exists()), None)
    if found is not None:
        return found
    # Alpine and Arch Linux name the image after its package.
    for path in sorted(root.glob("boot/vmlinuz-*")):
        with contextlib.suppress(UsageError):
            if inspect(path).release == release:
                return path
    return None


def _image(
    spec: Spec, path: Path, kernel_config: Path | None, config: Config | None = None, name: str = ""
) -> ImageSource:
    """`config` is what is known of its configuration already."""
    image = inspect(path.absolute())
    # Before its configuration is looked for, which takes unpacking a foreign kernel.
    require_testable(printable(path), image.arch, ())
    release = image.release or banner_release(image)
    return ImageSource(
        spec=spec.text,
        name=clean(name or (path.name if release in path.name else f"{path.name}-{release}")),
        origin=str(path.resolve()),
        arch=image.arch,
        version=release_version(release),
        kernel_config=kernel_config,
        image=image,
        release=release,
        config=config or find_config(image, release, kernel_config),
    )


def _target(spec: TargetSpec, kernel_config: Path | None) -> TargetSource:
    facts = ask(spec.machine)
    config = read_config(kernel_config) if kernel_config is not None else facts.config
    if config is None:
        raise UsageError(
            f"{printable(spec.text)} has neither /proc/config.gz nor /boot/config-{printable(facts.release)}",
            hint="give the kernel's own configuration with --kernel-config FILE",
        )
    return TargetSource(
        spec=spec.text,
        name=clean(f"{spec.machine.name}-{facts.release}"),
        origin=f"{facts.release} {facts.build}, on {spec.text}",
        arch=facts.arch,
        version=banner_version(f" {facts.build}".encode()) or release_version(facts.release),
        kernel_config=kernel_config,
        machine=spec.machine,
        facts=facts,
        config=config,
    )


def _arch_of(spec: Spec, arch: str) -> str:
    if arch == "all":
        raise UsageError(
            f"{printable(spec.text)} holds no kernel: it is for all architectures",
            hint="name the package with the image, such as deb:linux-image-cloud-amd64",
        )
    return arch or machine()
