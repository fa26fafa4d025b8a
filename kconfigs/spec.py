# SPDX-License-Identifier: GPL-2.0-or-later
"""What a SPEC means: which source of kernels somebody names.

    source                   the newest kernel source that apt offers, built with our flavors
    TREE                     a directory: a kernel tree, built with our flavors and left as it is
    IMAGE                    a file: bzImage or vmlinuz, its configuration beside or inside it
    FILE.deb                 a package file
    deb:PACKAGE[=VERSION]    a package that apt offers; a metapackage is followed to its kernel, and
                             linux-source-X.Y is built
    running                  the kernel that runs here

Behind `source` and `deb:` @SUITE names a suite of the archive that apt was not told of, as in
`deb:linux-image-amd64@trixie-backports`.

`resolve` looks and validates; it neither downloads nor builds.  `Source.kernel` does what is left to do,
once: the cache keeps it.
"""

from __future__ import annotations

import platform
import re
from pathlib import Path

from common.errors import UsageError
from common.paths import users_path
from kconfigs.apt import Apt, Memory, is_source
from kconfigs.archive import apt_of
from kconfigs.beside import read_config, running_config
from kconfigs.cache import Cache
from kconfigs.sources import AptKernel, DebFileKernel, ImageSource, PackagedSource, Source, TreeSource
from kconfigs.tree import open_tree

_OFFERED = re.compile(r"(?:source|deb:(?P<name>[^=@]*)(?:=(?P<version>[^@]*))?)(?:@(?P<suite>.*))?", re.DOTALL)


def names_a_path(spec: str) -> bool:
    """Whether the SPEC is a path, if it is anything: `source` is not, even where a file is called so."""
    return spec != "running" and _OFFERED.fullmatch(spec) is None


def packaged() -> PackagedSource:
    """The distribution's own kernel source, for those who want its tree.  KconformError where there is none."""
    cache = Cache()
    return PackagedSource(_machine(cache), cache)


def _machine(cache: Cache) -> Apt:
    return Apt(memory=Memory(cache.root / "apt.json"))


def resolve(
    spec: str, *, kernel_config: Path | None = None, cache: Cache | None = None, apt: Apt | None = None
) -> Source:
    """What the SPEC means here.  UsageError, in one sentence, if it cannot be."""
    cache = cache or Cache()
    apt = apt or _machine(cache)
    if kernel_config is not None:
        kernel_config = users_path(kernel_config)
        if not kernel_config.is_file():
            raise UsageError(f"there is no configuration file {kernel_config}", hint="name the .config of the kernel")
        read_config(kernel_config)
    if offered := _OFFERED.fullmatch(spec):
        name, version, suite = offered.group("name", "version", "suite")
        if name == "":
            raise UsageError(f"{spec} names no package", hint="such as deb:linux-image-cloud-amd64")
        if suite is not None:
            apt = apt_of(suite, apt, cache)
        if name is None or is_source(name):
            package = apt.source(name, version or "") if name else apt.newest_source()
            return PackagedSource(apt, cache, package, spec, kernel_config)
        return AptKernel(spec, apt.kernel(name, version or ""), bool(version), apt, cache, kernel_config)
    if spec == "running":
        return _running(kernel_config)
    path = users_path(spec)
    if path.is_dir():
        return TreeSource(spec, open_tree(path), cache, kernel_config)
    if not path.exists():
        raise UsageError(
            f"there is no kernel at {spec}",
            hint="a SPEC is source, running, deb:PACKAGE, a kernel tree, an image or a .deb file",
        )
    if path.suffix == ".deb":
        return DebFileKernel(spec, path, cache, kernel_config)
    return ImageSource(spec, path, kernel_config)


def _running(named: Path | None) -> Source:
    release = platform.release()
    image = Path(f"/boot/vmlinuz-{release}")
    if not image.exists():
        raise UsageError(
            f"the running kernel, {release}, has no image in /boot",
            hint="pass the image that was booted, with --kernel-config if need be",
        )
    return ImageSource("running", image, named, config=None if named else running_config(), name=f"running-{release}")
