# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of a run that name its kernels: what they ask for, and which must not be given together."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from common.errors import UsageError
from common.text import printable
from kconfigs import kernel_matrix, profile
from kconfigs.architectures import named_architecture
from kconfigs.build.kernel_tree import is_tree
from kconfigs.config_changes import parse_changes
from kconfigs.flavors import DEFAULT
from kconfigs.flavors import flavor as flavor_of
from kconfigs.kernel_requests import KernelRequest
from kconfigs.spec import TargetSpec, parse
from kconfigs.target_machine import parse_target

PREBUILT = {"debian": "deb:linux-image-cloud-amd64", "ubuntu": "deb:linux-image-virtual"}
"""The small kernel that a distribution ships, which is tested while `source` compiles."""


def add_options(parser: pytest.Parser) -> None:
    """Add the options that name kernels."""
    group = parser.getgroup("kconform")
    group.addoption(
        "--kernel",
        action="append",
        metavar="SPEC",
        help="a kernel to test, repeatable: source, deb:PACKAGE[=VERSION][@SUITE], package files, an image, a"
        " kernel tree, a folder, or running (default: the distribution's prebuilt cloud kernel, and source)",
    )
    group.addoption(
        "--target",
        metavar="MACHINE",
        help="test the kernel of a machine that already runs: ssh:[USER@]HOST[:PORT], or local; tests that need a"
        " boot of their own, or cannot be undone, are skipped",
    )
    group.addoption(
        "--i-own-this-machine",
        action="store_true",
        help="with --target: tests may change the machine's settings, and may crash it",
    )
    group.addoption(
        "--flavor",
        action="append",
        metavar="NAME",
        help="a set of config options to build sources and trees with, repeatable (default: full)",
    )
    group.addoption(
        "--arch",
        metavar="NAME",
        help="build sources and trees for this architecture, such as arm64 (default: that of this machine)",
    )
    group.addoption("--kernel-config", type=Path, metavar="FILE", help="the .config of a kernel image")
    group.addoption(
        "--modules", type=Path, metavar="DIR", help="the modules of a kernel image, if they are elsewhere"
    )
    group.addoption(
        "--config",
        action="append",
        metavar="CHANGE",
        default=[],
        help="a change of the config that kernels are built with, repeatable: an option as in SECURITY_YAMA=n, or a"
        " file with such lines",
    )
    group.addoption(
        "--allow-dropped",
        action="store_true",
        help="with --flavor=mine or --config: build although Kconfig drops some options that no NAME=VALUE asks for",
    )
    group.addoption(
        "--profile",
        metavar="NAME",
        help="the options and defaults that each kernel must have; a test that would be skipped because one is"
        f" missing fails ({', '.join(profile.shipped())}, or a TOML file)",
    )
    group.addoption(
        "--sysctl",
        action="append",
        metavar="DIR",
        default=[],
        help="with --profile: a sysctl.d folder of the system, or a file of settings; repeatable, the one with"
        " precedence first. The defaults are compared after these settings have been applied",
    )
    group.addoption(
        "--matrix",
        type=Path,
        metavar="FILE",
        help="a TOML file that names the kernels of the run, their flavors and profiles (docs/many-kernels.md)",
    )


def refuse_careless_target(option: Any) -> None:
    """UsageError if --target is given without its owner's consent, or with what cannot apply to it."""
    if option.target is None:
        if option.i_own_this_machine:
            raise UsageError("--i-own-this-machine says that --target may be used, and there is none", hint="add it")
        return
    if not option.i_own_this_machine:
        raise UsageError(
            f"tests change settings of {printable(option.target)}, and a faulty kernel may crash under them",
            hint="if it is yours to lose, add --i-own-this-machine",
        )
    for name in ("append", "qemu_opts", "memory", "sysctl", "cold", "probe_accel", "qemu"):
        if getattr(option, name, None):
            raise UsageError(
                f"--{name.replace('_', '-')} is for guests that are booted here, and --target tests a machine that"
                " runs already",
                hint="leave out one of the two",
            )


def requested_kernels(
    *,
    specs: Sequence[str] | None = None,
    flavors: Sequence[str] | None = None,
    kernel_config: Path | None = None,
    profile_name: str | None = None,
    matrix_file: Path | None = None,
    allow_dropped: bool = False,
    changes: Sequence[str] = (),
    modules: Path | None = None,
    target: str | None = None,
    arch: str | None = None,
) -> list[KernelRequest]:
    """What the options of a run ask for.  UsageError for what cannot be understood."""
    if target is not None:
        if specs or flavors or matrix_file or changes or modules or arch:
            raise UsageError(
                "--target tests the kernel that runs there, so no other can be named beside it",
                hint="leave out --kernel, --flavor, --arch, --config, --modules and --matrix, or --target",
            )
        return [
            KernelRequest(
                TargetSpec(target, parse_target(target)),
                kernel_config=kernel_config,
                profile=profile.load(profile_name) if profile_name else None,
            )
        ]
    if matrix_file is not None:
        if specs or flavors or kernel_config or profile_name or changes or modules or arch:
            raise UsageError(
                "--matrix names kernels, flavors, configs and so on, so none of them can be given beside it",
                hint=f"add it to {printable(matrix_file)}, or leave out --matrix",
            )
        return [replace(request, allow_dropped=allow_dropped) for request in kernel_matrix.load(matrix_file)]
    flavor_names = tuple(flavor_of(name).name for name in flavors or [DEFAULT])
    loaded_profile = profile.load(profile_name) if profile_name else None
    parsed_changes = parse_changes(changes)
    machine = named_architecture(arch) if arch else ""
    return [
        KernelRequest(
            parse(spec),
            flavors=flavor_names,
            kernel_config=kernel_config,
            profile=loaded_profile,
            allow_dropped=allow_dropped,
            changes=parsed_changes,
            modules=modules,
            arch=machine,
        )
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
