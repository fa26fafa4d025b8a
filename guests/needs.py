# SPDX-License-Identifier: GPL-2.0-or-later
"""What this machine must have besides Python: a table, how each line of it is found, and apt's part in getting it.

Nothing here is imported by the rest: whoever needs a program says so itself when it is missing.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from common.errors import KconformError
from guests.qemu import qemu_version

SYSTEM_PATH = "/usr/sbin:/sbin"
"""Where Debian keeps programs that only root's PATH finds."""

_QEMU_PACKAGES = {"x86_64": "qemu-system-x86", "aarch64": "qemu-system-arm"}


@dataclass(frozen=True)
class Need:
    """A program, or a header of C, and what happens without it."""

    name: str
    package: str
    """Debian's and Ubuntu's."""
    why: str
    header: bool = False
    required: bool = True
    """Without it something essential fails; otherwise something is slower, or some kernels cannot be tested."""
    oldest: tuple[int, ...] = ()
    """The first version that will do."""


def needs(arch: str | None = None) -> tuple[Need, ...]:
    """Everything that a machine of this architecture needs, by default this machine."""
    arch = arch or platform.machine()
    qemu = Need(f"qemu-system-{arch}", _QEMU_PACKAGES.get(arch, "qemu-system-misc"), "runs the guests", oldest=(7, 0))
    return (qemu, *_NEEDS)


_NEEDS = (
    Need("setpriv", "util-linux", "ends QEMU and compilers with the run"),
    Need("mksquashfs", "squashfs-tools", "makes read-only disks of guests"),
    Need("mke2fs", "e2fsprogs", "makes writable disks of guests"),
    Need("veritysetup", "cryptsetup-bin", "makes verified disks of guests"),
    Need("ldd", "libc-bin", "finds the libraries of programs that guests run"),
    Need("cc", "gcc", "compiles the agent"),
    Need("linux/types.h", "linux-libc-dev", "the agent's only headers", header=True),
    Need("gcc", "gcc", "compiles kernels"),
    Need("ld", "binutils", "links kernels"),
    Need("make", "make", "builds kernels"),
    Need("flex", "flex", "builds Kconfig's parser"),
    Need("bison", "bison", "builds Kconfig's parser"),
    Need("bc", "bc", "computes a kernel's time constants"),
    Need("stdlib.h", "libc6-dev", "a kernel's build compiles tools of its own", header=True),
    Need("gelf.h", "libelf-dev", "objtool, a part of a kernel's build", header=True),
    Need("tar", "tar", "unpacks the distribution's kernel source"),
    Need("xz", "xz-utils", "unpacks the distribution's kernel source"),
    Need("openssl/bio.h", "libssl-dev", "kernel trees with keys of their own", header=True, required=False),
    Need("zstd", "zstd", "unpacks images, modules and packages that it has packed", required=False),
    Need("ccache", "ccache", "a kernel's second build takes a third of the time", required=False),
    Need(
        "sys/capability.h",
        "libcap-dev",
        "upstream's selftest, beside which ours is timed",
        header=True,
        required=False,
    ),
    Need("git", "git", "names the commit of a kernel tree, and of this suite", required=False),
)


@dataclass(frozen=True)
class Found:
    """What this machine has of it."""

    there: Mapping[Need, str]
    """Each need that is met, with the place where."""
    too_old: Mapping[Need, str] = field(default_factory=dict)
    """Each need that is there in a version that will not do, with that version."""

    def missing(self, wanted: Iterable[Need]) -> list[Need]:
        """Those that are not there at all."""
        return [need for need in wanted if need not in self.there and need not in self.too_old]


def look(wanted: Sequence[Need]) -> Found:
    """Find what is there."""
    there, too_old = {}, {}
    for need in wanted:
        if need.header:
            continue
        path = find_program(need.name)
        if path is None:
            continue
        version = _version_of(path) if need.oldest else ()
        if version < need.oldest:
            too_old[need] = ".".join(map(str, version)) or "an unknown version"
        else:
            there[need] = path
    headers = [need for need in wanted if need.header]
    readable = find_headers([need.name for need in headers])
    there |= {need: "there" for need in headers if need.name in readable}
    return Found(MappingProxyType(there), MappingProxyType(too_old))


def find_program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=SYSTEM_PATH)


def find_headers(names: Sequence[str]) -> set[str]:
    """Those that the C compiler finds; none without a compiler.  It is run once for all of them."""
    compiler = find_program("cc")
    if compiler is None:
        return set()
    lines = [f"#if __has_include(<{name}>)\nfound {number}\n#endif" for number, name in enumerate(names)]
    done = subprocess.run(
        [compiler, "-E", "-P", "-x", "c", "-"],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    return {names[int(number)] for number in re.findall(r"^found (\d+)$", done.stdout, re.MULTILINE)}


def _version_of(path: str) -> tuple[int, ...]:
    match = re.search(r"version (\d+(?:\.\d+)+)", qemu_version(path))
    return tuple(int(part) for part in match[1].split(".")) if match else ()


# apt


def packages_of(missing: Iterable[Need]) -> list[str]:
    """The Debian packages of these needs, each once, in order."""
    return list(dict.fromkeys(need.package for need in missing))


def has_apt() -> bool:
    return shutil.which("apt-get") is not None


def privilege() -> list[str] | None:
    """What to write before a command to run it as root without being asked for anything; None if we may not."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo is None:
        return None
    allowed = subprocess.run([sudo, "-n", "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return [sudo, "-n"] if allowed.returncode == 0 else None


def install_command(packages: Sequence[str]) -> list[str]:
    return ["apt-get", "install", "-y", "--no-install-recommends", *packages]


def shown_command(packages: Sequence[str]) -> str:
    """The one line that a user can copy."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get update && {sudo}{' '.join(install_command(packages))}"


def install(packages: Sequence[str], prefix: Sequence[str]) -> None:
    """Install packages without a question.  KconformError, with what apt said last, if it cannot."""
    # env, because sudo lets no variable of ours pass.  Where another apt is at work, ours waits for it.
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_SUSPEND=1", "LC_ALL=C", "apt-get"]
    apt += ["-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"]
    wanted = [*apt, *install_command(packages)[1:]]
    # Lists that are missing or old show here: a package that is unknown, or of a version that has gone.
    if _run(wanted)[0] == 0:
        return
    status, said = _run([*apt, "update"])
    if status == 0:
        status, said = _run(wanted)
    if status:
        raise KconformError(
            f"apt-get failed with status {status}; it said last:\n    " + "\n    ".join(said[-8:]),
            hint="look at the network and at apt's sources, then try again",
        )


def _run(command: Sequence[str]) -> tuple[int, list[str]]:
    """Its exit status, and the lines that it printed."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return done.returncode, [line for line in done.stdout.splitlines() if line.strip()]
