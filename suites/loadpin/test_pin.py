# SPDX-License-Identifier: GPL-2.0-or-later
"""The first pin: what sets it, what it logs about the device, and what counts as the same superblock afterwards."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from _pytest.mark import ParameterSet

from guests.guest import Guest
from guests.outcome import ENOENT, ENOEXEC, EPERM, OK, Expected
from guests.task import Task
from guests.uapi import AT_FDCWD, MS_PRIVATE, MS_RDONLY, MS_REC, Clone
from guests.vm.disk_images import DiskPlan
from guests.vm.kernel_modules import read_module
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    FILES,
    MODULE,
    NOT_ENFORCING,
    OTHER,
    PINNED,
    READ_ONLY,
    TMP,
    LogReader,
    boot,
    line,
    loadpin,
    modules,
    mount_verified,
    needs,
    probe,
    probe_file,
    probe_kind,
    root_after_pin,
    root_before_pin,
)
from suites.loadpin.support.load_kinds import (
    FIRMWARE_PART,
    FIRMWARE_WHOLE,
    IMA_POLICY_FILE,
    KEXEC_IMAGE,
    KEXEC_INITRAMFS,
    MODULE_FILE,
    FileLoad,
    prepare,
)

pytestmark = loadpin

requirement = pytest.mark.requirement
ENGAGED = "load pinning engaged."
NO_DEVICE = "mnt_sb lacks block device, treating as: writable"


def device_line(guest: Guest, disk: str, state: str) -> str:
    """LoadPin's log line about a disk.  Its major number is allocated dynamically, and so read from the guest."""
    return f"{disk} ({guest.read_file(f'/sys/class/block/{disk}/dev').strip()}): {state}"


# Every kind pins


def first_loads() -> list[ParameterSet]:
    """Each kind, with a boot in which nothing else has to be loaded first that would pin."""
    boots = (
        (MODULE_FILE, ENFORCING),
        (KEXEC_IMAGE, ENFORCING),
        (IMA_POLICY_FILE, ENFORCING),
        (KEXEC_INITRAMFS, boot("loadpin.enforce=1", "loadpin.exclude=kexec-image")),
        (FIRMWARE_WHOLE, boot("loadpin.enforce=1", "loadpin.exclude=kernel-module")),
        (FIRMWARE_PART, boot("loadpin.enforce=1", "loadpin.exclude=kernel-module")),
    )
    return [pytest.param(kind, marks=(booted, *kind.marks), id=f"{kind.id}-pins") for kind, booted in boots]


@requirement("loadpin.pin", "loadpin.device", "loadpin.writable")
@pytest.mark.parametrize("kind", first_loads())
def test_the_first_load_pins(guest: Guest, kind: FileLoad) -> None:
    """The first load succeeds and pins: the log has the device, the engaged pin and the file; others are denied."""
    root = root_before_pin(guest)
    prepare(guest, kind, root)
    log = LogReader(guest)
    assert kind.load(root, PINNED) == OK
    logged = [entry for entry in log.new_lines() if "pinning-excluded" not in entry]
    assert logged == [device_line(guest, "vda", "read-only"), ENGAGED, kind.line("pinned", PINNED, root)]
    kind.check_and_unload(guest, root)
    assert kind.load(root, OTHER) == kind.refused
    assert log.new_lines(f"{kind.name} denied") == [kind.line("denied", OTHER, root)]


@ENFORCING
@requirement("loadpin.pin-failed")
def test_a_failed_load_pins(guest: Guest) -> None:
    """A file that is neither a module nor a kernel fails to load, but pins as the first file read."""
    root = root_before_pin(guest)
    assert probe(guest, root, OTHER) == ENOEXEC
    assert probe(guest, root, PINNED) == EPERM


@NOT_ENFORCING
@requirement("loadpin.ignore")
def test_the_pin_stays(guest: Guest) -> None:
    """The pinned disk stays pinned, however often files load from elsewhere with the pin ignored."""
    root = root_after_pin(guest)
    log = LogReader(guest)
    for _ in range(2):
        assert probe(guest, root, OTHER) == ENOEXEC
        assert log.new_lines() == [line(probe_kind(guest), "pinning-ignored", f"{OTHER}/junk", root)]
        assert probe(guest, root, PINNED) == ENOEXEC
        assert log.new_lines() == []


