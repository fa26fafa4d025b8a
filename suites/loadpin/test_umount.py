# SPDX-License-Identifier: GPL-2.0-or-later
"""The pinned file system goes away: for good while LoadPin enforces, and as if nothing had been while it does not.

The superblock's end is what counts.  It comes with the last mount and the last open file, when umount() or close()
returns to the program or a little later, so it is waited for by what LoadPin says or does.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.guest import Guest
from guests.numbers import MNT_DETACH, MS_PRIVATE, MS_RDONLY, MS_REC, Clone, KexecFile
from guests.outcome import EINVAL, ENOEXEC, ENOSPC, EPERM, OK, Outcome
from guests.task import Task
from suites.loadpin.kinds import (
    FROM_FILES,
    FROM_MEMORY,
    KEXEC_IMAGE,
    KEXEC_INITRAMFS,
    KEXEC_LOAD,
    FileLess,
    Kind,
    prepare,
)
from suites.loadpin.scenery import (
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
    """Unmount while enforcing, and wait until LoadPin has noticed."""
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
    """Nothing loads any more, be it from another disk or from the very same one, mounted again."""
    root = pinned_scene(guest)
    prepare(guest, kind, root)
    assert kind.load(root, PINNED) == OK
    kind.undo(guest, root)
    unmount_pinned(guest, root)
    mount_again(root)
    ear = Ear(guest)
    for directory in (OTHER, PINNED):
        assert kind.load(root, directory) == kind.refused
        # An initramfs comes with its image, which is denied before it.
        denied = KEXEC_IMAGE.line("denied", PINNED, root) if kind is KEXEC_INITRAMFS else None
        assert ear.news() == [denied or kind.line("denied", directory, root)]


@ENFORCING
@requirement("loadpin.old-api")
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, id=f"{kind.id}-is-denied", marks=kind.marks) for kind in FROM_MEMORY]
)
def test_what_has_no_file_is_denied_after_the_unmount(guest: Guest, kind: FileLess) -> None:
    """As it was before: what LoadPin cannot tell the place of it does not let through for want of a pin."""
    root = pinned_scene(guest)
    unmount_pinned(guest, root)
    ear = Ear(guest)
    assert kind.load(guest, root) == EPERM
    assert ear.news() == [kind.line("old-api-denied", root)]


@ENFORCING
@requirement("loadpin.umount")
def test_no_new_pin_after_the_unmount(guest: Guest) -> None:
    """LoadPin says nothing of a device or of a pin any more, however often it is asked."""
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
    """A device whose digest is trusted was allowed until then."""
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
    """What LoadPin was told to leave alone it leaves alone still."""
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
    """It can be, if the device was writable; then everything loads, nothing pins, and switched on again it denies."""
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
    """What counts is whether LoadPin enforces when the file system goes."""
    root = pinned_scene(guest)
    guest.set_sysctl(SYSCTL, 1)
    unmount_pinned(guest, root)
    assert probe(guest, root, OTHER) == EPERM


# While not enforcing


@NOT_ENFORCING
@requirement("loadpin.umount-reset")
def test_the_next_load_pins_anew(guest: Guest) -> None:
    """The log has nothing to say of the end, and then pins the next one as if it were the first."""
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
    """From a read-only device to a writable one and back: each time it is the last pin's device that counts."""
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
    """Load until the old superblock is gone, and this one pinned."""
    pinned = line(probed(guest), "pinned", f"{directory}/junk", root)
    ignored = line(probed(guest), "pinning-ignored", f"{directory}/junk", root)

    def loads() -> bool:
        assert probe(guest, root, directory) == ENOEXEC
        heard = ear.news()
        assert heard == [ignored] or heard[-1] == pinned
        return heard[-1] == pinned

    guest.wait_until(loads, "a load to pin anew")


# What is no end of the pinned superblock


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
    """Wait until its superblock is freed: that holds the user namespace in which it was mounted.

    There may be one such namespace at a time, and so the watcher gets its own when the visitor's is gone; the
    superblock lets it go (put_user_ns()) after LoadPin has heard of the end (security_sb_free()).
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
    """A task ends that had its own copy of every mount."""
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
    """The pinned file system is still mounted: it stays pinned, and what is refused stays refused."""
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
    """The same while not enforcing: the pin does not move to the next load."""
    root = pinned_scene(guest)
    act(guest, root)
    ear = Ear(guest)
    assert probe(guest, root, OTHER) == ENOEXEC
    assert ear.news() == [line(probed(guest), "pinning-ignored", f"{OTHER}/junk", root)]


@ENFORCING
@requirement("loadpin.umount-last", "loadpin.umount")
def test_an_open_file_keeps_the_pinned_file_system(guest: Guest) -> None:
    """Unmounted lazily, it lives as long as a file of it is open, and loads from that file; then it is gone."""
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
    """Unmounted in one namespace, it lives on in another, until the last task there has ended."""
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
    """Unmounted before anything is pinned, it is nothing to LoadPin."""
    root = administrator(guest)
    assert root.umount(OTHER) == OK
    ear = Ear(guest)
    assert probe(guest, root, PINNED) == ENOEXEC
    assert GONE not in ear.news()
