# SPDX-License-Identifier: GPL-2.0-or-later
"""The options that say how kernels are booted (`-p guests.options`).

A plugin, so that they are known before pytest looks for conftest.py, as those of kconfigs.plugin have to be.
"""

from __future__ import annotations

import pytest

from guests import accel


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kconform")
    group.addoption("--accel", choices=accel.MODES, default="auto", help="default: auto, which proves KVM before use")
    group.addoption("--probe-accel", action="store_true", help="find out again whether KVM works here")
    group.addoption(
        "--qemu", metavar="PATH", help="the QEMU that runs the guests (default: qemu-system-ARCH, or qemu-kvm)"
    )
    group.addoption("--cold", action="store_true", help="boot each kernel anew, whatever the cache holds")
