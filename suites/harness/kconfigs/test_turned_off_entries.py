# SPDX-License-Identifier: GPL-2.0-or-later
"""Which arguments of a kernel take away a system call entry that its configuration has."""

from __future__ import annotations

import contextlib
import re

import pytest

from kconfigs.builtin_command_line import BuiltinCommandLine
from kconfigs.kconfig import Config
from kconfigs.needed_options import skip_without_entry


def line_of(*arguments: str) -> BuiltinCommandLine:
    return BuiltinCommandLine.of(Config({})).followed_by(arguments)


@pytest.mark.parametrize(
    ("option", "arguments", "reason"),
    [
        ("IA32_EMULATION", ["ia32_emulation=0"], "needs CONFIG_IA32_EMULATION, which ia32_emulation=0 turns off"),
        ("IA32_EMULATION", ["ia32_emulation=1", "ia32_emulation=n"], "which ia32_emulation=n turns off"),
        ("X86_X32_ABI", ["syscall.x32=n"], "needs CONFIG_X86_X32_ABI, which syscall.x32=n turns off"),
        ("IA32_EMULATION", ["ia32_emulation=off", "ia32_emulation=on"], ""),
        ("IA32_EMULATION", ["syscall.x32=n"], ""),
        ("NET", ["ia32_emulation=0"], ""),
        ("IA32_EMULATION", [], ""),
    ],
)
def test_an_argument_that_turns_off_an_entry(option: str, arguments: list[str], reason: str) -> None:
    """The last argument counts, and only for its own option."""
    refused = pytest.raises(pytest.skip.Exception, match=re.escape(reason)) if reason else contextlib.nullcontext()
    with refused:
        skip_without_entry(option, line_of(*arguments))
