# SPDX-License-Identifier: GPL-2.0-or-later
"""Where kernels come from, as plain values: what was found when a SPEC was resolved, and nothing that acts.

`kconfigs.resolve` makes them, `kconfigs.fetch` makes kernels of them.  They can be pickled, so that all processes of
a run work from the same findings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from common.versions import Version
from kconfigs.build.kernel_tree import Tree
from kconfigs.config_changes import ConfigChanges
from kconfigs.debian.apt import KernelPackages
from kconfigs.debian.deb_package import Package
from kconfigs.image import Image
from kconfigs.kconfig import Config
from kconfigs.target_facts import TargetFacts
from kconfigs.target_machine import TargetMachine

SHIPPED = "shipped"
"""The flavor of a kernel that was found, not built."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A place that a kernel comes from: one of the kinds below."""

    spec: str
    """The SPEC that the user gave."""
    name: str
    """What test ids call it; only letters, digits and `._-`."""
    origin: str
    """The package with its version, or the path.  Two sources with the same origin are the same kernel."""
    arch: str
    """`uname -m`."""
    version: Version
    """`()` if it is unknown so far."""
    kernel_config: Path | None = None
    """The .config that the user named for it."""
    modules: Path | None = None
    """The folder that the user named as that with its modules."""
    allow_dropped: bool = False
    """Whether a build may lack options of the user's own config, or of a flavor that the user has changed."""
    changes: ConfigChanges | None = None
    """What the user changes of the config that it is built with."""

    builds: ClassVar[bool] = False
    """Kernels are built from it, one for each flavor.  Otherwise it is one kernel, and flavors do not apply."""


@dataclass(frozen=True, kw_only=True)
class SourcePackage(Source):
    """A distribution's package with kernel source."""

    package: Package
    suite: str = ""
    """The suite that it is taken from, if the machine's apt does not have it."""

    builds: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class TreeSource(Source):
    """A kernel tree that belongs to the user."""

    tree: Tree

    builds: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class ImageSource(Source):
    """An image file."""

    image: Image
    release: str
    config: Config


@dataclass(frozen=True, kw_only=True)
class TargetSource(Source):
    """A kernel that runs on a machine that somebody else booted."""

    machine: TargetMachine
    facts: TargetFacts
    config: Config


@dataclass(frozen=True, kw_only=True)
class PackageFilesSource(Source):
    """A kernel in package files."""

    paths: tuple[Path, ...]
    needs: tuple[str, ...]
    """Packages that may have what these lack."""


@dataclass(frozen=True, kw_only=True)
class AptSource(Source):
    """A kernel in packages that apt offers."""

    packages: KernelPackages
    suite: str = ""
    """As in SourcePackage."""
    package_arch: str = ""
    """Debian's name of another architecture than the machine's, if the user has given one."""
