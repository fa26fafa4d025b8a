# SPDX-License-Identifier: GPL-2.0-or-later
"""The choice of quick tests: they are few, and show each promise wherever any test can."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.versions import VersionRange
from reports.judgement.quick_choice import Conditions, Function, choose

ANY = Conditions()
YAMA = Conditions(needs=frozenset({"SECURITY_YAMA"}))
YAMA_AND_AUDIT = Conditions(needs=frozenset({"SECURITY_YAMA", "AUDIT"}))
WITHOUT_YAMA = Conditions(lacks=frozenset({"SECURITY_YAMA"}))
SINCE_6_1 = Conditions(since=(6, 1))
SINCE_6_12 = Conditions(since=(6, 12))
UNTIL_6_1 = Conditions(until=(6, 1, math.inf))
UNTIL_6_12 = Conditions(until=(6, 12, math.inf))
UNTIL_6_12_7 = Conditions(until=(6, 12, 7, math.inf))
ENFORCING = Conditions(boot="loadpin.enforce=1")


def function(name: str, *shows: tuple[str, Conditions], cases: int = 1) -> Function:
    return Function(name, cases, frozenset(shows))


@pytest.mark.parametrize(
    ("fewer", "more"),
    [
        pytest.param(ANY, YAMA, id="nothing-is-needed"),
        pytest.param(YAMA, YAMA, id="the-same"),
        pytest.param(YAMA, YAMA_AND_AUDIT, id="one-option-of-two"),
        pytest.param(ANY, WITHOUT_YAMA, id="whatever-there-is"),
        pytest.param(SINCE_6_1, SINCE_6_12, id="an-older-version-will-do"),
        pytest.param(UNTIL_6_12, UNTIL_6_1, id="a-newer-version-will-do"),
        pytest.param(UNTIL_6_12, UNTIL_6_12_7, id="all-of-a-version-will-do"),
        pytest.param(ANY, UNTIL_6_1, id="still"),
    ],
)
def test_conditions_that_ask_no_more(fewer: Conditions, more: Conditions) -> None:
    assert fewer.ask_no_more_than(more)
    assert more == fewer or not more.ask_no_more_than(fewer)


BACKPORTED = Conditions(since=(6, 12), backported_since=(5, 11), promises=frozenset({"new"}))
BACKPORTED_AND_OLD = Conditions(since=(6, 12), backported_since=(6, 1), promises=frozenset({"new", "old"}))
REPLACED = Conditions(until=(6, 12, math.inf), superseded=True, promises=frozenset({"replaced"}))


@pytest.mark.parametrize(
    ("fewer", "more", "asks_no_more"),
    [
        pytest.param(SINCE_6_1, BACKPORTED, False, id="an-older-kernel-may-promise-only-the-newer"),
        pytest.param(Conditions(since=(5, 11)), BACKPORTED, True, id="old-enough-for-any-backport"),
        pytest.param(BACKPORTED, SINCE_6_12, True, id="by-version-alone"),
        pytest.param(BACKPORTED, SINCE_6_1, False, id="not-every-kernel-has-a-backport"),
        pytest.param(BACKPORTED, BACKPORTED_AND_OLD, True, id="whatever-is-promised-is-promised-there"),
        pytest.param(BACKPORTED_AND_OLD, BACKPORTED, False, id="one-more-promise"),
        pytest.param(REPLACED, UNTIL_6_1, False, id="a-backport-may-have-taken-its-place"),
        pytest.param(REPLACED, REPLACED, True, id="itself"),
    ],
)
def test_conditions_with_backports(fewer: Conditions, more: Conditions, asks_no_more: bool) -> None:
    assert fewer.ask_no_more_than(more) is asks_no_more


def test_another_boot_shows_something_else() -> None:
    assert not ANY.ask_no_more_than(ENFORCING)
    assert not ENFORCING.ask_no_more_than(ANY)


LOG = function("log", ("log", YAMA))


@pytest.mark.parametrize(
    ("functions", "chosen"),
    [
        pytest.param(
            [function("all", ("scope", YAMA), cases=40), function("one", ("scope", YAMA))],
            {"one"},
            id="the-fewest-cases",
        ),
        pytest.param(
            [function("talk", ("scope", YAMA), ("log", YAMA)), function("table", ("scope", YAMA), cases=9), LOG],
            {"table", "log"},
            id="those-that-are-about-nothing-else",
        ),
        pytest.param(
            [function("enforcing", ("order", ENFORCING)), function("not-enforcing", ("order", ANY))],
            {"enforcing", "not-enforcing"},
            id="both-boots",
        ),
        pytest.param(
            [function("first", ("scope", YAMA)), function("second", ("scope", YAMA))],
            {"first"},
            id="the-first-of-equals",
        ),
        pytest.param(
            [function("logged", ("scope", YAMA_AND_AUDIT)), function("any", ("scope", YAMA), cases=9)],
            {"any"},
            id="the-one-that-applies-wherever-the-other-does",
        ),
        pytest.param(
            [function("with", ("active", YAMA)), function("without", ("active", WITHOUT_YAMA))],
            {"with", "without"},
            id="both-where-neither-does",
        ),
        pytest.param(
            [function("new", ("sysctl", SINCE_6_12)), function("old", ("sysctl", UNTIL_6_1))],
            {"new", "old"},
            id="both-by-version",
        ),
        pytest.param(
            [
                function("scope", ("scope", YAMA), ("ways", YAMA)),
                function("both", ("ways", YAMA), ("log", YAMA), cases=2),
                function("scope-too", ("scope", YAMA_AND_AUDIT), ("log", YAMA_AND_AUDIT), cases=3),
            ],
            {"scope", "both"},
            id="nothing-that-others-are-about-already",
        ),
    ],
)
def test_what_is_chosen(functions: list[Function], chosen: set[str]) -> None:
    assert choose(functions) == chosen


CONDITIONS = st.builds(
    Conditions,
    needs=st.frozensets(st.sampled_from(["SECURITY_YAMA", "AUDIT"])),
    lacks=st.frozensets(st.sampled_from(["SECURITY_LOADPIN"])),
    since=st.sampled_from([(), (5,), (6, 1), (6, 1, 3)]),
    until=st.sampled_from([(math.inf,), (6, 1, math.inf), (6, 1, 3, math.inf), (6, 12, math.inf)]),
    boot=st.sampled_from(["", "loadpin.enforce=1"]),
)
KERNELS = [
    (version, frozenset(options))
    for version in ((5, 10, 262), (6, 1), (6, 1, 3), (6, 1, 192), (6, 12, 117), (7, 3, 4))
    for options in ((), ("SECURITY_YAMA",), ("SECURITY_YAMA", "AUDIT"), ("SECURITY_LOADPIN", "AUDIT"))
]


def applies(conditions: Conditions, version: tuple[int, ...], options: frozenset[str]) -> bool:
    """As in a run without backports: by versions, and the skips of conftest.py."""
    until = tuple(map(int, conditions.until[:-1]))
    return (
        version in VersionRange(conditions.since, until)
        and conditions.needs <= options
        and not conditions.lacks & options
    )


SHOWN = st.frozensets(st.tuples(st.sampled_from(["scope", "ways", "log"]), CONDITIONS), min_size=1, max_size=4)
FUNCTIONS = st.lists(st.builds(Function, st.uuids().map(str), st.integers(1, 9), SHOWN), max_size=8)


def shown(functions: Sequence[Function], version: tuple[int, ...], options: frozenset[str]) -> set[object]:
    """The promises, each with a boot, that tests which apply to this kernel are about."""
    return {
        (promise, conditions.boot)
        for each in functions
        for promise, conditions in each.shows
        if applies(conditions, version, options)
    }


@settings(deadline=None)
@given(FUNCTIONS)
def test_no_kernel_loses_a_promise_and_nobody_is_needless(functions: list[Function]) -> None:
    names = choose(functions)
    chosen = [each for each in functions if each.name in names]
    for version, options in KERNELS:
        assert shown(chosen, version, options) == shown(functions, version, options)
    assert choose(chosen) == names
