# SPDX-License-Identifier: GPL-2.0-or-later
"""Profiles: what they may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs import profile
from kconfigs.config_check import check
from kconfigs.kconfig import Config
from reports.model import requirements
from suites.harness.checkout import ROOT
from suites.harness.kconfigs.example_profile import made


class TestShipped:
    NAMES = (
        *("alpine", "android-gki", "arch", "chromeos", "debian", "fedora", "kspp", "opensuse", "rhel", "ubuntu"),
        "upstream",
    )

    @pytest.mark.parametrize("name", NAMES)
    def test_each_line_has_its_source(self, name: str) -> None:
        loaded = profile.load(name)
        assert loaded.name == name
        assert loaded.areas
        lines = (*loaded.config, *loaded.defaults, *loaded.defaults_after_sysctl)
        assert [line for line in lines if len(line.source) < 10] == []

    @pytest.mark.parametrize("name", profile.shipped())
    def test_no_order_is_asked_of_a_kernel_that_has_no_list(self, name: str) -> None:
        """There is CONFIG_LSM since 5.1; before, Yama and LoadPin start if they are built in."""
        old, loaded = (4, 19, 122), profile.load(name)
        checked = [] if loaded.excludes(old) else check(loaded, Config.parse("CONFIG_SECURITY_YAMA=y\n"), old)
        assert [finding for finding in checked if finding.name == "lsm"] == []

    @pytest.mark.parametrize("name", ["fedora", "rhel"])
    def test_distributions_whose_sysctl_turns_yama_off(self, name: str) -> None:
        loaded = profile.load(name)
        lines = loaded.default("yama-scope", (6, 12)), loaded.default("yama-scope", (6, 12), after_sysctl=True)
        assert [line and line.value for line in lines] == ["1", "0"]

    def test_kspp_asks_for_scope_3_only_after_the_sysctl_settings(self) -> None:
        loaded = profile.load("kspp")
        assert loaded.default("yama-scope", (6, 12)) is None
        after = loaded.default("yama-scope", (6, 12), after_sysctl=True)
        assert after is not None
        assert after.value == "3"

    @pytest.mark.parametrize(("version", "order"), [((6, 4), "apparmor"), ((6, 12), None)])
    def test_opensuse_starts_yama_since_leap_16(self, version: tuple[int, ...], order: str | None) -> None:
        loaded = profile.load("opensuse")
        line = loaded.default("lsm", version)
        assert (line and line.value) == order
        assert (loaded.asks_for("SECURITY_YAMA", version) is None) is (version < (6, 12))

    def test_the_list_is_complete(self) -> None:
        assert profile.shipped() == list(self.NAMES)


BACKPORTS = """\
text = "t"
[[backport]]
requirements = ["seccomp.a", "seccomp.b"]
since = "5.14.0-179"
source = "the changelog"
[[backport]]
requirements = ["seccomp.b"]
since = "6.12.0-55"
source = "the other one"
[[backport]]
requirements = ["seccomp.c"]
source = "all have it"
"""


class TestBackports:
    @pytest.mark.parametrize(
        ("requirement", "release", "source"),
        [
            ("seccomp.a", "5.14.0-284.11.1.el9_2.x86_64", "the changelog"),
            ("seccomp.a", "5.14.0-162.6.1.el9_1.x86_64", ""),
            ("seccomp.a", "6.12.0-55.9.1.el10_0.x86_64", ""),
            ("seccomp.b", "6.12.0-55.9.1.el10_0.x86_64", "the other one"),
            ("seccomp.b", "5.14.0-179.el9.x86_64", "the changelog"),
            ("seccomp.c", "4.18.0-553.el8.x86_64", "all have it"),
            ("seccomp.d", "5.14.0-284.11.1.el9_2.x86_64", ""),
        ],
    )
    def test_a_profile_lists_what_its_kernels_have(
        self, tmp_path: Path, requirement: str, release: str, source: str
    ) -> None:
        listed = made(tmp_path, BACKPORTS).lists(requirement, release)
        assert listed.rpartition(" (")[0] == (f"profile mine lists it: {source}" if source else "")

    @pytest.mark.parametrize("name", profile.shipped())
    def test_shipped_profiles_list_promises(self, name: str) -> None:
        known = requirements.load(ROOT / "suites")
        listed = [one for backport in profile.load(name).backports for one in backport.requirements]
        assert [one for one in listed if one not in known] == []


class TestQuestions:
    def test_a_profile_asks_for_an_option_of_some_versions(self, tmp_path: Path) -> None:
        mine = made(tmp_path)
        line = mine.asks_for("CONFIG_SECURITY_LOADPIN_VERITY", (6, 1))
        assert line is not None
        assert line.where == f"{tmp_path}/mine.toml:3: [[config]] 1"
        assert mine.asks_for("SECURITY_LOADPIN_VERITY", (5, 19)) is None
        assert mine.asks_for("SECCOMP_CACHE_DEBUG", (6, 1)) is None

    CONDITIONAL = """\
