# SPDX-License-Identifier: GPL-2.0-or-later
"""--config: what its values mean, and which kernels they lead to."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs import kernel_matrix
from kconfigs.config_changes import ConfigChanges, parse_changes
from kconfigs.kernel_options import requested_kernels
from kconfigs.planned_kernels import plan
from suites.harness.kconfigs import fake_kernels as fakes


def changes(*texts: str, folder: Path = Path()) -> ConfigChanges:
    found = parse_changes(texts, folder)
    assert found is not None
    return found


def values(found: ConfigChanges) -> dict[str, str]:
    return {name: option.value for name, option in found.asked((6, 12)).items()}


class TestOptions:
    @pytest.mark.parametrize(
        ("text", "name", "value"),
        [
            ("SECURITY_YAMA=n", "SECURITY_YAMA", "n"),
            ("CONFIG_SECURITY_YAMA=y", "SECURITY_YAMA", "y"),
            ("64BIT=y", "64BIT", "y"),
            ("NR_CPUS=8", "NR_CPUS", "8"),
            ("PHYSICAL_START=0x1000000", "PHYSICAL_START", "0x1000000"),
            ("LSM=yama,loadpin", "LSM", '"yama,loadpin"'),
            ('LSM="yama"', "LSM", '"yama"'),
            ('CMDLINE=a "b" \\', "CMDLINE", '"a \\"b\\" \\\\"'),
            ("LOCALVERSION=", "LOCALVERSION", '""'),
        ],
    )
    def test_one_option(self, text: str, name: str, value: str) -> None:
        assert values(changes(text)) == {name: value}

    def test_the_last_one_counts(self) -> None:
        assert values(changes("A=y", "B=2", "A=n")) == {"A": "n", "B": "2"}

    def test_without_any(self) -> None:
        assert parse_changes([]) is None


class TestFiles:
    def test_a_file_in_kconfigs_notation(self, tmp_path: Path) -> None:
        (tmp_path / "more.config").write_text(
            '# A comment\n\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C="x # y"  # why\nCONFIG_D=0x10\n'
        )
        found = changes("more.config", "A=n", folder=tmp_path)
        assert values(found) == {"A": "n", "B": "n", "C": '"x # y"', "D": "0x10"}
        assert found.label == "more+A=n"

    def test_a_fragment_of_our_own(self) -> None:
        assert values(changes("no-yama"))["SECURITY_YAMA"] == "n"

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "sets no option"),
            (b"# only a comment\n", "sets no option"),
            (b"CONFIG_A=y\nA=y\n", r"more.config:2: not a line of a config: A=y"),
            (b"CONFIG_A=y\n\x1b[2Jx\n", r":2: not a line of a config: \\x1b\[2Jx"),
            (b"CONFIG_A=\n", ":1: not a line of a config"),
            (b"CONFIG_A=y\0\n", "there is a NUL in it"),
            (b"#!/bin/sh\nrm -r x\n", ":2: not a line of a config"),
        ],
    )
    def test_what_is_no_fragment(self, tmp_path: Path, content: bytes, said: str) -> None:
        (tmp_path / "more.config").write_bytes(content)
        with pytest.raises(UsageError, match=said):
            parse_changes(["more.config"], tmp_path)

    @pytest.mark.parametrize("value", ["$(shell touch /tmp/x)", "`id`"])
    def test_commands_are_refused(self, tmp_path: Path, value: str) -> None:
        """make would run them."""
        (tmp_path / "more.config").write_text(f'CONFIG_LOCALVERSION="{value}"\n')
        for text in (f"LOCALVERSION={value}", "more.config"):
            with pytest.raises(UsageError, match="a build would run a part of CONFIG_LOCALVERSION"):
                parse_changes([text], tmp_path)

    @pytest.mark.parametrize("text", ["", "no-yma", "/nonexistent", "SECURITY_YAMA", "security_yama=n", "=y", ".."])
    def test_what_is_neither_an_option_nor_a_file(self, text: str) -> None:
        with pytest.raises(UsageError, match="is no option and no config fragment") as caught:
            parse_changes([text])
        assert caught.value.hint

    def test_a_misspelt_fragment(self) -> None:
        with pytest.raises(UsageError, match="did you mean 'no-yama'"):
            parse_changes(["no-yma"])


class TestLabel:
    """It is a part of ids, file names and keys."""

    @pytest.mark.parametrize(
        ("texts", "label"),
        [
            (["SECURITY_YAMA=n"], "SECURITY_YAMA=n"),
            (["CONFIG_SECURITY_YAMA=n", "no-loadpin"], "SECURITY_YAMA=n+no-loadpin"),
            (["CMDLINE=a/../b (x)"], "CMDLINE=a-..-b-x"),
            (["LOCALVERSION=[]"], "LOCALVERSION="),
        ],
    )
    def test_it_has_only_safe_characters(self, texts: list[str], label: str) -> None:
        assert changes(*texts).label == label

    def test_a_long_one_is_cut(self) -> None:
        long = [f"OPTION_{number}=y" for number in range(20)]
        first, second = changes(*long), changes(*long, "MORE=y")
        assert len(first.label) <= 60
        assert first.label.startswith("OPTION_0=y+OPTION_1=y+")
        assert first.label != second.label


@pytest.mark.usefixtures("cache_root")
class TestKernels:
    def test_only_kernels_that_are_built_are_changed(self, tmp_path: Path) -> None:
        (tmp_path / "image.bin").write_bytes(fakes.bzimage(config=fakes.CONFIG))
        fakes.tree(tmp_path / "linux")
        specs = [str(tmp_path / name) for name in ("image.bin", "linux")]
        found = plan(requested_kernels(specs=specs, flavors=["full", "mine"], changes=["SECURITY_YAMA=n"]))
        assert [one.id for one in found] == [
            "image.bin-6.12.7-fake/shipped",
            "linux-6.12.7/full+SECURITY_YAMA=n",
            "linux-6.12.7/mine+SECURITY_YAMA=n",
        ]

    def test_where_nothing_is_built_it_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "image.bin").write_bytes(fakes.bzimage(config=fakes.CONFIG))
        with pytest.raises(UsageError, match="none of these is built"):
            plan(requested_kernels(specs=[str(tmp_path / "image.bin")], changes=["SECURITY_YAMA=n"]))

    def test_in_a_matrix(self, tmp_path: Path) -> None:
        fakes.tree(tmp_path / "linux")
        (tmp_path / "more.config").write_text("CONFIG_MORE=y\n")
        matrix = tmp_path / "kconform.toml"
        matrix.write_text(
            '[[kernel]]\nspec = "linux"\n\n[[kernel]]\nspec = "linux"\nfragments = ["A=n", "more.config"]\n'
        )
        assert [one.id for one in plan(kernel_matrix.load(matrix))] == [
            "linux-6.12.7/full",
            "linux-6.12.7/full+A=n+more",
        ]

    @pytest.mark.parametrize(
        ("spec", "fragments", "said"),
        [
            ("linux", '["nothing"]', r"kconform.toml:\d+: .*nothing is no option"),
            ("linux", '"A=n"', r"kconform.toml:\d+"),
            ("image.bin", '["A=n"]', r"image.bin is not built, so its config cannot be changed"),
        ],
    )
    def test_errors_in_a_matrix_have_their_place(self, tmp_path: Path, spec: str, fragments: str, said: str) -> None:
        fakes.tree(tmp_path / "linux")
        (tmp_path / "image.bin").write_bytes(fakes.bzimage(config=fakes.CONFIG))
        matrix = tmp_path / "kconform.toml"
        matrix.write_text(f'[[kernel]]\nspec = "linux"\n\n[[kernel]]\nspec = "{spec}"\nfragments = {fragments}\n')
        with pytest.raises(UsageError, match=said):
            plan(kernel_matrix.load(matrix))

    def test_two_changes_of_one_name_are_refused(self, tmp_path: Path) -> None:
        """They would be one kernel in the report."""
        fakes.tree(tmp_path / "linux")
        for number in (1, 2):
            (tmp_path / str(number)).mkdir()
            (tmp_path / str(number) / "more.config").write_text(f"CONFIG_MORE={number}\n")
        matrix = tmp_path / "kconform.toml"
        matrix.write_text("".join(f'[[kernel]]\nspec = "linux"\nfragments = ["{n}/more.config"]\n' for n in (1, 2)))
        with pytest.raises(UsageError, match="has been named before, with another config fragment of that name"):
            plan(kernel_matrix.load(matrix))
