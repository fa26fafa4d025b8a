# SPDX-License-Identifier: GPL-2.0-or-later
"""How the kernel runs filters: it interprets them, or compiles them first.

Source: Documentation/admin-guide/sysctl/net.rst.
"""

from __future__ import annotations

import pytest

from guests.errors import require
from guests.guest import Guest

COMPILED = "net.core.bpf_jit_enable"
"""The sysctl: whether filters installed from now on are compiled."""

each_runner = pytest.mark.parametrize(
    "runner",
    [
        pytest.param((0, 0), id="interpreted", marks=pytest.mark.lacks("BPF_JIT_ALWAYS_ON")),
        pytest.param((1, 0), id="compiled", marks=pytest.mark.needs("BPF_JIT")),
        pytest.param((1, 2), id="compiled-with-blinded-constants", marks=pytest.mark.needs("BPF_JIT")),
    ],
)
"""net.core.bpf_jit_enable and bpf_jit_harden, for `set_filter_runner`."""


def can_be_chosen(guest: Guest) -> bool:
    """Whether the kernel has both an interpreter and a compiler, and the sysctl."""
    config = guest.kernel.config
    return config.enabled("BPF_JIT") and config.enabled("SYSCTL") and not config.enabled("BPF_JIT_ALWAYS_ON")


def set_filter_runner(guest: Guest, runner: tuple[int, int]) -> None:
    """Set how filters installed from now on are run.  A kernel without the JIT has an interpreter and no sysctl."""
    if guest.kernel.config.enabled("BPF_JIT"):
        if not guest.kernel.config.enabled("SYSCTL"):
            pytest.skip("needs CONFIG_SYSCTL, to choose how filters are run")
        for name, value in zip(("enable", "harden"), runner, strict=True):
            guest.set_sysctl(f"net.core.bpf_jit_{name}", value)
            require(guest.sysctl(f"net.core.bpf_jit_{name}") == f"{value}", f"net.core.bpf_jit_{name} is not {value}")
