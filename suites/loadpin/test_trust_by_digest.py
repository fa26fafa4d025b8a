# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices that are trusted once there is a list: those whose root digest is in it."""

from __future__ import annotations

import dataclasses

import pytest

from guests.guest import Guest
from guests.outcome import EBUSY, EIO, ENOEXEC, OK, returned
from guests.promises import breaks
from guests.task import Task
from guests.vm.disk_images import DIGESTS_HEADER, digest_list
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
from suites.loadpin.support.verified_devices import (
    check_trusted,
    check_untrusted,
    mount_verified,
    set_digests,
    trust,
    verity_of,
)

pytestmark = [loadpin, verity]

requirement = pytest.mark.requirement


@ENFORCING
@requirement("loadpin.verity-trusted")
def test_a_trusted_device_does_not_move_the_pin(guest: Guest) -> None:
    """Loads from a trusted device do not move the pin: the pinned disk still loads, other disks are still denied."""
    root = root_after_pin(guest)
    trust(root)
    mount_verified(guest, root, 2)
    for _ in range(2):
        check_trusted(guest, root)
        check_trusted(guest, root, PINNED)
        check_untrusted(guest, root, OTHER)


@ENFORCING
@requirement("loadpin.verity-untrusted", "loadpin.verity-trusted")
def test_a_device_is_trusted_once_the_list_is_set(guest: Guest) -> None:
    """A device mounted before the list is set is denied until then; one with another digest stays denied."""
    root = root_after_pin(guest, other=False)
    mount_verified(guest, root, 2)
    mount_verified(guest, root, 3, at="/untrusted")
    with breaks("loadpin.verity-untrusted"):
        check_untrusted(guest, root)
    trust(root)
    with breaks("loadpin.verity-trusted"):
        check_trusted(guest, root)
    with breaks("loadpin.verity-untrusted"):
        check_untrusted(guest, root, "/untrusted")


@boot("loadpin.enforce=1", "loadpin.exclude=security-policy")
@requirement("loadpin.pin", "loadpin.deny", "loadpin.verity-trusted")
def test_a_trusted_device_can_be_pinned(guest: Guest) -> None:
    """If the list is excluded and pins nothing, a device that it trusts can pin, and other disks are denied."""
    root = root_before_pin(guest)
    trust(root)
    mount_verified(guest, root, 2)
    log = LogReader(guest)
    with breaks("loadpin.pin"):
        assert probe(guest, root, VERIFIED) == ENOEXEC
        assert log.last() == line(probe_kind(guest), "pinned", f"{VERIFIED}/junk", root)
    with breaks("loadpin.verity-trusted"):
        check_trusted(guest, root)
    with breaks("loadpin.deny"):
        check_untrusted(guest, root, OTHER)
        check_untrusted(guest, root, PINNED)


@ENFORCING
@requirement("loadpin.verity-removable")
def test_a_trusted_device_can_be_removed(guest: Guest) -> None:
    """A trusted device can be removed once it is unmounted: loads from it leave no reference that would hold it."""
    root = root_after_pin(guest, other=False)
    trust(root)
    mount_verified(guest, root, 2)
    for _ in range(3):
        check_trusted(guest, root)
    assert root.remove_dm("verified") == EBUSY
    root.umount(VERIFIED).result()
    guest.wait_until(lambda: root.remove_dm("verified") == OK, "the device to be released")


@NOT_ENFORCING
@requirement("loadpin.verity-trusted", "loadpin.ignore")
def test_while_not_enforcing(guest: Guest) -> None:
    """While LoadPin does not enforce, it logs nothing for a trusted device, and an ignored pin for another."""
    root = root_after_pin(guest, other=False)
    trust(root)
    mount_verified(guest, root, 2)
    mount_verified(guest, root, 3, at="/untrusted")
    with breaks("loadpin.verity-trusted"):
        check_trusted(guest, root)
    log = LogReader(guest)
    with breaks("loadpin.ignore"):
        assert probe(guest, root, "/untrusted") == ENOEXEC
        assert log.new_lines() == [line(probe_kind(guest), "pinning-ignored", "/untrusted/junk", root)]


