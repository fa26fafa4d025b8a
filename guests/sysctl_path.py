# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the kernel shows a sysctl."""

from __future__ import annotations


def sysctl_path(name: str) -> str:
    """The file of a sysctl that is named with dots, as sysctl(8) has it."""
    return f"/proc/sys/{name.replace('.', '/')}"
