# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine's settings that a test may change: the agent restores each when its channel closes, whatever happens.

Nothing else of the machine is written to: its other settings, its devices and its /sys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from guests.sysctl_path import sysctl_path

RESTORED_SYSCTLS: Mapping[str, str] = {
    "fs.protected_fifos": "0",
    "fs.protected_hardlinks": "0",
    "fs.protected_regular": "0",
    "fs.protected_symlinks": "0",
    "fs.suid_dumpable": "0",
    "kernel.apparmor_restrict_unprivileged_userns": "0",
    "kernel.core_pattern": "core",
    "kernel.core_uses_pid": "0",
    "kernel.io_uring_disabled": "0",
    "kernel.io_uring_group": "",
    "kernel.perf_event_paranoid": "",
    # What earlier tests have logged would keep the kernel from logging more.
    "kernel.printk_ratelimit": "0",
    "kernel.sched_rt_runtime_us": "",
    "kernel.seccomp.actions_logged": "",
    "kernel.unprivileged_userns_clone": "1",
    "kernel.yama.ptrace_scope": "",
    "net.core.bpf_jit_enable": "",
    # A compiler that blinds constants makes filters longer.
    "net.core.bpf_jit_harden": "0",
    "net.core.bpf_jit_kallsyms": "",
    "net.core.optmem_max": "",
    "vm.unprivileged_userfaultfd": "",
}
"""Sysctls to restore, by name; with the kernel's default, where distributions commonly change it and tests depend on
it, or empty to begin with what the machine has."""

_OF_THE_MACHINE = re.compile(r"/(?:sys|dev|proc(?!/(?:self|thread-self|[0-9]+)/))(?:/|$)")


PATHS = frozenset(map(sysctl_path, RESTORED_SYSCTLS))


def agent_words() -> list[str]:
    """What the agent has to know of them."""
    return [
        f"{sysctl_path(name)}={first}" if first else sysctl_path(name) for name, first in RESTORED_SYSCTLS.items()
    ]


def is_restored(path: str) -> bool:
    """Whether what is written to this file does not outlive the agent."""
    return path in PATHS or not _OF_THE_MACHINE.match(path)
