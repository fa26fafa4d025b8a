# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of trusted root digests: who may set it, from where, its format, and the effect of an error.

Most lists here are created by the test, on a tmpfs that the first of them pins.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.call_arguments import Argument
from guests.guest import Guest
from guests.outcome import EACCES, EFAULT, EFBIG, EINVAL, ENOEXEC, EPERM, EPROTO, ETXTBSY, OK, Expected, Outcome
from guests.task import Task
from guests.uapi import LOADPIN_SET_TRUSTED_DIGESTS, O_CREAT, O_DIRECTORY, O_PATH, O_RDWR, O_WRONLY, Cap
from guests.vm.disk_images import DIGESTS_HEADER
from suites.loadpin.support.disks_and_log import (
    DM_VERITY,
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
    mount_verified,
    needs,
    probe,
    probe_kind,
    root_after_pin,
    root_before_pin,
    set_digests,
    set_digests_of,
    verity,
    verity_of,
)

pytestmark = [loadpin, verity]

requirement = pytest.mark.requirement
HEADER = DIGESTS_HEADER
UNLISTED = "ab" * 32
"""A digest that no disk has."""
LIST = f"{TMP}/digests"


def write_list(guest: Guest, text: str, path: str = LIST) -> str:
    """Write a list to a tmpfs, with `{digest}` in it replaced by the root digest of /dev/vdc."""
    digest = verity_of(guest, 2).root_digest
    guest.upload(path, text.replace("{digest}", digest).replace("{DIGEST}", digest.upper()).encode())
    return path


GOOD = f"{HEADER}\n{{digest}}\n"


def check_trusted(guest: Guest, root: Task) -> None:
    """A file on the device whose digest is listed loads without a log line."""
    mount_verified(guest, root, 2)
    log = LogReader(guest)
    assert probe(guest, root, VERIFIED) == ENOEXEC
    assert log.new_lines() == []


def check_untrusted(guest: Guest, root: Task) -> None:
    mount_verified(guest, root, 2)
    log = LogReader(guest)
    assert probe(guest, root, VERIFIED) == EPERM
    assert log.new_lines() == [line(probe_kind(guest), "denied", f"{VERIFIED}/junk", root)]


def check_closed(guest: Guest, root: Task) -> None:
    """No list is accepted any more, not even a valid one, and no device is trusted."""
    assert set_digests(root, write_list(guest, GOOD, f"{TMP}/good")) == EPERM
    check_untrusted(guest, root)


# The interface


@ENFORCING
@requirement("loadpin.verity-interface")
def test_only_root_can_open_the_interface(guest: Guest) -> None:
    """The mode is 0600: another user cannot even open the file."""
    assert guest.init.mode(DM_VERITY) == 0o600
    assert guest.spawn("unprivileged", caps=Cap.SYS_ADMIN).open(DM_VERITY) == EACCES


@ENFORCING
@requirement("loadpin.verity-list", "loadpin.verity-trusted", "loadpin.pin")
def test_the_list_of_the_pinned_disk(guest: Guest) -> None:
    """A list on the pinned disk is read without a log line; the device that it names is trusted from then on."""
    root = root_after_pin(guest)
    log = LogReader(guest)
    assert set_digests(root, f"{PINNED}/digests") == OK
    assert log.new_lines() == []
    check_trusted(guest, root)
    assert probe(guest, root, OTHER) == EPERM


@ENFORCING
@requirement("loadpin.verity-list", "loadpin.pin")
def test_a_list_pins(guest: Guest) -> None:
    """If the list is the first file that the kernel reads, it pins its disk; its kind is security-policy."""
    root = root_before_pin(guest)
    log = LogReader(guest)
    assert set_digests(root, f"{PINNED}/digests") == OK
    assert log.last() == line("security-policy", "pinned", f"{PINNED}/digests", root)
    assert probe(guest, root, OTHER) == EPERM


