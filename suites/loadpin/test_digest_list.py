# SPDX-License-Identifier: GPL-2.0-or-later
"""Setting the list of trusted digests: from where, how often, and what rules out any further attempt."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.guest import Guest
from guests.outcome import EFBIG, EINVAL, ENOEXEC, EPERM, EPROTO, ETXTBSY, OK, Expected
from guests.promises import breaks
from guests.task import Task
from guests.uapi import O_CREAT, O_DIRECTORY, O_RDWR, O_WRONLY
from suites.loadpin.support.digest_lists import (
    GOOD,
    HEADER,
    LIST,
    check_closed,
    check_list_in_effect,
    check_no_list_in_effect,
    write_list,
)
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    NOT_ENFORCING,
    OTHER,
    PINNED,
    TMP,
    VERIFIED,
    LogReader,
    boot,
    line,
    loadpin,
    probe,
    probe_kind,
    root_after_pin,
    root_before_pin,
    verity,
)
from suites.loadpin.support.verified_devices import mount_verified, set_digests, set_digests_of, verity_of

pytestmark = [loadpin, verity]

requirement = pytest.mark.requirement


@ENFORCING
@requirement("loadpin.verity-list", "loadpin.verity-trusted", "loadpin.deny")
def test_the_list_of_the_pinned_disk(guest: Guest) -> None:
    """A list on the pinned disk is read without a log line; the device that it names is trusted from then on."""
    root = root_after_pin(guest)
    log = LogReader(guest)
    with breaks("loadpin.verity-list"):
        assert set_digests(root, f"{PINNED}/digests") == OK
        assert log.new_lines() == []
    with breaks("loadpin.verity-trusted"):
        check_list_in_effect(guest, root)
    with breaks("loadpin.deny"):
        assert probe(guest, root, OTHER) == EPERM


@ENFORCING
@requirement("loadpin.verity-list")
def test_a_list_pins(guest: Guest) -> None:
    """If the list is the first file that the kernel reads, it pins its disk; its kind is security-policy."""
    root = root_before_pin(guest)
    log = LogReader(guest)
    assert set_digests(root, f"{PINNED}/digests") == OK
    assert log.last() == line("security-policy", "pinned", f"{PINNED}/digests", root)
    assert probe(guest, root, OTHER) == EPERM


@NOT_ENFORCING
@requirement("loadpin.verity-list", "loadpin.ignore")
def test_a_list_from_elsewhere_while_not_enforcing(guest: Guest) -> None:
    """LoadPin accepts a list from another file system, logs that it ignored the pin, and applies the list."""
    root = root_after_pin(guest)
    log = LogReader(guest)
    with breaks("loadpin.ignore"):
        assert set_digests(root, write_list(guest, GOOD)) == OK
        assert log.new_lines() == [line("security-policy", "pinning-ignored", LIST, root)]
    with breaks("loadpin.verity-list"):
        check_list_in_effect(guest, root)


@boot("loadpin.enforce=1", "loadpin.exclude=security-policy")
@requirement("loadpin.verity-list", "loadpin.exclude", "loadpin.exclude-no-pin")
def test_a_list_from_elsewhere_where_policies_are_excluded(guest: Guest) -> None:
    """With security-policy excluded, a list is accepted from anywhere and pins nothing."""
    root = root_before_pin(guest)
    log = LogReader(guest)
    with breaks("loadpin.exclude"):
        assert set_digests(root, write_list(guest, GOOD)) == OK
        assert log.new_lines() == [line("security-policy", "pinning-excluded", LIST, root)]
    with breaks("loadpin.exclude-no-pin"):
        assert probe(guest, root, PINNED) == ENOEXEC
        assert log.last() == line(probe_kind(guest), "pinned", f"{PINNED}/junk", root)
    with breaks("loadpin.verity-list"):
        check_list_in_effect(guest, root)


@ENFORCING
@requirement("loadpin.verity-once")
def test_a_second_list(guest: Guest) -> None:
    """A second list fails with EPERM, even a valid one from the pinned file system; only the first counts."""
    root = guest.root()
    assert set_digests(root, write_list(guest, GOOD)) == OK
    second = write_list(guest, f"{HEADER}\n{verity_of(guest, 3).root_digest}\n", f"{TMP}/second")
    log = LogReader(guest)
    assert set_digests(root, second) == EPERM
    assert set_digests(root, LIST) == EPERM
    assert log.new_lines() == []
    mount_verified(guest, root, 3, at="/other-verified")
    assert probe(guest, root, "/other-verified") == EPERM
    check_list_in_effect(guest, root)


# Errors that rule out any further attempt


@ENFORCING
@requirement("loadpin.verity-latch", "loadpin.deny")
def test_a_list_from_elsewhere(guest: Guest) -> None:
    """A list from another file system is denied; after that, even the list on the pinned disk is rejected."""
    root = root_after_pin(guest, other=False)
    log = LogReader(guest)
    with breaks("loadpin.deny"):
        assert set_digests(root, write_list(guest, GOOD)) == EPERM
        assert log.new_lines() == [line("security-policy", "denied", LIST, root)]
    with breaks("loadpin.verity-latch"):
        assert set_digests(root, f"{PINNED}/digests") == EPERM
        assert log.new_lines() == []
        check_no_list_in_effect(guest, root)


def directory(task: Task) -> int:
    return task.open(TMP, O_DIRECTORY).result()


def device(task: Task) -> int:
    return task.open("/dev/vda").result()


def pipe(task: Task) -> int:
    return task.pipe()[0]


def empty(task: Task) -> int:
    return task.open(f"{TMP}/empty", O_CREAT).result()


def too_long(task: Task) -> int:
    return task.open(f"{TMP}/too-long").result()


def for_writing(task: Task) -> int:
    return task.open(LIST, O_WRONLY).result()


def being_written(task: Task) -> int:
    """A descriptor for reading, of a file that is open for writing elsewhere."""
    task.open(LIST, O_RDWR).result()
    return task.open(LIST).result()


@ENFORCING
@requirement("loadpin.verity-latch")
@pytest.mark.parametrize(
    ("make", "error"),
    [
        pytest.param(directory, EINVAL, id="a-directory-is-EINVAL"),
        pytest.param(device, EINVAL, id="a-device-is-EINVAL"),
        pytest.param(pipe, EINVAL, id="a-pipe-is-EINVAL"),
        pytest.param(empty, EINVAL, id="an-empty-file-is-EINVAL"),
        pytest.param(too_long, EFBIG, id="a-file-of-4096-bytes-is-EFBIG"),
        pytest.param(for_writing, ETXTBSY, id="a-descriptor-for-writing-is-ETXTBSY"),
        pytest.param(being_written, ETXTBSY, id="a-file-being-written-is-ETXTBSY"),
    ],
)
def test_an_unreadable_list_is_final(guest: Guest, make: Callable[[Task], int], error: Expected) -> None:
    """The first list that cannot be read returns the error; after that, every list fails with EPERM."""
    root = guest.root()
    guest.upload(f"{TMP}/junk", b"nothing that anybody could load\n" * 64)
    assert probe(guest, root, TMP) == ENOEXEC
    write_list(guest, GOOD)
    write_list(guest, GOOD.ljust(4096 - 64 + len("{digest}"), "\n"), f"{TMP}/too-long")
    assert set_digests_of(root, make(root)) == error
    check_closed(guest, root)


@NOT_ENFORCING
@requirement("loadpin.verity-latch", "loadpin.ignore")
def test_an_invalid_list_is_final_while_not_enforcing_too(guest: Guest) -> None:
    """An invalid list is rejected in either mode, and after it the pinned disk's list is rejected too."""
    root = root_after_pin(guest, other=False)
    with breaks("loadpin.verity-latch"):
        assert set_digests(root, write_list(guest, "{digest}\n")) == EPROTO
        log = LogReader(guest)
        assert set_digests(root, f"{PINNED}/digests") == EPERM
        assert log.new_lines() == []
    mount_verified(guest, root, 2)
    with breaks("loadpin.ignore"):
        assert probe(guest, root, VERIFIED) == ENOEXEC
        assert log.new_lines() == [line(probe_kind(guest), "pinning-ignored", f"{VERIFIED}/junk", root)]
