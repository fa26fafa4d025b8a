# SPDX-License-Identifier: GPL-2.0-or-later
"""CONFIG_CMDLINE: what its parameters are, and when the kernel uses them."""

from __future__ import annotations

import pytest

from kconfigs.builtin_command_line import BuiltinCommandLine
from kconfigs.kconfig import Config


def line(text: str, *options: str) -> BuiltinCommandLine:
    quoted = text.replace('"', '\\"')
    lines = [f'CONFIG_CMDLINE="{quoted}"', *(f"CONFIG_{option}=y" for option in options)]
    return BuiltinCommandLine.of(Config.parse("\n".join(lines)))


class TestUse:
    @pytest.mark.parametrize(
        ("options", "use"),
        [
            (("X86", "CMDLINE_BOOL"), "added"),
            (("X86", "CMDLINE_BOOL", "CMDLINE_OVERRIDE"), "alone"),
            (("X86",), "unused"),
            (("ARM64", "CMDLINE_FORCE"), "alone"),
            (("ARM64", "CMDLINE_FROM_BOOTLOADER"), "fallback"),
            (("ARM64",), "fallback"),
            (("RISCV", "CMDLINE_EXTEND"), "appended"),
            (("PPC", "CMDLINE_EXTEND"), "appended"),
        ],
        ids=lambda value: "-".join(value) if isinstance(value, tuple) else value,
    )
    def test_the_options_of_each_architecture(self, options: tuple[str, ...], use: str) -> None:
        assert line("lsm=yama", *options).use == use

    @pytest.mark.parametrize("text", ["", " "])
    def test_an_empty_line_is_not_used(self, text: str) -> None:
        assert line(text, "X86", "CMDLINE_BOOL").use == "unused"
        assert BuiltinCommandLine.of(Config.parse("CONFIG_ARM64=y")).use == "unused"

    def test_a_line_that_is_not_used_has_no_parameters(self) -> None:
        assert line("lsm=yama", "X86").values("lsm") == []


class TestParameters:
    """As next_arg() and parse_args() split them."""

    @pytest.mark.parametrize(
        ("text", "name", "values"),
        [
            pytest.param("quiet lsm=yama,bpf ro", "lsm", ["yama,bpf"], id="among-others"),
            pytest.param("lsm=yama lsm=bpf", "lsm", ["yama", "bpf"], id="twice"),
            pytest.param("xlsm=1 lsmx=2 lsm.debug", "lsm", [], id="similar-names"),
            pytest.param("lsm", "lsm", [], id="without-a-value"),
            pytest.param("lsm=", "lsm", [""], id="with-an-empty-value"),
            pytest.param('lsm="yama bpf" ro', "lsm", ["yama bpf"], id="quoted-value"),
            pytest.param('"lsm=yama bpf" ro', "lsm", ["yama bpf"], id="quoted-word"),
            pytest.param('dyndbg="file a.c +p ; lsm=yama" ro', "lsm", [], id="in-another-ones-value"),
            pytest.param("rdinit=/a -- lsm=yama", "lsm", [], id="after-the-end"),
            pytest.param("some-name=1", "some_name", ["1"], id="dash-in-the-line"),
            pytest.param("some_name=1", "some-name", ["1"], id="dash-in-the-question"),
        ],
    )
    def test_values(self, text: str, name: str, values: list[str]) -> None:
        found = line(text, "X86", "CMDLINE_BOOL")
        assert found.values(name) == values
        assert found.value(name) == (values[-1] if values else None)

    def test_what_extends_the_boot_loaders_line_comes_after_it(self) -> None:
        """drivers/of/fdt.c, which arm64, riscv and powerpc use; so it decides."""
        whole = line("lsm=yama audit=0", "RISCV", "CMDLINE_EXTEND").followed_by(["quiet=1", "lsm=bpf"])
        assert whole.values("lsm") == ["bpf", "yama"]
        assert (whole.value("quiet"), whole.value("audit")) == ("1", "0")
        assert "decides" in line("lsm=yama", "RISCV", "CMDLINE_EXTEND").caveat

    @pytest.mark.parametrize(
        ("options", "value"),
        [(("X86",), "bpf"), (("X86", "CMDLINE_BOOL"), "bpf"), (("X86", "CMDLINE_BOOL", "CMDLINE_OVERRIDE"), "yama")],
        ids=["not-used", "added", "alone"],
    )
    def test_what_the_boot_loader_passes_comes_last(self, options: tuple[str, ...], value: str) -> None:
        whole = line("lsm=yama audit=0", *options).followed_by(["quiet", "lsm=bpf"])
        assert whole.value("lsm") == value
        assert whole.value("audit") == (None if "CMDLINE_BOOL" not in options else "0")
