# SPDX-License-Identifier: GPL-2.0-or-later
"""The 32-bit tasks of the suites."""

from __future__ import annotations

from typing import cast

import pytest

from guests.abi import COMPAT, AgentProgram
from guests.guest import Guest
from guests.vm import initramfs
from kconfigs.cache import Cache
from kconfigs.kernel import Kernel


@pytest.fixture
def compat(request: pytest.FixtureRequest, kernel: Kernel, _applies: None) -> AgentProgram:
    """The program by which a task of the guest becomes a 32-bit task (`Task.become`).

    Skip, before a boot if the test names this fixture first, if the kernel or the compiler has no such programs.
    """
    abi = COMPAT.get(kernel.arch)
    if abi is None:
        pytest.skip(f"needs 32-bit programs, and the agent has none for {kernel.arch}")
    if not kernel.config.enabled(abi.option):
        pytest.skip(f"needs CONFIG_{abi.option}")
    if not initramfs.compiles(abi.name):
        pytest.skip(f"needs a C compiler for {abi.name}: {initramfs.compiler(abi.name)} -m32 cannot compile")
    guest = cast(Guest, request.getfixturevalue("guest"))
    program = AgentProgram("/agent32", abi)
    guest.upload(program.path, initramfs.agent(abi.name, Cache()).read_bytes(), mode=0o755)
    return program
