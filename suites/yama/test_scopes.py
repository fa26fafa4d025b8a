# SPDX-License-Identifier: GPL-2.0-or-later
"""The scope table: who may access whom, by every kind of access.

A row is a relation (relations.py, credential_relations.py), a column a scope.  Each row is a test: it raises the
scope step by step and tries all kinds of access (accesses.py) at each.  So where the scope decides, a refused tracer
had access at a lower scope, by the same calls in the same guest; where it does not, another row is the control.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import pytest
from _pytest.mark import ParameterSet

from guests.guest import Guest
from guests.promises import breaks
from suites.yama.support import credential_relations as cred
from suites.yama.support import relations as rel
from suites.yama.support.accesses import (
    LOCKED,
    LOCKING_REASON,
    AccessResult,
    compare,
    prepare,
    supported_accesses,
    wrong_accesses,
)
from suites.yama.support.relations import Pair

pytestmark = [
    pytest.mark.needs("SECURITY_YAMA", "SYSCTL"),
    pytest.mark.own_machine(LOCKING_REASON, promises=("yama.scope-3",)),
]

YES, NO, DAC = AccessResult.YES, AccessResult.NO, AccessResult.DAC
MEMORY, THREAD, EVENTS = AccessResult.MEMORY, AccessResult.THREAD, AccessResult.EVENTS

Build = Callable[[Guest], Pair]
Row = tuple[str, Build, AccessResult, AccessResult, AccessResult, AccessResult]

# fmt: off
RELATIVES: tuple[Row, ...] = (
    #                                                                              scope
    #  the tracer is ... of its target                                             0       1       2       3
    ("parent",                             rel.parent,                             YES,    YES,    NO,     NO),
    ("grandparent",                        rel.grandparent,                        YES,    YES,    NO,     NO),
    ("ancestor-by-40-generations",         rel.distant_ancestor,                   YES,    YES,    NO,     NO),
    ("thread-of-grandparent",              rel.thread_of_grandparent,              YES,    YES,    NO,     NO),
    ("parent-of-its-threads-child",        rel.parent_of_its_threads_child,        YES,    YES,    NO,     NO),
    ("parent-of-its-exited-threads-child", rel.parent_of_its_exited_threads_child, YES,    YES,    NO,     NO),
    ("parent-of-a-thread",                 rel.parent_of_a_thread,                 YES,    YES,    NO,     NO),
    ("subreaper-of-an-orphan",             rel.subreaper,                          YES,    YES,    NO,     NO),
    ("parent-by-clone-parent",             rel.parent_by_clone_parent,             YES,    YES,    NO,     NO),
    ("ancestor-outside-the-pid-namespace", rel.ancestor_outside_the_pid_namespace, YES,    YES,    NO,     NO),
    ("grandparent-of-an-orphan",           rel.grandparent_of_orphan,              YES,    NO,     NO,     NO),
    ("creator-by-clone-parent",            rel.creator_by_clone_parent,            YES,    NO,     NO,     NO),
    ("sibling",                            rel.sibling,                            YES,    NO,     NO,     NO),
    ("child",                              rel.child,                              YES,    NO,     NO,     NO),
    ("child-of-a-thread",                  rel.child_of_a_thread,                  YES,    NO,     NO,     NO),
    ("grandchild",                         rel.grandchild,                         YES,    NO,     NO,     NO),
    ("uncle",                              rel.uncle,                              YES,    NO,     NO,     NO),
    ("stranger",                           rel.stranger,                           YES,    NO,     NO,     NO),
    ("other-user",                         rel.other_user,                         DAC,    DAC,    DAC,    DAC),
    ("parent-of-non-dumpable",             rel.parent_of_non_dumpable,             DAC,    DAC,    DAC,    DAC),
)

DECLARED: tuple[Row, ...] = (
    #  the tracer is ...                                                           0       1       2       3
    ("declared-one",                       rel.declared,                           YES,    YES,    NO,     NO),
    ("thread-of-the-declared",             rel.thread_of_declared,                 YES,    YES,    NO,     NO),
    ("leader-of-the-declared-thread",      rel.leader_of_declared_thread,          YES,    YES,    NO,     NO),
    ("child-of-the-declared",              rel.child_of_declared,                  YES,    YES,    NO,     NO),
    ("grandchild-of-the-declared",         rel.grandchild_of_declared,             YES,    YES,    NO,     NO),
    ("far-descendant-of-the-declared",     rel.distant_descendant_of_declared,     YES,    YES,    NO,     NO),
    ("declared-by-another-thread",         rel.declared_by_another_thread,         YES,    YES,    NO,     NO),
    ("anyone-if-any-is-declared",          rel.anyone_if_any_is_declared,          YES,    YES,    NO,     NO),
    ("parent-of-the-declared",             rel.parent_of_declared,                 YES,    NO,     NO,     NO),
    ("sibling-of-the-declared",            rel.sibling_of_declared,                YES,    NO,     NO,     NO),
    ("declared-by-the-targets-parent",     rel.declared_by_the_targets_parent,     YES,    NO,     NO,     NO),
    ("declared-by-the-targets-child",      rel.declared_by_the_targets_child,      YES,    NO,     NO,     NO),
    ("declared-of-another-user",           rel.declared_other_user,                DAC,    DAC,    DAC,    DAC),
    ("declared-by-non-dumpable",           rel.declared_by_non_dumpable,           DAC,    DAC,    DAC,    DAC),
)

CAPABLE: tuple[Row, ...] = (
    #  the tracer is ..., by its capabilities                                      0       1       2       3
    ("capable-one",                        cred.capable,                           YES,    YES,    YES,    NO),
    ("capable-other-user",                 cred.capable_other_user,                YES,    YES,    YES,    NO),
    ("root",                               cred.root,                              YES,    YES,    YES,    EVENTS),
    ("with-other-capabilities",            cred.with_other_capabilities,           YES,    EVENTS, EVENTS, EVENTS),
)

NAMESPACES: tuple[Row, ...] = (
    #  the tracer is ..., by user namespaces                                       0       1       2       3
    ("owner-of-the-namespace",             cred.owner,                             YES,    YES,    YES,    NO),
    ("owner-of-the-parent-namespace",      cred.owner_of_parent_namespace,         YES,    YES,    YES,    NO),
    ("capable-in-an-ancestor-namespace",   cred.capable_in_ancestor_namespace,     YES,    YES,    YES,    NO),
    ("capable-in-the-same-namespace",      cred.capable_in_same_namespace,         YES,    YES,    YES,    NO),
    ("incapable-in-the-same-namespace",    cred.incapable_in_same_namespace,       YES,    NO,     NO,     NO),
    ("not-the-owner-of-the-namespace",     cred.not_the_owner,                     DAC,    DAC,    DAC,    DAC),
    ("capable-in-a-child-namespace",       cred.capable_in_child_namespace,        NO,     NO,     NO,     NO),
    ("capable-in-a-sibling-namespace",     cred.capable_in_sibling_namespace,      NO,     NO,     NO,     NO),
    ("capable-child-in-a-child-namespace", cred.capable_child_in_child_namespace,  NO,     NO,     NO,     NO),
)

SAME: tuple[Row, ...] = (
    #  the tracer is ..., sharing a process or memory with its target              0       1       2       3
    ("thread",                             rel.thread,                             THREAD, THREAD, THREAD, THREAD),
    ("leader-of-the-thread",               rel.leader_of_the_thread,               THREAD, THREAD, THREAD, THREAD),
    ("sharer-of-memory",                   rel.sharer_of_memory,                   YES,    MEMORY, MEMORY, MEMORY),
)
# fmt: on

NEEDED: Mapping[Build, pytest.MarkDecorator] = {rel.ancestor_outside_the_pid_namespace: pytest.mark.needs("PID_NS")}
"""What a single row needs."""

PHRASES = {YES: "may-attach", THREAD: "may-do-all-but-attach"}

SCOPES = ("yama.scope-0", "yama.scope-1", "yama.scope-2", "yama.scope-3")
ANY_ACCESS = "yama.attach-accesses"
"""What is broken where only some kinds of access have the wrong result."""
BY_SCOPE_1_ALONE = ("parent", "sibling", "child", "child-of-a-thread", "grandchild", "uncle", "stranger")
"""Relatives whose cells say what scope 1 is; the others say what an ancestor is."""

Promises = tuple[str, str, str, str]
"""The promise that the cell of each scope is about."""
PromisesOf = Callable[[str, tuple[AccessResult, ...]], Promises]
"""The same of a row, by its name and results."""


def of_relatives(name: str, results: tuple[AccessResult, ...]) -> Promises:
    at_1 = SCOPES[1] if name in BY_SCOPE_1_ALONE or DAC in results else "yama.ancestry"
    return SCOPES[0], at_1, SCOPES[2], SCOPES[3]


def of_declared(_: str, results: tuple[AccessResult, ...]) -> Promises:
    no_override = "yama.set-ptracer-no-override"
    return SCOPES[0], no_override if DAC in results else "yama.set-ptracer", no_override, no_override


def of_capable(*_: object) -> Promises:
    return SCOPES[0], "yama.capability", "yama.capability", SCOPES[3]


def of_namespaces(*_: object) -> Promises:
    return "yama.user-namespace", "yama.user-namespace", "yama.user-namespace", SCOPES[3]


def of_same(name: str, _: tuple[AccessResult, ...]) -> Promises:
    promise = "yama.shared-memory" if name == "sharer-of-memory" else "yama.own-threads"
    return promise, promise, promise, promise


def by_row(rows: tuple[Row, ...], promises: PromisesOf) -> list[ParameterSet]:
    """One test per row, with a sentence as its id."""

    def sentence(name: str, results: tuple[AccessResult, ...]) -> str:
        if len(set(results)) == 1:
            return f"{name}-{PHRASES.get(results[0], 'may-not-attach')}-at-any-scope"
        return f"{name}-may-attach-up-to-scope-{results.count(YES) - 1}"

    return [
        pytest.param(
            row[1], row[2:], promises(row[0], row[2:]), id=sentence(row[0], row[2:]), marks=NEEDED.get(row[1], ())
        )
        for row in rows
    ]


table = partial(pytest.mark.parametrize, ("build", "results", "promises"))


def check(guest: Guest, build: Build, results: tuple[AccessResult, ...], promises: Promises) -> None:
    """Compare each cell of a row, and break the promises of those that are wrong, not of the whole row."""
    tracer, target = build(guest)
    lines: list[str] = []
    broken: list[str] = []
    for scope, (result, promise) in enumerate(zip(results, promises, strict=True)):
        if scope == LOCKED and not guest.disposable:
            continue
        prepare(guest, scope)
        wrong = compare(tracer, target, supported_accesses(guest), result)
        lines += [f"scope {scope}: {line}" for line in wrong.lines]
        if wrong.lines:
            broken.append(promise if wrong.whole else ANY_ACCESS)
    with breaks(*(broken or promises)):
        assert lines == []


@pytest.mark.requirement(*SCOPES, ANY_ACCESS, "yama.ancestry")
@table(by_row(RELATIVES, of_relatives))
def test_relatives(guest: Guest, build: Build, results: tuple[AccessResult, ...], promises: Promises) -> None:
    """At scope 1, ancestry grants access, and only downwards."""
    check(guest, build, results, promises)


ORPHANS = [
    pytest.param(rel.subreaper_that_comes_late, YES, id="late-subreaper-may-attach"),
    pytest.param(
        rel.subreaper_outside_the_pid_namespace,
        NO,
        id="subreaper-outside-may-not-attach",
        marks=pytest.mark.needs("PID_NS"),
    ),
]


@pytest.mark.requirement("yama.ancestry-of-orphans")
@pytest.mark.parametrize(("build", "result"), ORPHANS)
def test_orphans(guest: Guest, build: Build, result: AccessResult) -> None:
    """An orphan's ancestor is the nearest subreaper of its pid namespace, also one that became it after it forked."""
    tracer, target = build(guest)
    for scope, wanted in ((0, YES), (1, result)):
        prepare(guest, scope)
        assert wrong_accesses(tracer, target, supported_accesses(guest), wanted) == []


