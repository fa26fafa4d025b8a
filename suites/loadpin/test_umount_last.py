# SPDX-License-Identifier: GPL-2.0-or-later
"""What does not end the pinned superblock, and what keeps it alive until its last user is gone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.guest import Guest
from guests.outcome import EBUSY, ENOEXEC, ENOSPC, EPERM, OK, Expected, Outcome, exited
from guests.promises import breaks
from guests.task import Task
from guests.uapi import MNT_DETACH, MS_PRIVATE, MS_RDONLY, MS_REC, Clone, KexecFile
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    NOT_ENFORCING,
    OTHER,
    PINNED,
    UNMOUNTED,
    LogReader,
    line,
    loadpin,
    needs,
    probe,
    probe_kind,
    root_after_pin,
    root_before_pin,
    verity,
)
from suites.loadpin.support.load_kinds import FILE_LOADS, FIRMWARE_PART, FileLoad, prepare
from suites.loadpin.support.verified_devices import set_digests_of

pytestmark = loadpin

requirement = pytest.mark.requirement
IN_THE_TASK = [kind for kind in FILE_LOADS if kind is not FIRMWARE_PART]
"""Kinds whose file is closed by the time that the call returns: no other thread of the kernel reads it."""


def one_of_two_mounts(_: Guest, root: Task) -> None:
    root.mount("/dev/vda", "/again", "squashfs", MS_RDONLY).result()
    root.umount(PINNED).result()
    root.bind_mount("/again", PINNED).result()


def a_bind_mount(_: Guest, root: Task) -> None:
    root.bind_mount(PINNED, "/bound").result()
    root.umount("/bound").result()


def another_file_system(_: Guest, root: Task) -> None:
    root.mount("tmpfs", "/third", "tmpfs").result()
    root.umount("/third").result()
    root.mount("/dev/vdc", "/third", "squashfs", MS_RDONLY).result()
    root.umount("/third").result()


def another_file_system_until_freed(guest: Guest, root: Task) -> None:
    """Wait until its superblock is freed, which holds the user namespace in which it was mounted.

    Only one such namespace may exist at a time, so the watcher gets its own once the visitor's is gone; freeing the
    superblock releases the namespace (put_user_ns()) after it has called LoadPin (security_sb_free()).
    """
    guest.set_sysctl("user.max_user_namespaces", 1)
    watcher = root.spawn("watcher")
    visitor = root.spawn("visitor", flags=Clone.NEWUSER | Clone.NEWNS)
    root.mkdir("/third").result()
    visitor.mount("tmpfs", "/third", "tmpfs").result()
    visitor.umount("/third").result()
    watcher.call("unshare", Clone.NEWUSER).require(ENOSPC)
    visitor.exit().require(exited(0))
    root.reap(visitor).result()
    guest.wait_until(lambda: watcher.call("unshare", Clone.NEWUSER) == OK, "the visitor's user namespace to end")


def a_mount_namespace(guest: Guest, _: Task) -> None:
    """A task that had its own copy of every mount exits."""
    visitor = guest.init.spawn("visitor", flags=Clone.NEWNS)
    visitor.exit().require(exited(0))
    guest.init.reap(visitor).result()


Act = Callable[[Guest, Task], None]
NOT_THE_END = [
    pytest.param(one_of_two_mounts, id="one-of-two-mounts"),
    pytest.param(a_bind_mount, id="a-bind-mount"),
    pytest.param(another_file_system, id="another-file-system", marks=needs("TMPFS")),
    pytest.param(
        another_file_system_until_freed,
        id="another-file-system-until-freed",
        marks=needs("USER_NS", "TMPFS", "SYSCTL"),
    ),
    pytest.param(a_mount_namespace, id="another-mount-namespace"),
]


@ENFORCING
@requirement("loadpin.umount-last")
@pytest.mark.parametrize("act", NOT_THE_END)
def test_what_does_not_end_the_pin(guest: Guest, act: Act) -> None:
    """While the pinned file system is still mounted, it stays pinned, and other files stay denied."""
    root = root_after_pin(guest)
    log = LogReader(guest)
    act(guest, root)
    assert probe(guest, root, PINNED) == ENOEXEC
    assert log.new_lines() == []
    assert probe(guest, root, OTHER) == EPERM
    assert log.new_lines() == [line(probe_kind(guest), "denied", f"{OTHER}/junk", root)]


@NOT_ENFORCING
@requirement("loadpin.umount-last")
@pytest.mark.parametrize("act", NOT_THE_END)
def test_what_does_not_reset_the_pin(guest: Guest, act: Act) -> None:
    """While LoadPin does not enforce, the pin does not move to the next load either."""
    root = root_after_pin(guest)
    act(guest, root)
    log = LogReader(guest)
    assert probe(guest, root, OTHER) == ENOEXEC
    assert log.new_lines() == [line(probe_kind(guest), "pinning-ignored", f"{OTHER}/junk", root)]


@ENFORCING
@requirement("loadpin.umount-last", "loadpin.umount")
def test_an_open_file_keeps_the_pinned_file_system(guest: Guest) -> None:
    """After a lazy unmount, an open file keeps the file system alive and still loads; closing it ends both."""
    root = root_after_pin(guest)
    file = root.open(f"{PINNED}/junk").result()
    log = LogReader(guest)
    root.umount(PINNED, MNT_DETACH).result()
    with breaks("loadpin.umount-last"):
        assert probe_descriptor(guest, root, file) == ENOEXEC
        assert log.new_lines() == []
    root.close(file).result()
    with breaks("loadpin.umount"):
        guest.wait_for_log(f"LoadPin: {UNMOUNTED}")
        assert probe(guest, root, OTHER) == EPERM


def probe_descriptor(guest: Guest, task: Task, file: int) -> Outcome:
    if probe_kind(guest) == "kernel-module":
        return task.finit_module(file)
    return task.kexec_file_load(file, -1, KexecFile.NO_INITRAMFS)


@ENFORCING
@requirement("loadpin.umount-last", "loadpin.umount")
def test_a_mount_namespace_keeps_the_pinned_file_system(guest: Guest) -> None:
    """Unmounted in one mount namespace, the file system lives on in another until the last task there exits."""
    root = root_after_pin(guest)
    keeper = guest.init.spawn("keeper", flags=Clone.NEWNS)
    keeper.call("mount", None, "/", None, MS_REC | MS_PRIVATE, None, shown="make all mounts private").result()
    log = LogReader(guest)
    root.umount(PINNED).result()
    with breaks("loadpin.umount-last"):
        assert probe(guest, keeper, PINNED) == ENOEXEC
        assert log.new_lines() == []
    keeper.exit().require(exited(0))
    with breaks("loadpin.umount"):
        guest.wait_for_log(f"LoadPin: {UNMOUNTED}")
        assert probe(guest, root, OTHER) == EPERM


@ENFORCING
@requirement("loadpin.umount-last")
def test_a_file_system_that_was_never_pinned(guest: Guest) -> None:
    """Unmounting a file system before anything is pinned does not concern LoadPin."""
    root = root_before_pin(guest)
    log = LogReader(guest)
    root.umount(OTHER).result()
    assert probe(guest, root, PINNED) == ENOEXEC
    logged = log.new_lines()
    assert UNMOUNTED not in logged
    assert logged[-1:] == [line(probe_kind(guest), "pinned", f"{PINNED}/junk", root)]


@ENFORCING
@requirement("loadpin.closed")
@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.id, marks=kind.marks) for kind in IN_THE_TASK])
def test_a_refused_file_is_not_kept_open(guest: Guest, kind: FileLoad) -> None:
    """A file that LoadPin has denied does not keep its file system mounted, as it did while a program had it open.

    The program has two threads, so that the kernel takes a reference to the file for the call (fdget()).
    """
    root = root_after_pin(guest)
    root.thread("helper")
    prepare(guest, kind, root)
    open_file = root.open(f"{OTHER}/{kind.file}").result()
    kind.load(root, OTHER).require(kind.refused)
    root.umount(OTHER).require(EBUSY)
    root.close(open_file).result()
    assert root.umount(OTHER) == OK


@verity
@ENFORCING
@requirement("loadpin.verity-closed")
@pytest.mark.parametrize(
    ("directory", "name", "outcome"),
    [
        pytest.param(PINNED, "digests", OK, id="accepted"),
        pytest.param(OTHER, "junk", EPERM, id="denied"),
    ],
)
def test_a_list_of_digests_is_not_kept_open(guest: Guest, directory: str, name: str, outcome: Expected) -> None:
    """A list keeps its file system mounted only until the program that has set it closes it.

    The program has two threads, so that the kernel takes a reference to the file for the call (fdget()).
    """
    root = root_after_pin(guest)
    root.thread("helper")
    digests = root.open(f"{directory}/{name}").result()
    set_digests_of(root, digests).require(outcome)
    root.umount(directory).require(EBUSY)
    root.close(digests).result()
    assert root.umount(directory) == OK
