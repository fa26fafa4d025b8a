# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel reads firmware as itself: from init's mount namespace and with its own credentials, whoever asks.

Whoever asks is a task that makes a driver request its firmware, as by opening a device.
"""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import EACCES, ENOENT, ENOEXEC, EPERM, ETXTBSY, OK
from guests.promises import breaks
from guests.syscalls.kernel_loads import FIRMWARE_PATH, TEST_FIRMWARE
from guests.task import Task
from guests.uapi import MS_PRIVATE, MS_RDONLY, MS_REC, O_RDWR, O_WRONLY, Clone
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    FIRMWARE,
    OTHER,
    PINNED,
    TMP,
    LogReader,
    line,
    loadpin,
    needs,
    probe,
    root_after_pin,
)
from suites.loadpin.support.load_kinds import FIRMWARE_WHOLE, prepare

pytestmark = [loadpin, needs("FW_LOADER", "TEST_FIRMWARE")]

requirement = pytest.mark.requirement
ANOTHER = b"another file of the same name"
LAST_DIRECTORY = "/lib/firmware"
"""The last directory that is searched, whose error the driver gets."""


def in_a_mount_namespace(root: Task) -> Task:
    """root, in a mount namespace of its own."""
    inside = root.spawn("inside", flags=Clone.NEWNS)
    inside.call("mount", None, "/", None, MS_REC | MS_PRIVATE, None, shown="make all mounts private").result()
    return inside


@ENFORCING
@requirement("loadpin.firmware-namespace", "loadpin.same-superblock")
def test_another_file_in_the_namespace_of_whoever_asks(guest: Guest) -> None:
    """A task that has mounted another file system over the pinned disk still gets the pinned disk's firmware."""
    root = root_after_pin(guest)
    prepare(guest, FIRMWARE_WHOLE, root)
    inside = in_a_mount_namespace(root)
    inside.mount("tmpfs", PINNED, "tmpfs").result()
    inside.write_text(f"{PINNED}/firmware", ANOTHER.decode(), create=True).result()
    log = LogReader(guest)
    with breaks("loadpin.same-superblock"):
        assert inside.request_firmware(PINNED, "firmware") == OK
        assert log.new_lines() == []
    with breaks("loadpin.firmware-namespace"):
        assert root.firmware_content() == FIRMWARE


@ENFORCING
@requirement("loadpin.firmware-namespace", "loadpin.deny")
def test_the_pinned_disk_in_the_namespace_of_whoever_asks(guest: Guest) -> None:
    """Firmware is denied if init's namespace has another superblock where that of the asking task has the pinned one.

    The control is a load by that task's own descriptor, which LoadPin allows.
    """
    root = root_after_pin(guest)
    prepare(guest, FIRMWARE_WHOLE, root)
    root.mkdir("/elsewhere").result()
    root.copy_file(f"{PINNED}/firmware", "/elsewhere/firmware")
    inside = in_a_mount_namespace(root)
    inside.mount("/dev/vda", "/elsewhere", "squashfs", MS_RDONLY).result()
    log = LogReader(guest)
    probe(guest, inside, "/elsewhere").require(ENOEXEC)
    with breaks("loadpin.firmware-namespace"):
        assert inside.request_firmware("/elsewhere", "firmware") == ENOENT
    with breaks("loadpin.deny"):
        assert log.new_lines() == [line("firmware", "denied", "/elsewhere/firmware", inside)]


@ENFORCING
@requirement("loadpin.firmware-namespace")
def test_a_file_that_only_whoever_asks_has(guest: Guest) -> None:
    """Firmware that only the namespace of the asking task has is not found, and LoadPin is not asked."""
    root = root_after_pin(guest)
    prepare(guest, FIRMWARE_WHOLE, root)
    inside = in_a_mount_namespace(root)
    inside.mount("/dev/vda", "/its-own", "squashfs", MS_RDONLY).result()
    log = LogReader(guest)
    assert inside.request_firmware("/its-own", "firmware") == ENOENT
    assert log.new_lines() == []
    assert inside.request_firmware(PINNED, "firmware") == OK


def unprivileged_driver_user(root: Task) -> tuple[Task, int]:
    """A task without privilege that can make the driver request firmware, and its descriptor for that."""
    trigger = root.open(f"{TEST_FIRMWARE}/trigger_request", O_WRONLY).result()
    return root.spawn("user", uid=1000), trigger