@modules
@ENFORCING
@requirement("loadpin.one-pin")
def test_two_first_loads_at_once(guest: Guest) -> None:
    """Of two first loads at the same time, either one pins, and the other is denied."""
    root = root_before_pin(guest)
    tasks = {PINNED: root.spawn("one"), OTHER: root.spawn("two")}
    files = {where: task.open(f"{where}/junk").result() for where, task in tasks.items()}
    log = LogReader(guest)
    calls = [task.begin("finit_module", files[where], "", 0) for where, task in tasks.items()]
    assert sum(call.outcome() == ENOEXEC for call in calls) == 1
    assert sum(call.outcome() == EPERM for call in calls) == 1
    assert sorted(entry.split()[1] for entry in log.new_lines("kernel-module ")) == ["denied", "pinned"]


# What the log says about the device


def a_read_only_disk(_: Guest, _root: Task) -> tuple[str, str]:
    return PINNED, "vda"


def a_writable_disk(_: Guest, _root: Task) -> tuple[str, str]:
    """The file system is mounted read-only, but its device is writable."""
    return OTHER, "vdb"


def a_writable_disk_mounted_writable(_: Guest, root: Task) -> tuple[str, str]:
    root.umount(OTHER).result()
    root.mount("/dev/vdb", OTHER, "ext2").result()
    return OTHER, "vdb"


def a_disk_set_read_only(_: Guest, root: Task) -> tuple[str, str]:
    """The disk is set read-only (blockdev --setro) after it was mounted."""
    root.set_read_only("/dev/vdb", True).result()
    return OTHER, "vdb"


def a_disk_set_read_only_and_back(_: Guest, root: Task) -> tuple[str, str]:
    root.set_read_only("/dev/vdb", True).result()
    root.set_read_only("/dev/vdb", False).result()
    return OTHER, "vdb"


def a_read_only_loop_device(_: Guest, root: Task) -> tuple[str, str]:
    """A read-only loop device over a writable disk."""
    root.umount(OTHER).result()
    root.attach_loop("/dev/loop0", "/dev/vdb", read_only=True).result()
    root.mount("/dev/loop0", OTHER, "ext2", MS_RDONLY).result()
    return OTHER, "loop0"


def a_writable_loop_device(_: Guest, root: Task) -> tuple[str, str]:
    root.umount(OTHER).result()
    root.attach_loop("/dev/loop0", "/dev/vdb").result()
    root.mount("/dev/loop0", OTHER, "ext2", MS_RDONLY).result()
    return OTHER, "loop0"


def a_verified_disk(guest: Guest, root: Task) -> tuple[str, str]:
    return mount_verified(guest, root, 2), "dm-0"


def a_tmpfs(guest: Guest, _: Task) -> tuple[str, str]:
    guest.upload(f"{TMP}/junk", dict(FILES)["junk"])
    return TMP, ""


def the_initramfs(guest: Guest, _: Task) -> tuple[str, str]:
    guest.upload("/junk", dict(FILES)["junk"])
    return "", ""


def an_overlay(_: Guest, root: Task) -> tuple[str, str]:
    """An overlay over a read-only disk."""
    root.mkdir("/empty").result()
    root.mount("overlay", "/overlay", "overlay", MS_RDONLY, f"lowerdir={PINNED}:/empty").result()
    return "/overlay", ""


Make = Callable[[Guest, Task], tuple[str, str]]
LOOP, DM, OVERLAY = needs("BLK_DEV_LOOP"), needs("DM_VERITY"), needs("OVERLAY_FS")