USER = (1000, 1000, 1000)

# fmt: off
IDS: tuple[tuple[str, cred.Ids, cred.Ids, AccessResult], ...] = (
    #  of the target's ids                    uids                gids
    ("all-ids-equal",                         USER,               USER,               YES),
    ("real-uid-differs",                      (1001, 1000, 1000), USER,               NO),
    ("effective-uid-differs",                 (1000, 1001, 1000), USER,               NO),
    ("saved-uid-differs",                     (1000, 1000, 1001), USER,               NO),
    ("real-gid-differs",                      USER,               (1001, 1000, 1000), NO),
    ("effective-gid-differs",                 USER,               (1000, 1001, 1000), NO),
    ("saved-gid-differs",                     USER,               (1000, 1000, 1001), NO),
)
# fmt: on


@pytest.mark.requirement("yama.ids", ANY_ACCESS)
@pytest.mark.parametrize(
    ("uids", "gids", "result"),
    [pytest.param(*row[1:], id=f"{row[0]}-{PHRASES.get(row[3], 'refused')}") for row in IDS],
)
def test_ids_of_the_target(guest: Guest, uids: cred.Ids, gids: cred.Ids, result: AccessResult) -> None:
    """Unless all six ids of the target equal the tracer's, the target belongs to another user."""
    tracer, target = guest.spawn("tracer"), cred.with_ids(guest, "target", uids, gids)
    prepare(guest, 0)
    # The result for the files in /proc depends on who owns them.
    calls = [access for access in supported_accesses(guest) if not access.by_file]
    wrong = compare(tracer, target, calls, result)
    with breaks("yama.ids" if wrong.whole else ANY_ACCESS):
        assert wrong.lines == []


