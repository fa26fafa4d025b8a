# SPDX-License-Identifier: GPL-2.0-or-later
"""What belongs to an image and is not in it: the configuration beside it, the modules, the right machine."""

from __future__ import annotations

import contextlib
import gzip
import os
import platform
import re
from pathlib import Path

from common.errors import UsageError
from kconfigs.fragments import Config
from kconfigs.image import Image, embedded_config
from kconfigs.kernel import version_of

_HEADING = re.compile(r"^# Linux/\S+ (\d+\.\d+\S*) Kernel Configuration", re.MULTILINE)


def require_machine(image: Image) -> None:
    if image.arch != platform.machine():
        raise foreign(str(image.path), image.arch)


def foreign(what: str, arch: str) -> UsageError:
    return UsageError(
        f"{what} is a kernel for {arch}, and this machine is {platform.machine()}",
        hint="give a kernel for this machine's architecture",
    )


def read_config(path: Path) -> Config:
    """A .config that the user names.  UsageError if it holds no option at all."""
    try:
        config = Config.load(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if not config:
        raise UsageError(f"{path} is not a kernel configuration", hint="it has lines such as CONFIG_64BIT=y")
    return config


def find_config(image: Image, release: str, named: Path | None = None) -> Config:
    """The configuration of an image: the one that is named, beside it, atop the tree it was built in, or inside it.

    UsageError if there is none, or if the one that was found is another kernel's.
    """
    if named is not None:
        return _checked(read_config(named), named, image, release, named=True)
    # Whoever made the image wrote the release: it need not be the name of a file.
    beside = [f"config-{image.release.replace('/', '-')}", f"{image.path.name}.config", ".config", "config"]
    if image.path.name.startswith("vmlinuz-"):
        beside.insert(0, image.path.name.replace("vmlinuz-", "config-", 1))
    places = [image.path.with_name(name) for name in beside]
    if image.path.parent.name == "boot" and len(image.path.parents) > 3:
        places.append(image.path.parents[3] / ".config")
    for place in places:
        if os.access(place, os.R_OK) and place.is_file() and (config := Config.load(place)):
            return _checked(config, place, image, release)
    inside = embedded_config(image)
    if inside is None:
        raise UsageError(
            f"{image.path} has no configuration beside it, and none inside (CONFIG_IKCONFIG)",
            hint="give it with --kernel-config FILE",
        )
    return inside


def _checked(config: Config, path: Path, image: Image, release: str, *, named: bool = False) -> Config:
    """The configuration, unless its heading names another version, or the one inside the image is another."""
    hint = "give that kernel's own with --kernel-config FILE"
    heading = _HEADING.search(path.read_text(encoding="utf-8", errors="replace")[:1000])
    # Debian's releases say 6.1.0 of 6.1.192: only the first two numbers are the same in both.
    if heading and release and version_of(release)[:2] != version_of(heading[1])[:2]:
        raise UsageError(
            f"{path} is the configuration of Linux {heading[1]}, and {image.path} is {release}", hint=hint
        )
    inside = None
    # To look inside takes a second. What lies beside an image is trusted to say whether there is something to see;
    # what somebody names may be any kernel's.
    if named or config.builtin("IKCONFIG"):
        with contextlib.suppress(UsageError):  # no program to unpack it with
            inside = embedded_config(image)
    if inside is not None and inside != config:
        option = min(name for name in {*config, *inside} if config[name] != inside[name])
        raise UsageError(
            f"{path} is not the configuration of {image.path}: CONFIG_{option} is {config[option]} there, and "
            f"{inside[option]} inside the image (CONFIG_IKCONFIG)",
            hint=hint,
        )
    return config


def find_modules(image: Image, release: str) -> Path | None:
    """Where the modules of an image are: installed for that release, or in the tree it was built in."""
    if image.path.parent == Path("/boot"):
        installed = Path("/lib/modules") / release
        return installed if installed.is_dir() else None
    if image.path.parent.name == "boot" and len(image.path.parents) > 3:
        top = image.path.parents[3]
        if (top / "modules.order").is_file():
            return top
    return None


def running_config() -> Config | None:
    """The running kernel's own configuration, if it tells."""
    try:
        return Config.parse(gzip.decompress(Path("/proc/config.gz").read_bytes()).decode(errors="replace"))
    except (OSError, EOFError):
        return None
