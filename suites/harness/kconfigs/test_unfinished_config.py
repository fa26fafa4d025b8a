# SPDX-License-Identifier: GPL-2.0-or-later
"""Defconfigs and fragments: an option that they leave out is unknown, and not off."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs.unfinished_config import is_unfinished
from kconform import main

HEADINGS = {
    "heading": "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 6.12.7 Kernel Configuration\n#\n",
    "version-removed": "#\n### Automatically generated file; DO NOT EDIT.\n#\n",
    "first-line-removed": "# Linux/x86_64 6.12.7 Kernel Configuration\n",
    "heading-removed": "# Our kernel\nCONFIG_INIT_ENV_ARG_LIMIT=32\n",
}
DEFCONFIG = 'CONFIG_SYSVIPC=y\nCONFIG_LSM="landlock,lockdown,yama"\n# CONFIG_SECURITY_YAMA is not set\n'


@pytest.mark.parametrize("heading", HEADINGS)
def test_what_kconfig_wrote_is_complete(heading: str) -> None:
    assert not is_unfinished(HEADINGS[heading] + DEFCONFIG)


@pytest.mark.parametrize("text", ["", DEFCONFIG, "# a kernel configuration\n"])
def test_what_has_no_trace_of_kconfig_is_not_complete(text: str) -> None:
    assert is_unfinished(text)


class TestCommand:
    def check(self, text: str, tmp_path: Path, *rows: str) -> int:
        (tmp_path / "config").write_text(text)
        (tmp_path / "mine.toml").write_text('text = "t"\n' + "".join(rows))
        return main(["check", str(tmp_path / "config"), "--profile", str(tmp_path / "mine.toml")])

    SECCOMP = '[[config]]\noption = "SECCOMP_FILTER"\nvalue = "y"\nsource = "we"\n'
    NO_SYSVIPC = '[[config]]\noption = "SYSVIPC"\nvalue = "n"\nsource = "we"\n'
    NO_FTRACE = '[[config]]\noption = "FTRACE"\nvalue = "n"\nsource = "we"\n'
    YAMA = '[[config]]\noption = "SECURITY_YAMA"\nvalue = "y"\nsource = "we"\n'
    LSM = '[[default]]\nwhat = "lsm"\nvalue = "yama"\nsource = "we"\n'

    @pytest.mark.parametrize(
        ("row", "option"), [(SECCOMP, "SECCOMP_FILTER"), (NO_FTRACE, "FTRACE")], ids=["wanted", "unwanted"]
    )
    def test_what_is_left_out_is_unknown(
        self, tmp_path: Path, row: str, option: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A gate is told neither that all is well, nor that the kernel lacks it."""
        assert self.check(DEFCONFIG, tmp_path, row) == UsageError.exit_status
        said = capsys.readouterr().out
        assert "1 for a run to prove\n  warning  this is not a complete .config, but a defconfig" in said
        assert f"  open     CONFIG_{option} is left out, so it has its default\n" in said
        assert "MISSING" not in said

    def test_the_order_of_modules_may_be_left_out(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.check("CONFIG_SYSVIPC=y\n", tmp_path, self.LSM) == UsageError.exit_status
        assert "  open     CONFIG_LSM is left out, so it has its default\n" in capsys.readouterr().out

    @pytest.mark.parametrize("row", [YAMA, NO_SYSVIPC], ids=["not-set", "set"])
    def test_what_is_named_is_known(self, tmp_path: Path, row: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.check(DEFCONFIG, tmp_path, row) == 1
        said = capsys.readouterr().out
        assert "1 missing\n  MISSING  CONFIG_S" in said
        assert "not a complete .config" not in said

    def test_what_is_certainly_missing_comes_first(self, tmp_path: Path) -> None:
        assert self.check(DEFCONFIG, tmp_path, self.YAMA, self.SECCOMP) == 1

    def test_a_defconfig_that_names_everything_is_enough(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.check(DEFCONFIG, tmp_path, self.LSM) == 0
        assert "warning" not in capsys.readouterr().out

    @pytest.mark.parametrize("heading", HEADINGS)
    def test_in_a_complete_config_it_is_missing(self, tmp_path: Path, heading: str) -> None:
        assert self.check(HEADINGS[heading] + DEFCONFIG, tmp_path, self.SECCOMP) == 1
