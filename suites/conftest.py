# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of all areas have in common: 32-bit tasks, and steps for which a kernel may lack an option."""

from __future__ import annotations

from collections.abc import Generator
from typing import cast

import pytest

from guests.abi import AgentProgram
from guests.abis import COMPAT, NATIVE
from guests.errors import SetupFailed
from guests.guest import Guest
from guests.vm import initramfs
from kconfigs.cache import Cache
from kconfigs.kernel import Kernel
from kconfigs.needed_options import command_line, skip_without_entry

_WORD_OF_32_BITS = 4


@pytest.fixture
def compat(request: pytest.FixtureRequest, kernel: Kernel, _applies: None) -> AgentProgram:
    """The program by which a task of the guest becomes a 32-bit task (`Task.become`); its own, if all of them are.

    Skip, before a boot if the test names this fixture first, if the kernel or the compiler has no such programs.
    """
    abi = COMPAT.get(kernel.arch)
    if NATIVE[kernel.arch].word == _WORD_OF_32_BITS:
        return cast(Guest, request.getfixturevalue("guest")).native
    if abi is None:
        pytest.skip(f"needs 32-bit programs, and the agent has none for {kernel.arch}")
    if not kernel.config.enabled(abi.option):
        pytest.skip(f"needs CONFIG_{abi.option}")
    skip_without_entry(abi.option, command_line(request, kernel))
    if not initramfs.compiles(abi.name):
        pytest.skip(f"needs a C compiler for {abi.name}: {initramfs.compiler(abi.name)} cannot compile for it")
    guest = cast(Guest, request.getfixturevalue("guest"))
    program = AgentProgram("/agent32", abi)
    guest.upload(program.path, initramfs.agent(abi.name, Cache(), for_tasks=True).read_bytes(), mode=0o755)
    return program


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Skip a test that could not be prepared because its kernel lacks an option, which it need not name itself."""
    try:
        yield
    except SetupFailed as error:
        kernel = cast(Kernel, getattr(item, "funcargs", {}).get("kernel"))
        if error.needs and kernel is not None and not kernel.config.enabled(error.needs):
            pytest.skip(f"needs CONFIG_{error.needs}")
        raise
