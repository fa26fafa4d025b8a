# SPDX-License-Identifier: GPL-2.0-or-later
"""What a config says to a profile, and what the command line makes of it."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from kconfigs.config_check import check
from kconfigs.kconfig import Config
from kconform import main
from suites.harness.checkout import ROOT
from suites.harness.kconfigs.example_profile import made

CONFIG = """\
# Linux/x86 6.12.7 Kernel Configuration
CONFIG_SECURITY_YAMA=y
CONFIG_SECURITY_LOADPIN_VERITY=m
CONFIG_LSM="lockdown,yama,loadpin,apparmor"
"""


class TestChecking:
    def states(self, tmp_path: Path, config: str, version: tuple[int, ...]) -> dict[str, str]:
        found = check(made(tmp_path), Config.parse(config), version)
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
        (found,) = check(made(tmp_path, text), Config.parse("CONFIG_SECURITY_LOADPIN_ENFORCE=y"), ())
        assert found.state == state


def test_an_option_that_is_asked_for_twice_is_missing_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("CONFIG_INIT_ENV_ARG_LIMIT=32\nCONFIG_SECCOMP=y\nCONFIG_SECCOMP_FILTER=y\n")
    assert main(["check", str(tmp_path / "config"), "--profile", "kspp"]) == 1
    said = capsys.readouterr().out
    assert said.count("CONFIG_SECURITY_YAMA is n, y is asked for") == 1
    assert "the area yama is to be tested (kspp.toml:3)\n" in said
    assert "KSPP, Recommended Settings: ancestry protections for ptrace (kspp.toml:15: [[config]] 3)\n" in said


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