@ENFORCING
@requirement("loadpin.device", "loadpin.read-only")
@pytest.mark.parametrize(
    ("make", "state"),
    [
        pytest.param(a_read_only_disk, "read-only", id="read-only-disk"),
        pytest.param(a_writable_disk, "writable", id="writable-disk-mounted-read-only"),
        pytest.param(a_writable_disk_mounted_writable, "writable", id="writable-disk"),
        pytest.param(a_disk_set_read_only, "read-only", id="disk-set-read-only"),
        pytest.param(a_disk_set_read_only_and_back, "writable", id="disk-set-read-only-and-back"),
        pytest.param(a_read_only_loop_device, "read-only", id="read-only-loop-over-a-writable-disk", marks=LOOP),
        pytest.param(a_writable_loop_device, "writable", id="writable-loop-device", marks=LOOP),
        pytest.param(a_verified_disk, "read-only", id="verified-disk", marks=DM),
        pytest.param(a_tmpfs, None, id="tmpfs"),
        pytest.param(the_initramfs, None, id="initramfs"),
        pytest.param(an_overlay, None, id="overlay-over-a-read-only-disk", marks=OVERLAY),
    ],
)
def test_log_of_the_device(guest: Guest, make: Make, state: str | None) -> None:
    """The first pin logs the device's name, numbers and own writability, or that there is no device."""
    root = root_before_pin(guest)
    directory, disk = make(guest, root)
    log = LogReader(guest)
    assert probe(guest, root, directory) == ENOEXEC
    about = NO_DEVICE if state is None else device_line(guest, disk, state)
    engaged = [ENGAGED] if state == "read-only" else []
    assert log.new_lines() == [about, *engaged, line(probe_kind(guest), "pinned", f"{directory}/junk", root)]


# The same superblock, and others


@ENFORCING
@requirement("loadpin.same-superblock", "loadpin.deny")
def test_a_link_is_followed_to_its_file(guest: Guest) -> None:
    """A symlink elsewhere to a pinned file loads; a symlink beside pinned files to a file elsewhere does not."""
    root = root_before_pin(guest)
    guest.upload(f"{TMP}/junk", dict(FILES)["junk"])
    assert probe(guest, root, TMP) == ENOEXEC
    root.mkdir("/links").result()
    root.call("symlinkat", f"{TMP}/junk", AT_FDCWD, "/links/inward").result()
    root.call("symlinkat", f"{OTHER}/junk", AT_FDCWD, f"{TMP}/outward").result()
    log = LogReader(guest)
    assert probe_file(guest, root, "/links/inward") == ENOEXEC
    assert log.new_lines() == []
    assert probe_file(guest, root, f"{TMP}/outward") == EPERM
    assert log.new_lines() == [line(probe_kind(guest), "denied", f"{OTHER}/junk", root)]


@ENFORCING
@requirement("loadpin.same-superblock", "loadpin.deny")
def test_a_bind_mount_of_one_file(guest: Guest) -> None:
    """A pinned file mounted over one elsewhere loads; a file from elsewhere mounted over a pinned one does not."""
    root = root_after_pin(guest)
    inward, outward = f"{TMP}/junk", f"{PINNED}/junk"
    guest.upload(inward, dict(FILES)["junk"])
    log = LogReader(guest)
    assert probe_file(guest, root, inward) == EPERM
    assert log.new_lines() == [line(probe_kind(guest), "denied", inward, root)]
    root.bind_mount(f"{PINNED}/junk", inward).result()
    root.bind_mount(f"{OTHER}/junk", outward).result()
    assert probe_file(guest, root, inward) == ENOEXEC
    assert log.new_lines() == []
    assert probe_file(guest, root, outward) == EPERM
    assert log.new_lines() == [line(probe_kind(guest), "denied", outward, root)]


@ENFORCING
@requirement("loadpin.same-superblock", "loadpin.deny")
def test_another_mount_namespace(guest: Guest) -> None:
    """In another mount namespace, the pinned disk is still pinned, and another disk at the same path is not."""
    root = root_after_pin(guest)
    inside = root.spawn("inside", flags=Clone.NEWNS)
    inside.call("mount", None, "/", None, MS_REC | MS_PRIVATE, None, shown="make all mounts private").result()
    log = LogReader(guest)
    assert probe(guest, inside, PINNED) == ENOEXEC
    inside.mount("/dev/vda", "/its-own", "squashfs", MS_RDONLY).result()
    assert probe(guest, inside, "/its-own") == ENOEXEC
    assert log.new_lines() == []
    inside.bind_mount(OTHER, PINNED).result()
    assert probe(guest, inside, PINNED) == EPERM
    assert log.new_lines() == [line(probe_kind(guest), "denied", f"{PINNED}/junk", inside)]
    assert probe(guest, root, PINNED) == ENOEXEC


@ENFORCING
@requirement("loadpin.superblock")
def test_two_tmpfs(guest: Guest) -> None:
    """With one tmpfs pinned, another tmpfs counts as a different superblock."""
    root = root_before_pin(guest)
    root.mount("tmpfs", "/second", "tmpfs").result()
    for directory in (TMP, "/second"):
        guest.upload(f"{directory}/junk", dict(FILES)["junk"])
    assert probe(guest, root, "/second") == ENOEXEC
    assert probe(guest, root, TMP) == EPERM
    assert probe(guest, root, "/second") == ENOEXEC


