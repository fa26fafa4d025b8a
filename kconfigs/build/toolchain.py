# SPDX-License-Identifier: GPL-2.0-or-later
"""The compiler and its kin that build kernels, chosen by the variables that Kbuild knows.

LLVM, CROSS_COMPILE, CC, HOSTCC and KCFLAGS are taken from the environment, as `LLVM=1 tox -- --kernel=.` gives them
(Documentation/kbuild/llvm.rst).  They are a part of a kernel's identity, as are the versions of the tools.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import PurePath

from common.errors import KconformError, UsageError
from common.text import printable
from kconfigs.architectures import Architecture, machine

VARIABLES = ("LLVM", "CROSS_COMPILE", "CC", "HOSTCC", "KCFLAGS")


@dataclass(frozen=True)
class Toolchain:
    llvm: str = ""
    """1, a suffix such as -19, or a directory that ends with a slash; 0 is GNU's, as no value is."""
    cross_compile: str = ""
    """The prefix of the tools."""
    cc: str = ""
    hostcc: str = ""
    kcflags: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Toolchain:
        given = {name.lower(): environment.get(name, "").strip() for name in VARIABLES}
        if given["llvm"] == "0":
            given["llvm"] = ""
        return cls(**given)

    def targeting(self, arch: Architecture) -> Toolchain:
        """The same tools for kernels of an architecture: GNU's for another one than this machine's have a prefix.

        clang needs none; Kbuild tells it the target.
        """
        if arch.name == machine() or self.cross_compile or self.llvm:
            return self
        return replace(self, cross_compile=f"{arch.gnu}-")

    @property
    def compiler(self) -> str:
        return self.cc or self._tool("clang", "gcc")

    @property
    def host_compiler(self) -> str:
        if self.hostcc:
            return self.hostcc
        return self._llvm_tool("clang") if self.llvm else "gcc"

    @property
    def linker(self) -> str:
        return self._tool("ld.lld", "ld")

    @property
    def gcov(self) -> str | None:
        """The program that reads the counters of this gcc's code: gcov-12 for gcc-12.  None if clang compiles."""
        path = PurePath(_program(self.compiler))
        if _is_clang(self.compiler):
            return None
        return str(path.with_name(re.sub(r"gcc(?=(-[\d.]+)?$)", "gcov", path.name)))

    @property
    def uses_clang(self) -> bool:
        """Whether clang compiles the kernel, or the programs that Kbuild runs on the way."""
        return _is_clang(self.compiler) or _is_clang(self.host_compiler)

    def make_arguments(self) -> list[str]:
        """Kbuild's arguments.  ccache, if it is installed, is put in front of compilers that have no wrapper."""
        arguments = [f"CC={_cached(self.compiler)}", f"HOSTCC={_cached(self.host_compiler)}"]
        # No temporary assembler files.
        arguments.append(f"KCFLAGS=-pipe {self.kcflags}".rstrip())
        arguments += [f"LLVM={self.llvm}"] if self.llvm else []
        arguments += [f"CROSS_COMPILE={self.cross_compile}"] if self.cross_compile else []
        return arguments

    def kconfig_variables(self, arch: Architecture) -> dict[str, str]:
        """What Kconfig reads of the tools, as Kbuild's top Makefile exports it.  KconformError as for `identity`."""
        binutils = {name: self._tool(f"llvm-{name.lower()}", name.lower()) for name in _BINUTILS}
        return {
            "CC": self.compiler,
            "CLANG_FLAGS": f"--target={arch.gnu} -fintegrated-as" if _is_clang(self.compiler) else "",
            "CC_VERSION_TEXT": _version(_program(self.compiler)),
            "HOSTCC": self.host_compiler,
            "LD": self.linker,
            **binutils,
        }

    def identity(self) -> str:
        """What distinguishes kernels that this and another toolchain build.  KconformError if it is not installed.

        The usual one is only its versions.
        """
        versions = [_version(_program(tool)) for tool in (self.compiler, self.linker)]
        given = [f"{name}={value}" for name in VARIABLES if (value := getattr(self, name.lower()))]
        return "\n".join([*versions, *given])

    def _tool(self, of_llvm: str, of_gnu: str) -> str:
        return self._llvm_tool(of_llvm) if self.llvm else self.cross_compile + of_gnu

    def _llvm_tool(self, name: str) -> str:
        if self.llvm.endswith("/"):
            return self.llvm + name
        return name + (self.llvm if self.llvm.startswith("-") else "")


_BINUTILS = ("AR", "NM", "OBJCOPY", "READELF")

WRAPPERS = frozenset({"ccache", "distcc", "icecc", "sccache"})
"""Programs that are written in front of a compiler, as in CC="ccache gcc"."""


def _words(tool: str) -> list[str]:
    try:
        return shlex.split(tool)
    except ValueError as error:
        raise UsageError(f"{printable(tool)} is not a compiler: {error}", hint="check CC and HOSTCC") from error


def _program(tool: str) -> str:
    """The program that compiles, and not a wrapper in front of it: that one's version says nothing."""
    words = _words(tool)
    compilers = [word for word in words if PurePath(word).name not in WRAPPERS]
    return (compilers or words)[0]


def _is_clang(compiler: str) -> bool:
    return "clang" in _version(_program(compiler))


def _cached(compiler: str) -> str:
    is_wrapped = PurePath(_words(compiler)[0]).name in WRAPPERS
    return compiler if is_wrapped or not shutil.which("ccache") else f"ccache {compiler}"


@cache
def _version(tool: str) -> str:
    try:
        done = subprocess.run(
            [tool, "--version"], capture_output=True, encoding="utf-8", errors="replace", check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise KconformError(
            f"building a kernel needs {tool}, which is not installed",
            hint="install a C toolchain, or test a kernel that is built already; doctor --arch=NAME --install has the"
            " tools for another architecture",
        ) from error
    return done.stdout.splitlines()[0]