text = "t"
[[config]]
option = "STRICT_DEVMEM"
value = "y"
if = "CONFIG_DEVMEM"
source = "we"
"""

    def test_a_line_with_a_condition_asks_no_kernel_in_a_run(self, tmp_path: Path) -> None:
        """A run asks before it looks at the kernel's config."""
        mine = made(tmp_path, self.CONDITIONAL)
        assert mine.config[0].only_if == "DEVMEM"
        assert mine.asks_for("STRICT_DEVMEM", (6, 1)) is None

    @pytest.mark.parametrize("value", ["y", "m", "n"])
    def test_a_line_with_a_condition_asks_configs_that_meet_it(self, tmp_path: Path, value: str) -> None:
        found = check(made(tmp_path, self.CONDITIONAL), Config.parse(f"CONFIG_DEVMEM={value}"), (6, 1))
        assert [one.state for one in found] == ([] if value == "n" else ["missing"])


class TestAfterSysctl:
    TEXT = """\
text = "t"
[[default]]
what = "yama-scope"
value = "1"
sysctl = "0"
source = "we"
[[default]]
what = "lsm"
value = "yama"
source = "we"
[[default]]
what = "actions-logged"
sysctl = ""
source = "we"
"""

    @pytest.mark.parametrize(
        ("what", "before", "after"),
        [
            ("yama-scope", "1", "0"),
            ("lsm", "yama", "yama"),
            ("actions-logged", None, ""),
            ("loadpin-enforcing", None, None),
        ],
    )
    def test_a_default_before_and_after(
        self, tmp_path: Path, what: str, before: str | None, after: str | None
    ) -> None:
        mine = made(tmp_path, self.TEXT)
        lines = mine.default(what, (6, 1)), mine.default(what, (6, 1), after_sysctl=True)
        assert [line and line.value for line in lines] == [before, after]


class TestVersions:
    @pytest.mark.parametrize(
        ("version", "reason"),
        [
            ((5, 4), "profile mine is not for this kernel: since Linux 5.10, this is 5.4"),
            ((5, 10), ""),
            ((6, 12, 7), ""),
            ((6, 13), "profile mine is not for this kernel: until Linux 6.12, this is 6.13"),
            ((), ""),
        ],
    )
    def test_a_profile_is_for_some_versions(self, tmp_path: Path, version: tuple[int, ...], reason: str) -> None:
        mine = made(tmp_path, 'text = "t"\nsince = "5.10"\nuntil = "6.12"\n')
        assert mine.excludes(version) == reason
        if reason:
            with pytest.raises(UsageError, match=f"^linux-x/full: {reason}") as caught:
                mine.require_version(version, "linux-x/full")
            assert caught.value.exit_status == 4

    def test_most_are_for_all(self, tmp_path: Path) -> None:
        assert made(tmp_path, 'text = "t"\n').excludes((3, 5)) == ""


