# SPDX-License-Identifier: GPL-2.0-or-later
"""What LoadPin's tests learn from a guest about lockdown and signatures."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from guests.guest import Guest
from suites.harness.guests import fakes
from suites.lockdown_and_signing import lockdown, signatures_enforced

LOCKDOWN = "/sys/kernel/security/lockdown"
SIG_ENFORCE = "/sys/module/module/parameters/sig_enforce"


class FakeGuest:
    """Files, and a config."""

    def __init__(self, tmp_path: Path, config: str, files: dict[str, str]) -> None:
        self.kernel = fakes.kernel(tmp_path, config)
        self._files = files

    def exists(self, path: str) -> bool:
        return path in self._files

    def read_file(self, path: str) -> str:
        return self._files[path]


def guest(tmp_path: Path, config: str, **files: str) -> Guest:
    paths = {"lockdown": LOCKDOWN, "sig_enforce": SIG_ENFORCE}
    return cast(Guest, FakeGuest(tmp_path, config, {paths[name]: text for name, text in files.items()}))


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("[none] integrity confidentiality\n", "none"),
        ("none [integrity] confidentiality\n", "integrity"),
        ("none integrity [confidentiality]\n", "confidentiality"),
    ],
)
def test_the_level_of_lockdown_is_read(tmp_path: Path, text: str, level: str) -> None:
    """It may come from the config, from lockdown= or from the firmware."""
    assert lockdown(guest(tmp_path, "CONFIG_SECURITY_LOCKDOWN_LSM=y\n", lockdown=text)) == level


@pytest.mark.parametrize("config", ["", "CONFIG_SECURITY_LOCKDOWN_LSM=y\n"], ids=["not-built", "not-started"])
def test_a_kernel_without_lockdown_is_not_locked_down(tmp_path: Path, config: str) -> None:
    assert lockdown(guest(tmp_path, config)) == "none"


@pytest.mark.parametrize(("text", "enforced"), [("Y\n", True), ("N\n", False)])
def test_whether_signatures_are_enforced_is_read(tmp_path: Path, text: str, enforced: bool) -> None:
    """The parameter tells of MODULE_SIG_FORCE and of module.sig_enforce=1."""
    assert signatures_enforced(guest(tmp_path, "CONFIG_MODULE_SIG=y\n", sig_enforce=text)) is enforced


@pytest.mark.parametrize(
    ("config", "enforced"),
    [("", False), ("CONFIG_MODULE_SIG=y\n", False), ("CONFIG_MODULE_SIG=y\nCONFIG_MODULE_SIG_FORCE=y\n", True)],
    ids=["no-signatures", "not-enforced", "enforced"],
)
def test_without_the_parameter_the_config_tells(tmp_path: Path, config: str, enforced: bool) -> None:
    assert signatures_enforced(guest(tmp_path, config)) is enforced
