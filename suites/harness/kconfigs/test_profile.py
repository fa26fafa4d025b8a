# SPDX-License-Identifier: GPL-2.0-or-later
"""Profiles: what they may say, what a config says to it, and what the command line makes of both."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs import profile
from kconfigs.kconfig import Config
from kconform import main
from suites.harness.checkout import ROOT

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
CONFIG = """\
# Linux/x86 6.12.7 Kernel Configuration
CONFIG_SECURITY_YAMA=y
CONFIG_SECURITY_LOADPIN_VERITY=m
CONFIG_LSM="lockdown,yama,loadpin,apparmor"
"""


def made(tmp_path: Path, text: str = GOOD) -> profile.Profile:
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8", errors="surrogateescape")
    return profile.load(str(tmp_path / "mine.toml"))


class TestShipped:
    @pytest.mark.parametrize("name", ["chromeos", "debian", "kspp", "ubuntu", "upstream"])
    def test_each_line_has_its_source(self, name: str) -> None:
        loaded = profile.load(name)
        assert loaded.name == name
        assert loaded.areas
        assert [line for line in (*loaded.config, *loaded.defaults) if len(line.source) < 10] == []

    def test_the_list_is_complete(self) -> None:
        assert profile.shipped() == ["chromeos", "debian", "kspp", "ubuntu", "upstream"]


class TestChecking:
    def states(self, tmp_path: Path, config: str, version: tuple[int, ...]) -> dict[str, str]:
        found = profile.check(made(tmp_path), Config.parse(config), version)
        return {finding.name: finding.state for finding in found}

    def test_a_config_answers_all_but_defaults(self, tmp_path: Path) -> None:
        assert self.states(tmp_path, CONFIG, (6, 12, 7)) == {
            "SECURITY_YAMA": "ok",
            "SECURITY_LOADPIN_VERITY": "ok",
            "lsm": "ok",
            "yama-scope": "open",
        }

    def test_missing_options_are_found(self, tmp_path: Path) -> None:
        lacking = CONFIG.replace("yama,loadpin,apparmor", "apparmor,yama").replace("VERITY=m", "VERITY=n")
        assert self.states(tmp_path, lacking, (6, 12, 7)) == {
            "SECURITY_YAMA": "ok",
            "SECURITY_LOADPIN_VERITY": "missing",
            "lsm": "missing",
            "yama-scope": "open",
        }

    def test_lines_for_other_versions_are_not_asked(self, tmp_path: Path) -> None:
        assert set(self.states(tmp_path, CONFIG, (5, 10))) == {"SECURITY_YAMA", "OLD", "lsm", "yama-scope"}
        assert "OLD" not in self.states(tmp_path, CONFIG, (6, 0))

    def test_an_unknown_version_is_asked_for_everything(self, tmp_path: Path) -> None:
        assert len(self.states(tmp_path, CONFIG, ())) == 5

    @pytest.mark.parametrize(("value", "state"), [("yes", "ok"), ("no", "missing")])
    def test_loadpin_enforcing_is_read_from_the_config(self, tmp_path: Path, value: str, state: str) -> None:
        text = f'text = "t"\n[[default]]\nwhat = "loadpin-enforcing"\nvalue = "{value}"\nsource = "we"\n'
        (found,) = profile.check(made(tmp_path, text), Config.parse("CONFIG_SECURITY_LOADPIN_ENFORCE=y"), ())
        assert found.state == state

    def test_a_profile_asks_for_an_option_of_some_versions(self, tmp_path: Path) -> None:
        mine = made(tmp_path)
        line = mine.asks_for("CONFIG_SECURITY_LOADPIN_VERITY", (6, 1))
        assert line is not None
        assert line.where == f"{tmp_path}/mine.toml:3: [[config]] 1"
        assert mine.asks_for("SECURITY_LOADPIN_VERITY", (5, 19)) is None
        assert mine.asks_for("SECCOMP_CACHE_DEBUG", (6, 1)) is None


class TestSecurityModules:
    """A security module that is built, but not in CONFIG_LSM, never starts, which is never intended."""

    LEFT_OUT = """\
