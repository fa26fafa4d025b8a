# SPDX-License-Identifier: GPL-2.0-or-later
"""Reset sysctls that a kernel's command line sets (`sysctl.NAME=VALUE`), if they would change what a test means.

Tests say what a kernel does with its own initial settings, or make the ones that they are about.  So each setting of
the command line that matters to them is undone before the test, except for those that ask for the initial settings.
What Linux makes of the command line is in fs/proc/proc_sysctl.c, do_sysctl_args().
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from guests.guest import Guest
from guests.sysctl_path import sysctl_path
from kconfigs import needed_options
from kconfigs.builtin_command_line import BuiltinCommandLine
from kconfigs.kernel import Kernel

SCOPE = "kernel.yama.ptrace_scope"
RELATIONAL, CAPABLE, NO_ATTACH = "1", "2", "3"
"""Some scopes (Documentation/admin-guide/LSM/Yama.rst)."""

NEUTRAL = {
    SCOPE: RELATIONAL,
    "fs.suid_dumpable": "0",
    "kernel.core_pattern": "core",
    "kernel.core_uses_pid": "0",
    "kernel.io_uring_disabled": "0",
    "kernel.kptr_restrict": "0",
    "kernel.perf_event_paranoid": "2",
    "kernel.pid_max": "32768",
    "kernel.print-fatal-signals": "0",
    "kernel.randomize_va_space": "2",
    "kernel.sysctl_writes_strict": "1",
    "kernel.seccomp.actions_logged": "kill_process kill_thread trap errno user_notif trace log",
    "kernel.threads-max": "1000",
    "kernel.unprivileged_bpf_disabled": "0",
    "kernel.unprivileged_userns_clone": "1",
    "net.core.bpf_jit_enable": "1",
    "net.core.bpf_jit_harden": "0",
    "user.max_user_namespaces": "1000",
    "vm.overcommit_memory": "0",
    "vm.unprivileged_userfaultfd": "0",
}
"""The settings that matter to tests, with values that every kernel takes and that Linux may have at first.

guests/target/ has a table of its own, which is about something else: what tests may change on a machine that somebody
else booted.  Most of that is left as the machine has it.
"""

_NAMES = {name.replace("-", "_"): name for name in NEUTRAL}
"""By the parameters, which have underscores where a name has dashes."""

ASKS = ("required_by_profile", "boot_splat", "configured")
"""The fixtures of tests that ask for the initial settings."""


def command_line(request: pytest.FixtureRequest) -> BuiltinCommandLine:
    """The command line of the test's kernel, but for what the test's own boot adds."""
    return needed_options.command_line(request, cast(Kernel, request.getfixturevalue("kernel")))


def of_command_line(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Name and value of each sysctl that it sets."""
    for parameter in command_line(request).parameters:
        if parameter.name.startswith("sysctl."):
            yield parameter.name.removeprefix("sysctl.").replace("/", "."), parameter.value


def undo(request: pytest.FixtureRequest, guest: Guest) -> None:
    """Undo what the command line has set, as far as that is possible and matters."""
    if not set(ASKS).isdisjoint(request.fixturenames):
        return
    for parameter in dict(of_command_line(request)):
        if name := _NAMES.get(parameter):
            guest.write_file(sysctl_path(name), NEUTRAL[name])


def skip_without_attach(request: pytest.FixtureRequest) -> None:
    """Skip a test, before a boot, if its area traces and the kernel begins with the scope that cannot be left."""
    if "guest" in request.fixturenames and dict(of_command_line(request)).get(SCOPE) == NO_ATTACH:
        pytest.skip(f"for a kernel whose tasks can be traced: {SCOPE} is {NO_ATTACH} from the boot on")


def let_trace(guest: Guest) -> None:
    """Lower the scope of a machine that somebody else booted to the one in which parents trace their children."""
    if not guest.exists(sysctl_path(SCOPE)):
        return
    scope = guest.sysctl(SCOPE)
    if scope == CAPABLE:
        guest.set_sysctl(SCOPE, RELATIONAL)
    elif scope == NO_ATTACH:
        pytest.skip(f"for a kernel whose tasks can be traced: {SCOPE} is {NO_ATTACH}, which cannot be changed")
