# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages: what each family of distributions calls what a machine needs, and how it installs that.

Distributions differ in data only: `FAMILIES` and the two tables in it.  Nothing here asks whether a need is met.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from common.errors import KconformError


@dataclass(frozen=True)
class Manager:
    """A package manager: its command lines, each without the names of packages."""

    program: str
    install: tuple[str, ...]
    """The arguments with which a user installs."""
    quiet: tuple[str, ...] = ()
    """Further arguments, before the others, where nobody watches."""
    environment: tuple[str, ...] = ()
    refresh: tuple[str, ...] = ()
    """The arguments that fetch its lists of packages; none if doing only that can harm, or happens anyway."""
    hint: str = "look at the network and at the package manager's sources, then try again"

    def command(self, packages: Sequence[str]) -> list[str]:
        return [self.program, *self.install, *packages]

    def shown(self, packages: Sequence[str]) -> str:
        """The one line that a user can copy."""
        sudo = "" if os.geteuid() == 0 else "sudo "
        lines = [[self.program, *self.refresh]] if self.refresh else []
        return " && ".join(sudo + " ".join(line) for line in [*lines, self.command(packages)])


# Where another apt is at work, ours waits for it.
_APT = Manager(
    "apt-get",
    install=("install", "-y", "--no-install-recommends"),
    quiet=("-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"),
    environment=("DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_SUSPEND=1"),
    refresh=("update",),
)
# It fetches its lists itself when they are old.
_DNF = Manager("dnf", install=("install", "-y", "--setopt=install_weak_deps=False"), quiet=("-q",))
_ZYPPER = Manager(
    "zypper",
    install=("--non-interactive", "install", "--no-recommends"),
    quiet=("--quiet",),
    refresh=("--non-interactive", "refresh"),
)
# Fresh lists without an upgrade of everything are a partial upgrade, which Arch does not support.
_PACMAN = Manager(
    "pacman",
    install=("-S", "--needed", "--noconfirm"),
    quiet=("--noprogressbar",),
    hint="bring the system up to date with `pacman -Syu`, then try again",
)
_APK = Manager("apk", install=("add",), quiet=("--quiet", "--no-progress"), refresh=("update",))


@dataclass(frozen=True)
class Family:
    """Distributions that call packages alike."""

    name: str
    ids: tuple[str, ...]
    """What they are called in /etc/os-release, as ID or ID_LIKE."""
    manager: Manager
    packages: Mapping[str, tuple[str, ...]]
    """By the name of the need.  Empty: the family has no package for it."""
    remarks: Mapping[str, str]
    """By the name of the need: what one has to know to get it, or what follows without it."""

    def offers(self, names: Iterable[str]) -> list[str]:
        """The packages for these needs, each once, in order."""
        return list(dict.fromkeys(package for name in names for package in self.packages.get(name, ())))

    def told(self, names: Iterable[str]) -> list[str]:
        """The remarks about these needs."""
        return [f"{name}: {self.remarks[name]}" for name in names if name in self.remarks]


# Where each name was found, for those who check them again:
#   Debian     the index of Debian 12
#   Fedora     %files in the specs of Fedora 42 (dist-git): qemu 9.2.0, util-linux 2.40.4, squashfs-tools, e2fsprogs,
#              cryptsetup, glibc, gcc, kernel-headers, libseccomp, binutils, make, flex, bison, bc, elfutils, tar, xz,
#              openssl, zstd, ccache, libcap, git
#   RHEL       Fedora's names; qemu-kvm: libvirt-ci, lcitool/facts/mappings.yml, for CentOS Stream 9 and 10;
#              ccache: Fedora's package index, which has it for EPEL only
#   openSUSE   %files in the specs of Factory: qemu (x86, accel-tcg-x86), util-linux 2.42, squashfs, cryptsetup,
#              glibc, linux-glibc-devel, elfutils, openssl; libvirt-ci's mappings.yml for the others
#   Arch       PKGBUILD of elfutils (the headers are in libelf), linux-api-headers, squashfs-tools and util-linux; the
#              other packages have the name of what they contain
#   Alpine     APKBUILD in aports: community/qemu (a package for each qemu-system-*), util-linux (setpriv is one),
#              musl (ldd is in musl-utils), gcc (cc is in it), elfutils, cryptsetup and squashfs-tools; libvirt-ci's
#              mappings.yml for musl-dev, Alpine's package index for libcap-dev and ccache
#
# `+` joins packages that are needed together.
_TABLE = """
need              debian          fedora                 opensuse           arch               alpine
setpriv           util-linux      util-linux             util-linux         util-linux         setpriv
mksquashfs        squashfs-tools  squashfs-tools         squashfs           squashfs-tools     squashfs-tools
mke2fs            e2fsprogs       e2fsprogs              e2fsprogs          e2fsprogs          e2fsprogs
veritysetup       cryptsetup-bin  veritysetup            cryptsetup         cryptsetup         cryptsetup
ldd               libc-bin        glibc-common           glibc              glibc              musl-utils
cc                gcc             gcc                    gcc                gcc                gcc
linux/types.h     linux-libc-dev  kernel-headers         linux-glibc-devel  linux-api-headers  linux-headers
libseccomp.so.2   libseccomp2     libseccomp             libseccomp2        libseccomp         libseccomp
gcc               gcc             gcc                    gcc                gcc                gcc
ld                binutils        binutils               binutils           binutils           binutils
make              make            make                   make               make               make
flex              flex            flex                   flex               flex               flex
bison             bison           bison                  bison              bison              bison
bc                bc              bc                     bc                 bc                 bc
stdlib.h          libc6-dev       glibc-devel            glibc-devel        glibc              musl-dev
gelf.h            libelf-dev      elfutils-libelf-devel  libelf-devel       libelf             elfutils-dev
tar               tar             tar                    tar                tar                tar
xz                xz-utils        xz                     xz                 xz                 xz
openssl/bio.h     libssl-dev      openssl-devel          libopenssl-devel   openssl            openssl-dev
zstd              zstd            zstd                   zstd               zstd               zstd
ccache            ccache          ccache                 ccache             ccache             ccache
sys/capability.h  libcap-dev      libcap-devel           libcap-devel       libcap             libcap-dev
git               git             git-core               git-core           git                git
"""
_QEMU = {
    "debian": ("qemu-system-x86", "qemu-system-arm"),
    "fedora": ("qemu-system-x86-core", "qemu-system-aarch64-core"),
    "rhel": ("qemu-kvm", "qemu-kvm"),
    "opensuse": ("qemu-x86+qemu-accel-tcg-x86", "qemu-arm"),
    "arch": ("qemu-system-x86", "qemu-system-aarch64"),
    "alpine": ("qemu-system-x86_64", "qemu-system-aarch64"),
}
"""For guests of x86_64 and of aarch64."""


