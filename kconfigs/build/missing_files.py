# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that a config names and a build would look for in vain.

A distribution's config names certificates and firmware of its own, which another tree does not have; make would
say so after minutes, and not which option it is about.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from common.errors import UsageError
from common.text import printable
from kconfigs.kconfig import Config

_GENERATED = "certs/signing_key.pem"
"""The default of MODULE_SIG_KEY, which a build makes (certs/Makefile)."""


def require_files(what: str, config: Config, places: list[Path]) -> None:
    """UsageError if an option names files that are in none of the places, with the options that do without them.

    `what` is the kernel's id.
    """
    missing = list(_missing(config, places))
    if missing:
        raise UsageError(
            f"{what}: the config names files that are not there:\n    "
            + "\n    ".join(f"CONFIG_{option}: {printable(name)}" for option, name in missing),
            hint="put them into the tree, or leave them out:"
            + "".join(f" --config={option}=" for option in dict.fromkeys(option for option, _ in missing)),
        )


def _missing(config: Config, places: list[Path]) -> Iterator[tuple[str, str]]:
    """Options, and the names that they give."""
    for option, names in _named(config):
        for name in names:
            if not any((place / name).exists() for place in places):
                yield option, name


def _named(config: Config) -> Iterator[tuple[str, list[str]]]:
    for option in ("SYSTEM_TRUSTED_KEYS", "SYSTEM_REVOCATION_KEYS"):
        yield option, [config.string(option)] if config.string(option) else []
    key = config.string("MODULE_SIG_KEY")
    if config.enabled("MODULE_SIG") and key not in ("", _GENERATED) and not key.startswith("pkcs11:"):
        yield "MODULE_SIG_KEY", [key]
    yield "INITRAMFS_SOURCE", config.string("INITRAMFS_SOURCE").split()
    folder = config.string("EXTRA_FIRMWARE_DIR") or "/lib/firmware"
    yield "EXTRA_FIRMWARE", [f"{folder}/{name}" for name in config.string("EXTRA_FIRMWARE").split()]
