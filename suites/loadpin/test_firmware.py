# SPDX-License-Identifier: GPL-2.0-or-later
"""What a driver gets for its firmware: if LoadPin refuses it, by the names of file and directory, and with others."""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import EFBIG, EINVAL, ENOENT, EPERM, OK, Expected
from guests.syscalls.kernel_loads import FIRMWARE_PATH, TEST_FIRMWARE
from guests.task import Task
from guests.uapi import O_WRONLY
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    FIRMWARE,
    NOT_ENFORCING,
    OTHER,
    PINNED,
    LogReader,
    line,
    loadpin,
    needs,
    root_after_pin,
)
from suites.loadpin.support.load_kinds import FIRMWARE_PART, FIRMWARE_WHOLE, offer_fallback, prepare
from suites.loadpin.support.suspended_disk import SuspendedDisk

pytestmark = loadpin

requirement = pytest.mark.requirement


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


@needs("FW_LOADER", "TEST_FIRMWARE")
@ENFORCING
@requirement("loadpin.firmware-updates")
def test_directory_of_updates(guest: Guest) -> None:
    """/lib/firmware/updates, which is on the pinned disk, is searched before /lib/firmware, which is not."""
    root = root_after_pin(guest, other=False)
    prepare(guest, FIRMWARE_WHOLE, root)
    root.mkdir("/lib").result()
    root.mount("tmpfs", "/lib/firmware", "tmpfs").result()
    root.copy_file(f"{PINNED}/firmware", "/lib/firmware/firmware")
    log = LogReader(guest)
    root.request_firmware("/nowhere", "firmware").require(EPERM)
    assert log.new_lines() == [line("firmware", "denied", "/lib/firmware/firmware", root)]
    root.bind_mount(PINNED, "/lib/firmware/updates").result()
    assert root.request_firmware("/nowhere", "firmware") == OK
    assert log.new_lines() == []


@needs("FW_LOADER", "TEST_FIRMWARE")
@ENFORCING
@requirement("loadpin.firmware-order")
def test_order_of_the_directories(guest: Guest) -> None:
    """A denial does not end the search, so that the log lists all directories that have the file, in their order."""
    root = root_after_pin(guest)
    prepare(guest, FIRMWARE_WHOLE, root)
    release = guest.read_file("/proc/sys/kernel/osrelease").strip()
    updates, last = "/lib/firmware/updates", "/lib/firmware"
    searched = [f"{updates}/{release}", updates, f"{last}/{release}", last]
    root.mkdir("/lib").result()
    for directory in reversed(searched):
        root.mkdir(directory).result()
        root.copy_file(f"{PINNED}/firmware", f"{directory}/firmware")
    log = LogReader(guest)
    root.request_firmware(OTHER, "firmware").require(EPERM)
    assert log.new_lines() == [line("firmware", "denied", f"{place}/firmware", root) for place in (OTHER, *searched)]


@needs("FW_LOADER", "TEST_FIRMWARE")
@ENFORCING
@requirement("loadpin.firmware-order")
def test_no_directory_is_set(guest: Guest) -> None:
    """While firmware_class.path is empty, it does not stand for the root directory, where there is such a file."""
    root = root_after_pin(guest, other=False)
    prepare(guest, FIRMWARE_WHOLE, root)
    root.copy_file(f"{PINNED}/firmware", "/firmware")
    log = LogReader(guest)
    assert root.request_firmware("\0", "firmware") == ENOENT
    assert log.new_lines() == []
    root.request_firmware("/", "firmware").require(ENOENT)
    assert log.new_lines() == [line("firmware", "denied", "/firmware", root)]


@needs("FW_LOADER", "TEST_FIRMWARE")
@ENFORCING
@requirement("loadpin.firmware-directory")
def test_directory_that_echo_has_set(guest: Guest) -> None:
    """A newline at the end of the directory that is searched first, as echo writes it, is not part of its name."""
    root = root_after_pin(guest)
    prepare(guest, FIRMWARE_WHOLE, root)
    log = LogReader(guest)
    assert root.request_firmware(f"{PINNED}\n", "firmware") == OK
    assert root.firmware_content() == FIRMWARE
    assert log.new_lines() == []
    assert root.request_firmware(f"{OTHER}\n", "firmware") == ENOENT
    assert log.new_lines() == [line("firmware", "denied", f"{OTHER}/firmware", root)]


