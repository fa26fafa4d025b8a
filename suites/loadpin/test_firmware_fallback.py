# SPDX-License-Identifier: GPL-2.0-or-later
"""Firmware that a program passes to the kernel in sysfs, because the kernel has found no file: it has no origin.

The kernel asks LoadPin before it offers the files `loading` and `data`, through which the program would pass it.
"""

from __future__ import annotations

import errno

import pytest

from guests.guest import Guest
from guests.outcome import ENOENT, EPERM, OK, error, killed, returned
from guests.promises import breaks
from guests.syscalls.base import Pending
from guests.syscalls.kernel_loads import FIRMWARE_PATH, TEST_FIRMWARE
from guests.task import Task
from guests.uapi import O_WRONLY, Cap, Signal
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    NOT_ENFORCING,
    OTHER,
    PINNED,
    SYSCTL,
    LogReader,
    boot,
    line,
    line_without_file,
    loadpin,
    needs,
    root_after_pin,
)
from suites.loadpin.support.load_kinds import FIRMWARE_WHOLE, offer_fallback, prepare
from suites.slab_growth import SIZE_IS_EXACT, check_stops_growing

pytestmark = [
    loadpin,
    needs("FW_LOADER", "TEST_FIRMWARE", "FW_LOADER_USER_HELPER", "SYSCTL"),
    pytest.mark.requirement("loadpin.firmware-fallback"),
]

ABSENT = "no-such-firmware"
OFFERED = f"/sys/class/firmware/{ABSENT}"
CONTENT = b"firmware that a program has"
MIB, PIECE = 1 << 20, 3000


def prepared(guest: Guest) -> Task:
    """root, with the read-only disk pinned, the driver loaded, and the fallback for all of its requests."""
    root = root_after_pin(guest)
    prepare(guest, FIRMWARE_WHOLE, root)
    offer_fallback(guest)
    return root


def begin_request(guest: Guest, root: Task) -> Pending:
    """Have the driver request firmware that no directory has, and wait until the kernel offers the fallback."""
    root.write_text(FIRMWARE_PATH, PINNED).result()
    trigger = root.open(f"{TEST_FIRMWARE}/trigger_request", O_WRONLY).result()
    request = root.begin("write", trigger, ABSENT.encode(), len(ABSENT), shown=f'request_firmware("{ABSENT}")')
    guest.wait_until(lambda: guest.exists(f"{OFFERED}/loading") or request.finished(), "the fallback to be offered")
    return request


def check_passed(guest: Guest, request: Pending, root: Task) -> None:
    """Pass the firmware, as udev once did: the request ends, and the driver has it."""
    assert not request.finished(), request
    program = guest.root("program")
    assert program.write_text(f"{OFFERED}/loading", "1") == OK
    assert program.write_text(f"{OFFERED}/data", CONTENT.decode()) == OK
    assert program.write_text(f"{OFFERED}/loading", "0") == OK
    assert request.outcome() == OK
    assert root.firmware_content() == CONTENT


@ENFORCING
def test_denied_while_enforcing(guest: Guest) -> None:
    """While LoadPin enforces, the request fails at once: no program is offered to pass anything."""
    root = prepared(guest)
    log = LogReader(guest)
    assert root.request_firmware(PINNED, ABSENT) == ENOENT
    assert not guest.exists(OFFERED)
    assert log.new_lines() == [line_without_file("firmware", "old-api-denied", root)]
    assert root.request_firmware(PINNED, "firmware") == OK
    assert log.new_lines() == []


@ENFORCING
def test_no_way_around_a_denied_file(guest: Guest) -> None:
    """A file that LoadPin has denied cannot be passed in sysfs instead: both are denied."""
    root = prepared(guest)
    log = LogReader(guest)
    assert root.request_firmware(OTHER, "firmware") == ENOENT
    assert log.new_lines() == [
        line("firmware", "denied", f"{OTHER}/firmware", root),
        line_without_file("firmware", "old-api-denied", root),
    ]


@ENFORCING
def test_denied_to_a_worker(guest: Guest) -> None:
    """A request that a worker of the kernel makes, for the fallback alone, is denied as well."""
    root = prepared(guest)
    log = LogReader(guest)
    assert root.write_text(f"{TEST_FIRMWARE}/trigger_custom_fallback", ABSENT) == error(errno.ENODEV)
    assert log.new_lines() == ["firmware old-api-denied obj=<unknown> by a kernel thread"]


