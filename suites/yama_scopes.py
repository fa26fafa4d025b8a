# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels that begin with a scope of Yama in which most tests cannot trace: 2, which needs a capability, or 3."""

from __future__ import annotations

from typing import cast

import pytest

from guests.guest import Guest
from kconfigs.builtin_command_line import BuiltinCommandLine
from kconfigs.kernel import Kernel

SCOPE = "kernel.yama.ptrace_scope"
RELATIONAL, CAPABLE, NO_ATTACH = "1", "2", "3"
"""Some of its values (Documentation/admin-guide/LSM/Yama.rst)."""


def at_boot(request: pytest.FixtureRequest) -> str:
    """The scope that the command line of a test's boot sets (fs/proc/proc_sysctl.c, do_sysctl_args()), or empty."""
    kernel = cast(Kernel, request.getfixturevalue("kernel"))
    boot = request.node.get_closest_marker("boot")
    arguments = [*kernel.arguments, *request.config.option.append, *(boot.args if boot else ())]
    return BuiltinCommandLine.of(kernel.config).followed_by(arguments).value(f"sysctl.{SCOPE}") or ""


def skip_without_attach(request: pytest.FixtureRequest) -> None:
    """Skip a test, before a boot, if its area traces and the kernel begins with the scope that cannot be left."""
    if "guest" in request.fixturenames and at_boot(request) == NO_ATTACH:
        pytest.skip(f"for a kernel whose tasks can be traced: {SCOPE} is {NO_ATTACH} from the boot on")


def let_trace(request: pytest.FixtureRequest, guest: Guest) -> None:
    """Lower the scope to the one in which parents trace their children, if it is higher."""
    scope = at_boot(request) if guest.disposable else guest.sysctl(SCOPE) if guest.exists(_FILE) else ""
    if scope == CAPABLE:
        guest.set_sysctl(SCOPE, RELATIONAL)
    elif scope == NO_ATTACH:
        pytest.skip(f"for a kernel whose tasks can be traced: {SCOPE} is {NO_ATTACH}, which cannot be changed")


_FILE = "/proc/sys/" + SCOPE.replace(".", "/")