@needs("FW_LOADER", "TEST_FIRMWARE", "FW_LOADER_USER_HELPER")
@ENFORCING
@requirement("loadpin.firmware-name")
def test_no_name(guest: Guest) -> None:
    """A request without a name fails before LoadPin is asked, be it for a file or for the fallback."""
    root = root_after_pin(guest)
    prepare(guest, FIRMWARE_WHOLE, root)
    offer_fallback(guest)
    log = LogReader(guest)
    assert root.request_firmware(PINNED, "\0") == EINVAL
    assert log.new_lines() == []


@needs("FW_LOADER", "TEST_FIRMWARE")
@ENFORCING
@requirement("loadpin.firmware-name-dots")
def test_name_that_leads_elsewhere(guest: Guest) -> None:
    """Firmware whose name has a component "..", which may come from a device, is refused, wherever that leads."""
    root = root_after_pin(guest)
    prepare(guest, FIRMWARE_WHOLE, root)
    log = LogReader(guest)
    for name in (f"..{PINNED}/firmware", f"..{OTHER}/firmware", "firmware/..", "a/../firmware", ".."):
        assert root.request_firmware(PINNED, name) == EINVAL
    for name in ("..firmware", "firmware..", "a..b/firmware"):
        assert root.request_firmware(PINNED, name) == ENOENT
    assert root.request_firmware(PINNED, "./firmware") == OK
    assert log.new_lines() == []


@needs("FW_LOADER", "TEST_FIRMWARE")
@ENFORCING
@requirement("loadpin.partial-firmware")
def test_beginning_of_firmware(guest: Guest) -> None:
    """A driver that reads firmware in parts gets the beginning of a file on the pinned disk, and of no other file."""
    root = root_after_pin(guest)
    prepare(guest, FIRMWARE_WHOLE, root)
    log = LogReader(guest)
    assert root.request_partial_firmware(PINNED, "firmware", offset=0, length=11) == OK
    assert root.partial_firmware_content() == FIRMWARE[:11]
    assert log.new_lines() == []
    assert root.request_partial_firmware(OTHER, "firmware", offset=0, length=11) == ENOENT
    assert log.new_lines() == [FIRMWARE_PART.line("denied", OTHER, root)]


@needs("FW_LOADER", "TEST_FIRMWARE")
@ENFORCING
@requirement("loadpin.firmware-worker")
def test_firmware_that_a_worker_reads(guest: Guest) -> None:
    """Firmware that a worker of the kernel reads, so that the driver need not wait, is checked like any other."""
    root = root_after_pin(guest)
    prepare(guest, FIRMWARE_WHOLE, root)
    log = LogReader(guest)
    root.write_text(FIRMWARE_PATH, OTHER).result()
    root.write_text(f"{TEST_FIRMWARE}/trigger_async_request", "firmware")  # the driver chooses the error
    assert log.new_lines() == [FIRMWARE_PART.line("denied", OTHER, root)]
    assert root.firmware_content() == b""
    root.write_text(FIRMWARE_PATH, PINNED).result()
    assert root.write_text(f"{TEST_FIRMWARE}/trigger_async_request", "firmware") == OK
    assert log.new_lines() == []
    assert root.firmware_content() == FIRMWARE


@needs("FW_LOADER", "TEST_FIRMWARE")
@ENFORCING
@requirement("loadpin.firmware-not-shared")
def test_firmware_that_another_driver_holds(guest: Guest) -> None:
    """While a driver holds the whole of a file, another one gets a part of it from the file, if LoadPin allows it."""
    root = root_after_pin(guest)
    prepare(guest, FIRMWARE_WHOLE, root)
    root.request_firmware(PINNED, "firmware").result()
    log = LogReader(guest)
    assert root.request_partial_firmware(OTHER, "firmware", offset=0, length=11) == ENOENT
    assert log.new_lines() == [FIRMWARE_PART.line("denied", OTHER, root)]
    assert root.request_partial_firmware(PINNED, "firmware", offset=0, length=11) == OK
    assert root.partial_firmware_content() == FIRMWARE[:11]
    assert root.firmware_content() == FIRMWARE