@NOT_ENFORCING
def test_passed_while_not_enforcing(guest: Guest) -> None:
    """While LoadPin does not enforce, a program can pass firmware, and the log says so; it pins nothing."""
    root = prepared(guest)
    log = LogReader(guest)
    request = begin_request(guest, root)
    assert log.new_lines() == [line_without_file("firmware", "old-api-pinning-ignored", root)]
    check_passed(guest, request, root)
    assert log.new_lines() == []
    assert root.request_firmware(PINNED, "firmware") == OK
    assert log.new_lines() == []


@NOT_ENFORCING
@pytest.mark.requirement("loadpin.fallback-restart")
def test_passed_anew(guest: Guest) -> None:
    """A program that writes 1 to `loading` again begins anew: what it has passed before is discarded."""
    root = prepared(guest)
    request = begin_request(guest, root)
    program = guest.root("beginner")
    program.write_text(f"{OFFERED}/loading", "1").result()
    program.write_text(f"{OFFERED}/data", "longer than " + CONTENT.decode()).result()
    with breaks("loadpin.fallback-restart"):
        check_passed(guest, request, root)


@NOT_ENFORCING
@pytest.mark.requirement("loadpin.fallback-pieces")
def test_passed_in_pieces(guest: Guest) -> None:
    """Firmware of several pages, passed in pieces that begin and end within pages, arrives as it is."""
    root, program = prepared(guest), guest.root("program")
    request, content = begin_request(guest, root), b"".join(b"%7d\n" % number for number in range(1536))
    program.write_text(f"{OFFERED}/loading", "1").result()
    data = program.open(f"{OFFERED}/data", O_WRONLY).result()
    for piece in (content[start : start + PIECE] for start in range(0, len(content), PIECE)):
        assert program.write(data, piece) == returned(len(piece))
    assert program.write_text(f"{OFFERED}/loading", "0") == OK
    assert request.outcome() == OK
    assert root.content("/dev/test_firmware", 2 * len(content)) == content


@SIZE_IS_EXACT
@NOT_ENFORCING
@pytest.mark.requirement("loadpin.fallback-freed")
def test_passed_many_times(guest: Guest) -> None:
    """A driver that is passed new firmware releases what it has, and then the kernel frees the pages of that."""
    root, program = prepared(guest), guest.root("program")

    def pass_four() -> None:
        for _ in range(4):
            request = begin_request(guest, root)
            program.write_text(f"{OFFERED}/loading", "1").result()
            data = program.open(f"{OFFERED}/data", O_WRONLY).result()
            program.call("pwrite64", data, b"\0", 1, MIB - 1).result()
            program.close(data).result()
            program.write_text(f"{OFFERED}/loading", "0").result()
            assert request.outcome() == OK

    check_stops_growing(guest, pass_four, 4 * MIB, total="MemFree")


@NOT_ENFORCING
@pytest.mark.requirement("loadpin.fallback-capability")
def test_passed_without_the_capability(guest: Guest) -> None:
    """A program without CAP_SYS_RAWIO cannot pass firmware; one that has it then can."""
    root = prepared(guest)
    request = begin_request(guest, root)
    program = guest.spawn("without", caps=Cap.ALL & ~Cap.SYS_RAWIO)
    program.write_text(f"{OFFERED}/loading", "1").result()
    with breaks("loadpin.fallback-capability"):
        assert program.write_text(f"{OFFERED}/data", CONTENT.decode()) == EPERM
    check_passed(guest, request, root)


@NOT_ENFORCING
@pytest.mark.requirement("loadpin.sysctl-read-only")
def test_enforced_from_then_on(guest: Guest) -> None:
    """Once enforcement is switched on, the next request is denied."""
    root = prepared(guest)
    check_passed(guest, begin_request(guest, root), root)
    guest.set_sysctl(SYSCTL, 1)
    log = LogReader(guest)
    assert root.request_firmware(PINNED, ABSENT) == ENOENT
    assert log.new_lines() == [line_without_file("firmware", "old-api-denied", root)]


@boot("loadpin.enforce=1", "loadpin.exclude=firmware")
@pytest.mark.requirement("loadpin.exclude-old-api")
def test_passed_if_excluded(guest: Guest) -> None:
    """With loadpin.exclude=firmware, a program can pass firmware although LoadPin enforces."""
    root = prepared(guest)
    log = LogReader(guest)
    request = begin_request(guest, root)
    assert log.new_lines() == [line_without_file("firmware", "pinning-excluded", root)]
    check_passed(guest, request, root)