@ENFORCING
@requirement("loadpin.firmware-credentials")
def test_a_file_that_whoever_asks_cannot_read(guest: Guest) -> None:
    """Firmware that only root can read is loaded for a task that cannot read it, and that still cannot afterwards."""
    root = guest.root()
    # A writable disk, so that modes can be changed.
    root.mount("/dev/vdb", OTHER, "ext2").result()
    probe(guest, root, OTHER).require(ENOEXEC)
    if guest.kernel.config.enabled("MODULES"):
        root.load_module(f"{OTHER}/test_firmware.ko").result()
    root.chmod(f"{OTHER}/firmware", 0o400).result()
    root.write_text(FIRMWARE_PATH, OTHER).result()
    user, trigger = unprivileged_driver_user(root)
    user.open(f"{OTHER}/firmware").require(EACCES)
    log = LogReader(guest)
    assert user.write(trigger, b"firmware") == OK
    assert root.firmware_content() == FIRMWARE
    assert log.new_lines() == []
    assert user.open(f"{OTHER}/firmware") == EACCES


@ENFORCING
@requirement("loadpin.firmware-credentials", "loadpin.deny")
def test_a_denial_names_whoever_asks(guest: Guest) -> None:
    """A denial applies to the kernel's own reading too, its log line names the task that has asked, and this task
    has its own credentials afterwards."""
    root = root_after_pin(guest)
    prepare(guest, FIRMWARE_WHOLE, root)
    root.copy_file(f"{PINNED}/firmware", f"{TMP}/firmware")
    root.chmod(f"{TMP}/firmware", 0o400).result()
    root.write_text(FIRMWARE_PATH, TMP).result()
    user, trigger = unprivileged_driver_user(root)
    log = LogReader(guest)
    with breaks("loadpin.deny"):
        assert user.write(trigger, b"firmware") == ENOENT
    with breaks("loadpin.firmware-credentials"):
        assert log.new_lines() == [line("firmware", "denied", f"{TMP}/firmware", user)]
        assert user.open(f"{TMP}/firmware") == EACCES


@ENFORCING
@requirement("loadpin.firmware-being-written")
def test_a_file_that_is_being_written(guest: Guest) -> None:
    """Firmware that is open for writing is refused with ETXTBSY before LoadPin is asked; later, LoadPin decides.

    The file is on a file system that is not pinned, in the directory that is searched last.
    """
    root = root_after_pin(guest)
    prepare(guest, FIRMWARE_WHOLE, root)
    root.mkdir("/lib").result()
    root.mount("tmpfs", LAST_DIRECTORY, "tmpfs").result()
    root.copy_file(f"{PINNED}/firmware", f"{LAST_DIRECTORY}/firmware")
    writing = root.open(f"{LAST_DIRECTORY}/firmware", O_RDWR).result()
    log = LogReader(guest)
    assert root.request_firmware("/nowhere", "firmware") == ETXTBSY
    assert log.new_lines() == []
    root.close(writing).result()
    root.request_firmware("/nowhere", "firmware").require(EPERM)
    assert log.new_lines() == [line("firmware", "denied", f"{LAST_DIRECTORY}/firmware", root)]


@ENFORCING
@requirement("loadpin.firmware-being-written")
def test_a_pinned_file_that_is_being_written(guest: Guest) -> None:
    """Firmware on a pinned, writable file system loads while nobody has it open for writing, and only then."""
    root = guest.root()
    root.mkdir("/lib").result()
    root.mount("/dev/vdb", LAST_DIRECTORY, "ext2").result()
    probe(guest, root, LAST_DIRECTORY).require(ENOEXEC)
    if guest.kernel.config.enabled("MODULES"):
        root.load_module(f"{LAST_DIRECTORY}/test_firmware.ko").result()
    assert root.request_firmware("/nowhere", "firmware") == OK
    writing = root.open(f"{LAST_DIRECTORY}/firmware", O_RDWR).result()
    assert root.request_firmware("/nowhere", "firmware") == ETXTBSY
    root.close(writing).result()
    assert root.request_firmware("/nowhere", "firmware") == OK
    assert root.firmware_content() == FIRMWARE
