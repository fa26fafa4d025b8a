# SPDX-License-Identifier: GPL-2.0-or-later
"""A profile of a user's own, for tests."""

from __future__ import annotations

from pathlib import Path

from kconfigs import profile

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


def made(tmp_path: Path, text: str = GOOD) -> profile.Profile:
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8", errors="surrogateescape")
    return profile.load(str(tmp_path / "mine.toml"))
