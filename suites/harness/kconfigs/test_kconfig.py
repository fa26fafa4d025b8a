# SPDX-License-Identifier: GPL-2.0-or-later
"""Configurations and fragments: read, merged, compared; and the flavors that are made of them."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs import flavors, kconfig
from kconfigs.kconfig import Config, parse_fragment


def options(text: str, name: str = "test.config") -> kconfig.Fragment:
    return parse_fragment(name, text)


class TestConfig:
    TEXT = 'CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_D="a \\"b\\""\nCONFIG_E=0x10\nCONFIG_F=n\nnoise\n'

    def test_an_option_is_known_by_its_present_name(self) -> None:
        old, new, none = (Config.parse(text) for text in ("CONFIG_X86_X32=y", "CONFIG_X86_X32_ABI=y", "CONFIG_A=y"))
        assert [config.enabled("X86_X32_ABI") for config in (old, new, none)] == [True, True, False]
        assert not new.enabled("X86_X32")

    def test_an_option_that_is_absent_or_not_set_is_n(self) -> None:
        config = Config.parse(self.TEXT)
        assert [config[name] for name in ("C", "F", "NEVER_HEARD_OF")] == ["n", "n", "n"]
        assert list(config) == ["A", "B", "D", "E"]

    def test_built_in_and_module_are_distinguished(self) -> None:
        config = Config.parse(self.TEXT)
        assert [config.enabled(name) for name in "ABCD"] == [True, True, False, False]
        assert [config.builtin(name) for name in "ABCD"] == [True, False, False, False]

    @pytest.mark.parametrize(
        ("need", "met", "met_built_in"),
        [
            ("A", True, True),
            ("B", True, False),
            ("C", False, False),
            ("C or A", True, True),
            ("C or B", True, False),
            ("C or NEVER_HEARD_OF", False, False),
        ],
    )
    def test_one_of_several_options_is_enough(self, need: str, met: bool, met_built_in: bool) -> None:
        config = Config.parse(self.TEXT)
        assert (config.meets(need), config.meets(need, built_in=True)) == (met, met_built_in)

    def test_a_need_is_spelled_as_in_a_config(self) -> None:
        assert [kconfig.spelled(need) for need in ("A", "A or B")] == ["CONFIG_A", "CONFIG_A or CONFIG_B"]

    def test_a_string_loses_its_quotes(self) -> None:
        config = Config.parse(self.TEXT)
        assert config.string("D") == 'a "b"'
        assert config.string("A") == config.string("C") == ""

    def test_the_prefix_may_be_written(self) -> None:
        config = Config.parse(self.TEXT)
        assert config["CONFIG_A"] == "y"
        assert "CONFIG_A" in config
        assert "CONFIG_C" not in config

    def test_order_and_comments_do_not_change_the_digest(self) -> None:
        config = Config.parse(self.TEXT)
        again = Config.parse("\n".join(reversed(self.TEXT.splitlines())))
        assert again.digest == config.digest
        assert again == config
        assert {again, config} == {config}
        assert Config.parse(self.TEXT + "CONFIG_G=y\n").digest != config.digest

    def test_it_survives_rendering_and_pickling(self) -> None:
        config = Config.parse(self.TEXT)
        assert Config.parse(config.render()) == config
        assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301 - our own


class TestFragment:
    def test_each_line_has_its_reason(self) -> None:
        fragment = options("# heading\n\nCONFIG_A=y   # because\nCONFIG_B=12 # twelve # of them\n")
        assert [(o.name, o.value, o.reason, o.where) for o in fragment.options] == [
            ("A", "y", "because", "test.config:3"),
            ("B", "12", "twelve # of them", "test.config:4"),
        ]

    @pytest.mark.parametrize(
        "line",
        [
            pytest.param("CONFIG_A=y", id="no-reason"),
            pytest.param("CONFIG_A=y # ", id="empty-reason"),
            pytest.param("CONFIG_A=yes  # why", id="no-value-of-kconfig"),
            pytest.param("CONFIG_A=  # why", id="no-value"),
            pytest.param("A=y  # why", id="no-prefix"),
            pytest.param('CONFIG_A="x  # why', id="open-string"),
            pytest.param("# CONFIG_A is not set", id="not-set-reads-as-a-comment"),
            pytest.param("CONFIG_B=y  # why", id="asked-twice"),
        ],
    )
    def test_anything_else_is_refused_by_file_and_line(self, line: str) -> None:
        with pytest.raises(UsageError, match=r"^test\.config:2: "):
            options(f"CONFIG_B=y  # why\n{line}\n")

    def test_later_fragments_overrule_earlier_ones(self) -> None:
        first = options("CONFIG_A=y  # one\nCONFIG_B=y  # one\n", "first")
        second = options("CONFIG_A=n  # two\n", "second")
        merged = kconfig.merge([first, second])
        assert {name: (o.value, o.where) for name, o in merged.items()} == {
            "A": ("n", "second:1"),
            "B": ("y", "first:2"),
        }
        assert kconfig.render(merged) == "# CONFIG_A is not set\nCONFIG_B=y\n"

    @pytest.mark.parametrize(
        ("version", "asked"),
        [((5, 4), {"OLD"}), ((6, 0, 0), {"OLD", "NEW"}), ((6, 12, 117), {"OLD", "NEW"}), ((6, 13), {"NEW"})],
    )
    def test_an_option_is_asked_only_of_kernels_that_have_it(self, version: tuple[int, ...], asked: set[str]) -> None:
        fragment = options("CONFIG_NEW=y  # since 6.0: came\nCONFIG_OLD=y  # until 6.12: went\n")
        assert set(kconfig.merge([fragment], version)) == asked
        assert set(kconfig.merge([fragment])) == {"OLD", "NEW"}
        assert [option.reason for option in fragment.options] == ["came", "went"]

    def test_dropped_options_are_named(self) -> None:
        asked = kconfig.merge(
            [options('CONFIG_Y=y # .\nCONFIG_M=m # .\nCONFIG_N=n # .\nCONFIG_S="a" # .\nCONFIG_OK=y # .\n')]
        )
        final = Config.parse('CONFIG_M=y\nCONFIG_N=m\nCONFIG_S="b"\nCONFIG_OK=y\n')
        assert [str(item) for item in kconfig.dropped(asked, final)] == [
            "CONFIG_M=m came out as y",
            "CONFIG_N=n came out as m",
            'CONFIG_S="a" came out as "b"',
            "CONFIG_Y=y came out as n",
        ]


class TestFlavors:
    @pytest.mark.parametrize("path", sorted(flavors.FRAGMENTS.glob("*.config")), ids=lambda path: path.stem)
    def test_every_fragment_can_be_read_and_is_used(self, path: Path) -> None:
        assert kconfig.load_fragment(path).options
        assert any(path.stem in flavor.fragments for flavor in flavors.FLAVORS.values())

    def test_the_promised_flavors_are_there(self) -> None:
        assert {
            *("full", "loadpin-enforce", "no-yama", "no-loadpin", "no-seccomp-filter", "no-modules"),
            *("hardened", "races", "sanitizers"),
        } <= set(flavors.FLAVORS)

    @pytest.mark.parametrize(
        ("name", "option", "value"),
        [
            ("full", "SECURITY_YAMA", "y"),
            ("full", "SECURITY_LOADPIN", "y"),
            ("full", "SECURITY_LOADPIN_ENFORCE", "n"),
            ("full", "SECCOMP_FILTER", "y"),
            ("loadpin-enforce", "SECURITY_LOADPIN_ENFORCE", "y"),
            ("no-yama", "SECURITY_YAMA", "n"),
            ("no-loadpin", "SECURITY_LOADPIN", "n"),
            ("no-seccomp-filter", "SECCOMP_FILTER", "n"),
            ("no-seccomp-filter", "SECCOMP", "y"),
            ("no-seccomp", "SECCOMP", "n"),
            ("no-modules", "MODULES", "n"),
            ("hardened", "INIT_STACK_ALL_ZERO", "y"),
            ("hardened", "RANDOMIZE_BASE", "n"),
            ("hardened", "IA32_EMULATION", "n"),
            ("hardened", "CHECKPOINT_RESTORE", "n"),
            ("races", "SMP", "y"),
            ("races", "KCSAN", "y"),
            ("sanitizers", "KASAN", "y"),
            ("sanitizers", "PROVE_RCU", "y"),
        ],
    )
    def test_a_flavor_asks_for_what_its_name_says(self, name: str, option: str, value: str) -> None:
        assert flavors.flavor(name).asked((6, 12))[option].value == value

    def test_no_name_means_full(self) -> None:
        assert flavors.flavor(None).name == "full"

    def test_an_unknown_flavor_is_answered_with_a_list(self) -> None:
        with pytest.raises(UsageError, match="no flavor 'ful'") as caught:
            flavors.flavor("ful")
        assert all(name in caught.value.hint for name in flavors.FLAVORS)
        assert caught.value.exit_status == 4
