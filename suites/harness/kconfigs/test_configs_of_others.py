# SPDX-License-Identifier: GPL-2.0-or-later
"""`check` reads configurations as other projects publish them: of small guests, of appliances, and parts of one.

The configurations here are short and our own; what is unusual about theirs is in them.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kconform import main

GUEST = """\
#
# Automatically generated file; DO NOT EDIT.
# Linux/x86_64 {release} Kernel Configuration
#
CONFIG_CC_VERSION_TEXT="gcc (GCC) 12.3.0 (Vendor 12.3.0-4)"
CONFIG_LOCALVERSION=""

#
# General setup
#
CONFIG_AUDIT=y
CONFIG_SYSCTL=y
# CONFIG_MODULES is not set
# CONFIG_CMDLINE_BOOL is not set
CONFIG_SECCOMP=y
CONFIG_SECCOMP_FILTER=y
CONFIG_SECURITY=y
# CONFIG_SECURITY_LOADPIN is not set
# CONFIG_SECURITY_YAMA is not set
CONFIG_LSM="lockdown,yama,loadpin,safesetid,integrity,selinux,smack,tomoyo,apparmor,bpf"
# end of General setup
"""
"""A guest's kernel, with the vendor's build in its version: CONFIG_LSM lists what is not built."""

APPLIANCE = """\
#
# Automatically generated file; DO NOT EDIT.
# Linux/x86 6.18.7 Kernel Configuration
#
CONFIG_CC_VERSION_TEXT="clang version 21.1.0"
CONFIG_CC_IS_CLANG=y
CONFIG_LOCALVERSION="-appliance"
CONFIG_AUDIT=y
CONFIG_SYSCTL=y
CONFIG_SECCOMP=y
CONFIG_SECCOMP_FILTER=y
CONFIG_SECURITY=y
# CONFIG_SECURITY_LOADPIN is not set
CONFIG_SECURITY_YAMA=y
CONFIG_DEFAULT_SECURITY_DAC=y
CONFIG_LSM="yama,selinux,integrity,bpf,apparmor,lockdown,landlock"
CONFIG_MODULE_SIG_KEY="certs/signing_key.pem"
"""
"""Its modules in an order of its own, without one that is not built; and a compiler that is not GCC."""

PART = """\
CONFIG_IKCONFIG=y
# for one architecture only
# CONFIG_STRICT_DEVMEM is not set
"""
"""Options to be merged into another configuration; nothing says of which version."""


BUILT = {"CONFIG_SECCOMP", "CONFIG_SECCOMP_FILTER"}


@pytest.mark.parametrize(
    ("config", "profile", "version", "ok", "missing"),
    [
        pytest.param(
            GUEST.format(release=release),
            "kspp",
            version,
            BUILT | {"CONFIG_LSM"},
            {"CONFIG_SECURITY_YAMA"},
            id=f"guest-{version}",
        )
        for release, version in (
            ("5.10.7-12.34.vendor2.x86_64", "5.10.7"),
            ("6.1.7-8.56.vendor2026.x86_64", "6.1.7"),
            ("6.18.7-9.78.vendor2026.x86_64.small", "6.18.7"),
        )
    ]
    + [
        pytest.param(
            APPLIANCE, "kspp", "6.18.7", BUILT | {"CONFIG_SECURITY_YAMA", "CONFIG_LSM"}, set(), id="appliance"
        ),
        pytest.param(
            APPLIANCE,
            "debian",
            "6.18.7",
            BUILT | {"CONFIG_SECURITY_YAMA"},
            {"CONFIG_LSM"},
            id="appliance-whose-order-is-another",
        ),
        pytest.param(
            APPLIANCE,
            "upstream",
            "6.18.7",
            {"CONFIG_SECURITY_YAMA", "CONFIG_SECCOMP_FILTER"},
            {"CONFIG_SECURITY_LOADPIN", "CONFIG_LSM"},
            id="appliance-without-loadpin",
        ),
    ],
)
def test_it_is_read(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    config: str,
    profile: str,
    version: str,
    ok: set[str],
    missing: set[str],
) -> None:
    path = tmp_path / "config"
    path.write_text(config)
    assert main(["check", str(path), "--profile", profile, "-v"]) == (1 if missing else 0)
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith(f"{path} ({version}), profile {profile}: ")
    found = set(re.findall(r"^  (ok|MISSING) +(CONFIG_\w+) is ", said.out, re.MULTILINE))
    assert {option for state, option in found if state == "MISSING"} == missing
    assert {option for state, option in found if state == "ok"} == ok


def test_a_part_of_a_config_is_not_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config").write_text(PART)
    assert main(["check", str(tmp_path / "config"), "--profile", "kspp"]) == 4
    said = capsys.readouterr().out
    assert "(of an unknown version), profile kspp: " in said
    assert "this is not a complete .config" in said
    assert "MISSING" not in said
