# SPDX-License-Identifier: GPL-2.0-or-later
"""What the options of a run ask for, before anybody looks whether this machine has it."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from common.errors import UsageError
from common.text import printable
from kconfigs import kernel_matrix
from kconfigs import profile as profiles
from kconfigs.architectures import named_architecture
from kconfigs.build.kernel_tree import is_tree
from kconfigs.config_changes import parse_changes
from kconfigs.flavors import DEFAULT
from kconfigs.flavors import flavor as flavor_of
from kconfigs.kernel_matrix import Wanted
from kconfigs.spec import TargetSpec, parse
from kconfigs.target_machine import parse_target

PREBUILT = {"debian": "deb:linux-image-cloud-amd64", "ubuntu": "deb:linux-image-virtual"}
"""The small kernel that a distribution ships, which is tested while `source` compiles."""


def wanted(
    specs: Sequence[str] | None,
    flavors: Sequence[str] | None,
    kernel_config: Path | None,
    profile: str | None,
    matrix_file: Path | None,
    allow_dropped: bool = False,
    changes: Sequence[str] = (),
    modules: Path | None = None,
    target: str | None = None,
    arch: str | None = None,
) -> list[Wanted]:
    """What the options of a run ask for.  UsageError for what cannot be understood."""
    if target is not None:
        if specs or flavors or matrix_file or changes or modules or arch:
            raise UsageError(
                "--target tests the kernel that runs there, so no other can be named beside it",
                hint="leave out --kernel, --flavor, --arch, --config, --modules and --matrix, or --target",
            )
        asked = profiles.load(profile) if profile else None
        return [Wanted(TargetSpec(target, parse_target(target)), kernel_config=kernel_config, profile=asked)]
    if matrix_file is not None:
        if specs or flavors or kernel_config or profile or changes or modules or arch:
            raise UsageError(
                "--matrix names kernels, flavors, configs and so on, so none of them can be given beside it",
                hint=f"add it to {printable(matrix_file)}, or leave out --matrix",
            )
        return [replace(one, allow_dropped=allow_dropped) for one in kernel_matrix.load(matrix_file)]
    chosen = tuple(flavor_of(name).name for name in flavors or [DEFAULT])
    asked = profiles.load(profile) if profile else None
    changed = parse_changes(changes)
    built_for = named_architecture(arch) if arch else ""
    return [
        Wanted(parse(spec), chosen, kernel_config, asked, allow_dropped, changed, modules, built_for)
        for spec in specs or default_specs(built=bool(arch))
    ]


def default_specs(*, built: bool = False) -> list[str]:
    """In a kernel tree, that tree.  Elsewhere the distribution's small prebuilt kernel, and its kernel source.

    `built`: no prebuilt one.
    """
    if is_tree(Path.cwd()):
        return ["."]
    with contextlib.suppress(OSError):
        if built:
            return ["source"]
        prebuilt = PREBUILT.get(platform.freedesktop_os_release()["ID"])
        if prebuilt:
            return [prebuilt, "source"]
    return ["source"]
