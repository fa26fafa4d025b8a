# SPDX-License-Identifier: GPL-2.0-or-later
"""What else restricts a guest: lockdown, signatures that modules need, and parameters that turn something off.

The guest is asked, because the config, the built-in command line, boot parameters and the firmware all have a say.
"""

from __future__ import annotations

import re

from guests.guest import Guest
from guests.sysctl_path import sysctl_path

SIGNED = b"~Module signature appended~\n"
"""The end of a signed module (include/linux/module_signature.h)."""


def lockdown(guest: Guest) -> str:
    """The level to which the kernel is locked down: none, integrity or confidentiality."""
    file = "/sys/kernel/security/lockdown"
    if not guest.kernel.config.enabled("SECURITY_LOCKDOWN_LSM") or not guest.exists(file):
        return "none"
    level = re.search(r"\[(\w+)\]", guest.read_file(file))
    return level[1] if level else "none"


UNLIMITED = {
    "kernel.modules_disabled": "0",
    "kernel.kexec_load_disabled": "0",
    "kernel.kexec_load_limit_panic": "-1",
    "kernel.kexec_load_limit_reboot": "-1",
}
"""Settings that turn off loads, or limit their number, until the next boot, with the values that do not."""


def turned_off_loads(guest: Guest) -> list[str]:
    """Those that the command line has set, also by `nomodule`: `NAME is VALUE`."""
    found = {name: guest.sysctl(name) for name in UNLIMITED if guest.exists(sysctl_path(name))}
    return [f"{name} is {value}" for name, value in found.items() if value != UNLIMITED[name]]


def without_legacy_cgroups(guest: Guest) -> bool:
    """Whether a parameter keeps controllers out of control groups of version 1 (kernel/cgroup/cgroup-v1.c)."""
    return "cgroup_no_v1=" in guest.read_file("/proc/cmdline")


def signatures_enforced(guest: Guest) -> bool:
    """Whether modules need a signature, by MODULE_SIG_FORCE or by module.sig_enforce=1."""
    file = "/sys/module/module/parameters/sig_enforce"
    if not guest.kernel.config.enabled("MODULE_SIG") or not guest.exists(file):
        return guest.kernel.config.enabled("MODULE_SIG_FORCE")
    return guest.read_file(file).strip() == "Y"
