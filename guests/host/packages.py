# SPDX-License-Identifier: GPL-2.0-or-later
"""The packages that provide the dependencies in each family of distributions, and how to install them.

Distributions differ only in data: `FAMILIES` and its two tables.  Whether a dependency is met is not checked here.
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
    """A package manager: its command lines, without the names of packages."""

    program: str
    install: tuple[str, ...]
    """The arguments to install packages."""
    quiet: tuple[str, ...] = ()
    """Further arguments for an unattended installation, before the others."""
    environment: tuple[str, ...] = ()
    refresh: tuple[str, ...] = ()
    """The arguments to update its package lists; none if that alone is harmful, or is done automatically."""
    hint: str = "check the network and the package sources, then try again"

    def command(self, packages: Sequence[str]) -> list[str]:
        return [self.program, *self.install, *packages]

    def shown(self, packages: Sequence[str]) -> str:
        """The command as one line, to be copied by the user."""
        sudo = "" if os.geteuid() == 0 else "sudo "
        lines = [[self.program, *self.refresh]] if self.refresh else []
        return " && ".join(sudo + " ".join(line) for line in [*lines, self.command(packages)])


# If another apt is running, ours waits for it.
_APT = Manager(
    "apt-get",
    install=("install", "-y", "--no-install-recommends"),
    quiet=("-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"),
    environment=("DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_SUSPEND=1"),
    refresh=("update",),
)
# It updates its lists by itself when they are old.
_DNF = Manager("dnf", install=("install", "-y", "--setopt=install_weak_deps=False"), quiet=("-q",))
_ZYPPER = Manager(
    "zypper",
    install=("--non-interactive", "install", "--no-recommends"),
    quiet=("--quiet",),
    refresh=("--non-interactive", "refresh"),
)
# Updating the lists without upgrading everything would be a partial upgrade, which Arch does not support.
_PACMAN = Manager(
    "pacman",
    install=("-S", "--needed", "--noconfirm"),
    quiet=("--noprogressbar",),
    hint="bring the system up to date with `pacman -Syu`, then try again",
)
_APK = Manager("apk", install=("add",), quiet=("--quiet", "--no-progress"), refresh=("update",))


@dataclass(frozen=True)
class DistributionFamily:
    """Distributions with the same package names."""

    name: str
    ids: tuple[str, ...]
    """Their ID or ID_LIKE in /etc/os-release."""
    manager: Manager
    packages: Mapping[str, tuple[str, ...]]
    """By the name of the dependency.  Empty if the family has no package for it."""
    remarks: Mapping[str, str]
    """By the name of the dependency: how to get it, or the consequences of its absence."""

    def packages_for(self, names: Iterable[str]) -> list[str]:
        """The packages for these dependencies, each once, in order."""
        return list(dict.fromkeys(package for name in names for package in self.packages.get(name, ())))

    def remarks_about(self, names: Iterable[str]) -> list[str]:
        """The remarks about these dependencies."""
        return [f"{name}: {self.remarks[name]}" for name in names if name in self.remarks]


# The source of each name, to check them again:
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
# `+` joins packages that are required together.
_TABLE = """
dependency        debian          fedora                 opensuse           arch               alpine
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
"""For x86_64 and aarch64 guests."""
_DEBIAN_CROSS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "aarch64-linux-gnu-gcc": ("gcc-aarch64-linux-gnu",),
        "linux/types.h of aarch64-linux-gnu": ("linux-libc-dev-arm64-cross",),
        "qemu-system-i386": ("qemu-system-x86",),
        "qemu-system-arm": ("qemu-system-arm",),
        "arm-linux-gnueabihf-gcc": ("gcc-arm-linux-gnueabihf",),
        "linux/types.h of arm-linux-gnueabihf": ("linux-libc-dev-armhf-cross",),
        # Since Debian 13, it depends on qemu-system-riscv.
        "qemu-system-riscv64": ("qemu-system-misc",),
        "riscv64-linux-gnu-gcc": ("gcc-riscv64-linux-gnu",),
        "linux/types.h of riscv64-linux-gnu": ("linux-libc-dev-riscv64-cross",),
        "qemu-system-ppc64le": ("qemu-system-ppc",),
        "powerpc64le-linux-gnu-gcc": ("gcc-powerpc64le-linux-gnu",),
        "linux/types.h of powerpc64le-linux-gnu": ("linux-libc-dev-ppc64el-cross",),
        # Since Debian 13, it depends on qemu-system-s390x.
        "qemu-system-s390x": ("qemu-system-misc",),
        "s390x-linux-gnu-gcc": ("gcc-s390x-linux-gnu",),
        "linux/types.h of s390x-linux-gnu": ("linux-libc-dev-s390x-cross",),
        "x86_64-linux-gnu-gcc": ("gcc-x86-64-linux-gnu",),
        "linux/types.h of x86_64-linux-gnu": ("linux-libc-dev-amd64-cross",),
    }
)
"""For kernels of another architecture than the host's.  Other families' names have not been looked up."""


