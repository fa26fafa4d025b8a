# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel that the user asks for, before anything looks whether this machine has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kconfigs.config_changes import ConfigChanges
from kconfigs.flavors import DEFAULT
from kconfigs.profile import Profile
from kconfigs.spec import Spec


@dataclass(frozen=True)
class KernelRequest:
    """A kernel that a run is to test."""

    spec: Spec
    flavors: tuple[str, ...] = (DEFAULT,)
    kernel_config: Path | None = None
    profile: Profile | None = None
    allow_dropped: bool = False
    """Whether its build may lack options of the config that the user named, or of a changed flavor."""
    changes: ConfigChanges | None = None
    """What is changed of the config that it is built with."""
    modules: Path | None = None
    """The folder with its modules, if it is not where an image or a package has it."""
    arch: str = ""
    """The architecture that it is built for, by `uname -m`; empty for this machine's."""
    where: str = ""
    """File and place, for messages; empty if it was asked for on the command line."""
