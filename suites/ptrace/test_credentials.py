# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose credentials count: the real ones for calls, those of the filesystem for files, and those in force."""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import EACCES, EPERM, OK, Outcome, returned
from guests.task import Task
from guests.uapi import AT_FDCWD, Cap
from suites.process_accesses import read_memory
from suites.ptrace.support.programs import FOLDER
from suites.ptrace.support.ways import OBSERVER, Kind, differences, few, not_closed, not_open, observer, supported

pytestmark = pytest.mark.needs("CROSS_MEMORY_ATTACH")

AT_EACCESS = 0x200
PERFMON = Cap(1 << 38)
OWN, OTHER = 1000, 1001
SECRET = f"{FOLDER}/secret"
NO_ADMIN = OBSERVER & ~Cap.SYS_ADMIN
Ids = tuple[int, int, int, int]
"""Real, effective, saved, filesystem."""


def with_ids(guest: Guest, uids: Ids, gids: Ids) -> Task:
    """An observer with these ids."""
    able = OBSERVER | Cap.SETUID | Cap.SETGID
    task = guest.spawn("observer", uid=OWN, caps=able)
    task.call("setresgid", *gids[:3]).result()
    task.call("setfsgid", gids[3]).result()
    task.call("setresuid", *uids[:3]).result()
    task.call("setfsuid", uids[3]).result()
    task.set_caps(NO_ADMIN, permitted=OBSERVER).result()
    return task


ALL_OWN = (OWN, OWN, OWN, OWN)
# fmt: off
IDS = {
    # the observer's               uids                           gids                          calls  files
    "all-own":                    (ALL_OWN,                      ALL_OWN,                      True,  True),
    "real-uid-own":               ((OWN, OTHER, OTHER, OTHER),   ALL_OWN,                      True,  False),
    "real-gid-own":               (ALL_OWN,                      (OWN, OTHER, OTHER, OTHER),   True,  False),
    "filesystem-uid-other":       ((OWN, OWN, OWN, OTHER),       ALL_OWN,                      True,  False),
    "filesystem-gid-other":       (ALL_OWN,                      (OWN, OWN, OWN, OTHER),       True,  False),
    "filesystem-uid-own":         ((OTHER, OWN, OTHER, OWN),     ALL_OWN,                      False, True),
    "filesystem-gid-own":         (ALL_OWN,                      (OTHER, OWN, OTHER, OWN),     False, True),
    "effective-uid-other":        ((OWN, OTHER, OWN, OWN),       ALL_OWN,                      True,  True),
    "effective-and-saved-own":    ((OTHER, OWN, OWN, OTHER),     ALL_OWN,                      False, False),
}
# fmt: on
OF_EVERY_WAY = ("real-uid-own", "filesystem-uid-own")
"""The cases that tell whether a way in asks as a call or as a file."""


@pytest.mark.requirement("ptrace.real-and-filesystem-ids")
@pytest.mark.parametrize("case", IDS)
def test_ids(guest: Guest, case: str) -> None:
    """Calls ask with the real ids, files in /proc with the filesystem ids; others are ignored."""
    uids, gids, calls, files = IDS[case]
    watcher, target = with_ids(guest, uids, gids), guest.spawn("target", uid=OWN)
    ways = supported(guest) if case in OF_EVERY_WAY else few(guest)
    assert differences(watcher, target, ways, lambda way: files if Kind.FILE in way.kind else calls) == []


# Capabilities


@pytest.mark.requirement("ptrace.capability")
def test_capability_of_another_user(guest: Guest) -> None:
    """CAP_SYS_PTRACE counts if it is effective, for another user's process, dumpable or not."""
    watcher, target = guest.spawn("observer", uid=OTHER, caps=OBSERVER | Cap.SYS_PTRACE), guest.spawn("target")
    ways = few(guest)
    for dumpable in (True, False):
        target.set_dumpable(dumpable).result()
        watcher.set_caps(NO_ADMIN, permitted=OBSERVER | Cap.SYS_PTRACE).result()
        assert not_closed(watcher, target, ways) == []
        watcher.set_caps(NO_ADMIN | Cap.SYS_PTRACE, permitted=OBSERVER | Cap.SYS_PTRACE).result()
        assert not_open(watcher, target, ways, as_it_is=True) == []


