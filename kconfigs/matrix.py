# SPDX-License-Identifier: GPL-2.0-or-later
"""A matrix: the kernels of a run, each with its flavors and its profile, in a TOML file.

    [[kernel]]
    spec = "deb:linux-image-amd64@trixie"     # as for --kernel
    profile = "debian"                        # optional, as for --profile

    [[kernel]]
    spec = "source@sid"
    flavors = ["full", "hardened"]            # of a kernel that is built; without it, full
    config = "mine.config"                    # optional, as for --kernel-config

The file may have any name, as kconform.toml; in a pyproject.toml the tables are called [[tool.kconform.kernel]].  A
path in it starts where the file lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.paths import users_path
from kconfigs import profile as profiles
from kconfigs.flavors import DEFAULT
from kconfigs.flavors import flavor as flavor_of
from kconfigs.profile import Profile
from kconfigs.spec import names_a_path
from kconfigs.toml import check_keys, read


@dataclass(frozen=True)
class Wanted:
    """A kernel that a run shall have."""

    spec: str
    flavors: tuple[str, ...] = (DEFAULT,)
    kernel_config: Path | None = None
    profile: Profile | None = None
    where: str = ""
    """File and place, for messages; `""` if it was asked for on the command line."""


def load(path: Path) -> list[Wanted]:
    """What the file asks for, in its order.  UsageError, with the place, if it is no matrix."""
    path = users_path(path)
    file, kind = read(path, "matrix"), "kernel"
    if path.name == "pyproject.toml":
        kind = "tool.kconform.kernel"
    else:
        check_keys(file.where, file.table, required=("kernel",))
    found = [_wanted(where, entry, path.parent) for where, entry in file.tables(kind)]
    if not found:
        raise UsageError(f"{path}: no kernel is asked for", hint='write [[kernel]], and below it spec = "source"')
    return found


def _wanted(where: str, entry: Any, folder: Path) -> Wanted:
    check_keys(where, entry, required=("spec",), optional=("flavors", "profile", "config"))
    for key in ("spec", "profile", "config"):
        if not isinstance(entry.get(key, ""), str):
            raise UsageError(f"{where}: {key} has to be a text, in quotes")
    flavors = entry.get("flavors", [DEFAULT])
    if not isinstance(flavors, list) or not flavors or not all(isinstance(name, str) for name in flavors):
        raise UsageError(f"{where}: flavors has to be a list of names")
    try:
        return Wanted(
            spec=_beside(folder, entry["spec"]) if names_a_path(entry["spec"]) else entry["spec"],
            flavors=tuple(flavor_of(name).name for name in flavors),
            kernel_config=users_path(entry["config"], folder) if entry.get("config") else None,
            profile=_profile(folder, entry["profile"]) if entry.get("profile") else None,
            where=where,
        )
    except UsageError as error:
        raise UsageError(f"{where}: {error.message}", hint=error.hint) from error


def _profile(folder: Path, name: str) -> Profile:
    # A kernel's package has a folder debian/, which is not meant.
    return profiles.load(name if name in profiles.shipped() else _beside(folder, name))


def _beside(folder: Path, text: str) -> str:
    """A path, which starts at the folder; what is not there stays as it is, for the message."""
    path = users_path(text, folder)
    return str(path) if text and path.exists() else text
