# SPDX-License-Identifier: GPL-2.0-or-later
"""What parameters and sysctl settings make of a kernel's own, and what the kernel refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from kconfigs import sysctl_effects, sysctl_settings
from kconfigs.builtin_command_line import parse_parameters
from kconfigs.initial_state import InitialState
from kconfigs.sysctl_effects import Effect
from kconfigs.sysctl_settings import SysctlSettings
from suites.harness.kconfigs.example_profile import NEW, config

SCOPE = "kernel.yama.ptrace_scope"


def state(*changes: str, cmdline: str = "", version: tuple[int, ...] = NEW) -> InitialState:
    return InitialState.of(config(*changes), version, parse_parameters([(cmdline, "cmdline:1")]))


def settings(tmp_path: Path, text: str) -> SysctlSettings:
    (tmp_path / "a.conf").write_text(text)
    return sysctl_settings.read([str(tmp_path)])


class TestScope:
    @pytest.mark.parametrize(
        ("text", "value"),
        [("0", "0"), ("1", "1"), ("3", "3"), ("0x2", "2"), ("02", "2"), ("1 # one", "1"), ("2 3", "2")],
    )
    def test_what_the_kernel_takes(self, tmp_path: Path, text: str, value: str) -> None:
        found = sysctl_effects.scope(state(), settings(tmp_path, f"{SCOPE} = {text}"))
        assert found == Effect(value, f"{tmp_path}/a.conf:1")

    @pytest.mark.parametrize("text", ["9", "4", "-1", "", "one", "1;", "+1"])
    def test_what_it_refuses(self, tmp_path: Path, text: str) -> None:
        found = sysctl_effects.scope(state(), settings(tmp_path, f"{SCOPE} = {text}"))
        assert (found.value, found.where) == (None, "")
        assert found.remarks == (
            f"{SCOPE} = {text} ({tmp_path}/a.conf:1): the kernel refuses it, because a scope is 0, 1, 2 or 3",
        )

    def test_a_parameter_comes_before_the_files(self, tmp_path: Path) -> None:
        found = sysctl_effects.scope(state(cmdline=f"sysctl.{SCOPE}=2"), settings(tmp_path, f"{SCOPE} = 1"))
        assert found == Effect("1", f"{tmp_path}/a.conf:1")
        found = sysctl_effects.scope(state(cmdline=f"sysctl.{SCOPE}=0 sysctl.{SCOPE}=2"))
        assert found == Effect("2", "cmdline:1")

    def test_nothing_lowers_scope_3(self, tmp_path: Path) -> None:
        given = state(cmdline="sysctl/kernel/yama/ptrace_scope=3")
        found = sysctl_effects.scope(given, settings(tmp_path, f"{SCOPE} = 1"))
        assert (found.value, found.where) == ("3", "cmdline:1")
        assert found.remarks == (
            f"{SCOPE} = 1 ({tmp_path}/a.conf:1): the kernel refuses it, because scope 3 stays until the next boot",
        )

    def test_a_scope_3_that_another_line_overrides(self, tmp_path: Path) -> None:
        """systemd-sysctl writes only the last one; others write both, and the second is refused."""
        found = sysctl_effects.scope(state(), settings(tmp_path, f"{SCOPE} = 3\n{SCOPE} = 1\n"))
        assert (found.value, found.where) == ("1", f"{tmp_path}/a.conf:2")
        assert len(found.remarks) == 1
        assert "stays at scope 3" in found.remarks[0]
        assert sysctl_effects.scope(state(), settings(tmp_path, f"{SCOPE} = 2\n{SCOPE} = 1\n")).remarks == ()

    def test_parameters_are_known_since_5_8(self) -> None:
        line = f"sysctl.{SCOPE}=2"
        assert sysctl_effects.scope(state(cmdline=line, version=(5, 7, 19))) == Effect()
        assert sysctl_effects.scope(state(cmdline=line, version=(5, 8))).value == "2"
        assert sysctl_effects.scope(state(cmdline=line, version=())).value == "2"

    @pytest.mark.parametrize("change", ["-SECURITY_YAMA", 'LSM="loadpin"', "-SYSCTL"])
    def test_a_kernel_without_the_key(self, tmp_path: Path, change: str) -> None:
        assert sysctl_effects.scope(state(change), settings(tmp_path, f"{SCOPE} = 9")) == Effect()


class TestActionsLogged:
    KEY = "kernel.seccomp.actions_logged"

    @pytest.mark.parametrize(
        ("text", "value"),
        [("log trap", "trap log"), ("", ""), ("log  trap", "log"), ("user_notif", "user_notif"), ("log log", "log")],
    )
    def test_what_the_kernel_takes(self, tmp_path: Path, text: str, value: str) -> None:
        found = sysctl_effects.actions_logged(state(), settings(tmp_path, f"{self.KEY} = {text}"))
        assert found == Effect(value, f"{tmp_path}/a.conf:1")

    @pytest.mark.parametrize(
        ("text", "version", "reason"),
        [
            ("allow", NEW, "`allow` cannot be logged"),
            ("trap,log", NEW, "it knows no action 'trap,log'"),
            ("user_notif", (4, 19), "it knows no action 'user_notif'"),
        ],
    )
    def test_what_it_refuses(self, tmp_path: Path, text: str, version: tuple[int, ...], reason: str) -> None:
        found = sysctl_effects.actions_logged(state(version=version), settings(tmp_path, f"{self.KEY} = {text}"))
        assert found.value is None
        assert found.remarks == (
            f"{self.KEY} = {text} ({tmp_path}/a.conf:1): the kernel refuses it, because {reason}",
        )

    def test_a_kernel_without_filters(self, tmp_path: Path) -> None:
        given = settings(tmp_path, f"{self.KEY} = allow")
        assert sysctl_effects.actions_logged(state("-SECCOMP_FILTER"), given) == Effect()


class TestLoadpin:
    @pytest.mark.parametrize(
        ("name", "version", "value"),
        [("enforce", NEW, "0"), ("enabled", NEW, None), ("enabled", (4, 19), "0"), ("enforce", (4, 19), None)],
    )
    def test_the_name_of_its_key(
        self, tmp_path: Path, name: str, version: tuple[int, ...], value: str | None
    ) -> None:
        found = sysctl_effects.loadpin(state(version=version), settings(tmp_path, f"kernel.loadpin.{name} = 0"))
        assert found.value == value

    def test_what_it_refuses(self, tmp_path: Path) -> None:
        (remark,) = sysctl_effects.loadpin(state(), settings(tmp_path, "kernel.loadpin.* = 2")).remarks
        assert remark == (
            f"kernel.loadpin.enforce = 2 ({tmp_path}/a.conf:1): the kernel refuses it, because it has to be 0 or 1"
        )
