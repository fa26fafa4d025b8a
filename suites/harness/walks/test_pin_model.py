# SPDX-License-Identifier: GPL-2.0-or-later
"""The model of LoadPin alone: expectations from its documentation and requirements, without a guest."""

from __future__ import annotations

import pytest

from guests.outcome import EACCES, EINVAL, EPERM, EPROTO, OK, Expected
from suites.loadpin.support.pin_model import Device, End, Gone, PinModel, Superblock, VerityTable
from suites.loadpin.support.storage_model import FIRST, OpenFile, Storage

MODULE = "kernel-module"
DISK = Device('"/dev/vda"')
WRITABLE = Device('"/dev/vdb"', always_read_only=False)


def pinned(origin: Superblock, *, enforcing: bool = True) -> PinModel:
    pins = PinModel(enforcing)
    assert pins.load(MODULE, origin).pins
    return pins


def test_the_first_load_pins() -> None:
    """Whatever is loaded first pins its superblock; others are denied, or the pin is ignored."""
    first, other = Superblock(DISK), Superblock(DISK)
    for enforcing, allowed, what in ((True, False, "denied"), (False, True, "pinning-ignored")):
        pins = PinModel(enforcing)
        judged = [pins.load("firmware", first), pins.load(MODULE, first), pins.load(MODULE, other)]
        assert [(each.allowed, each.what) for each in judged] == [(True, "pinned"), (True, ""), (allowed, what)]


def test_loads_from_memory_never_pin() -> None:
    pins = PinModel(enforcing=True)
    assert (pins.load(MODULE, None).what, pins.pin) == ("old-api-denied", None)
    pins.enforcing = False
    assert (pins.load(MODULE, None).what, pins.pin) == ("old-api-pinning-ignored", None)


def test_excluded_kinds() -> None:
    """They load from anywhere and do not pin, with and without a file, before and after the end of the pin."""
    pins = PinModel(enforcing=True, excluded=("firmware",))
    disk = Superblock(DISK)
    assert pins.load("firmware", disk).what == pins.load("firmware", None).what == "pinning-excluded"
    assert pins.pin is None
    assert pins.load(MODULE, disk).pins
    pins.ended(disk)
    assert pins.load("firmware", disk).allowed
    assert not pins.load(MODULE, disk).allowed


def test_the_end_of_the_pinned_superblock() -> None:
    """While enforcing, it is permanent; while not, the next load pins."""
    first, other = Superblock(DISK), Superblock(WRITABLE)
    pins = pinned(first)
    assert pins.ended(other) is End.OF_ANOTHER
    assert pins.ended(first) is End.REFUSING
    assert [pins.load(MODULE, each).what for each in (first, other)] == ["denied"] * 2
    pins.enforcing = False
    assert (pins.load(MODULE, other).what, pins.pin) == ("pinning-ignored", Gone.GONE)
    pins = pinned(first, enforcing=False)
    assert pins.ended(first) is End.RESET
    assert pins.load(MODULE, other).pins


@pytest.mark.parametrize(
    ("origin", "closed", "before", "after"),
    [
        #  pinned to            closed    before the pin: 0, 1     after it: 0, 1
        pytest.param(DISK, False, (EINVAL, OK), (EINVAL, OK), id="read-only"),
        pytest.param(WRITABLE, False, (EINVAL, OK), (OK, OK), id="writable"),
        pytest.param(None, False, (EINVAL, OK), (OK, OK), id="without-a-device"),
        pytest.param(DISK, True, (EINVAL, EINVAL), (EINVAL, EINVAL), id="read-only-since-7.0"),
        pytest.param(WRITABLE, True, (EINVAL, EINVAL), (OK, OK), id="writable-since-7.0"),
    ],
)
def test_the_sysctl(origin: Device | None, closed: bool, before: object, after: object) -> None:
    pins = PinModel(enforcing=True, closed=closed)
    assert tuple(pins.write_enforce(value).expected for value in (0, 1)) == before
    pins.load(MODULE, Superblock(origin))
    assert tuple(pins.write_enforce(value).expected for value in (0, 1)) == after
    assert [pins.write_enforce(value).expected for value in (-1, 2)] == [EINVAL] * 2
    assert pins.write_enforce(1, root=False).expected == EACCES
    assert pins.enforcing


def test_a_device_counts_when_it_is_pinned() -> None:
    device = Device('"/dev/vdb"', always_read_only=False, set_read_only=True)
    pins = pinned(Superblock(device))
    device.set_read_only = False
    assert pins.write_enforce(0).expected == EINVAL


def test_trust() -> None:
    """A device is trusted by its digest, unless corrupt data passes; devices above it are not."""
    disk = Superblock(DISK)
    device = Device("verified", table=VerityTable(2))
    untrusted = (
        Device("unlisted", table=VerityTable(3)),
        Device("lenient", table=VerityTable(2, lenient=True)),
        Device("above", below=device),
        None,
    )
    verified, *others = [Superblock(each) for each in (device, *untrusted)]
    pins = pinned(disk)
    assert not any(pins.load(MODULE, each).allowed for each in (verified, *others))
    prediction, judgement = pins.set_digests(disk, [2])
    assert prediction.expected == OK
    assert judgement is not None
    assert pins.load(MODULE, verified).allowed
    assert not any(pins.load(MODULE, each).allowed for each in others)
    assert pins.pin is disk
    assert pins.set_digests(disk, [3])[0].expected == EPERM
    pins.ended(disk)
    assert not pins.load(MODULE, verified).allowed


def test_a_list_that_fails_is_the_last() -> None:
    disk, other = Superblock(DISK), Superblock()
    lists: list[tuple[Superblock, list[int] | str, Expected]] = [
        (other, [2], EPERM),
        (disk, "loadpin.verity-header", EPROTO),
    ]
    for origin, listed, error in lists:
        pins = pinned(disk)
        assert pins.set_digests(origin, listed)[0].expected == error
        prediction, judgement = pins.set_digests(disk, [2])
        assert (prediction.expected, judgement) == (EPERM, None)


def test_what_keeps_a_superblock() -> None:
    """Other mounts, copies in a namespace, open files and overlays do; the last one that goes ends it."""
    storage, device = Storage(), Device('"/dev/vda"')
    disk = storage.mount((FIRST, "/pinned"), device)
    assert storage.mount((FIRST, "/again"), device) is disk
    overlay = storage.mount((FIRST, "/overlay"), None, disk)
    storage.unshare("inside")
    storage.files["file"] = OpenFile(disk, (FIRST, "/pinned"))
    assert storage.users_of((FIRST, "/pinned")) == ["file"]
    assert storage.remove(places=[(FIRST, "/pinned"), (FIRST, "/again"), (FIRST, "/overlay")]) == []
    assert storage.files["file"].place is None
    assert storage.remove(places=storage.places_in("inside")) == [overlay]
    assert storage.would_end(files=["file"]) == [disk]
    assert storage.remove(files=["file"]) == [disk]
    assert storage.superblock_of(device) is None
    assert storage.mount((FIRST, "/pinned"), device) is not disk


def test_claims() -> None:
    """A mapped device claims the one below, and a loop device does not."""
    below = Device('"/dev/vdc"')
    assert Storage().can_mount(below, [Device("loop", below=below, claims=False)])
    assert not Storage().can_mount(below, [Device("verified", below=below)])
