# SPDX-License-Identifier: GPL-2.0-or-later
"""The pinned file system goes away: permanently while LoadPin enforces, with a new pin possible while it does not.

What counts is the end of the superblock.  It comes with the last mount and the last open file, when umount() or
close() returns to the program or a little later, so the tests wait for what LoadPin then logs or does.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.guest import Guest
from guests.outcome import EINVAL, ENOEXEC, ENOSPC, EPERM, OK, Outcome
from guests.task import Task
from guests.uapi import MNT_DETACH, MS_PRIVATE, MS_RDONLY, MS_REC, Clone, KexecFile
from suites.loadpin.support.kinds_of_load import (
    FROM_FILES,
    FROM_MEMORY,
    KEXEC_IMAGE,
    KEXEC_INITRAMFS,
    KEXEC_LOAD,
    FileLess,
    Kind,
    prepare,
)
from suites.loadpin.support.setting import (
    ENFORCING,
    NOT_ENFORCING,
    OTHER,
    PINNED,
    SYSCTL,
    Ear,
    administrator,
    boot,
    line,
    loadpin,
    mount_verified,
    needs,
    pinned_scene,
    probe,
    probed,
    trust,
    verity,
)

pytestmark = loadpin

requirement = pytest.mark.requirement
GONE = "umount pinned fs: refusing further loads"


def unmount_pinned(guest: Guest, root: Task, where: str = PINNED) -> None:
    """Unmount while LoadPin enforces, and wait until it has noticed."""
    assert root.umount(where) == OK
    guest.wait_for_log(f"LoadPin: {GONE}")


def mount_again(root: Task) -> None:
    root.mount("/dev/vda", PINNED, "squashfs", MS_RDONLY).result()


# While enforcing


@ENFORCING
@requirement("loadpin.umount")
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, id=f"{kind.id}-is-denied", marks=kind.marks) for kind in FROM_FILES]
)
def test_everything_is_denied_after_the_unmount(guest: Guest, kind: Kind) -> None:
    """After the unmount, nothing loads any more, neither from another disk nor from the same disk mounted again."""
    root = pinned_scene(guest)
    prepare(guest, kind, root)
    assert kind.load(root, PINNED) == OK
    kind.undo(guest, root)
    unmount_pinned(guest, root)
    mount_again(root)
    ear = Ear(guest)
    for directory in (OTHER, PINNED):
        assert kind.load(root, directory) == kind.refused
        # An initramfs is loaded with an image, which is denied first.
        denied = KEXEC_IMAGE.line("denied", PINNED, root) if kind is KEXEC_INITRAMFS else None
        assert ear.news() == [denied or kind.line("denied", directory, root)]


@ENFORCING
@requirement("loadpin.old-api")
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, id=f"{kind.id}-is-denied", marks=kind.marks) for kind in FROM_MEMORY]
)
def test_what_has_no_file_is_denied_after_the_unmount(guest: Guest, kind: FileLess) -> None:
    """A load without a file is denied as before: the missing pin does not let it through."""
    root = pinned_scene(guest)
    unmount_pinned(guest, root)
    ear = Ear(guest)
    assert kind.load(guest, root) == EPERM
    assert ear.news() == [kind.line("old-api-denied", root)]


@ENFORCING
@requirement("loadpin.umount")
def test_no_new_pin_after_the_unmount(guest: Guest) -> None:
    """After the unmount, no load pins again, however often it is tried."""
    root = pinned_scene(guest)
    ear = Ear(guest)
    unmount_pinned(guest, root)
    assert ear.news() == [GONE]
    for _ in range(3):
        assert probe(guest, root, OTHER) == EPERM
        assert ear.news() == [line(probed(guest), "denied", f"{OTHER}/junk", root)]


@verity
@ENFORCING
@requirement("loadpin.verity-umount")
def test_trusted_devices_are_denied_after_the_unmount(guest: Guest) -> None:
    """A device with a trusted digest, allowed until the unmount, is denied after it."""
    root = pinned_scene(guest)
    trust(root)
    mount_verified(guest, root, 2, at="/verified")
    assert probe(guest, root, "/verified") == ENOEXEC
    unmount_pinned(guest, root)
    ear = Ear(guest)
    assert probe(guest, root, "/verified") == EPERM
    assert ear.news() == [line(probed(guest), "denied", "/verified/junk", root)]


@needs("KEXEC", "KEXEC_FILE", "IMA", "IMA_WRITE_POLICY")
@boot("loadpin.enforce=1", "loadpin.exclude=kexec-image")
@requirement("loadpin.umount", "loadpin.exclude")
def test_excluded_kinds_load_after_the_unmount(guest: Guest) -> None:
    """After the unmount, excluded kinds still load."""
    root = administrator(guest)
    assert root.load_policy(f"{PINNED}/policy") == OK
    unmount_pinned(guest, root)
    assert root.load_policy(f"{OTHER}/policy") == EPERM
    assert root.load_kernel(f"{OTHER}/image") == OK
    assert root.unload_kernel() == OK
    assert KEXEC_LOAD.load(guest, root) == OK
    KEXEC_LOAD.undo(guest, root)


@ENFORCING
@requirement("loadpin.umount-ignored", "loadpin.sysctl-writable")
def test_enforcement_switched_off_after_the_unmount(guest: Guest) -> None:
    """If the device was writable, enforcement can be switched off, so that everything loads, and on again."""
    root = administrator(guest)
    assert probe(guest, root, OTHER) == ENOEXEC
    unmount_pinned(guest, root, OTHER)
    guest.set_sysctl(SYSCTL, 0)
    ear = Ear(guest)
    for _ in range(2):
        assert probe(guest, root, PINNED) == ENOEXEC
        assert ear.news() == [line(probed(guest), "pinning-ignored", f"{PINNED}/junk", root)]
    guest.set_sysctl(SYSCTL, 1)
    assert probe(guest, root, PINNED) == EPERM
    assert ear.news() == [line(probed(guest), "denied", f"{PINNED}/junk", root)]


@NOT_ENFORCING
@requirement("loadpin.umount", "loadpin.sysctl-read-only")
def test_enforcement_switched_on_before_the_unmount(guest: Guest) -> None:
    """What counts is whether LoadPin enforces at the time of the unmount."""
    root = pinned_scene(guest)
    guest.set_sysctl(SYSCTL, 1)
    unmount_pinned(guest, root)
    assert probe(guest, root, OTHER) == EPERM


# While not enforcing


@NOT_ENFORCING
@requirement("loadpin.umount-reset")
def test_the_next_load_pins_anew(guest: Guest) -> None:
    """While LoadPin does not enforce, the unmount is not logged, and the next load pins as if it were the first."""
    root = pinned_scene(guest)
    ear = Ear(guest)
    assert root.umount(PINNED) == OK
    pin_anew(guest, root, ear, OTHER)
    mount_again(root)
    assert probe(guest, root, PINNED) == ENOEXEC
    assert ear.news() == [line(probed(guest), "pinning-ignored", f"{PINNED}/junk", root)]
    guest.set_sysctl(SYSCTL, 1)
    assert probe(guest, root, PINNED) == EPERM
    assert probe(guest, root, OTHER) == ENOEXEC


@NOT_ENFORCING
@requirement("loadpin.umount-reset", "loadpin.sysctl-writable")
def test_the_new_pin_decides_about_the_sysctl(guest: Guest) -> None:
    """From a read-only device to a writable one and back, the sysctl follows the device of the latest pin."""
    root = pinned_scene(guest)
    ear = Ear(guest)
    assert root.umount(PINNED) == OK
    pin_anew(guest, root, ear, OTHER)
    guest.set_sysctl(SYSCTL, 1)
    guest.set_sysctl(SYSCTL, 0)
    assert root.umount(OTHER) == OK
    mount_again(root)
    pin_anew(guest, root, ear, PINNED)
    assert guest.write_file("/proc/sys/kernel/loadpin/enforce", "0") == EINVAL


def pin_anew(guest: Guest, root: Task, ear: Ear, directory: str) -> None:
    """Load until the old superblock is gone and this one is pinned."""
    pinned = line(probed(guest), "pinned", f"{directory}/junk", root)
    ignored = line(probed(guest), "pinning-ignored", f"{directory}/junk", root)

    def loads() -> bool:
        assert probe(guest, root, directory) == ENOEXEC
        heard = ear.news()
        assert heard == [ignored] or heard[-1] == pinned
        return heard[-1] == pinned

    guest.wait_until(loads, "a load to pin anew")


# What does not end the pinned superblock


def one_of_two_mounts(_: Guest, root: Task) -> None:
    root.mount("/dev/vda", "/again", "squashfs", MS_RDONLY).result()
    assert root.umount(PINNED) == OK
    root.bind_mount("/again", PINNED).result()


def a_bind_mount(_: Guest, root: Task) -> None:
    root.bind_mount(PINNED, "/bound").result()
    assert root.umount("/bound") == OK


def another_file_system(_: Guest, root: Task) -> None:
    root.mount("tmpfs", "/third", "tmpfs").result()
    assert root.umount("/third") == OK
    root.mount("/dev/vdc", "/third", "squashfs", MS_RDONLY).result()
    assert root.umount("/third") == OK


def another_file_system_to_its_end(guest: Guest, root: Task) -> None:
    """Wait until its superblock is freed, which holds the user namespace in which it was mounted.

    Only one such namespace may exist at a time, so the watcher gets its own once the visitor's is gone; freeing the
    superblock releases the namespace (put_user_ns()) after it has called LoadPin (security_sb_free()).
    """
    guest.set_sysctl("user.max_user_namespaces", 1)
    watcher = root.spawn("watcher")
    visitor = root.spawn("visitor", flags=Clone.NEWUSER | Clone.NEWNS)
    root.mkdir("/third").result()
    visitor.mount("tmpfs", "/third", "tmpfs").result()
    assert visitor.umount("/third") == OK
    assert watcher.call("unshare", Clone.NEWUSER) == ENOSPC
    visitor.exit()
    root.reap(visitor)
    guest.wait_until(lambda: watcher.call("unshare", Clone.NEWUSER) == OK, "the visitor's user namespace to end")


def a_mount_namespace(guest: Guest, _: Task) -> None:
    """A task that had its own copy of every mount exits."""
    visitor = guest.init.spawn("visitor", flags=Clone.NEWNS)
    visitor.exit()
    guest.init.reap(visitor)


Act = Callable[[Guest, Task], None]
NO_END = [
    pytest.param(one_of_two_mounts, id="one-of-two-mounts"),
    pytest.param(a_bind_mount, id="a-bind-mount"),
    pytest.param(another_file_system, id="another-file-system"),
    pytest.param(another_file_system_to_its_end, id="another-file-system-to-its-end", marks=needs("USER_NS")),
    pytest.param(a_mount_namespace, id="another-mount-namespace"),
]


@ENFORCING
@requirement("loadpin.umount-last")
@pytest.mark.parametrize("act", NO_END)
def test_an_end_that_does_not_count(guest: Guest, act: Act) -> None:
    """While the pinned file system is still mounted, it stays pinned, and other files stay denied."""
    root = pinned_scene(guest)
    ear = Ear(guest)
    act(guest, root)
    assert probe(guest, root, PINNED) == ENOEXEC
    assert ear.news() == []
    assert probe(guest, root, OTHER) == EPERM


@NOT_ENFORCING
@requirement("loadpin.umount-last")
@pytest.mark.parametrize("act", NO_END)
def test_an_end_that_resets_nothing(guest: Guest, act: Act) -> None:
    """While LoadPin does not enforce, the pin does not move to the next load either."""
    root = pinned_scene(guest)
    act(guest, root)
    ear = Ear(guest)
    assert probe(guest, root, OTHER) == ENOEXEC
    assert ear.news() == [line(probed(guest), "pinning-ignored", f"{OTHER}/junk", root)]


@ENFORCING
@requirement("loadpin.umount-last", "loadpin.umount")
def test_an_open_file_keeps_the_pinned_file_system(guest: Guest) -> None:
    """After a lazy unmount, an open file keeps the file system alive and still loads; closing it ends both."""
    root = pinned_scene(guest)
    file = root.open(f"{PINNED}/junk").result()
    ear = Ear(guest)
    assert root.umount(PINNED, MNT_DETACH) == OK
    assert probe_descriptor(guest, root, file) == ENOEXEC
    assert ear.news() == []
    assert root.close(file) == OK
    guest.wait_for_log(f"LoadPin: {GONE}")
    assert probe(guest, root, OTHER) == EPERM


def probe_descriptor(guest: Guest, task: Task, file: int) -> Outcome:
    if probed(guest) == "kernel-module":
        return task.finit_module(file)
    return task.kexec_file_load(file, -1, KexecFile.NO_INITRAMFS)


@ENFORCING
@requirement("loadpin.umount-last", "loadpin.umount")
def test_a_mount_namespace_keeps_the_pinned_file_system(guest: Guest) -> None:
    """Unmounted in one mount namespace, the file system lives on in another until the last task there exits."""
    root = pinned_scene(guest)
    keeper = guest.init.spawn("keeper", flags=Clone.NEWNS)
    keeper.call("mount", None, "/", None, MS_REC | MS_PRIVATE, None, shown="make all mounts private").result()
    ear = Ear(guest)
    assert root.umount(PINNED) == OK
    assert probe(guest, keeper, PINNED) == ENOEXEC
    assert ear.news() == []
    keeper.exit()
    guest.wait_for_log(f"LoadPin: {GONE}")
    assert probe(guest, root, OTHER) == EPERM


@ENFORCING
@requirement("loadpin.umount-last")
def test_a_file_system_that_was_never_pinned(guest: Guest) -> None:
    """Unmounting a file system before anything is pinned does not concern LoadPin."""
    root = administrator(guest)
    assert root.umount(OTHER) == OK
    ear = Ear(guest)
    assert probe(guest, root, PINNED) == ENOEXEC
    assert GONE not in ear.news()
