# SPDX-License-Identifier: GPL-2.0-or-later
"""The programs, headers and libraries that this project needs besides Python: a table, and how each is found.

Their packages are in guests.host.packages.  Only these two modules use the table: other code that needs a program
reports by itself if it is missing.
"""

from __future__ import annotations

import ctypes
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from guests.abis import COMPAT
from guests.errors import QemuError
from guests.vm.qemu_process import qemu_version
from guests.vm.qemu_program import find_qemu
from kconfigs.architectures import ARCHITECTURES, Architecture

_QEMU = "qemu-system-"
RUNS_GUESTS = "runs the guests"
"""What QEMU is needed for, whichever it is."""

SYSTEM_PATH = "/usr/sbin:/sbin"
"""Directories in which Debian has programs, but which are only in root's PATH."""


@dataclass(frozen=True)
class Dependency:
    """A program, C header or shared library, and what it is needed for."""

    name: str
    why: str
    kind: Literal["program", "header", "library"] = "program"
    required: bool = True
    """Whether anything essential fails without it; otherwise a step is slower, or some kernels cannot be tested."""
    oldest: tuple[int, ...] = ()
    """The oldest version that is sufficient."""
    help_names: str = ""
    """An option that its --help must list: BusyBox has a program of the same name without it."""
    compiler: str = "cc"
    """What must find the header, whose name comes first in `name`."""


def list_dependencies(
    arch: str | None = None, guests: Iterable[str] = (), qemu: str | None = None
) -> tuple[Dependency, ...]:
    """All dependencies on a machine of this architecture (by default, this machine's), for kernels of others, too.

    `qemu` is the program that runs all guests, if the user names one.
    """
    arch = arch or platform.machine()
    foreign = [ARCHITECTURES[one] for one in dict.fromkeys(guests) if one != arch]
    of_guests: dict[str, Dependency] = {}
    for one in foreign:
        for dependency in _for_guests_of(one, arch):
            if dependency.name not in of_guests or dependency.required:
                of_guests[dependency.name] = dependency
    own = qemu or f"{_QEMU}{arch}"
    return (
        Dependency(own, RUNS_GUESTS, oldest=(7, 0)),
        *_DEPENDENCIES,
        *(each for each in of_guests.values() if not (qemu and each.name.startswith(_QEMU))),
    )


def _for_guests_of(arch: Architecture, host: str) -> tuple[Dependency, ...]:
    qemu = Dependency(f"{_QEMU}{arch.name}", f"runs guests of {arch.name}", oldest=(7, 0))
    found = [qemu, *_compiler(arch, host, f"compiles the agent for {arch.name}")]
    if arch.name in COMPAT:
        compat = ARCHITECTURES[COMPAT[arch.name].name]
        # A compiler of both is there already.
        if compat.gnu != arch.gnu:
            found += _compiler(compat, host, f"compiles 32-bit programs for guests of {arch.name}", required=False)
    return tuple(found)


def _compiler(arch: Architecture, host: str, why: str, *, required: bool = True) -> list[Dependency]:
    """A cross compiler, unless the host's own is one."""
    if host in ARCHITECTURES and ARCHITECTURES[host].gnu == arch.gnu:
        return []
    compiler = f"{arch.gnu}-gcc"
    headers = f"linux/types.h of {arch.gnu}"
    return [
        Dependency(compiler, why, required=required),
        Dependency(headers, "the only headers that it includes", kind="header", required=required, compiler=compiler),
    ]