@needs("IA32_EMULATION")
@ENFORCING
@requirement("loadpin.verity-interface")
def test_by_int_0x80(guest: Guest) -> None:
    """A 32-bit program can set a list too."""
    root = root_after_pin(guest)
    file = root.open(f"{PINNED}/digests").result()
    interface = root.open(DM_VERITY).result()
    number = file.to_bytes(4, "little")
    assert root.call32("ioctl", interface, LOADPIN_SET_TRUSTED_DIGESTS, number) == OK
    check_trusted(guest, root)


@NOT_ENFORCING
@requirement("loadpin.verity-list", "loadpin.ignore")
def test_a_list_from_elsewhere_while_not_enforcing(guest: Guest) -> None:
    """LoadPin accepts a list from another file system, logs that it ignored the pin, and applies the list."""
    root = root_after_pin(guest)
    log = LogReader(guest)
    assert set_digests(root, write_list(guest, GOOD)) == OK
    assert log.new_lines() == [line("security-policy", "pinning-ignored", LIST, root)]
    mount_verified(guest, root, 2)
    assert probe(guest, root, VERIFIED) == ENOEXEC
    assert log.new_lines() == []


@boot("loadpin.enforce=1", "loadpin.exclude=security-policy")
@requirement("loadpin.verity-list", "loadpin.exclude", "loadpin.exclude-no-pin")
def test_a_list_from_elsewhere_where_policies_are_excluded(guest: Guest) -> None:
    """With security-policy excluded, a list is accepted from anywhere and pins nothing."""
    root = root_before_pin(guest)
    log = LogReader(guest)
    assert set_digests(root, write_list(guest, GOOD)) == OK
    assert log.new_lines() == [line("security-policy", "pinning-excluded", LIST, root)]
    assert probe(guest, root, PINNED) == ENOEXEC
    check_trusted(guest, root)


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
    check_trusted(guest, root)


# Errors without further effect


def ioctl(request: int, argument: Argument) -> Callable[[Task], Outcome]:
    def act(task: Task) -> Outcome:
        return task.call("ioctl", task.open(DM_VERITY).result(), request, argument)

    return act


def descriptor(number: int) -> Callable[[Task], Outcome]:
    return lambda task: set_digests_of(task, number)


def path_only(task: Task) -> Outcome:
    return set_digests_of(task, task.open(f"{PINNED}/digests", O_PATH).result())


@ENFORCING
@requirement("loadpin.verity-retry")
@pytest.mark.parametrize(
    ("act", "error"),
    [
        pytest.param(ioctl(LOADPIN_SET_TRUSTED_DIGESTS + 1, b"\0\0\0\0"), EINVAL, id="another-command"),
        pytest.param(ioctl(LOADPIN_SET_TRUSTED_DIGESTS ^ 0x40000000, 0), EINVAL, id="another-direction"),
        pytest.param(ioctl(LOADPIN_SET_TRUSTED_DIGESTS ^ 0x000C0000, b"\0" * 8), EINVAL, id="another-size"),
        pytest.param(ioctl(LOADPIN_SET_TRUSTED_DIGESTS, None), EFAULT, id="a-null-pointer"),
        pytest.param(ioctl(LOADPIN_SET_TRUSTED_DIGESTS, (1 << 63) | 4096), EFAULT, id="a-pointer-into-the-kernel"),
        pytest.param(descriptor(999), EINVAL, id="a-descriptor-that-is-not-open"),
        pytest.param(descriptor(-1), EINVAL, id="descriptor-minus-one"),
        pytest.param(path_only, EINVAL, id="a-path-descriptor"),
    ],
)
def test_an_error_without_further_effect(guest: Guest, act: Callable[[Task], Outcome], error: Expected) -> None:
    """After the error, setting a list can be tried again and succeeds."""
    root = root_after_pin(guest, other=False)
    log = LogReader(guest)
    assert act(root) == error
    assert log.new_lines() == []
    assert set_digests(root, f"{PINNED}/digests") == OK
    check_trusted(guest, root)


