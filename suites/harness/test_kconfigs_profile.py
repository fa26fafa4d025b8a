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
from kconfigs.__main__ import main
from kconfigs.fragments import Config

ROOT = Path(__file__).parents[2]

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
until = "6.0"
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

    def test_they_are_all_there_are(self) -> None:
        assert profile.shipped() == ["chromeos", "debian", "kspp", "ubuntu", "upstream"]


class TestChecking:
    def states(self, tmp_path: Path, config: str, version: tuple[int, ...]) -> dict[str, str]:
        found = profile.check(made(tmp_path), Config.parse(config), version)
        return {finding.line.name: finding.state for finding in found}

    def test_what_a_config_can_tell(self, tmp_path: Path) -> None:
        assert self.states(tmp_path, CONFIG, (6, 12, 7)) == {
            "SECURITY_YAMA": "ok",
            "SECURITY_LOADPIN_VERITY": "ok",
            "lsm": "ok",
            "yama-scope": "open",
        }

    def test_what_it_lacks(self, tmp_path: Path) -> None:
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

    def test_of_an_unknown_version_all_is_asked(self, tmp_path: Path) -> None:
        assert len(self.states(tmp_path, CONFIG, ())) == 5

    @pytest.mark.parametrize(("value", "state"), [("yes", "ok"), ("no", "missing")])
    def test_whether_loadpin_enforces(self, tmp_path: Path, value: str, state: str) -> None:
        text = f'text = "t"\n[[default]]\nwhat = "loadpin-enforcing"\nvalue = "{value}"\nsource = "we"\n'
        (found,) = profile.check(made(tmp_path, text), Config.parse("CONFIG_SECURITY_LOADPIN_ENFORCE=y"), ())
        assert found.state == state

    def test_what_a_skip_may_not_lack(self, tmp_path: Path) -> None:
        mine = made(tmp_path)
        line = mine.asks_for("CONFIG_SECURITY_LOADPIN_VERITY", (6, 1))
        assert line is not None
        assert line.where == f"{tmp_path}/mine.toml:3: [[config]] 1"
        assert mine.asks_for("SECURITY_LOADPIN_VERITY", (5, 19)) is None
        assert mine.asks_for("SECCOMP_CACHE_DEBUG", (6, 1)) is None


class TestBadProfiles:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("nonsense", "mine.toml: no profile: "),
            ('areas = ["yama"]', "mine.toml: 'text' is missing"),
            ('text = "t"\ncolour = "red"', "unknown key 'colour'"),
            ('text = "t"\narea = ["yama"]', "unknown key 'area'; did you mean 'areas'"),
            ('text = "caf\udce9"', "mine.toml:1: no profile: this is no text in UTF-8"),
            (
                'text = "t"\n\n[[config]] # 1\noption = "A"\nvalue = "y"\nsource = ""\nsince = "6.1"\nuntil = "5.4"',
                r"mine.toml:3: \[\[config\]\] 1: since 6.1, until 5.4: no version is in between",
            ),
            ('text = "t"\nareas = ["selinux"]', "areas has to be a list of yama, loadpin, seccomp"),
            ('text = "t"\nconfig = "y"', r"config has to be written as \[\[config\]\]"),
            ('text = "t"\n[[config]]\noption = "A"\nvalue = "y"', r"\[\[config\]\] 1: 'source' is missing"),
            ('text = "t"\n[[config]]\noption = "A"\nvalue = 1\nsource = "w"', "value has to be a text, in quotes"),
            (
                'text = "t"\n[[config]]\noption = "A"\nvalue = "y"\nsource = "w"\nsince = "six"',
                "'six' is no kernel version",
            ),
            ('text = "t"\n[[default]]\nwhat = "colour"\nvalue = "y"\nsource = "w"', "nothing is called 'colour'"),
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
    def test_the_place_and_the_fault_are_named(self, tmp_path: Path, text: str, message: str) -> None:
        with pytest.raises(UsageError, match=message) as caught:
            made(tmp_path, text)
        assert f"{tmp_path}/mine.toml" in caught.value.message
        assert caught.value.exit_status == 4

    def test_one_that_there_is_not(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no profile 'debain'; did you mean 'debian'") as caught:
            profile.load("debain")
        assert "debian" in caught.value.hint
        with pytest.raises(UsageError, match=f"{tmp_path}: no profile: Is a directory"):
            profile.load(str(tmp_path))


class TestCommand:
    @pytest.fixture
    def config(self, tmp_path: Path) -> Path:
        path = tmp_path / "configs" / "config-6.12.7"
        path.parent.mkdir()
        path.write_text(CONFIG)
        return path

    def test_a_full_disk_behind_standard_output_is_said(self, config: Path, tmp_path: Path) -> None:
        """With 1 it would say that the config lacks something."""
        made(tmp_path)
        command = [sys.executable, "-m", "kconfigs", "check", str(config), "--profile", str(tmp_path / "mine.toml")]
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
        assert (done.returncode, done.stderr) == (
            4,
            "kconform: error: standard output cannot be written: No space left on device\n",
        )

    def test_all_there(self, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        made(tmp_path)
        assert main(["check", str(config), "--profile", str(tmp_path / "mine.toml")]) == 0
        assert "(6.12.7), profile mine: 3 ok, 1 for a run to prove" in capsys.readouterr().out

    def test_something_missing(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["check", str(config), "--profile", "chromeos"]) == 1
        assert "MISSING  CONFIG_SECURITY_LOADPIN is n, y is asked for" in capsys.readouterr().out

    def test_a_folder_and_a_packed_one(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
            (b"#!/bin/sh\n", "is no kernel configuration"),
            (b"\x1f\x8b\x08cut", "cannot be read: "),
        ],
        ids=["missing", "foreign", "damaged"],
    )
    def test_what_is_no_config(
        self, tmp_path: Path, content: bytes | None, message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "config"
        if content is not None:
            path.write_bytes(content)
        assert main(["check", str(path), "--profile", "debian"]) == 4
        assert f"{path} {message}" in capsys.readouterr().err

    def test_a_folder_without_any(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["check", str(tmp_path), "--profile", "debian"]) == 4
        assert "no file in this folder" in capsys.readouterr().err
