# SPDX-License-Identifier: GPL-2.0-or-later
"""Command lines that build the image of packaging/Containerfile, and that run it.  Pure.

podman runs as an ordinary user.  If root tries the image, that user exists in a mount namespace only, and with it the
files that rootless podman needs: passwd(5), subuid(5) and a home.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from suites.hosts import host_commands
from suites.hosts.settings import Settings

CONTAINERFILE = "packaging/Containerfile"
IMAGE = "localhost/kconform"
BASE = "localhost/kconform-base"
"""The name of a base that is made here, instead of the registry's."""
ARGUMENTS = ("--kernel=deb:linux-image-cloud-amd64", "-k", "talk")
"""kconform's, if none are given."""
CACHE, REPORTS = "/cache", "/srv/kconform-reports"
"""The places in the container that are written to."""
APT_CONF, PIP_CONF = "/etc/apt/apt.conf.d/90network", "/etc/pip.conf"

USER, UID = "kconform-trial", 52000
SUBORDINATE = (5242880, 65536)
"""The user's subordinate ids: the first, and how many."""
HOME = "/media"
"""Every Debian has this directory.  /mnt is where a host has this machine's settings (settings.py)."""

_LEFT_OUT = ("dev/*", "proc/*", "sys/*", "var/lib/apt/lists/*", "var/cache/apt/*", "var/log/*")
"""What a base has and an image does not."""

STEP = "step: "
"""The start of the line before the output of each step."""


@dataclass(frozen=True)
class PodmanFolder:
    """The folder of a trial, as podman sees it: everything that is made is below it."""

    folder: Path

    @property
    def podman(self) -> list[str]:
        """podman, with its own storage."""
        return [
            "podman",
            f"--root={self.folder}/storage",
            f"--runroot={self.folder}/run",
            "--storage-driver=overlay",
            "--cgroup-manager=cgroupfs",
        ]

    @property
    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.folder), "XDG_RUNTIME_DIR": f"{self.folder}/run", "TMPDIR": str(self.folder / "tmp")}


FOLDERS = ("run", "tmp", "wheel", "cache", "reports", "packaging")
"""The directories of a trial, besides podman's storage."""


def pack(root: Path, archive: Path) -> list[str]:
    """The command that packs a base's file system into an archive."""
    excluded = [f"--exclude=./{pattern}" for pattern in _LEFT_OUT]
    return ["tar", "--create", f"--file={archive}", f"--directory={root}", "--numeric-owner", *excluded, "."]


def import_base(place: PodmanFolder) -> list[str]:
    return [*place.podman, "import", "--quiet", f"{place.folder}/base.tar", BASE]


def build(place: PodmanFolder, base: str, settings: Settings) -> list[str]:
    """The command that builds the image; a base that is not named is the one in the Containerfile.

    The settings for network access are mounted, so that neither the image nor its history has them.
    """
    return [
        *place.podman,
        "build",
        f"--tag={IMAGE}",
        f"--file={place.folder}/{CONTAINERFILE}",
        *([f"--build-arg=BASE={base}"] if base else []),
        "--network=host",
        *network(place, settings, (APT_CONF, PIP_CONF)),
        f"{place.folder}/wheel",
    ]


def size(place: PodmanFolder) -> list[str]:
    return [*place.podman, "image", "inspect", "--format={{.Size}} bytes", IMAGE]


def run(
    place: PodmanFolder, settings: Settings, arguments: Sequence[str], user: str, devices: Sequence[str] = ()
) -> list[str]:
    """The command that runs kconform in a container as this UID:GID, as docs/container.md has it."""
    return [
        *place.podman,
        "run",
        "--rm",
        "--userns=keep-id",
        f"--user={user}",
        "--read-only",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        *(f"--device={device}" for device in devices),
        f"--volume={place.folder}/cache:{CACHE}",
        f"--volume={place.folder}/reports:{REPORTS}",
        *network(place, settings, (APT_CONF,)),
        IMAGE,
        *arguments,
    ]


def network(place: PodmanFolder, settings: Settings, files: Sequence[str]) -> list[str]:
    """Options that mount the settings for network access: files of podman's folder, and what they refer to."""
    mounts = [(Path(place.folder, Path(file).name), file) for file in files]
    mounts += [(bind.source, bind.target) for bind in settings.binds]
    return [f"--volume={source}:{target}:ro" for source, target in mounts]


def pip_conf(environment: Mapping[str, str]) -> str:
    """The content of a pip.conf(5) that is equivalent to pip's variables."""
    lines = [
        f"{name.removeprefix('PIP_').lower().replace('_', '-')} = {value}\n"
        for name, value in environment.items()
        if name.startswith("PIP_")
    ]
    return "[global]\n" + "".join(lines)


def script(steps: Mapping[str, Sequence[str]]) -> str:
    """A shell script of these commands, by name, that ends with the first that fails."""
    return " && ".join(f"echo {shlex.quote(STEP + name)} && {shlex.join(words)}" for name, words in steps.items())


def as_caller(place: PodmanFolder, commands: str) -> list[str]:
    """The script with podman's environment."""
    variables = [f"{name}={value}" for name, value in place.environment.items()]
    return ["env", f"--chdir={place.folder}", *variables, "sh", "-c", commands]


def as_trial_user(folder: Path, commands: str) -> list[str]:
    """The script as the trial's user, in namespaces in which `folder` is this user's home.

    The namespaces end podman's own processes with the script.
    """
    replaced = [f"mount --bind {shlex.quote(f'{folder}/{name}')} /etc/{name}" for name in accounts({})]
    prepared = [
        "mount -t proc proc /proc",
        # crun refuses to run beside control groups of both versions, though it needs none.
        "{ ! mountpoint --quiet /sys/fs/cgroup/unified || umount --lazy /sys/fs/cgroup/unified; }",
        # podman's network needs this device, which anybody may open if udev has made it (50-udev-default.rules).
        "{ ! test -c /dev/net/tun || { mount -t tmpfs none /dev/net && mknod --mode=666 /dev/net/tun c 10 200; }; }",
        *replaced,
        f"mount --bind {shlex.quote(str(folder))} {HOME}",
        "mount --make-rshared /",
    ]
    identity = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]
    entered = shlex.join([*identity, *as_caller(PodmanFolder(Path(HOME)), commands)])
    return host_commands.isolated(" && ".join([*prepared, entered]))


def accounts(present: Mapping[str, str]) -> dict[str, str]:
    """The files in /etc that know the trial's user, from the present content of these files."""
    first, count = SUBORDINATE
    lines = {
        "passwd": f"{USER}:x:{UID}:{UID}::{HOME}:/bin/sh\n",
        "group": f"{USER}:x:{UID}:\n",
        "subuid": f"{USER}:{first}:{count}\n",
        "subgid": f"{USER}:{first}:{count}\n",
    }
    return {name: present.get(name, "") + line for name, line in lines.items()}
