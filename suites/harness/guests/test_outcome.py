# SPDX-License-Identifier: GPL-2.0-or-later
"""Outcomes: their equality, their descriptions, and that they have no truth value."""

from __future__ import annotations

import pickle

import pytest

from guests.errors import SetupFailed
from guests.outcome import (
    EINVAL,
    ENOSYS,
    EPERM,
    GONE,
    OK,
    Expected,
    Outcome,
    describe,
    error,
    exited,
    killed,
    returned,
    signal_name,
)
from guests.protocol.wire import State
from guests.syscalls.ptrace import WaitStatus
from guests.uapi import Cap, Clone, Signal, names, number

R, D, G = State.RETURNED, State.DIED, State.GONE
WITH_CORE = 0x80

#      outcome            description                       the equal ones of EXPECTATIONS
TABLE = [
    (Outcome(R, 0),       "OK",                             [OK, returned(0)]),
    (Outcome(R, 7),       "OK(7)",                          [OK, returned(7)]),
    (Outcome(R, 1 << 62), f"OK({1 << 62})",                 [OK]),
    (Outcome(R, 0, zero=True), "OK",                        [OK, returned(0)]),
    (Outcome(R, 7, zero=True), "7, and not the 0 that means success", [returned(7)]),
    (Outcome(R, -1, zero=True), "EPERM",                    [EPERM, error(1)]),
    (Outcome(R, -1),      "EPERM",                          [EPERM, error(1)]),
    (Outcome(R, -22),     "EINVAL",                         [EINVAL]),
    (Outcome(R, -38),     "ENOSYS",                         [ENOSYS]),
    (Outcome(R, -4095),   "errno 4095",                     [error(4095)]),
    (Outcome(R, -4096),   "OK(-4096)",                      []),
    (Outcome(D, 9),       "killed by SIGKILL",              [killed(9), killed(9, core=False)]),
    (Outcome(D, 31),      "killed by SIGSYS",               [killed(31), killed(31, core=False)]),
    (Outcome(D, 31 | WITH_CORE), "killed by SIGSYS with core", [killed(31), killed(31, core=True)]),
    (Outcome(D, 0),       "exited with 0",                  [exited(0)]),
    (Outcome(D, 7 << 8),  "exited with 7",                  [exited(7)]),
    (Outcome(D, 9 << 8),  "exited with 9",                  [exited(9)]),
    (Outcome(D, -1),      "died, and was reaped before its status could be read", []),
    (Outcome(G, -1),      "the thread ended alone",         [GONE]),
]  # fmt: skip

EXPECTATIONS = [
    *(OK, returned(0), returned(7), EPERM, EINVAL, ENOSYS, error(1), error(4095), GONE),
    *(killed(9), killed(9, core=False), killed(9, core=True), killed(31), killed(31, core=False)),
    *(killed(31, core=True), exited(0), exited(7), exited(9), returned(9), returned(-4096 + 1)),
]


@pytest.mark.parametrize(("outcome", "words", "equal"), TABLE, ids=[row[1] for row in TABLE])
def test_an_outcome_only_equals_matching_expectations(outcome: Outcome, words: str, equal: list[Expected]) -> None:
    matching = [expected for expected in EXPECTATIONS if outcome == expected]
    assert {one.name for one in matching} == {one.name for one in equal} | (
        {returned(-4095).name} if outcome.value == -4095 and outcome.state is R else set()
    )
    assert [expected for expected in EXPECTATIONS if expected == outcome] == matching
    differing = [expected for expected in EXPECTATIONS if outcome != expected]
    assert len(differing) + len(matching) == len(EXPECTATIONS)
    assert describe(outcome) == words


def test_an_outcome_has_no_truth_value() -> None:
    """`if task.attach(x)` would take -EPERM for success."""
    with pytest.raises(TypeError, match=r"compare it, as in `== OK` \(evil\.attach\(secret\) -> EPERM\)"):
        bool(Outcome(R, -1, "evil.attach(secret)"))
    with pytest.raises(TypeError, match="compare an outcome with it"):
        bool(EPERM)


def test_an_outcome_is_neither_hashable_nor_a_number() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(Outcome(R, 0))
    assert Outcome(R, 0) != 0
    assert Outcome(R, 7) != "OK(7)"


def test_outcomes_of_different_tasks_can_be_equal() -> None:
    assert Outcome(R, 5, "one") == Outcome(R, 5, "another")
    assert Outcome(R, 5) != Outcome(D, 5)
    assert Outcome(R, 5) != Outcome(R, 6)


def test_an_outcome_shows_the_task_and_its_call() -> None:
    assert repr(Outcome(R, -1, "evil[41].attach(secret[40])")) == "evil[41].attach(secret[40]) -> EPERM"
    assert repr(Outcome(R, 0)) == "OK"


