# SPDX-License-Identifier: GPL-2.0-or-later
"""Options of a user's config that a kernel does not get: unknown, refused, or computed by Kconfig anyway."""

from __future__ import annotations

import pytest

from kconfigs.build import lost_options
from kconfigs.build.unmet_dependencies import NO_SUCH_OPTION, Explanation
from kconfigs.kconfig import Config

FINAL = Config({"KEPT": "y", "SMALLER": "64"})
EXPLANATION = Explanation(
    {"OF_ANOTHER_VERSION": NO_SUCH_OPTION, "LTO_CLANG_FULL": "needs LD_IS_LLD (is n)", "SMALLER": "out of range"},
    frozenset({"LTO_CLANG_FULL", "SMALLER", "KEPT"}),
)


@pytest.mark.parametrize(("value", "got", "lost"), [("m", "y", 0), ("0", "n", 0), ("y", "m", 1), ("1", "n", 1)])
def test_an_option_that_is_there_in_another_way(value: str, got: str, lost: int) -> None:
    """Built in where a module was asked for is no loss; a module where it was to be built in is one."""
    found = lost_options.find(
        Config({"SECURITY_YAMA": value}), Config({"SECURITY_YAMA": got}), overruled=(), explain=lambda _: None
    )
    assert len(found.refused) == lost


def test_the_kinds_are_told_apart() -> None:
    own = Config(
        {"KEPT": "y", "OF_ANOTHER_VERSION": "m", "LTO_CLANG_FULL": "y", "GCC_VERSION": "1", "SMALLER": "8192"}
    )
    found = lost_options.find(own, FINAL, overruled=(), explain=lambda _: EXPLANATION)
    assert found.list_unknown() == "CONFIG_OF_ANOTHER_VERSION=m\n"
    assert found.list_refused() == (
        "CONFIG_LTO_CLANG_FULL=y came out as n: needs LD_IS_LLD (is n)\n"
        "CONFIG_SMALLER=8192 came out as 64: out of range\n"
    )


def test_what_a_flavor_overrules_is_not_lost() -> None:
    own = Config({"LTO_CLANG_FULL": "y"})
    found = lost_options.find(own, FINAL, overruled={"LTO_CLANG_FULL"}, explain=lambda _: EXPLANATION)
    assert found == lost_options.LostOptions()


def test_nothing_is_explained_if_nothing_is_lost() -> None:
    def never(_: object) -> Explanation:
        raise AssertionError

    assert lost_options.find(Config({"KEPT": "y"}), FINAL, overruled=(), explain=never) == lost_options.LostOptions()


@pytest.mark.parametrize(("name", "lost"), [("LTO_CLANG_FULL", True), ("CC_HAS_ASM_INLINE", False)])
def test_without_an_explanation_computed_options_are_known_by_name(name: str, lost: bool) -> None:
    found = lost_options.find(Config({name: "y"}), FINAL, overruled=(), explain=lambda _: None)
    assert bool(found.refused) == lost
