# SPDX-License-Identifier: GPL-2.0-or-later
"""Kbuild's variables choose the compiler, and distinguish the kernels that it builds."""

from __future__ import annotations

import pytest

from common.errors import KconformError, UsageError
from kconfigs.architectures import ARCHITECTURES
from kconfigs.build import toolchain
from kconfigs.build.toolchain import Toolchain


@pytest.fixture(autouse=True)
def _tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "_version", lambda tool: f"{tool} 1.0")
    monkeypatch.setattr("shutil.which", lambda _: None)


@pytest.mark.parametrize(
    ("environment", "tools", "arguments"),
    [
        pytest.param({}, ("gcc", "gcc", "ld"), ["CC=gcc", "HOSTCC=gcc", "KCFLAGS=-pipe"], id="gnu"),
        pytest.param({"LLVM": "0"}, ("gcc", "gcc", "ld"), ["CC=gcc", "HOSTCC=gcc", "KCFLAGS=-pipe"], id="llvm-0"),
        pytest.param(
            {"LLVM": "1"},
            ("clang", "clang", "ld.lld"),
            ["CC=clang", "HOSTCC=clang", "KCFLAGS=-pipe", "LLVM=1"],
            id="llvm",
        ),
        pytest.param(
            {"LLVM": "-19"},
            ("clang-19", "clang-19", "ld.lld-19"),
            ["CC=clang-19", "HOSTCC=clang-19", "KCFLAGS=-pipe", "LLVM=-19"],
            id="llvm-suffix",
        ),
        pytest.param(
            {"LLVM": "/opt/bin/"},
            ("/opt/bin/clang", "/opt/bin/clang", "/opt/bin/ld.lld"),
            ["CC=/opt/bin/clang", "HOSTCC=/opt/bin/clang", "KCFLAGS=-pipe", "LLVM=/opt/bin/"],
            id="llvm-directory",
        ),
        pytest.param(
            {"CROSS_COMPILE": "x86_64-linux-gnu-"},
            ("x86_64-linux-gnu-gcc", "gcc", "x86_64-linux-gnu-ld"),
            ["CC=x86_64-linux-gnu-gcc", "HOSTCC=gcc", "KCFLAGS=-pipe", "CROSS_COMPILE=x86_64-linux-gnu-"],
            id="cross",
        ),
        pytest.param(
            {"CC": "gcc-13", "KCFLAGS": "-O3 -g"},
            ("gcc-13", "gcc", "ld"),
            ["CC=gcc-13", "HOSTCC=gcc", "KCFLAGS=-pipe -O3 -g"],
            id="compiler-and-flags",
        ),
    ],
)
def test_variables_choose_the_tools(
    environment: dict[str, str], tools: tuple[str, str, str], arguments: list[str]
) -> None:
    chosen = Toolchain.from_environment(environment)
    assert (chosen.compiler, chosen.host_compiler, chosen.linker) == tools
    assert chosen.make_arguments() == arguments


def test_ccache_is_put_in_front_of_compilers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/ccache")
    assert Toolchain(llvm="1").make_arguments()[:2] == ["CC=ccache clang", "HOSTCC=ccache clang"]


@pytest.mark.parametrize("wrapper", ["ccache", "/usr/lib/distcc/distcc", "sccache"])
def test_a_wrapper_is_not_the_compiler(monkeypatch: pytest.MonkeyPatch, wrapper: str) -> None:
    """A compiler of another version builds another kernel, whatever is in front of it."""
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/ccache")
    wrapped = Toolchain(cc=f"{wrapper} gcc-13 -m64")
    assert wrapped.identity().splitlines()[0] == "gcc-13 1.0"
    assert wrapped.make_arguments()[0] == f"CC={wrapper} gcc-13 -m64"


@pytest.mark.parametrize(
    ("chosen", "uses_clang"),
    [
        (Toolchain(), False),
        (Toolchain(cc="ccache gcc-13"), False),
        (Toolchain(llvm="-19"), True),
        (Toolchain(cc="ccache clang"), True),
        (Toolchain(hostcc="clang"), True),
    ],
    ids=["gnu", "another-gcc", "llvm", "cc", "hostcc"],
)
def test_whether_clang_compiles_anything(chosen: Toolchain, uses_clang: bool) -> None:
    assert chosen.uses_clang is uses_clang


def test_kconfig_is_told_the_tools_that_build() -> None:
    """Without these, it would explain another kernel than the one that is built."""
    gnu = Toolchain().kconfig_variables(ARCHITECTURES["x86_64"])
    assert (gnu["CC_VERSION_TEXT"], gnu["OBJCOPY"], gnu["CLANG_FLAGS"]) == ("gcc 1.0", "objcopy", "")
    llvm = Toolchain(llvm="-19").kconfig_variables(ARCHITECTURES["aarch64"])
    assert (llvm["CC_VERSION_TEXT"], llvm["OBJCOPY"]) == ("clang-19 1.0", "llvm-objcopy-19")
    assert llvm["CLANG_FLAGS"] == "--target=aarch64-linux-gnu -fintegrated-as"


def test_a_compiler_that_cannot_be_split_is_wrong_use() -> None:
    with pytest.raises(UsageError, match="gcc 'x is not a compiler: No closing quotation"):
        Toolchain(cc="gcc 'x").identity()


def test_each_variable_makes_another_kernel() -> None:
    """The identity of the usual toolchain is that of its tools alone, so that kernels built before remain valid."""
    usual = Toolchain().identity()
    assert usual == "gcc 1.0\nld 1.0"
    others = [{"LLVM": "1"}, {"CROSS_COMPILE": "x-"}, {"CC": "gcc-13"}, {"HOSTCC": "gcc-13"}, {"KCFLAGS": "-O3"}]
    identities = {Toolchain.from_environment(each).identity() for each in others}
    assert len(identities - {usual}) == len(others)


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(KconformError, match="needs no-such-compiler, which is not installed"):
        Toolchain(cc="no-such-compiler -m64").identity()