_DEPENDENCIES = (
    Dependency("setpriv", "ends QEMU and compilers together with the run", help_names="--pdeathsig"),
    Dependency("mksquashfs", "creates read-only disks for guests"),
    Dependency("mke2fs", "creates writable disks for guests"),
    Dependency("veritysetup", "creates verified disks for guests"),
    Dependency("ldd", "finds the libraries of programs that guests run"),
    Dependency("cc", "finds headers, and compiles the agent if there is no gcc"),
    Dependency("linux/types.h", "the only headers that the agent includes", kind="header"),
    Dependency("libseccomp.so.2", "compiles whole policies into filters", kind="library"),
    Dependency("gcc", "compiles kernels, and the agent"),
    Dependency("ld", "links kernels"),
    Dependency("make", "builds kernels"),
    Dependency("flex", "builds Kconfig's parser"),
    Dependency("bison", "builds Kconfig's parser"),
    Dependency("bc", "computes a kernel's time constants"),
    Dependency("stdlib.h", "kernel builds compile their own tools", kind="header"),
    Dependency("gelf.h", "kernel builds compile objtool", kind="header"),
    Dependency("tar", "unpacks the distribution's kernel source"),
    Dependency("xz", "unpacks the distribution's kernel source"),
    Dependency("openssl/bio.h", "builds kernel trees that have their own keys", kind="header", required=False),
    Dependency("zstd", "unpacks images, modules and packages that are compressed with it", required=False),
    Dependency("ccache", "makes further kernel builds three times as fast", required=False),
    Dependency(
        "sys/capability.h",
        "compiles upstream's selftest, for the benchmark",
        kind="header",
        required=False,
    ),
    Dependency("git", "identifies the commit of a kernel tree, and of this suite", required=False),
)


@dataclass(frozen=True)
class Found:
    """The dependencies that this machine has."""

    present: Mapping[Dependency, str]
    """Each dependency that is met, with its path."""
    too_old: Mapping[Dependency, str] = field(default_factory=dict)
    """Each dependency that is present in a version that is too old, with that version."""

    def missing(self, wanted: Iterable[Dependency]) -> list[Dependency]:
        """Those that are absent."""
        return [
            dependency for dependency in wanted if dependency not in self.present and dependency not in self.too_old
        ]


def find_dependencies(wanted: Sequence[Dependency]) -> Found:
    """Find which of them this machine has."""
    present, too_old = {}, {}
    for dependency in wanted:
        path = _FINDERS[dependency.kind](dependency)
        if path is None:
            continue
        version = _version_of(path) if dependency.oldest else ()
        if version < dependency.oldest:
            too_old[dependency] = ".".join(map(str, version)) or "an unknown version"
        else:
            present[dependency] = path
    headers = [dependency for dependency in wanted if dependency.kind == "header"]
    for compiler in {dependency.compiler for dependency in headers}:
        own = {one.name.partition(" ")[0]: one for one in headers if one.compiler == compiler}
        readable = find_headers(list(own), compiler)
        present |= {dependency: "present" for name, dependency in own.items() if name in readable}
    return Found(MappingProxyType(present), MappingProxyType(too_old))


def _program(dependency: Dependency) -> str | None:
    if dependency.name.startswith(_QEMU):
        try:
            return find_qemu(dependency.name.removeprefix(_QEMU))
        except QemuError:
            return None
    path = find_program(dependency.name)
    return path if path is not None and (not dependency.help_names or dependency.help_names in _help(path)) else None


def _library(dependency: Dependency) -> str | None:
    try:
        ctypes.CDLL(dependency.name)
    except OSError:
        return None
    return "present"


_FINDERS: Mapping[str, Callable[[Dependency], str | None]] = MappingProxyType(
    {
        "program": _program,
        "library": _library,
        # Looked up all at once, because the compiler is slow to start.
        "header": lambda _: None,
    }
)


def find_program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=SYSTEM_PATH)


def find_headers(names: Sequence[str], name: str = "cc") -> set[str]:
    """The headers that a C compiler finds; none without the compiler.  It is run once for all of them."""
    compiler = find_program(name)
    if compiler is None:
        return set()
    lines = [f"#if __has_include(<{name}>)\nfound {number}\n#endif" for number, name in enumerate(names)]
    done = subprocess.run(
        [compiler, "-E", "-P", "-x", "c", "-"],
        input="\n".join(lines) + "\n",
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return {names[int(number)] for number in re.findall(r"^found (\d+)$", done.stdout, re.MULTILINE)}


def _help(path: str) -> str:
    done = subprocess.run([path, "--help"], capture_output=True, encoding="utf-8", errors="replace", check=False)
    return done.stdout + done.stderr


def _version_of(path: str) -> tuple[int, ...]:
    match = re.search(r"version (\d+(?:\.\d+)+)", qemu_version(path))
    return tuple(int(part) for part in match[1].split(".")) if match else ()
