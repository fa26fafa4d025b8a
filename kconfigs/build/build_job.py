# SPDX-License-Identifier: GPL-2.0-or-later
"""One kernel to be built, as a value: from what, for what, and by which tools."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import KconformError, UsageError
from kconfigs import kconfig
from kconfigs.architectures import Architecture, architecture, machine
from kconfigs.build import profiled_files
from kconfigs.build.build_progress import BuildProgress, NoProgress
from kconfigs.build.kernel_tree import Tree
from kconfigs.build.toolchain import Toolchain
from kconfigs.cache import Cache
from kconfigs.config_changes import ConfigChanges
from kconfigs.flavors import Flavor
from kconfigs.kconfig import Option
from kconfigs.kernel_names import clean

RECIPE = "1"
"""Part of every key: change it after a change in how kernels are built, so that all are built again."""


@dataclass(frozen=True)
class Job:
    """One kernel to be built."""

    tree: Tree
    flavor: Flavor
    name: str
    """As in `Kernel.name`."""
    spec: str
    identity: str
    """As in `Kernel.identity`; the same for the same source code."""
    cache: Cache
    progress: BuildProgress = field(default_factory=NoProgress)
    is_users_tree: bool = True
    """Not the distribution's."""
    own_config: Path | None = None
    """The config that the flavor's fragments are added to; without one, allnoconfig."""
    arch: str = field(default_factory=machine)
    """`uname -m`."""
    toolchain: Toolchain = field(default_factory=Toolchain.from_environment)
    allow_dropped: bool = False
    """Whether to build although Kconfig does not keep some of that config's options, or of a changed flavor's."""
    changes: ConfigChanges | None = None
    """What overrules both the flavor and that config."""

    def __post_init__(self) -> None:
        """UsageError if kernels cannot be built for the architecture; the tools are those for it."""
        object.__setattr__(self, "toolchain", self.toolchain.targeting(self.architecture))

    @property
    def architecture(self) -> Architecture:
        """UsageError if kernels cannot be built for it."""
        return architecture(self.arch)

    @property
    def flavor_name(self) -> str:
        """With the changes, if there are any."""
        return self.changes.applied_to(self.flavor.name) if self.changes else self.flavor.name

    @property
    def _file_name(self) -> str:
        """As the cache and make allow it."""
        return clean(f"{self.name}-{self.flavor_name}")

    @property
    def what(self) -> str:
        return f"{self.name}/{self.flavor_name}"

    @property
    def asked(self) -> dict[str, Option]:
        """The options that the flavor and the changes ask for."""
        of_changes = self.changes.asked(self.tree.version, self.arch) if self.changes else {}
        return self.flavor.asked(self.tree.version, self.arch) | of_changes

    @property
    def key(self) -> str:
        parts = [RECIPE, self.identity, made_from(self), self.toolchain.identity(), self.arch]
        content = "\0".join(parts + profiled_files.make_arguments(self.flavor.profiled))
        return f"{self._file_name}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"

    @property
    def log(self) -> Path:
        """Where the output of Kbuild goes; it stays after a failure."""
        return self.cache.root / ".logs" / f"{self._file_name}.log"

    def failed(self, message: str, hint: str) -> KconformError:
        users = self.is_users_tree or self.own_config or self.changes
        return (UsageError if users else KconformError)(message, hint=hint)


def made_from(job: Job) -> str:
    """What a job's .config is made from; later lines overrule earlier ones."""
    own = kconfig.read_text(job.own_config) + "\n" if job.own_config else ""
    return own + kconfig.render(job.asked)