@needs("FW_LOADER", "TEST_FIRMWARE")
@ENFORCING
@requirement("loadpin.firmware-buffer")
def test_buffer_of_a_driver(guest: Guest) -> None:
    """A driver whose buffer is a byte too short for its firmware gets EFBIG; with that byte, it gets the firmware.

    The file is in the directory that is searched last, whose error the driver gets.
    """
    root = root_after_pin(guest)
    prepare(guest, FIRMWARE_WHOLE, root)
    root.mkdir("/lib").result()
    root.bind_mount(PINNED, "/lib/firmware").result()
    assert root.request_firmware_into_buffer("/nowhere", "firmware", length=len(FIRMWARE) - 1) == EFBIG
    assert root.request_firmware_into_buffer("/nowhere", "firmware", length=len(FIRMWARE)) == OK
    assert root.partial_firmware_content() == FIRMWARE


REQUESTS = 4


@needs("FW_LOADER", "TEST_FIRMWARE", "BLK_DEV_DM")
@ENFORCING
@requirement("loadpin.firmware-batched")
def test_several_requests_at_the_same_time(guest: Guest) -> None:
    """Of several requests for firmware that is missing, which wait for the same search, each gets its error."""
    root = root_after_pin(guest, other=False)
    prepare(guest, FIRMWARE_WHOLE, root)
    request_at_the_same_time(guest, root, "no-such-firmware")
    assert root.content(f"{TEST_FIRMWARE}/test_result") == b"-2\n"


@needs("FW_LOADER", "TEST_FIRMWARE", "BLK_DEV_DM")
@NOT_ENFORCING
@requirement("loadpin.firmware-batched")
def test_several_requests_that_succeed(guest: Guest) -> None:
    """Of several requests for firmware, which wait for the same search, each gets it; LoadPin is asked once."""
    root = root_after_pin(guest, other=False)
    prepare(guest, FIRMWARE_WHOLE, root)
    log = LogReader(guest)
    request_at_the_same_time(guest, root, "firmware")
    assert len(log.new_lines()) == 1
    for number in range(REQUESTS):
        root.write_text(f"{TEST_FIRMWARE}/config_read_fw_idx", str(number)).result()
        assert root.content(f"{TEST_FIRMWARE}/read_firmware") == FIRMWARE


def request_at_the_same_time(guest: Guest, root: Task, name: str) -> None:
    """Have the driver make several requests, all of which wait for a disk that is suspended."""
    disk = SuspendedDisk(guest, root)
    settings = {"reset": "1", "config_name": name, "config_num_requests": str(REQUESTS)}
    for setting, value in settings.items():
        root.write_text(f"{TEST_FIRMWARE}/{setting}", value).result()
    root.write_text(FIRMWARE_PATH, disk.directory).result()
    trigger = root.open(f"{TEST_FIRMWARE}/trigger_batched_requests", O_WRONLY).result()
    watcher, before = guest.root("watcher"), last_pid(guest)
    with disk:
        requesting = root.begin("write", trigger, b"1", 1, shown=f"request_firmware() by {REQUESTS} threads")
        guest.wait_until(lambda: waiting(guest, watcher, before) == REQUESTS, f"{REQUESTS} requests to wait")
    requesting.outcome().require(OK)


def last_pid(guest: Guest) -> int:
    """The number of the process or thread that was created last."""
    return int(guest.read_file("/proc/loadavg").split()[-1])


def waiting(guest: Guest, watcher: Task, before: int) -> int:
    """How many of the driver's threads that are younger than `before` wait."""
    paths = (f"/proc/{pid}/stat" for pid in range(before + 1, last_pid(guest) + 1))
    shown = (done.reads[0] for done in map(watcher.read_text, paths) if done == OK)
    return sum(b"(test_firmware-" in text and b") D " in text for text in shown)