@pytest.mark.requirement("ptrace.fewer-capabilities")
def test_target_with_more_capabilities(guest: Guest) -> None:
    """A process of the same user is closed to one that lacks a capability that it is permitted, effective or not."""
    watcher, target = observer(guest), guest.spawn("target", caps=Cap.KILL)
    target.set_caps(Cap.NONE, permitted=Cap.KILL).result()
    assert not_closed(watcher, target, few(guest)) == []
    target.set_caps(Cap.NONE).result()
    assert not_open(watcher, target, few(guest)) == []


@pytest.mark.requirement("ptrace.fewer-capabilities")
def test_permitted_and_effective_capabilities(guest: Guest) -> None:
    """Calls compare the target's capabilities with the caller's permitted ones, files with its effective ones."""
    watcher, target = guest.spawn("observer", caps=OBSERVER | Cap.KILL), guest.spawn("target", caps=Cap.KILL)
    ways = few(guest)
    watcher.set_caps(NO_ADMIN, permitted=OBSERVER | Cap.KILL).result()
    assert differences(watcher, target, ways, lambda way: Kind.FILE not in way.kind) == []
    watcher.set_caps(NO_ADMIN | Cap.KILL, permitted=OBSERVER | Cap.KILL).result()
    assert not_open(watcher, target, ways) == []


@pytest.mark.requirement("ptrace.traceme-check")
def test_parent_with_fewer_capabilities(guest: Guest) -> None:
    """PTRACE_TRACEME needs a parent that is permitted every capability of its child, or has CAP_SYS_PTRACE."""
    for caps, wanted in ((Cap.NONE, EPERM), (Cap.KILL, OK), (Cap.SYS_PTRACE, OK)):
        parent = guest.root("parent")
        child = parent.spawn("child", uid=OWN, caps=Cap.KILL)
        parent.set_caps(caps).result()
        assert child.traceme() == wanted


@pytest.mark.needs("PERF_EVENTS")
@pytest.mark.requirement("ptrace.perf-capabilities")
def test_capabilities_for_events(guest: Guest) -> None:
    """With CAP_PERFMON, everybody's events may be counted; if they send signals, CAP_KILL is needed besides."""
    target = guest.spawn("target", uid=OTHER)
    target.set_dumpable(False).result()
    for caps, count, signal in (
        (Cap.NONE, EACCES, EACCES),
        (Cap.KILL, EACCES, EACCES),
        (PERFMON, OK, EACCES),
        (PERFMON | Cap.KILL, OK, OK),
    ):
        watcher = guest.spawn("watcher", uid=OWN, caps=caps)
        assert watcher.count_events(target) == count
        assert watcher.count_events(target, sigtrap=True) == signal


SHOWN = {
    "process_madvise",
    *(f"/proc/PID/{file}" for file in ("maps", "numa_maps", "smaps", "smaps_rollup", "pagemap", "environ", "auxv")),
}
"""The ways to memory that is not changed."""


@pytest.mark.requirement("ptrace.perf-shows-memory")
def test_capability_for_the_memory_map(guest: Guest) -> None:
    """With CAP_PERFMON, everybody's memory is shown, and perf events count, but no other way is open."""
    target = guest.spawn("target", uid=OTHER)
    target.set_dumpable(False).result()
    watcher = guest.spawn("watcher", uid=OWN, caps=NO_ADMIN | PERFMON)
    ways = [way for way in supported(guest) if Kind.ADMIN not in way.kind]
    opened = SHOWN | {"perf event"}
    assert differences(watcher, target, ways, lambda way: way.name in opened) == []
    watcher.set_caps(NO_ADMIN).result()
    assert not_closed(watcher, target, ways) == []


# Credentials in force


def accessible(task: Task, target: Task, *flags: int) -> Outcome:
    """access(), or faccessat2() with flags, for a file below a link of the target's that the check guards."""
    path = f"/proc/{target.pid}/cwd/tmp"
    call = "faccessat2" if flags else "faccessat"
    return task.call(call, AT_FDCWD, path, 0, *flags, shown=f'{call}("{path}"{", AT_EACCESS" if flags else ""})')


