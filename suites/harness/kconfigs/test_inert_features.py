# SPDX-License-Identifier: GPL-2.0-or-later
"""Features that are built in and have no effect: for each rule a config that it is for, and a close one."""

from __future__ import annotations

from pathlib import Path

import pytest

from kconfigs import profile
from kconfigs.config_check import check
from kconfigs.inert_features import RULES
from kconfigs.kconfig import Config
from kconform import main
from suites.harness.kconfigs.example_profile import ALL_ASKED, NEW, NOTHING_ASKED, config, findings, made

NEVER_YAMA = "without yama in it, it never starts"
NEVER_LOADPIN = "without loadpin in it, it never starts"
NO_ENFORCEMENT = "LoadPin enforces by configuration, but loadpin.enforce=0 in CONFIG_CMDLINE turns that off"
FIXED_SCOPE = "CONFIG_SYSCTL is n, so there is no kernel.yama.ptrace_scope, and Yama's scope cannot be changed"
UNLOGGED = "seccomp's filters take effect, but nothing that they do is logged"
PINNED = "the first module pins the initramfs"
REWRITABLE = "CONFIG_DEVMEM is y without CONFIG_STRICT_DEVMEM"
UNKNOWN_KIND = "names 'modules', which is no kind of file: it has no effect"
EXCLUDED = "loadpin.exclude= in CONFIG_CMDLINE lets the kernel read from anywhere: "
NO_LSM = 'LSM="landlock,bpf"'


