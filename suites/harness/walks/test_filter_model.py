# SPDX-License-Identifier: GPL-2.0-or-later
"""The model of filters alone: expectations from seccomp(2), without a guest."""

from __future__ import annotations

import pytest

from guests.bpf import Action, Policy, arg, deny, kill_process, kill_thread, notify, policy, rule, trace, trap
from guests.outcome import EACCES, EBADF, EBUSY, EINVAL, ENOSYS, ESRCH, GONE, OK, Expected, error, killed, returned
from guests.uapi import Signal
from suites.seccomp.support.filter_model import FilteredProcess, FilteredTask, Sigsys, Tracer

NOTHING = (0,) * 6


def task(name: str = "a", *, no_new_privs: bool = True) -> FilteredTask:
    process = FilteredProcess()
    process.threads.append(FilteredTask(name, process, no_new_privs=no_new_privs))
    return process.threads[0]


def outcome(one: FilteredTask, name: str, arguments: tuple[int, ...] = NOTHING, **how: bool) -> Expected | None:
    """What comes of a call; None if it waits for somebody."""
    prediction = one.call(name, arguments, **how)
    return prediction.expected if prediction else None


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
    assert outcome(one, "getpid") == expected
    assert outcome(one, "getuid") == OK


def test_the_most_severe_action_counts() -> None:
    for programs in (
        [deny("getpid", errno=1), kill_process("getpid")],
        [kill_process("getpid"), deny("getpid", errno=1)],
    ):
        found = filtered(*map(policy, programs)).call("getpid", NOTHING)
        assert found is not None
        assert (found.expected, found.promise) == (killed(Signal.SYS), "seccomp.precedence")
    newest = filtered(policy(deny("getpid", errno=1)), policy(deny("getpid", errno=13)))
    assert outcome(newest, "getpid") == EACCES


def test_arguments_and_int80() -> None:
    """A rule holds for the whole argument, and for the architecture of its policy."""
    one = filtered(policy(deny("getpid", errno=13, when=arg(0) == 7)))
    assert outcome(one, "getpid", (7, 0, 0, 0, 0, 0)) == EACCES
    assert outcome(one, "getpid", (7 | 1 << 32, 0, 0, 0, 0, 0)) == OK
    assert outcome(one, "getpid", (7, 0, 0, 0, 0, 0), compat=True) == OK


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
    assert outcome(child, "getpid") == killed(Signal.SYS)
    assert outcome(thread, "getpid") == GONE


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
    other.strict, other.filters = True, ()
    assert one.synchronize(policy(), esrch=False) is other


def test_strict_mode() -> None:
    """It allows read() and write(), is for tasks without filters, and kills one thread."""
    one = task()
    assert one.enter_strict_mode().expected == returned(0)
    assert (outcome(one, "read"), outcome(one, "getpid")) == (EBADF, killed(Signal.KILL))
    assert one.state() == ("1", "1", "0")
    one.process.threads.append(task())
    assert outcome(one, "getpid", compat=True) == GONE
    assert filtered(policy()).enter_strict_mode().expected == EINVAL


def test_what_becomes_of_a_trapped_call() -> None:
    """A handler returns to it; SIGSYS that is blocked or ignored kills; a program that is executed has no handler."""
    one = filtered(policy(trap("getpid")))
    for sigsys, blocks, expected in (
        (Sigsys.CAUGHT, False, returned(39)),
        (Sigsys.CAUGHT, True, killed(Signal.SYS)),
        (Sigsys.IGNORED, False, killed(Signal.SYS)),
    ):
        one.process.sigsys, one.blocks_sigsys = sigsys, blocks
        assert outcome(one, "getpid") == expected
    one.process.sigsys = Sigsys.CAUGHT
    one.execute()
    assert one.process.sigsys is Sigsys.DEFAULT


def test_listeners() -> None:
    """The call waits if the filter that decides has a listener, of which a task can have one."""
    one = filtered(policy(notify("getpid")))
    assert one.listen(policy(notify("getuid")), "listener").expected == OK
    assert one.listen(policy(), "second").expected == EBUSY
    assert (outcome(one, "getpid"), outcome(one, "getuid")) == (ENOSYS, None)
    one.install(policy(notify("getuid")))
    assert outcome(one, "getuid") == ENOSYS


def test_tracers() -> None:
    """A tracer may stop a call, which then runs, or suspend all filters; it sees the signal of a trapped call."""
    one = filtered(policy(trace("getpid"), trap("getuid"), deny("getgid", errno=13)))
    with one.traced(Tracer.PLAIN):
        assert [outcome(one, call) for call in ("getpid", "getuid", "getgid")] == [ENOSYS, None, EACCES]
    with one.traced(Tracer.STOPS):
        assert outcome(one, "getpid") is None
        assert [outcome(one, call, rechecked=True) for call in ("getpid", "getgid")] == [OK, EACCES]
    with one.traced(Tracer.SUSPENDS):
        assert [outcome(one, call) for call in ("getpid", "getuid", "getgid")] == [OK, OK, OK]
    assert one.tracer is None
