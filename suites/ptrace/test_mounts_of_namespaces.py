# SPDX-License-Identifier: GPL-2.0-or-later
"""Root of a user namespace and the files of the host: root directories, mounts, and overlays."""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import EPERM, OK, returned
from guests.task import Task
from guests.uapi import MS_BIND, MS_NOSUID, MS_REMOUNT, Cap, Clone, Signal
from suites.ptrace.support.privileges import permitted
from suites.ptrace.support.programs import FOLDER, execute, give_capabilities
from suites.user_namespaces import map_ids

pytestmark = pytest.mark.needs("USER_NS")

JAIL, HOSTS, OWN = f"{FOLDER}/jail", f"{FOLDER}/hosts", f"{FOLDER}/own"
LOWER, UPPER, WORK, MERGED = (f"{FOLDER}/{name}" for name in ("lower", "upper", "work", "merged"))


def mounter(guest: Guest) -> Task:
    """Root of a user namespace, which is user 1000 outside, and has a mount namespace of its own."""
    inside = guest.spawn("creator").spawn("mounter", flags=Clone.NEWUSER | Clone.NEWNS)
    map_ids(guest, inside, "0 1000 1\n1 1001 1\n")
    return inside


@pytest.mark.requirement("ptrace.namespace-chroot")
def test_namespace_in_a_chroot(guest: Guest) -> None:
    """A process with another root directory, which it would leave in a user namespace, cannot create one."""
    root, jailed, free = guest.root(), guest.root("jailed"), guest.root("free")
    root.mkdir(JAIL).result()
    jailed.call("chroot", JAIL).result()
    free.call("chroot", "/").result()
    for task in (jailed, free):
        for call in ("setresgid", "setresuid"):
            task.call(call, 1000, 1000, 1000).result()
    assert jailed.call("unshare", Clone.NEWUSER) == EPERM
    assert jailed.call("clone", Clone.NEWUSER | Signal.CHLD, 0, 0, 0, 0) == EPERM
    assert free.call("unshare", Clone.NEWUSER) == OK


def remount(task: Task, path: str, flags: int) -> object:
    shown = f'remount("{path}", {flags})'
    return task.call("mount", None, path, None, MS_REMOUNT | MS_BIND | flags, None, shown=shown)


@pytest.mark.needs("TMPFS")
@pytest.mark.requirement("ptrace.namespace-nosuid")
def test_nosuid_mount_of_the_host(guest: Guest) -> None:
    """Root of a namespace cannot undo the nosuid of a mount of the host, which makes set-uid programs ineffective."""
    root = guest.root()
    root.mount("tmpfs", HOSTS, "tmpfs", MS_NOSUID).result()
    inside = mounter(guest)
    inside.mount("tmpfs", OWN, "tmpfs", MS_NOSUID).result()
    assert remount(inside, HOSTS, 0) == EPERM
    assert remount(inside, HOSTS, MS_NOSUID) == OK
    assert remount(inside, OWN, 0) == OK


@pytest.mark.needs("TMPFS_XATTR", "OVERLAY_FS")
@pytest.mark.requirement("ptrace.exec-overlaid-capabilities")
def test_capabilities_through_an_overlay(guest: Guest) -> None:
    """What root of a namespace gives to a file of its overlay does not count outside in the file below, either."""
    if not guest.kernel.config.builtin("OVERLAY_FS"):
        pytest.skip("needs CONFIG_OVERLAY_FS=y: guests do not load the module")
    inside = mounter(guest)
    for path in (LOWER, UPPER, WORK):
        inside.mkdir(path).result()
    layers = f"lowerdir={LOWER},upperdir={UPPER},workdir={WORK}"
    inside.mount("overlay", MERGED, "overlay", 0, layers).result()
    inside.copy_file(guest.program, f"{MERGED}/program")
    give_capabilities(inside, f"{MERGED}/program", Cap.KILL).result()
    member, outside = inside.spawn("member", uid=1), guest.spawn("outside")
    for task, gained in ((member, Cap.KILL), (outside, Cap.NONE)):
        execute(task, f"{UPPER}/program").result()
        assert permitted(task) == gained
    assert outside.get_dumpable() == returned(1)