class TestRules:
    """The state is that of a profile that asks for all, and of one that asks for nothing; '' if nothing is said."""

    @pytest.mark.parametrize(
        ("found_in", "text", "asked", "not_asked"),
        [
            # Which modules start
            pytest.param(config(NO_LSM), NEVER_YAMA, "missing", "warning", id="not-in-config-lsm"),
            pytest.param(config(cmdline="lsm=loadpin"), NEVER_YAMA, "missing", "warning", id="not-in-lsm"),
            pytest.param(config(cmdline="lsm=yama"), NEVER_LOADPIN, "missing", "warning", id="loadpin-not-in-lsm"),
            pytest.param(config(cmdline="lsm=yama lsm="), NEVER_YAMA, "missing", "warning", id="the-last-lsm-counts"),
            # Yama
            pytest.param(config("-SYSCTL"), FIXED_SCOPE, "warning", "warning", id="yama-without-sysctl"),
            # LoadPin
            pytest.param(
                config(cmdline="loadpin.enforce=0"), NO_ENFORCEMENT, "missing", "warning", id="enforce-is-0"
            ),
            pytest.param(
                config(cmdline="loadpin.enforce=0x0"), "turns that off", "missing", "warning", id="enforce-is-hex-0"
            ),
            pytest.param(
                config(cmdline="loadpin.enabled=0"),
                "loadpin.enabled=0 in CONFIG_CMDLINE has no effect: since Linux 4.20, the parameter is "
                "loadpin.enforce=",
                "warning",
                "warning",
                id="former-name",
            ),
            pytest.param(
                config(cmdline="loadpin.enforce=off"),
                "loadpin.enforce=off in CONFIG_CMDLINE has no effect: it has to be 0 or 1",
                "warning",
                "warning",
                id="not-a-number",
            ),
            pytest.param(
                config(cmdline="loadpin.exclude=modules"), UNKNOWN_KIND, "warning", "warning", id="unknown-kind"
            ),
            pytest.param(
                config(cmdline="loadpin.exclude=kernel-module,firmware"),
                f"{EXCLUDED}kernel-module, firmware",
                "warning",
                "",
                id="excluded-kinds",
            ),
            pytest.param(
                config(cmdline="loadpin.exclude=kernel-module,firmware loadpin.exclude=kexec-image"),
                f"{EXCLUDED}kexec-image, firmware",
                "warning",
                "",
                id="excluded-twice-overwrites-from-the-first",
            ),
            pytest.param(config("EXT4_FS=m"), PINNED, "warning", "warning", id="root-file-system-in-a-module"),
            pytest.param(config("VIRTIO_BLK=m"), PINNED, "warning", "warning", id="disk-in-a-module"),
            pytest.param(
                config("-SECURITY_LOADPIN_ENFORCE", "EXT4_FS=m", cmdline="loadpin.enforce=1"),
                PINNED,
                "warning",
                "warning",
                id="enforced-by-parameter",
            ),
            pytest.param(config("-STRICT_DEVMEM"), REWRITABLE, "warning", "", id="unfiltered-devmem"),
            # seccomp
            pytest.param(
                config("-AUDIT", "-AUDITSYSCALL"), f"CONFIG_AUDIT is n: {UNLOGGED}", "warning", "", id="no-audit"
            ),
            pytest.param(
                config("-AUDITSYSCALL"), f"CONFIG_AUDITSYSCALL is n: {UNLOGGED}", "warning", "", id="no-auditsyscall"
            ),
            pytest.param(
                config(cmdline="audit=Off"),
                f"audit=Off in CONFIG_CMDLINE: {UNLOGGED}",
                "warning",
                "",
                id="audit-off",
            ),
        ],
    )  # fmt: skip
    def test_it_is_said(self, tmp_path: Path, found_in: Config, text: str, asked: str, not_asked: str) -> None:
        for profile_text, state in ((ALL_ASKED, asked), (NOTHING_ASKED, not_asked)):
            said = [one.state for one in findings(tmp_path, found_in, text=profile_text) if text in one.text]
            assert said == ([state] if state else [])

    @pytest.mark.parametrize(
        "found_in",
        [
            pytest.param(config(), id="sane"),
            pytest.param(config(cmdline="lsm=yama,loadpin"), id="lsm-has-both"),
            pytest.param(config(NO_LSM, cmdline="lsm=loadpin,yama"), id="lsm-instead-of-config-lsm"),
            pytest.param(config(cmdline="lsm=bpf lsm=yama,loadpin"), id="the-last-lsm-counts"),
            pytest.param(config(cmdline="security=selinux"), id="security-leaves-them"),
            pytest.param(config(cmdline="security=none"), id="security-of-no-module-leaves-them"),
            pytest.param(config('LSM="loadpin"', cmdline="security=yama"), id="security-starts-yama"),
            pytest.param(config(cmdline="lsm=bpf", use="UNRELATED"), id="line-that-x86-does-not-use"),
            pytest.param(config("-LSM", cmdline="lsm=bpf"), id="before-there-was-a-list"),
            pytest.param(config("-INIT_ENV_ARG_LIMIT", "-SYSCTL", "-AUDIT", "-AUDITSYSCALL"), id="defconfig"),
            pytest.param(config("-INIT_ENV_ARG_LIMIT", "-STRICT_DEVMEM"), id="defconfig-with-devmem"),
            pytest.param(config(cmdline="loadpin.enforce=1"), id="enforce-is-1"),
            pytest.param(config(cmdline="loadpin.enforce=0 loadpin.enforce=1"), id="the-last-enforce-counts"),
            pytest.param(config(cmdline="loadpin.exclude=,"), id="no-kind"),
            pytest.param(config("EXT4_FS=m", "SQUASHFS=y"), id="another-file-system-built-in"),
            pytest.param(config("VIRTIO_BLK=m", "BLK_DEV_NVME=y"), id="another-disk-built-in"),
            pytest.param(config("EXT4_FS=m", "-BLK_DEV_INITRD"), id="no-initramfs"),
            pytest.param(config("EXT4_FS=m", "-MODULES"), id="no-modules"),
            pytest.param(config("EXT4_FS=m", "SECURITY_LOADPIN_VERITY=y"), id="root-trusted-by-its-digest"),
            pytest.param(config("-DEVMEM", "-STRICT_DEVMEM"), id="no-devmem"),
            pytest.param(
                config(
                    "-STRICT_DEVMEM", "LOCK_DOWN_KERNEL_FORCE_INTEGRITY=y", "SECURITY_LOCKDOWN_LSM=y"
                ),
                id="devmem-locked-down",
            ),
            pytest.param(config(cmdline="audit=1"), id="audit-on"),
            pytest.param(config(cmdline="audit=0 audit=on"), id="the-last-audit-counts"),
        ],
    )  # fmt: skip
    def test_nothing_is_said(self, tmp_path: Path, found_in: Config) -> None:
        assert findings(tmp_path, found_in) == []

    @pytest.mark.parametrize(
        "found_in",
        [
            pytest.param(config("-SECURITY_YAMA", "-SYSCTL"), id="yama"),
            pytest.param(
                config(
                    *("-SECURITY_LOADPIN", "-SECURITY_LOADPIN_ENFORCE", "EXT4_FS=m", "-STRICT_DEVMEM"),
                    cmdline="loadpin.enabled=1 loadpin.exclude=modules,firmware",
                ),
                id="loadpin",
            ),
            pytest.param(config("-SECCOMP", "-SECCOMP_FILTER", "-AUDIT", "-AUDITSYSCALL"), id="seccomp"),
        ],
    )
    def test_a_feature_that_is_not_built_is_only_missing(self, tmp_path: Path, found_in: Config) -> None:
        assert all("is n, y is asked for" in one.text for one in findings(tmp_path, found_in))

    def test_a_module_that_never_starts_is_said_once(self, tmp_path: Path) -> None:
        found_in = config(NO_LSM, "-SYSCTL", "EXT4_FS=m", "-STRICT_DEVMEM", cmdline="loadpin.enabled=1")
        assert [one.name for one in findings(tmp_path, found_in)] == ["SECURITY_YAMA", "SECURITY_LOADPIN"]

    def test_lockdown_that_does_not_start_protects_nothing(self, tmp_path: Path) -> None:
        changes = ("-STRICT_DEVMEM", "LOCK_DOWN_KERNEL_FORCE_INTEGRITY=y", "SECURITY_LOCKDOWN_LSM=y")
        found_in = config(*changes, 'LSM="yama,loadpin"')
        assert [REWRITABLE in one.text for one in findings(tmp_path, found_in)] == [True]
        assert not findings(tmp_path, config(*changes, 'LSM="yama,loadpin"', "SECURITY_LOCKDOWN_LSM_EARLY=y"))

    @pytest.mark.parametrize("version", [NEW, (5, 2), (4, 19)])
    @pytest.mark.parametrize(
        "parameter", ["lsm=", "security=", "loadpin.enabled=", "loadpin.enforce=", "loadpin.exclude=", "audit="]
    )
    def test_what_a_parameter_says_is_printable(
        self, tmp_path: Path, parameter: str, version: tuple[int, ...]
    ) -> None:
        order = 'LSM="bpf"' if parameter == "security=" else 'LSM="yama,loadpin"'
        found_in = config(order, cmdline=f"{parameter}\x1b[2J,\u202e")
        assert all(one.text.isprintable() for one in findings(tmp_path, found_in, version=version))

    def test_each_rule_names_its_source(self) -> None:
        assert [rule for rule in RULES if ".c: " not in rule.source and ".h: " not in rule.source] == []


