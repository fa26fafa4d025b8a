# SPDX-License-Identifier: GPL-2.0-or-later
"""Command lines that create a host's file system, and that run programs in it.  Pure.

Every command runs in its own mount and PID namespaces, so that its mounts and background processes end with it, even
if it is killed.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from suites.hosts.distributions import Host
from suites.hosts.settings import Bind

HOME = "/root"
CHECKOUT = "/srv/kconform"
"""The path of kconform's files on the host."""

ENVIRONMENT: Mapping[str, str] = {
    "HOME": HOME,
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "TERM": "dumb",
    "DEBIAN_FRONTEND": "noninteractive",
}
"""The environment of programs on the host, in addition to passed variables: root's defaults there."""

UPDATE = ("apt-get", "update", "-qq")
INSTALL_TOX = ("apt-get", "install", "-y", "tox")
"""The first command in README.md."""
QUICK = ("tox", "-e", "quick")


def debootstrap(host: Host, target: str, mirror: str, keyring: Path) -> list[str]:
    """The command that installs a minimal system; without a mirror, debootstrap uses the distribution's own."""
    return [
        "debootstrap",
        "--variant=minbase",
        "--include=ca-certificates",
        f"--components={host.components}",
        f"--keyring={keyring}",
        host.suite,
        target,
        *([mirror] if mirror else []),
    ]


def sources_list(host: Host, mirror: str, security: str) -> str:
    """apt's sources.list on the host, as the distribution's installer writes it."""
    components = host.components.replace(",", " ")
    where = {"-security": security}
    lines = [f"deb {mirror} {host.suite} {components}"]
    lines += [f"deb {where.get(pocket, mirror)} {host.suite}{pocket} {components}" for pocket in host.pockets]
    return "".join(f"{line}\n" for line in lines)


def isolated(script: str) -> list[str]:
    """A shell script in its own namespaces, whose first process is its shell.

    The shell must not replace itself with the script's last command (as dash does), because it has to reap orphans.
    """
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", f"{script}\nexit $?"]


def bootstrapping(command: Sequence[str]) -> list[str]:
    """debootstrap in its own namespaces, because it mounts proc and may not unmount it."""
    return isolated(f"mount -t proc proc /proc && {shlex.join(command)}")


def enter(
    root: Path,
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: str = "/",
    binds: Sequence[Bind] = (),
) -> list[str]:
    """A command on the host below `root`, in a directory of the host, with only this environment.

    The targets of the binds must exist.  The host gets pivot_root(2) instead of chroot(2), after which the kernel
    refuses all new user namespaces (create_user_ns()), and with them rootless containers.
    """
    mounts = [
        ["mount", "--bind", str(root), str(root)],
        ["mount", "-t", "proc", "proc", f"{root}/proc"],
        ["mount", "--rbind", "/dev", f"{root}/dev"],
        ["mount", "--rbind", "/sys", f"{root}/sys"],
        *(
            ["mount", "-o", "bind" if bind.writable else "bind,ro", str(bind.source), f"{root}{bind.target}"]
            for bind in binds
        ),
    ]
    variables = [f"{name}={value}" for name, value in {**ENVIRONMENT, **environment}.items()]
    entering = [["cd", str(root)], ["pivot_root", ".", "."], ["umount", "--lazy", "."]]
    run = ["env", "--ignore-environment", f"--chdir={folder}", *variables, *command]
    return isolated(" && ".join(shlex.join(each) for each in [*mounts, *entering, run]))


def main_job(host: Host, arguments: Sequence[str]) -> list[str]:
    """README's first command with a prebuilt kernel, and with these arguments for pytest."""
    return ["tox", "--", *with_kernel(host, arguments)]


def with_kernel(host: Host, arguments: Sequence[str]) -> list[str]:
    """Arguments for pytest that name a kernel: the host's prebuilt one, if they do not."""
    named = any(word == "--kernel" or word.startswith("--kernel=") for word in arguments)
    return [*([] if named else [f"--kernel={host.kernel}"]), *arguments]
