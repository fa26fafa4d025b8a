# SPDX-License-Identifier: GPL-2.0-or-later
"""A profile of a user's own, a config without a fault, and what the one says about the other, for tests."""

from __future__ import annotations

from pathlib import Path

from kconfigs import profile
from kconfigs.config_check import Finding, check
from kconfigs.kconfig import Config

GOOD = """\
text = "A profile."
areas = ["yama"]
[[config]]
option = "CONFIG_SECURITY_LOADPIN_VERITY"
value = "y or m"
since = "6.0"
source = "we"
[[config]]
option = "OLD"
value = "y"
until = "5.19"
source = "we"
[[default]]
what = "lsm"
value = "yama apparmor"
source = "we"
[[default]]
what = "yama-scope"
value = "1"
source = "we"
"""

# What Kconfig would write of a kernel with all three features, which nothing defeats.
SANE = """\
CONFIG_X86=y
CONFIG_INIT_ENV_ARG_LIMIT=32
CONFIG_SYSCTL=y
CONFIG_AUDIT=y
CONFIG_AUDITSYSCALL=y
CONFIG_MODULES=y
CONFIG_BLK_DEV_INITRD=y
CONFIG_EXT4_FS=y
CONFIG_VIRTIO_BLK=y
CONFIG_DEVMEM=y
CONFIG_STRICT_DEVMEM=y
CONFIG_SECCOMP=y
CONFIG_SECCOMP_FILTER=y
CONFIG_SECURITY_YAMA=y
CONFIG_SECURITY_LOADPIN=y
CONFIG_SECURITY_LOADPIN_ENFORCE=y
CONFIG_LSM="landlock,lockdown,yama,loadpin,apparmor,bpf"
"""
NOTHING_ASKED = 'text = "t"\n'
ALL_ASKED = """\
text = "t"
areas = ["yama", "loadpin", "seccomp"]
[[config]]
option = "SECURITY_LOADPIN_ENFORCE"
value = "y"
source = "we"
"""
NEW = (6, 12, 7)


def made(tmp_path: Path, text: str = GOOD) -> profile.Profile:
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8", errors="surrogateescape")
    return profile.load(str(tmp_path / "mine.toml"))


def config(*changes: str, cmdline: str = "", use: str = "CMDLINE_BOOL") -> Config:
    """SANE with these lines instead: `-NAME` removes an option, `NAME=value` sets it."""
    options = dict(Config.parse(SANE))
    for change in changes:
        name, _, value = change.removeprefix("-").partition("=")
        options.pop(name, None)
        if value:
            options[name] = value
    if cmdline:
        options |= {"CMDLINE": f'"{cmdline}"', use: "y"}
    return Config(options)


def findings(
    tmp_path: Path, found_in: Config, *, text: str = ALL_ASKED, version: tuple[int, ...] = NEW
) -> list[Finding]:
    """Without what is as it should be."""
    return [one for one in check(made(tmp_path, text), found_in, version) if one.state not in {"ok", "open"}]
