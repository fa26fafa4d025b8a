# SPDX-License-Identifier: GPL-2.0-or-later
"""Many tasks that declare, exit, call execve() and attach at the same time.

The list of exceptions is read under RCU while it is modified and while its tasks are freed; Yama's worst bugs have
been there.  With the `sanitizers` flavor (KASAN, lockdep, PROVE_RCU, preemption), each of them would be a splat, and
a splat fails the test; on every kernel, the test counts the results that must hold throughout.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from guests.call_plan import Plan, spare_slot, start
from guests.guest import Guest
from guests.outcome import EPERM, OK
from guests.task import Task
from guests.uapi import PTRACER_ANY, RLIMIT_NPROC, THREAD_FLAGS, WALL, Ptrace
from suites.process_accesses import read_memory
from suites.yama.support.accesses import SCOPE
from suites.yama.support.plan_steps import declare, read_by, revoke

pytestmark = pytest.mark.needs("SECURITY_YAMA", "SYSCTL", "CROSS_MEMORY_ATTACH")

FAMILIES = 30
ROUNDS = 20
ROUNDS_WITH_KASAN = 4
"""On a kernel with KASAN, where the test matters more and each round takes longer."""
DEADLINE_S = 300.0
"""For the whole test, on a kernel with sanitizers and a busy machine."""
TASK_LIMIT = 4096


@dataclass(frozen=True)
class Family:
    r"""Six tasks, and what each declares.

    target ── child      the target repeatedly names any tracer, its child, nobody and the tracer; its child and its
         └─── (thread)   thread declare too, and end in each round
    tracer               attaches to the target and reads the others
    executor             repeatedly names the tracer and executes itself
    constant             has named the tracer once
    """

    number: int
    target: Task
    tracer: Task
    executor: Task
    constant: Task


def family(guest: Guest, number: int) -> Family:
    names = (f"{role}-{number}" for role in ("target", "tracer", "executor", "constant"))
    made = Family(number, *(guest.spawn(name) for name in names))
    made.constant.set_ptracer(made.tracer).result()
    made.executor.set_ptracer(made.tracer).result()
    return made


def declaring(one: Family, other: Family) -> tuple[Plan, Plan, Plan]:
    """The plans of the target, its child and its thread."""
    child, thread = Plan(spare_slot(2 * one.number)), Plan(spare_slot(2 * one.number + 1))
    declare(child, PTRACER_ANY)
    read_by(child, one.target, one.constant)
    declare(child, one.tracer)
    declare(thread, other.tracer)
    read_by(thread, one.target, one.constant)
    plan = Plan(one.target.slot)
    declare(plan, PTRACER_ANY)
    child_pid = plan.child(child)
    declare(plan, child_pid)
    revoke(plan)
    plan.child(thread, THREAD_FLAGS)
    declare(plan, one.tracer)
    plan.join(thread)
    plan.call("wait4", child_pid, 0, WALL, 0)
    declare(plan, one.tracer)
    return plan, child, thread


def tracing(one: Family, other: Family) -> Plan:
    plan = Plan(one.tracer.slot)
    plan.call("ptrace", Ptrace.ATTACH, one.target.tid, 0, 0)
    plan.call("wait4", one.target.tid, 0, WALL, 0)
    plan.call("ptrace", Ptrace.DETACH, one.target.tid, 0, 0)
    read_by(plan, one.tracer, one.constant)
    read_by(plan, one.tracer, other.constant)
    read_by(plan, one.tracer, one.executor)
    return plan


def executing(one: Family) -> Plan:
    plan = Plan(one.executor.slot)
    program = one.executor.agent.path
    declare(plan, one.tracer)
    plan.call("execve", program, one.executor.agent_arguments(program), 0)
    return plan


@pytest.mark.own_machine("it takes all processors for a while, and changes how many tasks may be")
@pytest.mark.requirement("yama.concurrency")
def test_many_at_once(guest: Guest) -> None:
    """No splat appears; a task never named is always refused, one always named never; the end state is right."""
    guest.set_sysctl(SCOPE, 1)
    raise_task_limits(guest)
    rounds = ROUNDS_WITH_KASAN if guest.kernel.config.enabled("KASAN") else ROUNDS
    families = [family(guest, number) for number in range(FAMILIES)]
    pairs = list(zip(families, [*families[1:], families[0]], strict=True))
    running = []
    children = []
    for one, other in pairs:
        target, child, thread = declaring(one, other)
        for plan in (child, thread):
            plan.send(guest, 1)
        children.append((child, thread))
        running.append(
            (
                start(one.executor, executing(one), rounds),
                start(one.tracer, tracing(one, other), rounds),
                start(one.target, target, rounds),
            )
        )
    for (executor, tracer, target_), (child, thread) in zip(running, children, strict=True):
        assert target_.counts(DEADLINE_S) == [{"OK": rounds}] * 9
        assert executor.counts(DEADLINE_S) == [{"OK": rounds}] * 2
        attached, *_, own, others, executors = tracer.counts(DEADLINE_S)
        assert set(attached) <= {"OK", "EPERM"}
        assert own == {"OK": rounds}
        assert others == {"EPERM": rounds}
        # Between execve() and its first steps, the new program has not yet mapped the memory to be read.
        assert set(executors) <= {"OK", "EFAULT"}
        assert child.counts(guest) == [{"OK": rounds}, {"EPERM": rounds}, {"OK": rounds}]
        assert thread.counts(guest) == [{"OK": rounds}, {"EPERM": rounds}]
    check_exceptions(pairs)


def raise_task_limits(guest: Guest) -> None:
    """Allow one user this many tasks, however little memory the guest has."""
    guest.set_sysctl("kernel.threads-max", TASK_LIMIT)
    limit = guest.init.abi.pack("QQ", TASK_LIMIT, TASK_LIMIT)
    guest.init.call("prlimit64", 0, RLIMIT_NPROC, limit, None).result()


def check_exceptions(pairs: list[tuple[Family, Family]]) -> None:
    """Check that each exception is the one declared last, and that revoking it removes it."""
    for one, other in pairs:
        for target in (one.target, one.constant, one.executor):
            assert read_memory(one.tracer, target) == OK
            assert read_memory(other.tracer, target) == EPERM
    for one, _ in pairs[::8]:
        assert one.target.set_ptracer(0) == OK
        assert read_memory(one.tracer, one.target) == EPERM


@pytest.mark.requirement("yama.concurrency")
def test_exits_of_tracers_and_tracees(guest: Guest) -> None:
    """After hundreds of processes that declare and exit, no exception remains that admits anyone to later ones."""
    guest.set_sysctl(SCOPE, 1)
    shell, stranger = guest.spawn("shell"), guest.spawn("stranger")
    constant, tracer = guest.spawn("constant"), guest.spawn("tracer")
    assert constant.set_ptracer(tracer) == OK
    rounds = 300
    plan, child = Plan(shell.slot), Plan(spare_slot(0))
    declare(child, PTRACER_ANY)
    child.send(guest, 1)
    child_pid = plan.child(child)
    declare(plan, child_pid)
    plan.call("wait4", child_pid, 0, WALL, 0)
    assert start(shell, plan, rounds).counts(DEADLINE_S) == [{"OK": rounds}] * 3
    assert child.counts(guest) == [{"OK": rounds}]
    assert read_memory(stranger, shell) == EPERM
    assert read_memory(stranger, shell.spawn("last")) == EPERM
    assert read_memory(tracer, constant) == OK
    assert read_memory(stranger, constant) == EPERM
