# SPDX-License-Identifier: GPL-2.0-or-later
"""How the kernel runs filters: it interprets them, or compiles them first.

Source: Documentation/admin-guide/sysctl/net.rst.
"""

from __future__ import annotations

from guests.guest import Guest

COMPILED = "net.core.bpf_jit_enable"
"""The sysctl: whether filters installed from now on are compiled."""


def can_be_chosen(guest: Guest) -> bool:
    """Whether the kernel has both an interpreter and a compiler, and the sysctl."""
    config = guest.kernel.config
    return config.enabled("BPF_JIT") and config.enabled("SYSCTL") and not config.enabled("BPF_JIT_ALWAYS_ON")
