# SPDX-License-Identifier: GPL-2.0-or-later
"""The options that say which kernels are tested, and how (`-p guests.options`).

A plugin of its own, because pytest takes the value of an option that it does not know yet for a path: `--kernel FILE`
would decide where it looks for conftest.py, which comes too late to say otherwise.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from guests import accel
from kconfigs import profile


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kconform")
    group.addoption(
        "--kernel",
        action="append",
        metavar="SPEC",
        help="a kernel to test, may be given again: source, deb:PACKAGE[=VERSION][@SUITE], a .deb file, an image,"
        " a kernel tree, or running (default: the distribution's prebuilt cloud kernel, and source)",
    )
    group.addoption(
        "--flavor",
        action="append",
        metavar="NAME",
        help="a set of kconfigs to build sources and trees with (default: full)",
    )
    group.addoption("--kernel-config", type=Path, metavar="FILE", help="the .config of a kernel image")
    group.addoption(
        "--profile",
        metavar="NAME",
        help="what each kernel must have and begin with: a skip for the lack of it is a failure"
        f" ({', '.join(profile.shipped())}, or a TOML file)",
    )
    group.addoption("--accel", choices=accel.MODES, default="auto", help="default: auto, which proves KVM before use")
    group.addoption("--cold", action="store_true", help="boot each kernel anew, whatever the cache holds")