def _column(name: str, qemu: str = "") -> Mapping[str, tuple[str, ...]]:
    """A column of the table; `qemu` is the key of the family's QEMU where that is not the column's name."""
    header, *rows = (line.split() for line in _TABLE.strip().splitlines())
    cells = {row[0]: row[header.index(name)] for row in rows}
    cells |= zip(("qemu-system-x86_64", "qemu-system-aarch64"), _QEMU[qemu or name], strict=True)
    return MappingProxyType({need: tuple(cell.split("+")) for need, cell in cells.items()})


_NO_REMARKS: Mapping[str, str] = MappingProxyType({})

FAMILIES = (
    Family("Debian", ("debian", "ubuntu"), _APT, _column("debian"), _NO_REMARKS),
    Family(
        "RHEL and CentOS Stream",
        ("rhel", "centos"),
        _DNF,
        MappingProxyType({**_column("fedora", qemu="rhel"), "ccache": ()}),
        MappingProxyType({"ccache": "EPEL has it, this distribution does not"}),
    ),
    Family("Fedora", ("fedora",), _DNF, _column("fedora"), _NO_REMARKS),
    Family("openSUSE", ("opensuse", "suse", "sles"), _ZYPPER, _column("opensuse"), _NO_REMARKS),
    Family("Arch Linux", ("arch",), _PACMAN, _column("arch"), _NO_REMARKS),
    Family(
        "Alpine Linux",
        ("alpine",),
        _APK,
        _column("alpine"),
        MappingProxyType(
            {
                f"qemu-system-{arch}": "it is in the repository `community`, which /etc/apk/repositories must name"
                for arch in ("x86_64", "aarch64")
            }
            | {"setpriv": "that of BusyBox has no --pdeathsig, without which a killed run leaves QEMUs behind"}
        ),
    ),
)


def family_of(os_release: Mapping[str, str]) -> Family | None:
    """The family of the distribution with this os-release file (os-release(5)): by ID, else by ID_LIKE, in order."""
    for word in [os_release.get("ID", ""), *os_release.get("ID_LIKE", "").split()]:
        for family in FAMILIES:
            if word in family.ids:
                return family
    return None


def host_family() -> Family | None:
    """This machine's."""
    try:
        return family_of(platform.freedesktop_os_release())
    except OSError:
        return None


def usable(manager: Manager) -> bool:
    return shutil.which(manager.program) is not None


def has_apt() -> bool:
    """Whether this machine can fetch Debian's kernels and their source (kconfigs.apt)."""
    return bool(shutil.which("apt-get") and shutil.which("apt-cache"))


def privilege() -> list[str] | None:
    """What to write before a command to run it as root without being asked for anything; None if we may not."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo is None:
        return None
    allowed = subprocess.run([sudo, "-n", "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return [sudo, "-n"] if allowed.returncode == 0 else None


def install(manager: Manager, packages: Sequence[str], prefix: Sequence[str]) -> None:
    """Install packages without a question.  KconformError, with what the manager said last, if it cannot."""
    # env, because sudo lets no variable of ours pass.
    start = [*prefix, "env", *manager.environment, "LC_ALL=C", manager.program, *manager.quiet]
    wanted = [*start, *manager.install, *packages]
    status, said = _run(wanted)
    if status and manager.refresh:
        # Lists that are missing or old show here: a package that is unknown, or of a version that has gone.
        status, said = _run([*start, *manager.refresh])
        if status == 0:
            status, said = _run(wanted)
    if status:
        raise KconformError(
            f"{manager.program} failed with status {status}; it said last:\n    " + "\n    ".join(said[-8:]),
            hint=manager.hint,
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