# Errors that rule out any further attempt


@ENFORCING
@requirement("loadpin.verity-latch", "loadpin.deny")
def test_a_list_from_elsewhere(guest: Guest) -> None:
    """A list from another file system is denied; after that, even the list on the pinned disk is rejected."""
    root = root_after_pin(guest, other=False)
    log = LogReader(guest)
    assert set_digests(root, write_list(guest, GOOD)) == EPERM
    assert log.new_lines() == [line("security-policy", "denied", LIST, root)]
    assert set_digests(root, f"{PINNED}/digests") == EPERM
    assert log.new_lines() == []
    check_untrusted(guest, root)


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
    """The first attempt returns the error; after that, every list fails with EPERM."""
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
    assert set_digests(root, write_list(guest, "{digest}\n")) == EPROTO
    log = LogReader(guest)
    assert set_digests(root, f"{PINNED}/digests") == EPERM
    assert log.new_lines() == []
    mount_verified(guest, root, 2)
    assert probe(guest, root, VERIFIED) == ENOEXEC
    assert log.new_lines() == [line(probe_kind(guest), "pinning-ignored", f"{VERIFIED}/junk", root)]


# The grammar

GRAMMAR = requirement("loadpin.verity-grammar")
FIRST_LINE = requirement("loadpin.verity-header")
NO_HEADER = requirement("loadpin.verity-first-line")

# fmt: off
Marks = pytest.MarkDecorator | tuple[pytest.MarkDecorator, ...]
REFUSED: tuple[tuple[str, str, Marks], ...] = (
    #  what is wrong                          the list, line by line
    ("no-header",                             "{digest}\n",                                          FIRST_LINE),
    ("only-a-line-end",                       "\n",                                                  FIRST_LINE),
    ("only-whitespace",                       " \t \n \n",                                           FIRST_LINE),
    ("a-header-in-lower-case",                f"{HEADER.lower()}\n{{digest}}\n",                     FIRST_LINE),
    ("a-header-without-its-last-letter",      f"{HEADER[:-1]}\n{{digest}}\n",                        FIRST_LINE),
    ("a-header-with-one-letter-more",         f"{HEADER}S\n{{digest}}\n",                            FIRST_LINE),
    ("a-header-with-a-space-after-it",        f"{HEADER} \n{{digest}}\n",                            FIRST_LINE),
    ("a-header-with-a-carriage-return",       f"{HEADER}\r\n{{digest}}\r\n",                         FIRST_LINE),
    ("a-header-without-its-hash-sign",        f"{HEADER[2:]}\n{{digest}}\n",                         FIRST_LINE),
    ("a-header-after-the-digest",             f"{{digest}}\n{HEADER}\n",                             FIRST_LINE),
    ("a-header-after-an-empty-line",          f"\n{HEADER}\n{{digest}}\n",                           FIRST_LINE),
    ("header-and-digest-in-one-line",         f"{HEADER} {{digest}}\n",                              FIRST_LINE),
    ("an-empty-line-instead-of-the-header",   "\n{digest}\n",                                        NO_HEADER),
    ("a-space-instead-of-the-header",         " {digest}\n",                                         NO_HEADER),
    ("a-tab-and-empty-lines-for-the-header",  "\t\n\n{digest}\n",                                    NO_HEADER),
    ("the-header-alone",                      f"{HEADER}\n",                                         GRAMMAR),
    ("the-header-alone-without-a-line-end",   HEADER,                                                GRAMMAR),
    ("the-header-and-empty-lines",            f"{HEADER}\n\n\n",                                     GRAMMAR),
    ("the-header-twice",                      f"{HEADER}\n{HEADER}\n{{digest}}\n",                   GRAMMAR),
    ("an-odd-number-of-digits",               f"{HEADER}\n{{digest}}a\n",                            GRAMMAR),
    ("a-single-digit",                        f"{HEADER}\na\n",                                      GRAMMAR),
    ("no-hexadecimal-digits",                 f"{HEADER}\n{'xy' * 32}\n",                            GRAMMAR),
    ("a-last-character-that-is-no-digit",     f"{HEADER}\n{'ab' * 31}ag\n",                          GRAMMAR),
    ("0x-before-the-digest",                  f"{HEADER}\n0x{{digest}}\n",                           GRAMMAR),
    ("a-space-before-the-digest",             f"{HEADER}\n {{digest}}\n",                            GRAMMAR),
    ("two-spaces-after-a-digest",             f"{HEADER}\n{{digest}}  \n{UNLISTED}\n",               GRAMMAR),
    ("two-digests-in-one-line",               f"{HEADER}\n{UNLISTED}, {{digest}}\n",                 GRAMMAR),
    ("a-carriage-return-after-a-digest",      f"{HEADER}\n{{digest}}\r\n{UNLISTED}\n",               GRAMMAR),
    ("a-comment",                             f"{HEADER}\n# comment\n{{digest}}\n",                  GRAMMAR),
)

