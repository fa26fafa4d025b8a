# SPDX-License-Identifier: GPL-2.0-or-later
"""The ways in which a user has kconform on a host: a checkout, the image of a container, the wheel, the package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from suites.hosts import host_commands
from suites.hosts.distributions import Host

Command = tuple[str, ...]

WHEELS = "/srv/wheels"
"""The directory of the wheel on the host."""
PACKAGES = "/srv/packages"
"""The directory of the Debian package on the host."""
EMPTY = "/srv/empty"
KCONFORM = f"{host_commands.HOME}/.local/bin/kconform"
"""Where pipx puts the command."""


@dataclass(frozen=True)
class TrialWay:
    files: str
    """The directory on the host to which the project's files are copied."""
    folder: str
    """The directory in which commands run; it is empty if it is not that of the files."""
    install: Sequence[Command]
    """The commands before the main job."""
    main_job: Callable[[Host, Sequence[str]], list[str]]
    report: str
    """The report of the last run, below `folder`."""
    quick: Command = ()
    """The project's own quick tests; empty without a checkout."""
    versions: Mapping[str, Command] = field(default_factory=dict)
    """The commands that print the versions of programs, by name."""


_VERSIONS: Mapping[str, Command] = {
    "python": ("python3", "--version"),
    "qemu": ("sh", "-c", "qemu-system-$(uname -m) --version"),
}

CHECKOUT = TrialWay(
    files=host_commands.CHECKOUT,
    folder=host_commands.CHECKOUT,
    install=(host_commands.UPDATE, host_commands.INSTALL_TOX),
    main_job=host_commands.main_job,
    report="reports/out/latest",
    quick=host_commands.QUICK,
    versions={"tox": ("tox", "--version"), **_VERSIONS},
)

CONTAINER = TrialWay(
    files=host_commands.CHECKOUT,
    folder=host_commands.CHECKOUT,
    install=(
        host_commands.UPDATE,
        ("apt-get", "install", "-y", "tox", "git", "debootstrap", "podman", "uidmap", "util-linux-extra"),
        ("git", "init", "--quiet"),
    ),
    # It chooses the kernel itself, which is one for the image's distribution and not for the host's.
    main_job=lambda _, arguments: ["tox", "-e", "container", "--", *arguments],
    report="reports/out/container/reports/latest",
    versions={"tox": ("tox", "--version"), "podman": ("podman", "--version")},
)
"""The container's image, built and run by the host's podman.  `tox -e container` asks git for the project's files."""


def of_wheel(name: str) -> TrialWay:
    """The way of a wheel with this file name, with nothing installed but pipx."""
    return TrialWay(
        files=WHEELS,
        folder=EMPTY,
        install=(
            host_commands.UPDATE,
            ("apt-get", "install", "-y", "--no-install-recommends", "pipx"),
            ("pipx", "install", f"{WHEELS}/{name}"),
            (KCONFORM, "doctor", "--install", "--yes"),
        ),
        main_job=lambda host, arguments: [KCONFORM, *host_commands.with_kernel(host, arguments)],
        report="kconform-reports/latest",
        versions=_VERSIONS,
    )


def of_package(name: str) -> TrialWay:
    """The way of a Debian package with this file name.  Its user is not root, and so cannot install what it lacks."""
    user = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "env", f"HOME={EMPTY}")
    return TrialWay(
        files=PACKAGES,
        folder=EMPTY,
        install=(
            host_commands.UPDATE,
            ("apt-get", "install", "-y", "--no-install-recommends", f"{PACKAGES}/{name}"),
            ("chown", "nobody:nogroup", EMPTY),
        ),
        main_job=lambda host, arguments: [*user, "kconform", *host_commands.with_kernel(host, arguments)],
        report="kconform-reports/latest",
        versions=_VERSIONS,
    )
