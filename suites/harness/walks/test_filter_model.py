# SPDX-License-Identifier: GPL-2.0-or-later
"""The model of filters alone: expectations from seccomp(2), without a guest."""

from __future__ import annotations

import pytest

from guests.bpf import Action, Policy, arg, deny, kill_process, kill_thread, policy, rule
from guests.outcome import EACCES, ENOSYS, ESRCH, GONE, OK, Expected, error, killed, returned
from guests.uapi import Signal
from suites.seccomp.support.filter_model import FilteredProcess, FilteredTask

NOTHING = (0,) * 6


def task(name: str = "a", *, no_new_privs: bool = True) -> FilteredTask:
    process = FilteredProcess()
    process.threads.append(FilteredTask(name, process, no_new_privs=no_new_privs))
    return process.threads[0]


def filtered(*programs: Policy) -> FilteredTask:
    one = task()
    for program in programs:
        assert one.install(program).expected == returned(0)
    return one


@pytest.mark.parametrize(
    ("action", "data", "expected"),
    [
        (Action.ALLOW, 0, OK),
        (Action.LOG, 0, OK),
        (Action.ERRNO, 0, returned(0)),
        (Action.ERRNO, 13, EACCES),
        (Action.ERRNO, 5000, error(4095)),
        (Action.TRACE, 0, ENOSYS),
        (Action.USER_NOTIF, 0, ENOSYS),
        (Action.TRAP, 0, killed(Signal.SYS)),
        (Action.KILL_THREAD, 0, killed(Signal.SYS)),
        (Action.KILL_PROCESS, 0, killed(Signal.SYS)),
    ],
)
def test_actions(action: Action, data: int, expected: Expected) -> None:
    """What each action makes of a call; others run."""
    one = filtered(policy(rule(action, "getpid", data=data)))
    assert one.call("getpid", NOTHING).expected == expected
    assert one.call("getuid", NOTHING).expected == OK


def test_the_most_severe_action_counts() -> None:
    for programs in (
        [deny("getpid", errno=1), kill_process("getpid")],
        [kill_process("getpid"), deny("getpid", errno=1)],
    ):
        found = filtered(*map(policy, programs)).call("getpid", NOTHING)
        assert (found.expected, found.promise) == (killed(Signal.SYS), "seccomp.precedence")
    newest = filtered(policy(deny("getpid", errno=1)), policy(deny("getpid", errno=13)))
    assert newest.call("getpid", NOTHING).expected == EACCES


def test_arguments_and_int80() -> None:
    """A rule holds for the whole argument, and for the architecture of its policy."""
    one = filtered(policy(deny("getpid", errno=13, when=arg(0) == 7)))
    assert one.call("getpid", (7, 0, 0, 0, 0, 0)).expected == EACCES
    assert one.call("getpid", (7 | 1 << 32, 0, 0, 0, 0, 0)).expected == OK
    assert one.call("getpid", (7, 0, 0, 0, 0, 0), compat=True).expected == OK


def test_privilege() -> None:
    one = task(no_new_privs=False)
    assert one.install(policy()).expected == EACCES
    one.admin = True
    assert one.install(policy()).expected == returned(0)
    one.execute()
    assert (one.admin, one.state()) == (False, ("0", "2", "1"))


def test_inheritance() -> None:
    """Filters go to children and threads that are created later; a thread that is killed leaves others alive."""
    one = filtered(policy(kill_thread("getpid")))
    child, thread = one.child("b", FilteredProcess()), one.child("c", one.process)
    one.install(policy())
    assert [each.state() for each in (one, child, thread)] == [("1", "2", "2"), ("1", "2", "1"), ("1", "2", "1")]
    assert child.call("getpid", NOTHING).expected == killed(Signal.SYS)
    assert thread.call("getpid", NOTHING).expected == GONE


def test_tsync() -> None:
    """All threads get the caller's filters, or none, if one of them has filters of its own."""
    one = task(no_new_privs=False)
    thread, other = one.child("b", one.process), one.child("c", one.process)
    one.no_new_privs = True
    assert one.synchronize(policy(), esrch=False) == thread.synchronize(policy(), esrch=False)
    assert [each.state() for each in (one, thread, other)] == [("1", "2", "2")] * 3
    other.install(policy())
    assert one.synchronize(policy(), esrch=False) is other
    assert getattr(one.synchronize(policy(), esrch=True), "expected", None) == ESRCH
    assert [each.state()[2] for each in (one, thread, other)] == ["2", "2", "3"]
    assert getattr(other.synchronize(policy(), esrch=True), "expected", None) == returned(0)