DROPPED: tuple[tuple[str, str], ...] = (
    #  a bad line after good ones             the list, line by line
    ("odd-after-good",                        f"{HEADER}\n{{digest}}\nabc\n"),
    ("no-digits-after-good",                  f"{HEADER}\n{{digest}}\n{'xy' * 32}\n"),
    ("odd-after-several-good",                f"{HEADER}\n{UNLISTED}\n{{digest}}\n{UNLISTED}\nabc\n{{digest}}\n"),
)

ACCEPTED: tuple[tuple[str, str], ...] = (
    #  what is unusual                        the list, line by line
    ("nothing",                               f"{HEADER}\n{{digest}}\n"),
    ("no-line-end",                           f"{HEADER}\n{{digest}}"),
    ("empty-lines-at-the-end",                f"{HEADER}\n{{digest}}\n\n\n"),
    ("whitespace-at-the-end",                 f"{HEADER}\n{{digest}} \t\n"),
    ("an-empty-line-before-the-digest",       f"{HEADER}\n\n{{digest}}\n"),
    ("upper-case",                            f"{HEADER}\n{{DIGEST}}\n"),
    ("the-same-digest-twice",                 f"{HEADER}\n{{digest}}\n{{digest}}\n"),
    ("digests-of-other-lengths",              f"{HEADER}\nab\n{'ab' * 20}\n{'ab' * 64}\n{{digest}}\n"),
    ("4095-bytes",                            f"{HEADER}\n{{digest}}\n".ljust(4095 - 64 + len("{digest}"), "\n")),
)
# fmt: on


@ENFORCING
@pytest.mark.parametrize("text", [pytest.param(text, marks=marks, id=name) for name, text, marks in REFUSED])
def test_an_invalid_list(guest: Guest, text: str) -> None:
    """An invalid list fails with EPROTO, and from then on no list is accepted."""
    root = guest.root()
    assert set_digests(root, write_list(guest, text)) == EPROTO
    check_closed(guest, root)


@ENFORCING
@requirement("loadpin.verity-drops")
@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in DROPPED])
def test_a_bad_line_discards_the_good_ones(guest: Guest, text: str) -> None:
    """The digest of a device before an invalid line is discarded: the device is not trusted."""
    root = guest.root()
    assert set_digests(root, write_list(guest, text)) == EPROTO
    check_closed(guest, root)


@ENFORCING
@requirement("loadpin.verity-grammar", "loadpin.verity-trusted")
@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in ACCEPTED])
def test_a_valid_list(guest: Guest, text: str) -> None:
    """A valid list is accepted, however unusual, and the device that it names is trusted."""
    root = guest.root()
    assert set_digests(root, write_list(guest, text)) == OK
    check_trusted(guest, root)
