# SPDX-License-Identifier: GPL-2.0-or-later
"""The arguments of clone() and clone3() that policies compare, or rely on the kernel to refuse."""

from __future__ import annotations

import pytest

from guests.bpf import arg, deny, policy
from guests.call_plan import Counts, Plan, run, spare_slot
from guests.guest import Guest
from guests.outcome import EINVAL, EPERM, OK, Expected, mismatches
from guests.task import Task
from guests.uapi import Clone, Signal
from suites.seccomp.support.filtered_tasks import unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

CLEAR_SIGHAND = 1 << 32
"""A flag of clone3() alone: signals that the parent catches have their default disposition in the child."""
UPPER_HALF = 0xFFFFFFFF << 32


def clone_results(task: Task, *attempts: int) -> list[Counts]:
    """The results of clone() with each of these flags; the children end at once."""
    plan = Plan(task.slot)
    for number, flags in enumerate(attempts):
        plan.child(Plan(spare_slot(number)), Clone(flags))
    return run(task, plan)


@pytest.mark.requirement("seccomp.clone-upper-half")
def test_the_upper_half(guest: Guest) -> None:
    """clone() ignores the upper half of its flags, whose bits are those of clone3(): a child keeps the handlers.

    The control is a flag that the policy denies: it compares the lower half.
    """
    parent = unprivileged(guest, "parent")
    parent.catch(Signal.USR1).result()
    flags = arg(parent.abi.flags_of_clone)
    parent.install(policy(deny("clone", errno=EPERM, when=flags & Clone.NEWUSER))).result()
    child = parent.spawn("child", flags=Clone(CLEAR_SIGHAND))
    assert child.call("kill", child.own_tid, Signal.USR1) == OK
    assert [caught.signal for caught in child.caught_signals()] == [Signal.USR1]
    assert clone_results(parent, UPPER_HALF, UPPER_HALF | Clone.NEWUSER) == [{"OK": 1}, {"EPERM": 1}]


@pytest.mark.needs("USER_NS")
@pytest.mark.requirement("seccomp.clone-root-directory")
def test_a_root_directory_and_a_new_user_namespace(guest: Guest) -> None:
    """A child in a new user namespace cannot share the root directory of its parent; each alone is possible."""
    parent = guest.spawn("parent")
    found = clone_results(parent, Clone.NEWUSER | Clone.FS, Clone.NEWUSER, Clone.FS)
    assert found == [{"EINVAL": 1}, {"OK": 1}, {"OK": 1}]


# fmt: off
EXIT_SIGNALS: dict[int, Expected] = {
    # A valid one is refused later: an unprivileged task cannot choose its child's number.
    0:           EPERM,
    Signal.CHLD: EPERM,
    64:          EPERM,
    65:          EINVAL,
    127:         EINVAL,
    255:         EINVAL,
    256:         EINVAL,
    1 << 32:     EINVAL,
    1 << 63:     EINVAL,
}
# fmt: on


@pytest.mark.requirement("seccomp.clone3-signal")
def test_exit_signals_of_clone3(guest: Guest) -> None:
    """clone3() fails with EINVAL for an exit signal that does not exist, before it looks for a number."""
    task = guest.spawn("task")
    numbers = task.store(task.abi.pack("i", task.tid))
    found: dict[str, tuple[object, object]] = {}
    for signal, wanted in EXIT_SIGNALS.items():
        arguments = task.abi.pack("10Q", 0, 0, 0, 0, signal, 0, 0, 0, numbers, 1)
        found[f"{signal:#x}"] = (task.call("clone3", arguments, len(arguments)), wanted)
    assert mismatches(found) == []