CONFIG_SECURITY_YAMA=y
CONFIG_SECURITY_LOADPIN=y
CONFIG_SECURITY_LOADPIN_ENFORCE=y
CONFIG_SECCOMP=y
CONFIG_SECCOMP_FILTER=y
CONFIG_LSM="landlock,lockdown,integrity,bpf"
"""

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
        found = profile.check(profile.load(name), Config.parse(self.LEFT_OUT), (6, 12))
        states = {finding.name: finding.state for finding in found if "it never starts" in finding.text}
        assert (states.get("SECURITY_YAMA"), states.get("SECURITY_LOADPIN")) == (yama, loadpin)
        for module in ("yama", "loadpin") if yama == loadpin else ("yama",):
            assert any(f.state == "missing" and module in f.text and f.name == "lsm" for f in found)

    def test_it_is_missing_if_the_profile_asks_for_it_elsewhere(self, tmp_path: Path) -> None:
        text = (
            'text = "t"\nareas = ["yama"]\n'
            '[[config]]\noption = "SECURITY_LOADPIN_ENFORCE"\nvalue = "y"\nuntil = "6.1"\nsource = "w"\n'
        )
        for version, state in (((6, 1, 192), "missing"), ((6, 12), "warning")):
            found = profile.check(made(tmp_path, text), Config.parse(self.LEFT_OUT), version)
            states = {one.name: one.state for one in found if "it never starts" in one.text}
            assert states == {"SECURITY_YAMA": "missing", "SECURITY_LOADPIN": state}

    @pytest.mark.parametrize(
        "config",
        [
            pytest.param('CONFIG_SECURITY_LOADPIN=y\nCONFIG_LSM="loadpin,bpf"', id="listed"),
            pytest.param('CONFIG_LSM="bpf"', id="not-built"),
            pytest.param("CONFIG_SECURITY_LOADPIN=y", id="before-there-was-a-list"),
        ],
    )
    def test_otherwise_nothing_is_said(self, config: str) -> None:
        found = profile.check(profile.load("kspp"), Config.parse(config), (6, 12))
        assert not [finding for finding in found if "it never starts" in finding.text]

    def test_a_warning_is_printed_and_does_not_fail(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "config").write_text('CONFIG_SECURITY_YAMA=y\nCONFIG_SECURITY_LOADPIN=y\nCONFIG_LSM="yama"\n')
        made(tmp_path, 'text = "t"\nareas = ["yama"]\n')
        assert main(["check", str(tmp_path / "config"), "--profile", str(tmp_path / "mine.toml")]) == 0
        said = capsys.readouterr().out
        assert "profile mine: 1 ok, 1 warned about\n" in said
        assert "  warning  CONFIG_SECURITY_LOADPIN is y, but CONFIG_LSM is 'yama': without loadpin in it" in said


def test_an_option_that_is_asked_for_twice_is_missing_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("CONFIG_CC_IS_GCC=y\nCONFIG_SECCOMP=y\nCONFIG_SECCOMP_FILTER=y\n")
    assert main(["check", str(tmp_path / "config"), "--profile", "kspp"]) == 1
    said = capsys.readouterr().out
    assert said.count("CONFIG_SECURITY_YAMA is n, y is asked for") == 1
    assert "the area yama is to be tested (kspp.toml:4)\n" in said
    assert "KSPP, Recommended Settings: ancestry protections for ptrace (kspp.toml:16: [[config]] 3)\n" in said


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


class TestCommand:
    @pytest.fixture
    def config(self, tmp_path: Path) -> Path:
        path = tmp_path / "configs" / "config-6.12.7"
        path.parent.mkdir()
        path.write_text(CONFIG)
        return path

    def test_a_full_disk_is_reported(self, config: Path, tmp_path: Path) -> None:
        """Status 1 would mean that the config lacks something."""
        made(tmp_path)
        command = [sys.executable, "-m", "kconform", "check", str(config), "--profile", str(tmp_path / "mine.toml")]
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
        assert (done.returncode, done.stderr) == (
            4,
            "kconform: error: standard output cannot be written: No space left on device\n",
        )

    def test_a_config_that_has_everything_ends_with_0(
        self, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        made(tmp_path)
        assert main(["check", str(config), "--profile", str(tmp_path / "mine.toml")]) == 0
        assert "(6.12.7), profile mine: 3 ok, 1 for a run to prove" in capsys.readouterr().out

    def test_a_config_that_lacks_something_ends_with_1(
        self, config: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["check", str(config), "--profile", "chromeos"]) == 1
        assert "MISSING  CONFIG_SECURITY_LOADPIN is n, y is asked for" in capsys.readouterr().out

    def test_folders_and_compressed_configs_are_read(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (config.parent / "b.config").write_text(CONFIG.replace("6.12.7", "6.1"))
        (config.parent / "config.gz").write_bytes(gzip.compress(CONFIG.encode()))
        (config.parent / "README").write_text("nothing")
        assert main(["check", str(config.parent), "--profile", "kspp", "-v"]) == 1
        heads = [line for line in capsys.readouterr().out.splitlines() if "profile kspp" in line]
        assert [line.partition(",")[0].rpartition("/")[2] for line in heads] == [
            "b.config (6.1)",
            "config-6.12.7 (6.12.7)",
            "config.gz (6.12.7)",
        ]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (None, "cannot be read: "),
            (b"#!/bin/sh\n", "is not a kernel configuration"),
            (b"\x1f\x8b\x08cut", "cannot be read: "),
        ],
        ids=["missing", "foreign", "damaged"],
    )
    def test_what_is_not_a_config_is_wrong_use(
        self, tmp_path: Path, content: bytes | None, message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "config"
        if content is not None:
            path.write_bytes(content)
        assert main(["check", str(path), "--profile", "debian"]) == 4
        assert f"{path} {message}" in capsys.readouterr().err

    def test_a_folder_without_configs_is_wrong_use(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["check", str(tmp_path), "--profile", "debian"]) == 4
        assert "no file in this folder" in capsys.readouterr().err