@pytest.mark.requirement("ptrace.credentials-in-force")
def test_access_by_a_set_uid_program(guest: Guest) -> None:
    """access() asks on behalf of the real user, who has no capabilities, although the process has all of them."""
    task, target = guest.root("task"), guest.spawn("target", uid=OTHER)
    own = guest.spawn("own", uid=OWN)
    task.call("setresgid", OWN, -1, -1).result()
    task.call("setresuid", OWN, 0, 0).result()
    assert task.open(f"/proc/{target.pid}/cwd/tmp") == OK
    assert accessible(task, target) == EACCES
    assert read_memory(task, target) == OK
    task.call("setresgid", OWN, OWN, OWN).result()
    assert accessible(task, own) == OK


@pytest.mark.requirement("ptrace.credentials-in-force")
def test_access_on_behalf_of_root(guest: Guest) -> None:
    """access() asks on behalf of the real user, if that is root, although the effective user is not."""
    task, target = guest.root("task"), guest.spawn("target", uid=OTHER)
    task.call("setresuid", 0, OWN, 0).result()
    assert task.open(f"/proc/{target.pid}/cwd/tmp") == EACCES
    assert accessible(task, target) == OK
    assert read_memory(task, target) == EPERM


@pytest.mark.requirement("ptrace.credentials-in-force-effective")
def test_effective_access(guest: Guest) -> None:
    """faccessat2() with AT_EACCESS asks with the credentials that the process has in force."""
    task, target = guest.root("task"), guest.spawn("target", uid=OTHER)
    task.call("setresuid", OWN, 0, 0).result()
    assert accessible(task, target) == EACCES
    assert accessible(task, target, AT_EACCESS) == OK


@pytest.mark.requirement("ptrace.credentials-in-force")
def test_setfsuid_of_a_server(guest: Guest) -> None:
    """A server that takes a user's filesystem ids may read in /proc what that user may, and loses what root may."""
    server, target, other = guest.root("server"), guest.spawn("target", uid=OWN), guest.spawn("other", uid=OTHER)
    closed = guest.spawn("closed", uid=OWN)
    closed.set_dumpable(False).result()
    guest.write_file(SECRET, "a secret", create=True, mode=0o600).result()
    server.call("setfsgid", OWN).result()
    for uid, wanted in ((OWN, EACCES), (0, OK), (OWN, EACCES)):
        server.call("setfsuid", uid).result()
        assert server.open(SECRET) == wanted
    # Effective root has still CAP_SYS_PTRACE: setfsuid() takes only the capabilities of the filesystem.
    for task in (target, other, closed):
        assert server.open_proc(task, "maps") == OK
    server.set_caps(Cap.NONE).result()
    assert server.open_proc(target, "maps") == OK
    assert server.open_proc(target, "environ") == OK
    assert server.open_proc(other, "maps") == EACCES
    assert server.open_proc(closed, "maps") == EACCES
    assert read_memory(server, target) == EPERM


@pytest.mark.requirement("ptrace.filesystem-ids")
@pytest.mark.parametrize(
    ("call", "change", "caps"),
    [
        pytest.param("setfsuid", "setresuid", Cap.SETUID, id="uid"),
        pytest.param("setfsgid", "setresgid", Cap.SETGID, id="gid"),
    ],
)
def test_filesystem_id_of_another(guest: Guest, call: str, change: str, caps: Cap) -> None:
    """Nobody opens files as another user without a capability, unless it is an own one, such as the saved id."""
    user, able, saved = guest.spawn("user"), guest.spawn("able", caps=caps), guest.spawn("saved", caps=caps)
    saved.call(change, -1, -1, OTHER).result()
    saved.set_caps(Cap.NONE).result()
    for task, then in ((user, OWN), (able, OTHER), (saved, OTHER)):
        # It returns the former id, whether or not it has set the new one.
        assert task.call(call, OTHER) == returned(OWN)
        assert task.call(call, -1) == returned(then)
