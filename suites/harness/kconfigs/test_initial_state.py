# SPDX-License-Identifier: GPL-2.0-or-later
"""What a kernel begins with, by its config: its version, its built-in command line, and its list of modules count."""

from __future__ import annotations

from pathlib import Path

import pytest

from kconfigs.initial_state import InitialState, number
from suites.harness.kconfigs.example_profile import NEW, config, findings

OLD = (4, 19, 97)


class TestVersions:
    @pytest.mark.parametrize(
        ("cmdline", "version", "text"),
        [
            ("loadpin.enabled=1", OLD, ""),
            ("loadpin.enabled=1", (4, 20), "since Linux 4.20"),
            ("loadpin.enabled=1", (), "since Linux 4.20"),
            ("loadpin.enforce=1", OLD, "before Linux 4.20, the parameter is loadpin.enabled="),
            ("loadpin.exclude=firmware", (5, 2, 21), "has no effect before Linux 5.3"),
            ("loadpin.exclude=firmware", (5, 3), "lets the kernel read from anywhere: firmware"),
        ],
    )  # fmt: skip
    def test_parameters_of_loadpin(self, tmp_path: Path, cmdline: str, version: tuple[int, ...], text: str) -> None:
        said = [one.text for one in findings(tmp_path, config(cmdline=cmdline), version=version)]
        assert len(said) == bool(text)
        assert all(text in one for one in said)

    def test_before_4_20_the_former_option_counts(self) -> None:
        found_in = config("-SECURITY_LOADPIN_ENFORCE", "SECURITY_LOADPIN_ENABLED=y")
        assert InitialState.of(found_in, OLD).loadpin_enforces()
        assert not InitialState.of(found_in, NEW).loadpin_enforces()


class TestCommandLine:
    """What a boot loader can change is said, and what may never be used accuses nobody."""

    LINES = "lsm=landlock loadpin.enforce=0"

    @pytest.mark.parametrize(
        ("use", "state", "caveat"),
        [
            ("CMDLINE_BOOL", "missing", "the boot loader's parameters are added to it, and may say otherwise"),
            ("CMDLINE_OVERRIDE", "missing", "the boot loader's parameters are ignored"),
            ("CMDLINE_FROM_BOOTLOADER", "warning", "it is used only if the boot loader passes no parameters"),
        ],
    )
    def test_each_use(self, tmp_path: Path, use: str, state: str, caveat: str) -> None:
        found = findings(tmp_path, config("-X86", cmdline="lsm=landlock", use=use))
        assert [(one.name, one.state) for one in found] == [("SECURITY_YAMA", state), ("SECURITY_LOADPIN", state)]
        assert all(caveat in one.reasons[-1] for one in found)

    def test_a_fallback_excuses_nothing(self, tmp_path: Path) -> None:
        found_in = config("-X86", 'LSM="landlock,bpf"', cmdline="lsm=yama,loadpin", use="CMDLINE_FROM_BOOTLOADER")
        assert [one.state for one in findings(tmp_path, found_in)] == ["missing", "missing"]

    def test_what_the_line_does_not_cause_has_no_caveat(self, tmp_path: Path) -> None:
        (found,) = findings(tmp_path, config("-SYSCTL", cmdline="quiet"))
        assert "CONFIG_CMDLINE" not in str(found)

    def test_a_parameter_without_effect_has_no_caveat(self, tmp_path: Path) -> None:
        (found,) = findings(tmp_path, config(cmdline="loadpin.enabled=1"))
        assert found.reasons == ("init/main.c: unknown_bootoption() ignores an unknown name that has a dot",)

    DEFAULTS = """\
text = "t"
[[default]]
what = "lsm"
value = "yama loadpin"
source = "we"
[[default]]
what = "loadpin-enforcing"
value = "yes"
source = "we"
"""

    def test_required_defaults_are_those_that_the_line_leaves(self, tmp_path: Path) -> None:
        found = findings(tmp_path, config(cmdline="lsm=yama,loadpin loadpin.enforce=0"), text=self.DEFAULTS)
        assert [(one.name, one.state) for one in found] == [("loadpin-enforcing", "missing")]
        assert found[0].text == "LoadPin enforces by loadpin.enforce= in CONFIG_CMDLINE: no, yes is asked for"
        assert "CONFIG_CMDLINE: " in found[0].reasons[-1]
        found = findings(tmp_path, config(cmdline="lsm=loadpin,yama"), text=self.DEFAULTS)
        assert [one.text for one in found] == [
            "lsm= in CONFIG_CMDLINE is 'loadpin,yama', 'yama loadpin' in this order is asked for"
        ]

    def test_a_fallback_leaves_the_required_defaults(self, tmp_path: Path) -> None:
        found_in = config("-X86", cmdline=self.LINES, use="CMDLINE_FROM_BOOTLOADER")
        assert {one.state for one in findings(tmp_path, found_in, text=self.DEFAULTS)} == {"warning"}

    @pytest.mark.parametrize(
        ("only", "names"),
        [
            ("apparmor", "yama,apparmor,bpf"),
            ("selinux", "yama,bpf,selinux"),
            ("none", "yama,bpf,none"),
            ("", "yama,bpf"),
            ("yama", "yama,bpf"),
        ],
    )
    def test_security_removes_other_legacy_majors(self, only: str, names: str) -> None:
        found_in = config('LSM="yama,smack,apparmor,bpf"', cmdline=f"security={only}")
        order = InitialState.of(found_in, NEW).lsm_order()
        assert order is not None
        assert ",".join(order.names) == names

    def test_security_is_ignored_beside_lsm(self) -> None:
        order = InitialState.of(config(cmdline="security=selinux lsm=apparmor"), NEW).lsm_order()
        assert order is not None
        assert order.names == ("apparmor",)


class TestNumbers:
    """As kstrtoint() reads them."""

    @pytest.mark.parametrize(
        ("text", "value"), [("0", 0), ("1", 1), ("-1", -1), ("+2", 2), ("0x10", 16), ("010", 8), ("00", 0)]
    )
    def test_numbers(self, text: str, value: int) -> None:
        assert number(text) == value

    @pytest.mark.parametrize("text", ["", "on", "1k", "0x", "09", "1 ", "٣", "--1"])
    def test_what_is_no_number(self, text: str) -> None:
        assert number(text) is None