def _column(name: str, qemu: str = "") -> Mapping[str, tuple[str, ...]]:
    """A column of the table; `qemu` is the key of the family's QEMU if that is not the column's name."""
    header, *rows = (line.split() for line in _TABLE.strip().splitlines())
    cells = {row[0]: row[header.index(name)] for row in rows}
    cells |= zip(("qemu-system-x86_64", "qemu-system-aarch64"), _QEMU[qemu or name], strict=True)
    return MappingProxyType({dependency: tuple(cell.split("+")) for dependency, cell in cells.items()})


_NO_REMARKS: Mapping[str, str] = MappingProxyType({})

FAMILIES = (
    DistributionFamily(
        "Debian", ("debian", "ubuntu"), _APT, MappingProxyType({**_column("debian"), **_DEBIAN_CROSS}), _NO_REMARKS
    ),
    DistributionFamily(
        "RHEL and CentOS Stream",
        ("rhel", "centos"),
        _DNF,
        MappingProxyType({**_column("fedora", qemu="rhel"), "ccache": ()}),
        MappingProxyType({"ccache": "it is in EPEL, not in this distribution"}),
    ),
    DistributionFamily("Fedora", ("fedora",), _DNF, _column("fedora"), _NO_REMARKS),
    DistributionFamily("openSUSE", ("opensuse", "suse", "sles"), _ZYPPER, _column("opensuse"), _NO_REMARKS),
    DistributionFamily("Arch Linux", ("arch",), _PACMAN, _column("arch"), _NO_REMARKS),
    DistributionFamily(
        "Alpine Linux",
        ("alpine",),
        _APK,
        _column("alpine"),
        MappingProxyType(
            {
                f"qemu-system-{arch}": "it is in the repository `community`, which /etc/apk/repositories must list"
                for arch in ("x86_64", "aarch64")
            }
            | {"setpriv": "BusyBox's has no --pdeathsig, without which a killed run leaves QEMU processes running"}
        ),
    ),
)


def family_of(os_release: Mapping[str, str]) -> DistributionFamily | None:
    """The family of the distribution with this os-release file (os-release(5)): by ID, or by ID_LIKE, in order."""
    for word in [os_release.get("ID", ""), *os_release.get("ID_LIKE", "").split()]:
        for family in FAMILIES:
            if word in family.ids:
                return family
    return None


def host_family() -> DistributionFamily | None:
    """The family of this machine's distribution."""
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
    """The prefix that runs a command as root without a password prompt; None if that is not permitted."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo is None:
        return None
    allowed = subprocess.run([sudo, "-n", "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return [sudo, "-n"] if allowed.returncode == 0 else None


def install(manager: Manager, packages: Sequence[str], prefix: Sequence[str]) -> None:
    """Install packages without asking.  If that fails, KconformError with the last lines of the manager's output."""
    # env, because sudo does not pass our variables on.
    start = [*prefix, "env", *manager.environment, "LC_ALL=C", manager.program, *manager.quiet]
    wanted = [*start, *manager.install, *packages]
    status, output = _run(wanted)
    if status and manager.refresh:
        # Missing or outdated lists show here: a package is unknown, or its version no longer exists.
        status, output = _run([*start, *manager.refresh])
        if status == 0:
            status, output = _run(wanted)
    if status:
        raise KconformError(
            f"{manager.program} failed with status {status}; it printed:\n    " + "\n    ".join(output[-8:]),
            hint=manager.hint,
        )


def _run(command: Sequence[str]) -> tuple[int, list[str]]:
    """Run a command; return its exit status and the lines that it printed."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return done.returncode, [line for line in done.stdout.splitlines() if line.strip()]