# The end of a request that nobody answers


@NOT_ENFORCING
@pytest.mark.requirement("loadpin.fallback-signal")
def test_passed_after_a_signal(guest: Guest) -> None:
    """A signal that the requesting program handles, such as that of a child's exit, does not end the request."""
    root = prepared(guest)
    root.catch(Signal.CHLD).result()
    request = begin_request(guest, root)
    guest.root("sender").kill(root, Signal.CHLD).result()
    with breaks("loadpin.fallback-signal"):
        assert request.blocks(), request
        check_passed(guest, request, root)


@NOT_ENFORCING
@pytest.mark.requirement("loadpin.fallback-signal")
def test_killed_while_it_waits(guest: Guest) -> None:
    """The request of a program that is killed ends with it; another program can request the same firmware."""
    root, another = prepared(guest), guest.root("another")
    request = begin_request(guest, root)
    guest.root("killer").kill(root, Signal.KILL).result()
    assert request.outcome() == killed(Signal.KILL)
    assert not guest.exists(OFFERED)
    check_passed(guest, begin_request(guest, another), another)


@NOT_ENFORCING
@pytest.mark.requirement("loadpin.fallback-refused")
def test_a_program_that_has_no_firmware(guest: Guest) -> None:
    """A program that writes -1 to `loading` ends the request with an error, and discards what it has passed."""
    root = prepared(guest)
    request = begin_request(guest, root)
    program = guest.root("program")
    program.write_text(f"{OFFERED}/loading", "1").result()
    program.write_text(f"{OFFERED}/data", CONTENT.decode()).result()
    assert program.write_text(f"{OFFERED}/loading", "-1") == OK
    assert request.outcome() == ENOENT
    assert not guest.exists(OFFERED)


@NOT_ENFORCING
@pytest.mark.requirement("loadpin.fallback-timeout")
def test_nobody_answers_in_time(guest: Guest) -> None:
    """A request that nobody answers for the seconds in `timeout` ends with ETIMEDOUT; the next can be answered."""
    root = prepared(guest)
    root.write_text("/sys/class/firmware/timeout", "1").result()
    assert begin_request(guest, root).outcome() == error(errno.ETIMEDOUT)
    assert not guest.exists(OFFERED)
    root.write_text("/sys/class/firmware/timeout", "60").result()
    check_passed(guest, begin_request(guest, root), root)


@NOT_ENFORCING
@pytest.mark.requirement("loadpin.fallback-forever")
def test_no_time_is_set(guest: Guest) -> None:
    """While `timeout` is 0, a request waits until somebody answers it."""
    root = prepared(guest)
    root.write_text("/sys/class/firmware/timeout", "0").result()
    request = begin_request(guest, root)
    assert request.blocks(), request
    check_passed(guest, request, root)


# Requests without a fallback


def request_with(root: Task, **settings: int) -> bytes:
    """Have the driver request firmware that no directory has: the result of its thread."""
    root.write_text(FIRMWARE_PATH, PINNED).result()
    for name, value in {"reset": 1, "config_name": ABSENT, "config_num_requests": 1, **settings}.items():
        root.write_text(f"{TEST_FIRMWARE}/{name}", f"{value}").result()
    root.write_text(f"{TEST_FIRMWARE}/trigger_batched_requests", "1").result()
    return root.content(f"{TEST_FIRMWARE}/test_result")


@ENFORCING
@pytest.mark.requirement("loadpin.fallback-not-wanted")
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"config_sync_direct": 1}, id="request_firmware_direct"),
        pytest.param({"config_into_buf": 1, "config_partial": 1}, id="request_partial_firmware_into_buf"),
    ],
)
def test_requests_for_a_file_only(guest: Guest, settings: dict[str, int]) -> None:
    """A driver that wants its firmware, or a part of it, from a file only gets ENOENT, and LoadPin is not asked."""
    root = prepared(guest)
    log = LogReader(guest)
    assert request_with(root, **settings) == b"-2\n"
    assert log.new_lines() == []
    request_with(root)
    assert log.new_lines() == ["firmware old-api-denied obj=<unknown> by a kernel thread"]