class TestShippedProfiles:
    """A config in which neither Yama nor LoadPin starts."""

    LEFT_OUT = config('LSM="landlock,lockdown,integrity,bpf"')

    @pytest.mark.parametrize(
        ("name", "yama", "loadpin"),
        [
            ("kspp", None, "warning"),  # its own line about lsm says already that yama is missing
            ("debian", None, "warning"),
            ("chromeos", None, None),
            ("upstream", None, None),
        ],
    )
    def test_every_profile_says_so(self, name: str, yama: str | None, loadpin: str | None) -> None:
        found = check(profile.load(name), self.LEFT_OUT, NEW)
        states = {finding.name: finding.state for finding in found if "it never starts" in finding.text}
        assert (states.get("SECURITY_YAMA"), states.get("SECURITY_LOADPIN")) == (yama, loadpin)
        for module in ("yama", "loadpin") if yama == loadpin else ("yama",):
            assert any(f.state == "missing" and module in f.text and f.name == "lsm" for f in found)

    @pytest.mark.parametrize("name", profile.shipped())
    def test_none_warns_about_a_sane_config(self, name: str) -> None:
        assert not [one for one in check(profile.load(name), config(), NEW) if one.state == "warning"]

    def test_it_is_missing_if_the_profile_asks_for_it_elsewhere(self, tmp_path: Path) -> None:
        text = (
            'text = "t"\nareas = ["yama"]\n'
            '[[config]]\noption = "SECURITY_LOADPIN_ENFORCE"\nvalue = "y"\nuntil = "6.1"\nsource = "w"\n'
        )
        for version, state in (((6, 1, 192), "missing"), ((6, 12), "warning")):
            found = check(made(tmp_path, text), self.LEFT_OUT, version)
            states = {one.name: one.state for one in found if "it never starts" in one.text}
            assert states == {"SECURITY_YAMA": "missing", "SECURITY_LOADPIN": state}

    @pytest.mark.parametrize(
        ("changes", "state"),
        [((), "ok"), (("-STRICT_DEVMEM",), "missing"), (("-DEVMEM", "-STRICT_DEVMEM"), None)],
        ids=["filtered", "unfiltered", "no-devmem"],
    )
    def test_kspp_wants_devmem_filtered(self, changes: tuple[str, ...], state: str | None) -> None:
        found = check(profile.load("kspp"), config(*changes), NEW)
        assert {one.name: one.state for one in found}.get("STRICT_DEVMEM") == state

    @pytest.mark.parametrize(("changes", "state"), [((), "ok"), (("CHECKPOINT_RESTORE=y",), "missing")])
    def test_chromeos_wants_no_checkpoint_restore(self, changes: tuple[str, ...], state: str) -> None:
        found = check(profile.load("chromeos"), config(*changes), NEW)
        assert {one.name: one.state for one in found}["CHECKPOINT_RESTORE"] == state


def test_a_warning_is_printed_and_does_not_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found_in = config(NO_LSM, "-SECURITY_YAMA", cmdline="lsm=bpf")
    (tmp_path / "config").write_text(found_in.render())
    made(tmp_path, NOTHING_ASKED)
    assert main(["check", str(tmp_path / "config"), "--profile", str(tmp_path / "mine.toml")]) == 0
    said = capsys.readouterr().out
    assert "profile mine: 1 warned about\n" in said
    assert (
        "  warning  CONFIG_SECURITY_LOADPIN is y, but lsm= in CONFIG_CMDLINE is 'bpf': "
        "without loadpin in it, it never starts\n"
    ) in said
    assert "           CONFIG_CMDLINE: the boot loader's parameters are added to it" in said
