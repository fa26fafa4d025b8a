# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration of an image: inside it, beside it, or named by the user."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
from pathlib import Path

from common.errors import UsageError
from common.text import printable
from common.versions import release_version
from kconfigs.built_config import built_with
from kconfigs.image import Image, NoUnpackerError, embedded_config
from kconfigs.kconfig import Config, read_text, refuse_command
from kconfigs.kernel_folder import config_places
from kconfigs.unfinished_config import is_unfinished

_HEADING = re.compile(r"^# Linux/\S+ (\d+\.\d+\S*) Kernel Configuration", re.MULTILINE)


class NoConfigError(UsageError):
    """A kernel has no configuration, or none that can be found."""


def read_config(path: Path) -> Config:
    """A .config that the user names.

    UsageError if it has no option at all, or one with a value that a build would run as a command.
    """
    try:
        config = Config.load(path)
    except OSError as error:
        raise UsageError(
            f"{printable(path)} cannot be read: {error.strerror}", hint="name a .config that you may read"
        ) from error
    if not config:
        raise UsageError(
            f"{printable(path)} is not a kernel configuration", hint="one has lines such as CONFIG_64BIT=y"
        )
    for option, value in config.items():
        refuse_command(printable(path), option, value)
    return config


def find_config(image: Image, release: str, named: Path | None = None) -> Config:
    """The configuration of an image: the one that is named, one where its layout has it, or the one inside it.

    NoConfigError if there is none; UsageError if the one that was found is another kernel's, or if a build was not
    finished.
    """
    if named is not None:
        return _checked(read_config(named), named, image, release, named=True)
    places = config_places(image.path, image.release or release)
    for place in places:
        if os.access(place, os.R_OK) and place.is_file() and (config := Config.load(place)):
            return _checked(built_with(place, config, image.path), place, image, release)
    inside = embedded_config(image)
    if inside is None:
        raise NoConfigError(
            f"{printable(image.path)} has no configuration beside it, and none inside (CONFIG_IKCONFIG)",
            hint="give it with --kernel-config FILE",
        )
    return inside


def _checked(config: Config, path: Path, image: Image, release: str, *, named: bool = False) -> Config:
    """The configuration, unless its heading names another version or the image contains a different one."""
    hint = "give the kernel's own configuration with --kernel-config FILE"
    text = read_text(path)
    heading = _HEADING.search(text[:1000])
    # Debian's release for 6.1.192 is 6.1.0: only the first two numbers have to agree.
    if heading and release and release_version(release)[:2] != release_version(heading[1])[:2]:
        raise UsageError(
            f"{printable(path)} is the configuration of Linux {printable(heading[1])}, and {printable(image.path)} is"
            f" {printable(release)}",
            hint=hint,
        )
    inside = None
    # Looking inside takes a second.  A file beside the image is trusted to say whether there is anything to see; a
    # file that somebody names may be any kernel's.
    if named or config.builtin("IKCONFIG"):
        with contextlib.suppress(NoUnpackerError):
            inside = embedded_config(image)
    if inside is not None and inside != config:
        option = min(name for name in {*config, *inside} if config[name] != inside[name])
        raise UsageError(
            f"{printable(path)} is not the configuration of {printable(image.path)}: CONFIG_{option} is"
            f" {printable(config[option], 80)} there, and {printable(inside[option], 80)} inside the image"
            " (CONFIG_IKCONFIG)",
            hint=hint,
        )
    if named and inside is None and is_unfinished(text):
        # A test for a kernel without an option would accuse one that has it by default.
        raise UsageError(
            f"{printable(path)} is not the whole configuration of {printable(image.path)}: it is a defconfig or a"
            " fragment, and leaves out what has its default",
            hint="give the .config that the kernel was built with",
        )
    return config


def running_config() -> Config | None:
    """The running kernel's own configuration, if it offers one (CONFIG_IKCONFIG_PROC)."""
    try:
        return Config.parse(gzip.decompress(Path("/proc/config.gz").read_bytes()).decode(errors="replace"))
    except (OSError, EOFError):
        return None
