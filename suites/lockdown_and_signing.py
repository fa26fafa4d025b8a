# SPDX-License-Identifier: GPL-2.0-or-later
"""What else restricts a guest: lockdown, signatures that modules need, and parameters that turn something off.

The guest is asked, because the config, the built-in command line, boot parameters and the firmware all have a say.
"""

from __future__ import annotations

import re

from guests.guest import Guest
from guests.sysctl_path import setting_path

SIGNED = b"~Module signature appended~\n"
"""The end of a signed module (include/linux/module_signature.h)."""


def lockdown(guest: Guest) -> str:
    """The level to which the kernel is locked down: none, integrity or confidentiality."""
    file = "/sys/kernel/security/lockdown"
    if not guest.kernel.config.enabled("SECURITY_LOCKDOWN_LSM") or not guest.exists(file):
        return "none"
    level = re.search(r"\[(\w+)\]", guest.read_file(file))
    return level[1] if level else "none"


def turned_off_loads(guest: Guest) -> list[str]:
    """The settings by which the command line, also by `nomodule`, has turned off loads until the next boot."""
    settings = ("kernel.modules_disabled", "kernel.kexec_load_disabled")
    found = [name for name in settings if guest.exists(setting_path(name))]
    return [name for name in found if guest.sysctl(name) == "1"]


def without_legacy_cgroups(guest: Guest) -> bool:
    """Whether a parameter keeps controllers out of control groups of version 1 (kernel/cgroup/cgroup-v1.c)."""
    return "cgroup_no_v1=" in guest.read_file("/proc/cmdline")


def signatures_enforced(guest: Guest) -> bool:
    """Whether modules need a signature, by MODULE_SIG_FORCE or by module.sig_enforce=1."""
    file = "/sys/module/module/parameters/sig_enforce"
    if not guest.kernel.config.enabled("MODULE_SIG") or not guest.exists(file):
        return guest.kernel.config.enabled("MODULE_SIG_FORCE")
    return guest.read_file(file).strip() == "Y"
