# SPDX-License-Identifier: GPL-2.0-or-later
"""The system's sysctl settings in a guest: which are made, and what is said of those that have no effect."""

from __future__ import annotations

from pathlib import Path

import pytest

from guests.guest import Guest
from guests.system_settings import INITIALLY, ConfiguredGuest, sentence, to_make
from kconfigs import sysctl_settings
from kconfigs.sysctl_settings import SysctlSettings

SCOPE = "kernel.yama.ptrace_scope"


def settings(tmp_path: Path, *lines: str) -> SysctlSettings:
    (tmp_path / "a.conf").write_text("\n".join(lines))
    return sysctl_settings.read([str(tmp_path)])


def test_what_is_made(tmp_path: Path) -> None:
    """Rights and limits of processes; and of what globs set, only what a profile may ask about."""
    made = to_make(
        settings(
            tmp_path,
            "vm.swappiness = 1",
            "net.ipv4.ip_forward = 1",
            "fs.protected_fifos = 2",
            "kernel.*.* = 1",
            "kernel.panic = 5",
            "kernel/../sysrq-trigger = c",
            "user.max_user_namespaces = 0",
            "kernel.seccomp.actions_logged = log",
            "-kernel.loadpin.enforce",
        )
    )
    assert [(one.name, one.value) for one in made] == [
        ("fs.protected_fifos", "2"),
        ("kernel.panic", "5"),
        ("user.max_user_namespaces", "0"),
        ("kernel.seccomp.actions_logged", "log"),
        (SCOPE, "1"),
        ("kernel.loadpin.enabled", "1"),
    ]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["kernel.panic = 1"], "nothing for a profile"),
        (["kernel.panic = 1", f"{SCOPE} = 2"], f"{SCOPE}=2"),
        (["kernel.seccomp.actions_logged = trap log", "kernel.yama.* = \x1b"], None),
    ],
)
def test_what_a_report_says(tmp_path: Path, lines: list[str], said: str | None) -> None:
    said = said or f"{SCOPE}=\\x1b, kernel.seccomp.actions_logged=trap log"
    assert sentence(["etc/sysctl.d", "a b"], settings(tmp_path, *lines)) == (
        f"--sysctl=etc/sysctl.d --sysctl='a b' ({said})"
    )


@pytest.mark.needs("SECURITY_YAMA", "SYSCTL")
def test_what_becomes_of_each(tmp_path: Path, guest: Guest) -> None:
    before = guest.sysctl(SCOPE)
    given = settings(
        tmp_path, f"{SCOPE} = 9", "kernel.kconform_none = 1", "kernel.panic = 77", "fs.x = " + "1" * 5000
    )
    configured = ConfiguredGuest.of(guest, given)
    assert guest.sysctl("kernel.panic") == "77"
    assert guest.sysctl(SCOPE) == before
    refused, missing, done, long = configured.report()
    assert refused.startswith(f"{SCOPE} = 9 ({tmp_path}/a.conf:1): refused: init writes ")
    assert refused.endswith("-> EINVAL")
    assert missing.endswith("a.conf:2): this kernel has no such sysctl")
    assert done == f"kernel.panic = 77 ({tmp_path}/a.conf:3): done"
    assert long.endswith("a.conf:4): no sysctl has such a name, or so long a value")
    assert configured.origin("kernel.panic") == f"by {tmp_path}/a.conf:3"
    assert configured.origin(SCOPE) == INITIALLY


def test_without_settings_it_has_only_booted(guest: Guest) -> None:
    configured = ConfiguredGuest.of(guest, None)
    assert (configured.guest, list(configured.report())) == (guest, [])
