# SPDX-License-Identifier: GPL-2.0-or-later
"""What a boot loader passes is read from the files that people have."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs import boot_parameters
from kconfigs.builtin_command_line import BuiltinCommandLine, Parameter
from kconfigs.kconfig import Config

ENTRY = """\
title Some Linux (6.12.7)
version 6.12.7
linux /vmlinuz-6.12.7
initrd /initrd-6.12.7.img $tuned_initrd
options root=UUID=1-2 ro lsm=yama,bpf $tuned_params
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cmdline"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        pytest.param("BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro lsm=yama,bpf quiet\n", 1, id="proc-cmdline"),
        pytest.param("# lsm=none\nroot=/dev/vda1\n  lsm=yama,bpf\n", 3, id="etc-kernel-cmdline"),
        pytest.param(ENTRY, 5, id="entry"),
        pytest.param("linux /boot/vmlinuz root=/dev/vda1 lsm=yama,bpf", 1, id="line-of-a-menu"),
    ],
)
def test_each_kind_of_file(file: Path, text: str, where: int) -> None:
    file.write_text(text)
    found = boot_parameters.read(str(file)).parameters
    assert [one for one in found if one.name == "lsm"] == [Parameter("lsm", "yama,bpf", f"{file}:{where}")]


def test_the_end_of_the_kernels_parameters_is_that_of_all_lines(file: Path) -> None:
    file.write_text("a=1 -- b=2\nlsm=yama\n")
    assert [one.name for one in boot_parameters.read(str(file)).parameters] == ["a"]


def test_variables_of_the_boot_loader_are_named(file: Path) -> None:
    file.write_text(ENTRY)
    first, second = boot_parameters.read(str(file)).remarks
    assert first.startswith(f"{file}:4: $tuned_initrd is a variable of the boot loader")
    assert second.startswith(f"{file}:5: $tuned_params is a variable of the boot loader")


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"lsm=yama\n")))
    found = boot_parameters.read("-")
    assert found.parameters == (Parameter("lsm", "yama", "standard input:1"),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cmdline cannot be read: No such file or directory"),
        (b"", "cmdline has no kernel command line: it is empty"),
        (b"# nothing\n\n", "cmdline has no kernel command line: it is empty"),
        (b"root=\xe9", "cmdline:1: not a kernel command line: the file is not UTF-8 text"),
        (b"a" * (64 * 1024 + 1), "cmdline is larger than 64 KiB, which no kernel command line is"),
        (b'# x\nGRUB_CMDLINE_LINUX="lsm=yama"\n', "cmdline:2: not a kernel command line, but a line of GRUB's"),
        (b"set a=b\nmenuentry 'Linux' {\n", "cmdline:2: not a kernel command line, but a line of GRUB's"),
    ],
    ids=["missing", "empty", "comments", "encoding", "size", "default-grub", "grub.cfg"],
)
def test_bad_input(file: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        boot_parameters.read(str(file))


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{tmp_path} cannot be read: Is a directory"):
        boot_parameters.read(str(tmp_path))


@pytest.mark.parametrize(
    ("options", "values"),
    [
        (("X86", "CMDLINE_BOOL"), ["built-in", "passed"]),
        (("X86", "CMDLINE_BOOL", "CMDLINE_OVERRIDE"), ["built-in"]),
        (("X86",), ["passed"]),
        (("ARM64",), ["passed"]),
        (("ARM64", "CMDLINE_FORCE"), ["built-in"]),
    ],
    ids="-".join,
)
def test_both_command_lines_together(options: tuple[str, ...], values: list[str]) -> None:
    lines = ['CONFIG_CMDLINE="lsm=built-in"', *(f"CONFIG_{option}=y" for option in options)]
    line = BuiltinCommandLine.of(Config.parse("\n".join(lines))).booted_with([Parameter("lsm", "passed", "file:1")])
    assert line.values("lsm") == values
    assert ("ignored" in line.caveat) is ("passed" not in values)