def changed(digest: str, position: int) -> str:
    """The digest with a different digit at one position."""
    index = position % len(digest)
    return digest[:index] + ("0" if digest[index] != "0" else "1") + digest[index + 1 :]


# fmt: off
LISTS: tuple[tuple[str, str, bool], ...] = (
    #  the list has ...                 its lines (D: the device's own digest)        trusted
    ("it-alone",                        "D",                                          True),
    ("it-first",                        "D A B",                                      True),
    ("it-in-the-middle",                "A D B",                                      True),
    ("it-last",                         "A B D",                                      True),
    ("it-after-its-beginning",          "first-half D",                               True),
    ("others-only",                     "A B",                                        False),
    ("its-first-half",                  "first-half",                                 False),
    ("its-second-half",                 "second-half",                                False),
    ("it-without-its-last-byte",        "without-last-byte",                          False),
    ("it-with-a-byte-more",             "with-a-byte-more",                           False),
    ("it-with-another-first-digit",     "other-first-digit",                          False),
    ("it-with-another-middle-digit",    "other-middle-digit",                         False),
    ("it-with-another-last-digit",      "other-last-digit",                           False),
)
# fmt: on


@ENFORCING
@requirement("loadpin.verity-digest")
@pytest.mark.parametrize(
    ("words", "trusted"),
    [
        pytest.param(words, trusted, id=f"{name}-{'trusted' if trusted else 'not-trusted'}")
        for name, words, trusted in LISTS
    ],
)
def test_the_whole_digest_must_match(guest: Guest, words: str, trusted: bool) -> None:
    """A device is trusted only if a digest in the list matches its own in every byte and in length."""
    digest = verity_of(guest, 2).root_digest
    half = len(digest) // 2
    spelled = {
        "D": digest,
        "A": "ab" * 32,
        "B": "cd" * 32,
        "first-half": digest[:half],
        "second-half": digest[half:],
        "without-last-byte": digest[:-2],
        "with-a-byte-more": f"{digest}00",
        "other-first-digit": changed(digest, 0),
        "other-middle-digit": changed(digest, half),
        "other-last-digit": changed(digest, -1),
    }
    root = guest.root()
    text = "\n".join([DIGESTS_HEADER, *(spelled[word] for word in words.split()), ""])
    guest.upload(f"{TMP}/digests", text.encode())
    assert set_digests(root, f"{TMP}/digests") == OK
    mount_verified(guest, root, 2)
    if trusted:
        check_trusted(guest, root)
    else:
        check_untrusted(guest, root)


@ENFORCING
@requirement("loadpin.verity-root-digest")
def test_a_digest_of_another_device(guest: Guest) -> None:
    """A device whose table has the digest of another device, which a list may trust, cannot be read."""
    root = guest.root()
    own = verity_of(guest, 3)
    another = dataclasses.replace(own, root_digest=verity_of(guest, 2).root_digest)
    sound = root.create_mapped("sound", own.target("/dev/vdd"))
    assert root.read(root.open(sound).result()) == returned(4096)
    false = root.create_mapped("false", another.target("/dev/vdd"))
    assert root.read(root.open(false).result()) == EIO


@ENFORCING
@requirement("loadpin.verity-digest")
def test_a_digest_is_compared_beyond_a_zero_byte(guest: Guest) -> None:
    """A digest is compared beyond a zero byte: it is not a C string.

    A device's root digest is whatever its table says, and data already in the page cache is not verified again: so
    the test reads the file before it gives the device digests that are not its own.
    """
    listed, other = "ab00" + "cd" * 30, "ab00" + "ef" * 30
    root = guest.root()
    guest.upload(f"{TMP}/digests", digest_list(listed))
    set_digests(root, f"{TMP}/digests").result()
    mount_verified(guest, root, 2)
    root.read(root.open(f"{VERIFIED}/junk").result()).result()
    replace_digest(guest, root, other)
    check_untrusted(guest, root)
    replace_digest(guest, root, listed)
    check_trusted(guest, root)


def replace_digest(guest: Guest, root: Task, digest: str) -> None:
    table = dataclasses.replace(verity_of(guest, 2), root_digest=digest).target("/dev/vdc")
    root.load_table("verified", table).result()
    root.suspend_dm("verified").result()
    root.resume_dm("verified").result()