@modules
@ENFORCING
@requirement("loadpin.superblock")
def test_a_memfd(guest: Guest) -> None:
    """A memfd is on the kernel's internal tmpfs, not on the pinned superblock: it is denied."""
    root = root_after_pin(guest)
    file = root.memfd(read_module(guest.kernel, MODULE))
    log = LogReader(guest)
    assert root.finit_module(file) == EPERM
    assert log.new_lines() == [line("kernel-module", "denied", "/memfd:memfd (deleted)", root)]


@modules
@NOT_ENFORCING
@requirement("loadpin.superblock")
def test_a_memfd_while_not_enforcing(guest: Guest) -> None:
    """While LoadPin does not enforce, a module in a memfd loads, and the log says that the pin was ignored."""
    root = root_after_pin(guest)
    file = root.memfd(read_module(guest.kernel, MODULE))
    log = LogReader(guest)
    assert root.finit_module(file) == OK
    assert log.new_lines() == [line("kernel-module", "pinning-ignored", "/memfd:memfd (deleted)", root)]
    assert root.unload_module(MODULE) == OK


SHARE = DiskPlan("9p", files=FILES)
SHARED = pytest.mark.boot("loadpin.enforce=1", disks=(READ_ONLY, SHARE))
has_9p = needs("9P_FS", "NET_9P_VIRTIO")


@has_9p
@SHARED
@requirement("loadpin.superblock")
def test_a_share_beside_the_pinned_disk(guest: Guest) -> None:
    """With a disk pinned, a file from a 9p share of the host is denied."""
    root = guest.root()
    root.mount("/dev/vda", PINNED, "squashfs", MS_RDONLY).result()
    mount_share(root)
    assert probe(guest, root, PINNED) == ENOEXEC
    log = LogReader(guest)
    assert probe(guest, root, "/share") == EPERM
    assert log.new_lines() == [line(probe_kind(guest), "denied", "/share/junk", root)]


@has_9p
@SHARED
@requirement("loadpin.superblock", "loadpin.device")
def test_a_pinned_share(guest: Guest) -> None:
    """A pinned 9p share has no block device, which LoadPin logs; the disk is a different superblock."""
    root = guest.root()
    root.mount("/dev/vda", PINNED, "squashfs", MS_RDONLY).result()
    mount_share(root)
    log = LogReader(guest)
    assert probe(guest, root, "/share") == ENOEXEC
    assert log.new_lines() == [NO_DEVICE, line(probe_kind(guest), "pinned", "/share/junk", root)]
    assert probe(guest, root, PINNED) == EPERM


def mount_share(root: Task) -> None:
    root.mount("disk1", "/share", "9p", MS_RDONLY, "trans=virtio,version=9p2000.L").result()


# The log


@ENFORCING
@requirement("loadpin.quoting")
def test_a_path_cannot_forge_a_line(guest: Guest) -> None:
    """The log escapes quotes, newlines and backslashes in the name of a file."""
    root = root_after_pin(guest)
    name = 'x" pid=1\nLoadPin: \\'
    guest.upload(f"{TMP}/{name}", b"junk" * 100)
    log = LogReader(guest)
    assert probe_file(guest, root, f"{TMP}/{name}") == EPERM
    quoted = r"x\x22 pid=1\x0aLoadPin: \x5c"
    assert log.new_lines() == [line(probe_kind(guest), "denied", f"{TMP}/{quoted}", root)]


@ENFORCING
@requirement("loadpin.quoting")
def test_a_command_line_cannot_forge_a_line(guest: Guest) -> None:
    """The log escapes the same characters in a program's command line."""
    root = root_after_pin(guest)
    forger = root.spawn('a" pid=1\n\\')
    log = LogReader(guest)
    assert probe(guest, forger, OTHER) == EPERM
    quoted = r"a\x22 pid=1\x0a\x5c"
    assert log.new_lines() == [
        f'{probe_kind(guest)} denied obj="{OTHER}/junk" pid={forger.pid} cmdline="{quoted}"',
    ]


