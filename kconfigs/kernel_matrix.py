# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernels of a run, each with its flavors and its profile, in a TOML file (`--matrix`).

    [[kernel]]
    spec = "deb:linux-image-amd64@trixie"     # as for --kernel
    profile = "debian"                        # optional, as for --profile

    [[kernel]]
    spec = "source@sid"
    flavors = ["full", "hardened"]            # for a kernel that is built; the default is full
    config = "mine.config"                    # optional, as for --kernel-config
    modules = "lib/modules/6.12.7"            # optional, as for --modules
    fragments = ["SECURITY_YAMA=n"]           # optional, each as for --config
    arch = "arm64"                            # optional, as for --arch

The file may have any name, such as kconform.toml; in a pyproject.toml the tables are called [[tool.kconform.kernel]].
Paths in it are relative to its folder.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from common.errors import UsageError
from common.paths import users_path
from common.toml import Table, read
from kconfigs import profile as profiles
from kconfigs.architectures import named_architecture
from kconfigs.config_changes import parse_changes
from kconfigs.flavors import DEFAULT, FLAVORS
from kconfigs.kernel_requests import KernelRequest
from kconfigs.profile import Profile
from kconfigs.spec import parse

T = TypeVar("T")
V = TypeVar("V")


def load(path: Path) -> list[KernelRequest]:
    """What the file asks for, in its order.  UsageError, with the place, if it is wrong."""
    path = users_path(path)
    file, kind = read(path, "matrix"), "kernel"
    if path.name == "pyproject.toml":
        kind = "tool.kconform.kernel"
    else:
        file.check(required=("kernel",))
    found = [_request(entry, path.parent) for entry in file.tables(kind)]
    if not found:
        raise file.error("this matrix names no kernel", hint=f'write [[{kind}]], and below it spec = "source"')
    return found


def _request(entry: Table, folder: Path) -> KernelRequest:
    entry.check(required=("spec",), optional=("flavors", "profile", "config", "fragments", "modules", "arch"))
    return KernelRequest(
        spec=_read(entry, "spec", lambda text: parse(text, folder)),
        flavors=tuple(entry.choices("flavors", FLAVORS, [DEFAULT])),
        kernel_config=_read(entry, "config", lambda text: users_path(text, folder)) if "config" in entry else None,
        profile=_read(entry, "profile", lambda name: _profile(folder, name)) if "profile" in entry else None,
        changes=_placed(entry, "fragments", entry.texts("fragments", ()), lambda texts: parse_changes(texts, folder)),
        modules=_read(entry, "modules", lambda text: users_path(text, folder)) if "modules" in entry else None,
        arch=_read(entry, "arch", named_architecture) if "arch" in entry else "",
        where=entry.place(),
    )


def _read(entry: Table, key: str, meaning: Callable[[str], T]) -> T:
    """What the text of a key means, or the error with the key's place."""
    return _placed(entry, key, entry.text(key), meaning)


def _placed(entry: Table, key: str, value: V, meaning: Callable[[V], T]) -> T:
    try:
        return meaning(value)
    except UsageError as error:
        raise error.at(entry.place(key)) from error


def _profile(folder: Path, name: str) -> Profile:
    if name not in profiles.shipped():  # debian/ in a kernel's package is a folder, and not what is meant
        path = users_path(name, folder)
        name = str(path) if path.exists() else name
    return profiles.load(name)