@pytest.mark.requirement("yama.ids")
def test_ids_of_the_tracer(guest: Guest) -> None:
    """System calls check the tracer's real ids, files in /proc its filesystem ids, which are its effective ones."""
    target = guest.spawn("target")
    really, effectively = (
        cred.with_ids(guest, "real", (1000, 1001, 1000), USER),
        cred.with_ids(guest, "effective", (1001, 1000, 1000), USER),
    )
    prepare(guest, 0)
    calls = [access for access in supported_accesses(guest) if not access.by_file]
    files = [access for access in supported_accesses(guest) if access.by_file and not access.events]
    assert wrong_accesses(really, target, calls, YES) == []
    assert wrong_accesses(really, target, files, DAC) == []
    assert wrong_accesses(effectively, target, calls, NO) == []
    assert wrong_accesses(effectively, target, files, YES) == []


@pytest.mark.requirement(SCOPES[0], "yama.set-ptracer", "yama.set-ptracer-no-override", ANY_ACCESS)
@table(by_row(DECLARED, of_declared))
def test_declared(guest: Guest, build: Build, results: tuple[AccessResult, ...], promises: Promises) -> None:
    """At scope 1, PR_SET_PTRACER grants access to the named tracer and its descendants; it overrides nothing else."""
    check(guest, build, results, promises)


@pytest.mark.requirement(SCOPES[0], "yama.capability", SCOPES[3], ANY_ACCESS)
@table(by_row(CAPABLE, of_capable))
def test_capable(guest: Guest, build: Build, results: tuple[AccessResult, ...], promises: Promises) -> None:
    """CAP_SYS_PTRACE grants access at scopes 1 and 2; nothing does at scope 3."""
    check(guest, build, results, promises)


@pytest.mark.needs("USER_NS")
@pytest.mark.requirement("yama.user-namespace", SCOPES[3], ANY_ACCESS)
@table(by_row(NAMESPACES, of_namespaces))
def test_user_namespaces(guest: Guest, build: Build, results: tuple[AccessResult, ...], promises: Promises) -> None:
    """CAP_SYS_PTRACE is checked in the target's user namespace, where its owner has it."""
    check(guest, build, results, promises)


@pytest.mark.requirement("yama.own-threads", "yama.shared-memory", ANY_ACCESS)
@table(by_row(SAME, of_same))
def test_same(guest: Guest, build: Build, results: tuple[AccessResult, ...], promises: Promises) -> None:
    """No task is refused access to its own process, or to memory that it shares."""
    check(guest, build, results, promises)