@ENFORCING
@requirement("loadpin.quoting", "loadpin.deny")
def test_a_deleted_file(guest: Guest) -> None:
    """A deleted file still counts by its superblock, and the log marks it as deleted."""
    root = root_after_pin(guest)
    guest.upload(f"{TMP}/junk", b"junk" * 100)
    file = root.open(f"{TMP}/junk").result()
    root.call("unlinkat", AT_FDCWD, f"{TMP}/junk", 0).result()
    log = LogReader(guest)
    assert probe_file(guest, root, f"/proc/self/fd/{file}") == EPERM
    assert log.new_lines() == [line(probe_kind(guest), "denied", f"{TMP}/junk (deleted)", root)]


@ENFORCING
@requirement("loadpin.pin", "loadpin.deny")
def test_a_thread_is_logged_by_its_own_id(guest: Guest) -> None:
    """The log has the id of the thread that made the call."""
    root = root_after_pin(guest)
    thread = root.thread("helper")
    log = LogReader(guest)
    assert probe(guest, thread, OTHER) == EPERM
    assert log.new_lines() == [f'{probe_kind(guest)} denied obj="{OTHER}/junk" pid={thread.tid} cmdline="root"']


@needs("PID_NS")
@ENFORCING
@requirement("loadpin.pin", "loadpin.deny")
def test_a_task_is_logged_by_its_pid_in_the_initial_namespace(guest: Guest) -> None:
    """The pid in the log is that of the initial pid namespace, whatever namespace the task is in."""
    root = root_after_pin(guest)
    inside = root.spawn("inside", flags=Clone.NEWPID)
    assert inside.own_tid != inside.tid
    log = LogReader(guest)
    assert probe(guest, inside, OTHER) == EPERM
    assert log.new_lines() == [f'{probe_kind(guest)} denied obj="{OTHER}/junk" pid={inside.tid} cmdline="inside"']


# Particular kinds of load


KERNEL = DiskPlan("squashfs", kernel="vmlinuz", files=(("initramfs", b"an archive\n"),), read_only=True)
SAME_ON_EXT2 = DiskPlan("ext2", kernel="vmlinuz", files=(("initramfs", b"an archive\n"),))


@needs("KEXEC_FILE", "RELOCATABLE")
@pytest.mark.boot("loadpin.enforce=1", disks=(KERNEL, SAME_ON_EXT2))
@requirement("loadpin.real-kernel", "loadpin.pin", "loadpin.deny")
def test_a_real_kernel(guest: Guest) -> None:
    """The running kernel's image loads for kexec with an initramfs, unloads, and is refused from another disk."""
    root = root_before_pin(guest)
    assert root.load_kernel(f"{PINNED}/vmlinuz", f"{PINNED}/initramfs") == OK
    assert root.kernel_is_loaded()
    assert root.unload_kernel() == OK
    log = LogReader(guest)
    assert root.load_kernel(f"{OTHER}/vmlinuz", f"{PINNED}/initramfs") == EPERM
    assert log.new_lines() == [line("kexec-image", "denied", f"{OTHER}/vmlinuz", root)]
    assert root.load_kernel(f"{PINNED}/vmlinuz", f"{OTHER}/initramfs") == EPERM
    assert log.new_lines() == [line("kexec-initramfs", "denied", f"{OTHER}/initramfs", root)]
    assert not root.kernel_is_loaded()


@needs("FW_LOADER", "TEST_FIRMWARE")
@ENFORCING
@requirement("loadpin.firmware-errno")
@pytest.mark.parametrize(
    ("searched_last", "error"),
    [
        pytest.param(False, ENOENT, id="first-directory-of-the-search-is-ENOENT"),
        pytest.param(True, EPERM, id="last-directory-of-the-search-is-EPERM"),
    ],
)
def test_errno_of_refused_firmware(guest: Guest, searched_last: bool, error: Expected) -> None:
    """The search continues after a refusal, and the driver gets its last result; LoadPin always logs the denial."""
    root = root_after_pin(guest)
    prepare(guest, FIRMWARE_WHOLE, root)
    root.mkdir("/lib").result()
    where = "/lib/firmware" if searched_last else OTHER
    if searched_last:
        root.bind_mount(OTHER, where).result()
    log = LogReader(guest)
    assert root.request_firmware("/nowhere" if searched_last else where, "firmware") == error
    assert log.new_lines() == [line("firmware", "denied", f"{where}/firmware", root)]
