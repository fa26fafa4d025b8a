# SPDX-License-Identifier: GPL-2.0-or-later
"""The scope table: who may access whom, by every kind of access.

A row is a relation (relations.py), a column a scope.  Each row is a test: it raises the scope step by step and tries
all kinds of access (ways.py) at each.  So where the scope decides, a refused tracer had access at a lower scope, by
the same calls in the same guest; where it does not, another row is the control.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from _pytest.mark import ParameterSet

from guests.guest import Guest
from suites.yama.support import relations as who
from suites.yama.support.relations import Pair
from suites.yama.support.ways_in import Verdict, mismatches, prepare, ways_of

pytestmark = pytest.mark.needs("SECURITY_YAMA")

YES, NO, DAC = Verdict.YES, Verdict.NO, Verdict.DAC
MEMORY, THREAD, EVENTS = Verdict.MEMORY, Verdict.THREAD, Verdict.EVENTS

Build = Callable[[Guest], Pair]
Row = tuple[str, Build, Verdict, Verdict, Verdict, Verdict]

# fmt: off
RELATIVES: tuple[Row, ...] = (
    #                                                                              scope
    #  the tracer is ... of its target                                             0       1       2       3
    ("parent",                             who.parent,                             YES,    YES,    NO,     NO),
    ("grandparent",                        who.grandparent,                        YES,    YES,    NO,     NO),
    ("thread-of-grandparent",              who.thread_of_grandparent,              YES,    YES,    NO,     NO),
    ("parent-of-its-threads-child",        who.parent_of_its_threads_child,        YES,    YES,    NO,     NO),
    ("parent-of-its-dead-threads-child",   who.parent_of_a_dead_threads_child,     YES,    YES,    NO,     NO),
    ("parent-upon-a-thread",               who.parent_upon_a_thread,               YES,    YES,    NO,     NO),
    ("subreaper-upon-an-orphan",           who.adopter,                            YES,    YES,    NO,     NO),
    ("parent-by-clone-parent",             who.parent_of_clone_parents_child,      YES,    YES,    NO,     NO),
    ("ancestor-outside-the-pid-namespace", who.ancestor_outside_the_pid_namespace, YES,    YES,    NO,     NO),
    ("grandparent-of-an-orphan",           who.abandoned_grandparent,              YES,    NO,     NO,     NO),
    ("maker-by-clone-parent",              who.maker_of_clone_parents_child,       YES,    NO,     NO,     NO),
    ("sibling",                            who.sibling,                            YES,    NO,     NO,     NO),
    ("child",                              who.child,                              YES,    NO,     NO,     NO),
    ("child-upon-a-thread",                who.child_upon_a_thread,                YES,    NO,     NO,     NO),
    ("grandchild",                         who.grandchild,                         YES,    NO,     NO,     NO),
    ("uncle",                              who.uncle,                              YES,    NO,     NO,     NO),
    ("stranger",                           who.stranger,                           YES,    NO,     NO,     NO),
    ("other-user",                         who.other_user,                         DAC,    DAC,    DAC,    DAC),
    ("parent-of-non-dumpable",             who.parent_of_non_dumpable,             DAC,    DAC,    DAC,    DAC),
)

DECLARED: tuple[Row, ...] = (
    #  the tracer is ...                                                           0       1       2       3
    ("declared-one",                       who.declared,                           YES,    YES,    NO,     NO),
    ("thread-of-the-declared",             who.thread_of_declared,                 YES,    YES,    NO,     NO),
    ("leader-of-the-declared-thread",      who.leader_of_declared_thread,          YES,    YES,    NO,     NO),
    ("child-of-the-declared",              who.child_of_declared,                  YES,    YES,    NO,     NO),
    ("grandchild-of-the-declared",         who.grandchild_of_declared,             YES,    YES,    NO,     NO),
    ("declared-upon-another-thread",       who.declared_upon_another_thread,       YES,    YES,    NO,     NO),
    ("anyone-where-any-is-declared",       who.anyone_where_any_is_declared,       YES,    YES,    NO,     NO),
    ("parent-of-the-declared",             who.parent_of_declared,                 YES,    NO,     NO,     NO),
    ("sibling-of-the-declared",            who.sibling_of_declared,                YES,    NO,     NO,     NO),
    ("declared-upon-the-declarers-child",  who.declared_upon_the_targets_child,    YES,    NO,     NO,     NO),
    ("declared-upon-the-declarers-parent", who.declared_upon_the_targets_parent,   YES,    NO,     NO,     NO),
    ("declared-of-another-user",           who.declared_other_user,                DAC,    DAC,    DAC,    DAC),
    ("declared-upon-non-dumpable",         who.declared_by_non_dumpable,           DAC,    DAC,    DAC,    DAC),
)

CAPABLE: tuple[Row, ...] = (
    #  the tracer is ..., by its capabilities                                      0       1       2       3
    ("capable-one",                        who.capable,                            YES,    YES,    YES,    NO),
    ("capable-other-user",                 who.capable_other_user,                 YES,    YES,    YES,    NO),
    ("root",                               who.root,                               YES,    YES,    YES,    EVENTS),
    ("otherwise-capable",                  who.otherwise_capable,                  YES,    EVENTS, EVENTS, EVENTS),
)

NAMESPACES: tuple[Row, ...] = (
    #  the tracer is ..., by user namespaces                                       0       1       2       3
    ("owner-of-the-namespace",             who.owner,                              YES,    YES,    YES,    NO),
    ("owner-of-the-namespace-above",       who.owner_of_the_one_above,             YES,    YES,    YES,    NO),
    ("capable-in-a-namespace-above",       who.capable_above,                      YES,    YES,    YES,    NO),
    ("capable-in-the-same-namespace",      who.capable_inside,                     YES,    YES,    YES,    NO),
    ("incapable-in-the-same-namespace",    who.incapable_inside,                   YES,    NO,     NO,     NO),
    ("not-the-owner-of-the-namespace",     who.not_the_owner,                      DAC,    DAC,    DAC,    DAC),
    ("capable-in-a-namespace-below",       who.capable_below,                      NO,     NO,     NO,     NO),
    ("capable-in-a-namespace-beside",      who.capable_beside,                     NO,     NO,     NO,     NO),
    ("capable-child-in-a-namespace-below", who.child_inside_upon_its_parent,       NO,     NO,     NO,     NO),
)

SAME: tuple[Row, ...] = (
    #  the tracer is ..., sharing a process or memory with its target              0       1       2       3
    ("thread",                             who.thread,                             THREAD, THREAD, THREAD, THREAD),
    ("leader-upon-its-thread",             who.leader_upon_its_thread,             THREAD, THREAD, THREAD, THREAD),
    ("sharer-of-memory",                   who.sharer_of_memory,                   YES,    MEMORY, MEMORY, MEMORY),
)
# fmt: on

SAID = {YES: "may-attach", THREAD: "may-do-all-but-attach"}


def by_row(rows: tuple[Row, ...]) -> list[ParameterSet]:
    """One test per row, with a sentence as its id."""

    def sentence(name: str, verdicts: tuple[Verdict, ...]) -> str:
        if len(set(verdicts)) == 1:
            return f"{name}-{SAID.get(verdicts[0], 'may-not-attach')}-at-any-scope"
        return f"{name}-may-attach-up-to-scope-{verdicts.count(YES) - 1}"

    return [pytest.param(row[1], row[2:], id=sentence(row[0], row[2:])) for row in rows]


def check(guest: Guest, build: Build, verdicts: tuple[Verdict, ...]) -> None:
    tracer, target = build(guest)
    wrong: list[str] = []
    for scope, verdict in enumerate(verdicts):
        prepare(guest, scope)
        wrong += [f"scope {scope}: {line}" for line in mismatches(tracer, target, ways_of(guest), verdict)]
    assert wrong == []


@pytest.mark.requirement(
    "yama.scope-0", "yama.scope-1", "yama.scope-2", "yama.scope-3", "yama.ways-in", "yama.ancestry"
)
@pytest.mark.parametrize(("build", "verdicts"), by_row(RELATIVES))
def test_relatives(guest: Guest, build: Build, verdicts: tuple[Verdict, ...]) -> None:
    """At scope 1, ancestry grants access, and only downwards."""
    check(guest, build, verdicts)


USER = (1000, 1000, 1000)

# fmt: off
IDS: tuple[tuple[str, who.Ids, who.Ids, Verdict], ...] = (
    #  of the target's ids                    uids                gids
    ("none-is-another",                       USER,               USER,               YES),
    ("the-real-uid-is-another",               (1001, 1000, 1000), USER,               NO),
    ("the-effective-uid-is-another",          (1000, 1001, 1000), USER,               NO),
    ("the-saved-uid-is-another",              (1000, 1000, 1001), USER,               NO),
    ("the-real-gid-is-another",               USER,               (1001, 1000, 1000), NO),
    ("the-effective-gid-is-another",          USER,               (1000, 1001, 1000), NO),
    ("the-saved-gid-is-another",              USER,               (1000, 1000, 1001), NO),
)
# fmt: on


@pytest.mark.requirement("yama.scope-0", "yama.ids", "yama.ways-in")
@pytest.mark.parametrize(
    ("uids", "gids", "verdict"), [pytest.param(*row[1:], id=f"{row[0]}-{SAID.get(row[3], 'refused')}") for row in IDS]
)
def test_ids_of_the_target(guest: Guest, uids: who.Ids, gids: who.Ids, verdict: Verdict) -> None:
    """Unless all six ids of the target equal the tracer's, the target belongs to another user."""
    tracer, target = guest.spawn("tracer"), who.with_ids(guest, "target", uids, gids)
    prepare(guest, 0)
    # The result for the files in /proc depends on who owns them.
    calls = [way for way in ways_of(guest) if not way.by_file]
    assert mismatches(tracer, target, calls, verdict) == []


