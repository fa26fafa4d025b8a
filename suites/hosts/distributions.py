# SPDX-License-Identifier: GPL-2.0-or-later
"""The hosts that `tox -e hosts` tries: a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import UsageError


@dataclass(frozen=True)
class Host:
    """A release of a distribution, as debootstrap and apt name it."""

    name: str
    distribution: str
    """The `Origin` of its archive."""
    suite: str
    kernel: str = "deb:linux-image-cloud-amd64"
    """The kernel to test: the distribution's prebuilt one for virtual machines."""
    components: str = "main"
    pockets: tuple[str, ...] = ("-updates", "-security")
    """Suffixes of the suites from which an installation gets its updates."""
    required: bool = True
    """If False, the host is omitted without an error if its archive cannot be reached."""


_UBUNTU: Mapping[str, Any] = {"kernel": "deb:linux-image-virtual", "components": "main,universe", "required": False}

HOSTS = (
    Host("debian-12", "Debian", "bookworm"),
    Host("debian-13", "Debian", "trixie"),
    Host("debian-sid", "Debian", "sid", pockets=()),
    Host("ubuntu-24.04", "Ubuntu", "noble", **_UBUNTU),
    Host("ubuntu-26.04", "Ubuntu", "resolute", **_UBUNTU),
)


def chosen(names: Sequence[str]) -> list[Host]:
    """The hosts with these names, or all hosts if there are no names.  UsageError for an unknown name."""
    unknown = set(names) - {host.name for host in HOSTS}
    if unknown:
        raise UsageError(
            f"unknown hosts: {', '.join(sorted(unknown))}",
            hint=f"the known ones are {', '.join(host.name for host in HOSTS)}",
        )
    return [host for host in HOSTS if not names or host.name in names]


def host_of(suite: str) -> Host:
    return next(host for host in HOSTS if host.suite == suite)