class TestBadProfiles:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("nonsense", "mine.toml:1: not a profile: this is not TOML: "),
            ('areas = ["yama"]', "mine.toml: 'text' is missing"),
            ('text = "t"\ncolour = "red"', "unknown key 'colour'"),
            ('text = "t"\narea = ["yama"]', "unknown key 'area'; did you mean 'areas'"),
            ('text = "caf\udce9"', "mine.toml:1: not a profile: the file is not UTF-8 text"),
            (
                'text = "t"\n\n[[config]] # 1\noption = "A"\nvalue = "y"\nsource = "w"\nsince = "6.1"\nuntil = "5.4"',
                r"mine.toml:8: \[\[config\]\] 1: since 6.1, until 5.4: no version is in between",
            ),
            ('text = "t"\nareas = ["selinux"]', "mine.toml:2: 'areas' cannot be 'selinux'"),
            ('text = "t"\nconfig = "y"', r"'config' must be written as \[\[config\]\]"),
            ('text = "t"\n[[config]]\noption = "A"\nvalue = "y"', r"\[\[config\]\] 1: 'source' is missing"),
            (
                'text = "t"\n[[config]]\noption = "A"\nvalue = 1\nsource = "w"',
                "'value' must be a non-empty string",
            ),
            (
                'text = "t"\n[[config]]\noption = "A"\nvalue = "y"\nsource = "w"\nsince = "six"',
                "'since' must be a kernel version such as '6.12', not 'six'",
            ),
            (
                'text = "t"\n[[config]]\noption = "A"\nvalue = "y"\nsource = "w"\nif = ""',
                "'if' must be a non-empty string",
            ),
            ('text = "t"\n[[backport]]\nsource = "w"', "'requirements' is missing"),
            ('text = "t"\n[[backport]]\nrequirements = ["a.b"]', "'source' is missing"),
            ('text = "t"\n[[backport]]\nrequirements = "a.b"\nsource = "w"', "must be a list of strings"),
            (
                'text = "t"\n[[backport]]\nrequirements = ["a.b"]\nsince = "el9"\nsource = "w"',
                ":4: .*'since': 'el9' is not a kernel release such as 5.14.0-70",
            ),
            (
                'text = "t"\n[[backport]]\nrequirements = ["a.b"]\nsince = "5"\nsource = "w"',
                "'since' must begin with a series such as 5.14, not '5'",
            ),
            ('text = "t"\n[[default]]\nwhat = "lsm"\nvalue = "y"\nsource = "w"\nif = "A"', "unknown key 'if'"),
            ('text = "t"\nsince = "new"', "mine.toml:2: 'since' must be a kernel version such as '6.12', not"),
            (
                'text = "t"\n[[default]]\nwhat = "lsm"\nsource = "w"',
                r"mine.toml:2: \[\[default\]\] 1: 'value' is missing",
            ),
            (
                'text = "t"\n[[default]]\nwhat = "lsm"\nsysctl = 1\nsource = "w"',
                "'sysctl' must be a non-empty string",
            ),
            ('text = "t"\n[[default]]\nwhat = "colour"\nvalue = "y"\nsource = "w"', "'what' cannot be 'colour'"),
        ],
        ids=[
            "toml",
            "no-text",
            "key",
            "near-key",
            "encoding",
            "range",
            "area",
            "no-tables",
            "no-source",
            "number",
            "version",
            "blank-condition",
            "no-requirements",
            "no-source-of-a-backport",
            "one-requirement",
            "no-release",
            "no-series",
            "conditional-default",
            "its-version",
            "no-value",
            "sysctl",
            "default",
        ],
    )
    def test_an_error_names_place_and_fault(self, tmp_path: Path, text: str, message: str) -> None:
        with pytest.raises(UsageError, match=message) as caught:
            made(tmp_path, text)
        assert f"{tmp_path}/mine.toml" in caught.value.message
        assert caught.value.exit_status == 4

    def test_a_profile_that_does_not_exist(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no profile 'debain'; did you mean 'debian'") as caught:
            profile.load("debain")
        assert "debian" in caught.value.hint
        with pytest.raises(UsageError, match=f"{tmp_path}: the profile cannot be read: Is a directory"):
            profile.load(str(tmp_path))
