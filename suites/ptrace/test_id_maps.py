# SPDX-License-Identifier: GPL-2.0-or-later
"""The maps of ids of user namespaces, which decide whose processes and files a namespace's root may look into."""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import EACCES, ENOSPC, EPERM, OK, Expected, Outcome, returned
from guests.task import Task
from guests.uapi import O_WRONLY, Cap, Clone
from suites.ptrace.support.programs import FOLDER
from suites.user_namespaces import map_ids

pytestmark = pytest.mark.needs("USER_NS")

OWNER, OTHER = 1000, 1001
SETFCAP = Cap(1 << 31)
LEVELS = 32
"""How deep user namespaces can be nested at least; Linux permits one level more (create_user_ns())."""


def owner_and_namespace(guest: Guest) -> tuple[Task, Task]:
    """A user who owns a namespace, and a process in it, where no ids are mapped yet."""
    owner = guest.spawn("owner", uid=OWNER)
    return owner, owner.spawn("inside", flags=Clone.NEWUSER)


@pytest.mark.requirement("ptrace.id-map-opener")
def test_opener_of_a_map(guest: Guest) -> None:
    """A map may have what its opener may map, whoever writes it: not more if root does, nor less if another does."""
    owner, inside = owner_and_namespace(guest)
    root = guest.root()
    of_owner = owner.open(f"/proc/{inside.pid}/uid_map", O_WRONLY).result()
    taken = root.pidfd_getfd(owner, of_owner).result()
    writer = root.spawn("writer", uid=OTHER)
    for task in (writer, root):
        assert task.write(taken, f"0 {OTHER} 1".encode()) == EPERM
    assert writer.write(taken, f"0 {OWNER} 1".encode()) == OK
    # What root opens, root may write.
    _, another = owner_and_namespace(guest)
    assert root.write_text(f"/proc/{another.pid}/uid_map", f"0 {OTHER} 1") == OK


@pytest.mark.requirement("ptrace.id-map-once")
def test_second_map(guest: Guest) -> None:
    """Nobody can write a map again once that has succeeded, to give other ids to those in the namespace."""
    owner, inside = owner_and_namespace(guest)
    path = f"/proc/{inside.pid}/uid_map"
    assert owner.write_text(path, f"0 {OTHER} 1") == EPERM
    assert owner.write_text(path, f"0 {OWNER} 1") == OK
    for writer in (owner, inside, guest.root()):
        assert writer.write_text(path, f"5 {OWNER} 1") == EPERM
    assert inside.call("getuid") == returned(0)


@pytest.mark.requirement("ptrace.id-map-creator")
def test_map_by_another(guest: Guest) -> None:
    """Nobody but the creator of a namespace maps his own uid there, unless he has CAP_SETUID."""
    over_the_namespace = Cap.SYS_ADMIN | Cap.DAC_OVERRIDE
    for caps, wanted in ((over_the_namespace, EPERM), (over_the_namespace | Cap.SETUID, OK)):
        owner, inside = owner_and_namespace(guest)
        other = guest.spawn("other", uid=OTHER, caps=caps)
        assert other.write_text(f"/proc/{inside.pid}/uid_map", f"0 {OTHER} 1") == wanted
        if wanted == EPERM:
            assert owner.write_text(f"/proc/{inside.pid}/uid_map", f"0 {OWNER} 1") == OK


@pytest.mark.requirement("ptrace.id-map-root")
@pytest.mark.parametrize("writer", ["from-outside", "from-inside"])
def test_map_of_root(guest: Guest, writer: str) -> None:
    """Mapping root, to whom files could owe capabilities, takes CAP_SETFCAP of the writer or of its creator."""
    for caps, wanted in ((Cap.SETUID | Cap.SETGID, EPERM), (Cap.SETUID | Cap.SETGID | SETFCAP, OK)):
        owner = guest.root("owner")
        owner.set_caps(caps).result()
        inside = owner.spawn("inside", flags=Clone.NEWUSER)
        task, path = owner if writer == "from-outside" else inside, f"/proc/{inside.pid}"
        assert task.write_text(f"{path}/uid_map", "0 0 1") == wanted
        assert owner.write_text(f"{path}/gid_map", "0 0 1") == OK
        if wanted == EPERM:
            assert owner.write_text(f"{path}/uid_map", f"0 {OWNER} 1") == OK


@pytest.mark.requirement("ptrace.id-map-before-groups")
def test_groups_without_a_map(guest: Guest) -> None:
    """Nobody leaves a group, which may close files to its members, in a namespace whose groups are not mapped yet."""
    _, inside = owner_and_namespace(guest)
    assert inside.call("setgroups", 0, 0) == EPERM
    guest.write_file(f"/proc/{inside.pid}/gid_map", f"0 {OWNER} 1").result()
    assert inside.call("setgroups", 0, 0) == OK


@pytest.mark.requirement("ptrace.id-map-groups")
def test_map_of_groups(guest: Guest) -> None:
    """A user maps a group only after giving up setgroups(), which could drop one that closes files to its members."""
    owner, inside = owner_and_namespace(guest)
    path = f"/proc/{inside.pid}"
    assert owner.write_text(f"{path}/gid_map", f"0 {OWNER} 1") == EPERM
    assert owner.write_text(f"{path}/setgroups", "deny") == OK
    assert owner.write_text(f"{path}/gid_map", f"0 {OWNER} 1") == OK
    assert inside.call("setgroups", 0, 0) == EPERM
    _, of_root = owner_and_namespace(guest)
    assert guest.root().write_text(f"/proc/{of_root.pid}/gid_map", f"0 {OWNER} 1") == OK
    assert of_root.call("setgroups", 0, 0) == OK