@pytest.mark.requirement("yama.scope-0", "yama.ids", "yama.ways-in")
def test_ids_of_the_tracer(guest: Guest) -> None:
    """System calls check the tracer's real ids, files in /proc its filesystem ids, which are its effective ones."""
    target = guest.spawn("target")
    really, effectively = (
        who.with_ids(guest, "real", (1000, 1001, 1000), USER),
        who.with_ids(guest, "effective", (1001, 1000, 1000), USER),
    )
    prepare(guest, 0)
    calls = [way for way in ways_of(guest) if not way.by_file]
    files = [way for way in ways_of(guest) if way.by_file and not way.events]
    assert mismatches(really, target, calls, YES) == []
    assert mismatches(really, target, files, DAC) == []
    assert mismatches(effectively, target, calls, NO) == []
    assert mismatches(effectively, target, files, YES) == []


@pytest.mark.requirement("yama.set-ptracer", "yama.set-ptracer-no-override", "yama.ways-in")
@pytest.mark.parametrize(("build", "verdicts"), by_row(DECLARED))
def test_declared(guest: Guest, build: Build, verdicts: tuple[Verdict, ...]) -> None:
    """At scope 1, PR_SET_PTRACER grants access to the named tracer and its descendants; it overrides nothing else."""
    check(guest, build, verdicts)


@pytest.mark.requirement("yama.capability", "yama.scope-3")
@pytest.mark.parametrize(("build", "verdicts"), by_row(CAPABLE))
def test_capable(guest: Guest, build: Build, verdicts: tuple[Verdict, ...]) -> None:
    """CAP_SYS_PTRACE grants access at scopes 1 and 2; nothing does at scope 3."""
    check(guest, build, verdicts)


@pytest.mark.needs("USER_NS")
@pytest.mark.requirement("yama.user-namespace", "yama.ways-in")
@pytest.mark.parametrize(("build", "verdicts"), by_row(NAMESPACES))
def test_user_namespaces(guest: Guest, build: Build, verdicts: tuple[Verdict, ...]) -> None:
    """CAP_SYS_PTRACE is checked in the target's user namespace, where its owner has it."""
    check(guest, build, verdicts)


@pytest.mark.requirement("yama.own-threads", "yama.shared-memory")
@pytest.mark.parametrize(("build", "verdicts"), by_row(SAME))
def test_same(guest: Guest, build: Build, verdicts: tuple[Verdict, ...]) -> None:
    """No task is refused access to its own process, or to memory that it shares."""
    check(guest, build, verdicts)