@pytest.mark.parametrize(
    ("outcome", "errno", "signal", "core"),
    [
        (Outcome(R, -13), 13, 0, False),
        (Outcome(R, 13), 0, 0, False),
        (Outcome(R, -4096), 0, 0, False),
        (Outcome(D, 11 | WITH_CORE), 0, 11, True),
        (Outcome(D, 11), 0, 11, False),
        (Outcome(D, 3 << 8), 0, 0, False),
        (Outcome(D, -13), 0, 0, False),
        (Outcome(G, -1), 0, 0, False),
    ],
)
def test_errno_signal_and_core_depend_on_the_state(outcome: Outcome, errno: int, signal: int, core: bool) -> None:
    assert (outcome.errno, outcome.signal, outcome.core) == (errno, signal, core)


def test_result_of_a_failed_call_fails_the_test() -> None:
    assert Outcome(R, 5).result() == 5
    assert Outcome(R, 5, "", (b"a", b"b")).read(1) == b"b"
    for failed in (Outcome(R, -2, "task.open()"), Outcome(D, 9, "task.open()"), Outcome(G, -1, "task.open()")):
        with pytest.raises(SetupFailed, match=r"^task\.open\(\) -> .*, and the test needs it to succeed"):
            failed.result()
        with pytest.raises(SetupFailed):
            failed.read()


def test_expectations_are_shown_by_their_names() -> None:
    assert repr(error(1)) == "EPERM"
    assert repr(returned(5)) == "OK(5)"
    assert repr(killed(31, core=True)) == "killed by SIGSYS with core"
    assert repr(killed(9, core=False)) == "killed by SIGKILL without core"
    assert repr(exited(3)) == "exited with 3"
    assert signal_name(64) == "SIGRTMAX"
    assert signal_name(99) == "signal 99"
    assert pickle.loads(pickle.dumps(EPERM)) == EPERM  # noqa: S301 - our own
    assert {EPERM: "yes"}[error(1)] == "yes"
    assert EPERM != EINVAL


@pytest.mark.parametrize(
    ("raw", "stopped_by", "event", "killed_by", "exit_code"),
    [
        (19 << 8 | 0x7F, 19, 0, 0, None),
        (7 << 16 | 5 << 8 | 0x7F, 5, 7, 0, None),
        (9, 0, 0, 9, None),
        (31 | WITH_CORE, 0, 0, 31, None),
        (3 << 8, 0, 0, 0, 3),
        (0, 0, 0, 0, 0),
    ],
)
def test_a_wait_status_is_decoded(
    raw: int, stopped_by: int, event: int, killed_by: int, exit_code: int | None
) -> None:
    status = WaitStatus(raw)
    assert (status.stopped_by, status.event, status.killed_by, status.exit_code) == (
        stopped_by,
        event,
        killed_by,
        exit_code,
    )


class TestNumbers:
    """A few well-known numbers, and the consistency of all others."""

    @pytest.mark.parametrize(
        ("name", "arch", "wanted"),
        [
            ("read", "x86_64", 0),
            ("getpid", "x86_64", 39),
            ("seccomp", "x86_64", 317),
            ("read", "i386", 3),
            ("getpid", "i386", 20),
            ("getpid", "x32", 0x40000000 + 39),
            ("ptrace", "x32", 0x40000000 + 521),
            ("getpid", "aarch64", 172),
        ],
    )
    def test_calls_have_the_numbers_of_their_architecture(self, name: str, arch: str, wanted: int) -> None:
        assert number(name, arch) == wanted

    @pytest.mark.parametrize(("name", "arch"), [("no_such_call", "x86_64"), ("open", "aarch64")])
    def test_a_call_that_an_architecture_lacks_is_an_error(self, name: str, arch: str) -> None:
        with pytest.raises(KeyError, match=name):
            number(name, arch)

    def test_names_and_numbers_are_inverse(self) -> None:
        found = names("x86_64")
        assert found[39] == "getpid"
        assert len(found) > 300
        assert all(number(name) == nr for nr, name in found.items())

    def test_constants_are_the_kernels(self) -> None:
        assert (Cap.SYS_PTRACE, Cap.SYS_ADMIN, Cap.SYSLOG) == (1 << 19, 1 << 21, 1 << 34)
        assert (Clone.THREAD, Clone.NEWUSER, Clone.NEWPID) == (0x10000, 0x10000000, 0x20000000)
        assert (Signal.KILL, Signal.SYS, Signal.STOP) == (9, 31, 19)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["scope 1: OK, expected EPERM"], ["scope 1: OK, expected EPERM"]),
        (
            ["scope 1: OK, expected EPERM", "scope 2: OK, expected EPERM", "scope 3: OK, expected EPERM"],
            [
                "scope 1: OK, expected EPERM (and 2 more)",
                "scope 2: OK, expected EPERM",
                "scope 3: OK, expected EPERM",
            ],
        ),
    ],
)
def test_a_list_that_should_be_empty_is_reported_by_its_lines(
    pytestconfig: pytest.Config, wrong: list[str], told: list[str]
) -> None:
    """The first line is the reason in the report."""
    explained = pytestconfig.hook.pytest_assertrepr_compare(config=pytestconfig, op="==", left=wrong, right=[])
    assert told in explained