@pytest.mark.requirement("ptrace.id-map-groups-nested")
@pytest.mark.parametrize(("setting", "wanted"), [("deny", EPERM), ("allow", OK)], ids=["denied", "allowed"])
def test_groups_of_a_nested_map(guest: Guest, setting: str, wanted: Expected) -> None:
    """A namespace that is nested in one without setgroups() has no setgroups() either, and cannot allow it."""
    owner, outer = owner_and_namespace(guest)
    owner.write_text(f"/proc/{outer.pid}/setgroups", setting).result()
    map_ids(guest, outer, f"0 {OWNER} 1")
    inner = outer.spawn("inner", flags=Clone.NEWUSER)
    path = f"/proc/{inner.pid}"
    assert outer.content(f"{path}/setgroups") == f"{setting}\n".encode()
    outer.write_text(f"{path}/gid_map", "0 0 1").result()
    assert inner.call("setgroups", 0, 0) == wanted
    assert outer.write_text(f"{path}/setgroups", "allow") == wanted


@pytest.mark.requirement("ptrace.id-map-nested")
@pytest.mark.parametrize("count", [5, 340], ids=lambda count: f"{count}-ranges")
def test_nested_map(guest: Guest, count: int) -> None:
    """Ids of a nested namespace are translated back as they were there, however many ranges its map has."""
    outer = guest.spawn("creator").spawn("outer", flags=Clone.NEWUSER)
    map_ids(guest, outer, "0 100000 1000")
    outer.call("setresgid", 0, 0, 0).result()
    outer.call("setresuid", 0, 0, 0).result()
    # Otherwise the files of its child in /proc would be root's outside.
    outer.set_dumpable(True).result()
    inner = outer.spawn("inner", flags=Clone.NEWUSER)
    # Every second id, so that no two are one range; 0 is the last.
    ranges = "".join(f"{count - 1 - number} {10 + 2 * number} 1\n" for number in range(count))
    for ids in ("uid_map", "gid_map"):
        outer.write_text(f"/proc/{inner.pid}/{ids}", ranges).result()
    for id_ in (0, 1, count - 1):
        inside = inner.spawn("inside")
        inside.call("setresgid", id_, id_, id_).result()
        inside.call("setresuid", id_, id_, id_).result()
        assert inside.call("getuid") == returned(id_)
        assert inside.call("getgid") == returned(id_)
    # Root there has the capabilities over files of ids that are mapped.
    mapped = 10 + 2 * (count - 1)
    inner_id = 100000 + mapped
    for uid, gid, wanted in (
        (inner_id, inner_id, OK),
        (mapped, mapped, EACCES),
        (inner_id + 1, inner_id + 1, EACCES),
        (inner_id, mapped, EACCES),
        (mapped, inner_id, EACCES),
    ):
        path = f"{FOLDER}/file-of-{uid}-{gid}"
        guest.write_file(path, "a secret", create=True, mode=0o600).result()
        guest.init.chown(path, uid, gid).result()
        assert inner.open(path) == wanted


def nest(task: Task) -> Outcome:
    """Enter a new user namespace, and map root there to root of the present one."""
    done = task.call("unshare", Clone.NEWUSER)
    if done == OK:
        for ids in ("uid_map", "gid_map"):
            task.write_text(f"/proc/self/{ids}", "0 0 1").result()
    return done


@pytest.mark.requirement("ptrace.namespace-depth")
def test_depth(guest: Guest) -> None:
    """User namespaces can be nested in 32 levels, and not without limit."""
    task = guest.spawn("creator").spawn("task", flags=Clone.NEWUSER)
    guest.write_file(f"/proc/{task.pid}/setgroups", "deny").result()
    map_ids(guest, task, f"0 {OWNER} 1")
    for _ in range(1, LEVELS):
        assert nest(task) == OK
    nest(task)
    assert nest(task) == ENOSPC


MORE_THAN_THE_OWN_ID = (
    ("gid_map", f"0 {OTHER} 1"),
    ("gid_map", "0 0 1"),
    ("gid_map", f"0 {OWNER} 2"),
    ("uid_map", f"0 {OWNER} 2"),
    ("uid_map", f"0 {OWNER} 1\n1 {OTHER} 1"),
)


@pytest.mark.requirement("ptrace.id-map-own-id")
def test_map_of_more_than_the_own_id(guest: Guest) -> None:
    """The owner of a namespace, without a capability above, maps his own uid and gid there, and no others."""
    owner, inside = owner_and_namespace(guest)
    path = f"/proc/{inside.pid}"
    owner.write_text(f"{path}/setgroups", "deny").result()
    for file, ranges in MORE_THAN_THE_OWN_ID:
        assert owner.write_text(f"{path}/{file}", ranges) == EPERM
    for file in ("uid_map", "gid_map"):
        assert owner.write_text(f"{path}/{file}", f"0 {OWNER} 1") == OK
