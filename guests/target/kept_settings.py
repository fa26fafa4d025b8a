# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine's settings that tests change: the agent restores each when its channel closes, whatever has happened.

Nothing else of the machine is written to: its other settings, its devices and its /sys.
"""

from __future__ import annotations

import re

KEPT = (
    "fs.suid_dumpable",
    "kernel.core_pattern",
    "kernel.core_uses_pid",
    "kernel.io_uring_disabled",
    "kernel.io_uring_group",
    "kernel.perf_event_paranoid",
    "kernel.printk_ratelimit",
    "kernel.sched_rt_runtime_us",
    "kernel.seccomp.actions_logged",
    "kernel.yama.ptrace_scope",
    "net.core.bpf_jit_enable",
    "net.core.bpf_jit_harden",
    "net.core.bpf_jit_kallsyms",
    "net.core.optmem_max",
    "vm.unprivileged_userfaultfd",
)
"""With dots, as sysctl(8) has them."""

_OF_THE_MACHINE = re.compile(r"/(?:sys|dev|proc(?!/(?:self|thread-self|[0-9]+)/))(?:/|$)")


def setting_path(name: str) -> str:
    return f"/proc/sys/{name.replace('.', '/')}"


PATHS = frozenset(map(setting_path, KEPT))


def is_restored(path: str) -> bool:
    """Whether what is written to this file does not outlive the agent."""
    return path in PATHS or not _OF_THE_MACHINE.match(path)
