# SPDX-License-Identifier: GPL-2.0-or-later
"""The pytest plugin of guests (`-p guests.plugin`): how kernels are booted, and hosts on which no test can run.

It comes first, and refuses such a host in one sentence, with exit status 4, before anything is written.  Options have
to be known before pytest looks for conftest.py, so they are defined in a plugin.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator

import pytest

from guests.errors import UsageError
from guests.vm import acceleration
from kconfigs.cache import Cache


def pytest_addoption(parser: pytest.Parser) -> None:
    _refuse_early()
    group = parser.getgroup("kconform")
    group.addoption(
        "--accel", choices=acceleration.MODES, default="auto", help="default: auto, which proves KVM before use"
    )
    group.addoption("--probe-accel", action="store_true", help="find out again whether KVM works here")
    group.addoption("--qemu", metavar="PATH", help="the QEMU to run (default: qemu-system-ARCH, or qemu-kvm)")
    group.addoption("--cold", action="store_true", help="boot each kernel anew, whatever the cache holds")


def _refuse_early() -> None:
    """As early as a plugin can: after this, pytest captures what is printed, in temporary files."""
    if not __debug__:
        raise pytest.UsageError(
            "python -O leaves out the assertions that the tests are made of\n"
            "  hint: run python without -O, and unset PYTHONOPTIMIZE"
        )
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        raise pytest.UsageError(
            f"there is no place for temporary files: {error.strerror}\n"
            "  hint: set TMPDIR to a directory that may be written to"
        ) from error


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    if config.option.help or config.option.version:
        return
    try:
        Cache()
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionstart() -> Generator[None, None, None]:
    """What is needed first is pytest's own temporary directory, which another user may have made."""
    try:
        return (yield)
    except OSError as error:
        raise pytest.UsageError(
            f"the run cannot begin: {error}\n  hint: set TMPDIR to a directory of your own"
        ) from error
