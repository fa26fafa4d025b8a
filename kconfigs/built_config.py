# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration that an image in a build directory was built with, whatever has become of the .config since then.

The .config is what the next build uses; the last one used include/config/auto.conf, which Kbuild makes of it.  For
each option that has another value than before, Kbuild then touches a file in include/config/ (conf_touch_deps() in
scripts/kconfig/confdata.c).  What depends on the option is older than that file until it is built again.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from common.errors import UsageError
from common.text import printable
from kconfigs.kconfig import VALUE, Config, read_text

_LINE = re.compile(r"^CONFIG_(\w+)=(.*)$", re.MULTILINE | re.ASCII)

ALWAYS_BUILT_IN = (
    "AUDIT",
    "CHECKPOINT_RESTORE",
    "IA32_EMULATION",
    "IMA",
    "KEXEC",
    "KEXEC_FILE",
    "LSM",
    "MODULES",
    "SECCOMP",
    "SECCOMP_FILTER",
    "SECURITY",
    "SECURITY_LOADPIN",
    "SECURITY_LOADPIN_ENFORCE",
    "SECURITY_LOADPIN_VERITY",
    "SECURITY_YAMA",
    "USER_NS",
    "X86_X32_ABI",
)
"""Options that tests are about and that no image can be built without noticing.  A change of another option, such as
one of a module, may leave the image as it is."""


def built_with(place: Path, config: Config, image: Path) -> Config:
    """The image's configuration: `config`, which is that of `place`, unless this is a .config that the build in its
    directory has not used.

    UsageError if the image is older than the configuration that was used last.
    """
    used = place.parent / "include" / "config" / "auto.conf"
    if place.name != ".config" or not used.is_file() or not os.access(used, os.R_OK):
        return config
    built = image.stat().st_mtime_ns
    if used.stat().st_mtime_ns > built and (changed := _changed_since(built, used.parent)):
        raise UsageError(
            f"{printable(image)} was not built again after CONFIG_{changed} was changed in {printable(place)}",
            hint="finish the build, or give the image's own configuration with --kernel-config FILE",
        )
    return _merged(read_text(used), config)


def _merged(used: str, config: Config) -> Config:
    """The content of an auto.conf, with quotes around strings; it has none since 5.18."""

    def quoted(name: str, value: str) -> str:
        if value.startswith('"'):
            return value
        if config[name].startswith('"') or not re.fullmatch(VALUE, value):
            return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
        return value

    return Config({name: quoted(name, value) for name, value in _LINE.findall(used)})


def _changed_since(moment: int, folder: Path) -> str:
    """The first of the options that has changed since a moment; empty if none has, as far as can be known."""
    for name in ALWAYS_BUILT_IN:
        # The second is the name until 5.13.
        for file in (folder / name, folder / f"{name.lower().replace('_', '/')}.h"):
            with contextlib.suppress(OSError):
                if file.stat().st_mtime_ns > moment:
                    return "" if _all_are_newer(moment, folder) else name
    return ""


def _all_are_newer(moment: int, folder: Path) -> bool:
    """Whether the times are those of a copy, or of a first configuration, and say nothing."""
    return all(path.stat().st_mtime_ns > moment for path in folder.rglob("*") if path.is_file())
