# SPDX-License-Identifier: GPL-2.0-or-later
"""What this machine must have besides Python: a table, and how each line of it is found.

What a distribution calls it is in guests.host.packages.  Nothing else imports this module: whatever needs a program
says so itself if it is missing.
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

from guests.errors import QemuError
from guests.vm.qemu_process import qemu_version
from guests.vm.qemu_program import find_qemu

_QEMU = "qemu-system-"

SYSTEM_PATH = "/usr/sbin:/sbin"
"""Where Debian keeps programs that only root's PATH finds."""


@dataclass(frozen=True)
class Need:
    """A program, a header of C or a shared library, and what happens without it."""

    name: str
    why: str
    kind: Literal["program", "header", "library"] = "program"
    required: bool = True
    """Without it something essential fails; otherwise something is slower, or some kernels cannot be tested."""
    oldest: tuple[int, ...] = ()
    """The first version that will do."""
    knows: str = ""
    """An option that its --help must name: there are lesser programs of the same name."""


def needs(arch: str | None = None) -> tuple[Need, ...]:
    """Everything that a machine of this architecture needs, by default this machine."""
    arch = arch or platform.machine()
    return (Need(f"{_QEMU}{arch}", "runs the guests", oldest=(7, 0)), *_NEEDS)


_NEEDS = (
    Need("setpriv", "ends QEMU and compilers with the run", knows="--pdeathsig"),
    Need("mksquashfs", "makes read-only disks of guests"),
    Need("mke2fs", "makes writable disks of guests"),
    Need("veritysetup", "makes verified disks of guests"),
    Need("ldd", "finds the libraries of programs that guests run"),
    Need("cc", "compiles the agent"),
    Need("linux/types.h", "the agent's only headers", kind="header"),
    Need("libseccomp.so.2", "compiles whole policies into filters", kind="library"),
    Need("gcc", "compiles kernels"),
    Need("ld", "links kernels"),
    Need("make", "builds kernels"),
    Need("flex", "builds Kconfig's parser"),
    Need("bison", "builds Kconfig's parser"),
    Need("bc", "computes a kernel's time constants"),
    Need("stdlib.h", "a kernel's build compiles tools of its own", kind="header"),
    Need("gelf.h", "objtool, a part of a kernel's build", kind="header"),
    Need("tar", "unpacks the distribution's kernel source"),
    Need("xz", "unpacks the distribution's kernel source"),
    Need("openssl/bio.h", "kernel trees with keys of their own", kind="header", required=False),
    Need("zstd", "unpacks images, modules and packages that it has packed", required=False),
    Need("ccache", "a kernel's second build takes a third of the time", required=False),
    Need(
        "sys/capability.h",
        "upstream's selftest, beside which ours is timed",
        kind="header",
        required=False,
    ),
    Need("git", "names the commit of a kernel tree, and of this suite", required=False),
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
        path = _FINDERS[need.kind](need)
        if path is None:
            continue
        version = _version_of(path) if need.oldest else ()
        if version < need.oldest:
            too_old[need] = ".".join(map(str, version)) or "an unknown version"
        else:
            there[need] = path
    headers = [need for need in wanted if need.kind == "header"]
    readable = find_headers([need.name for need in headers])
    there |= {need: "there" for need in headers if need.name in readable}
    return Found(MappingProxyType(there), MappingProxyType(too_old))


def _program(need: Need) -> str | None:
    if need.name.startswith(_QEMU):
        try:
            return find_qemu(need.name.removeprefix(_QEMU))
        except QemuError:
            return None
    path = find_program(need.name)
    return path if path is not None and (not need.knows or need.knows in _help(path)) else None


def _library(need: Need) -> str | None:
    try:
        ctypes.CDLL(need.name)
    except OSError:
        return None
    return "there"


_FINDERS: Mapping[str, Callable[[Need], str | None]] = MappingProxyType(
    {
        "program": _program,
        "library": _library,
        # All at once, because the compiler is slow to start.
        "header": lambda _: None,
    }
)


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


def _help(path: str) -> str:
    done = subprocess.run([path, "--help"], capture_output=True, text=True, errors="replace", check=False)
    return done.stdout + done.stderr


def _version_of(path: str) -> tuple[int, ...]:
    match = re.search(r"version (\d+(?:\.\d+)+)", qemu_version(path))
    return tuple(int(part) for part in match[1].split(".")) if match else ()
