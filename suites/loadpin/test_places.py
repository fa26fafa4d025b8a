# SPDX-License-Identifier: GPL-2.0-or-later
"""The table: each kind of load, from each place, while LoadPin enforces, while it does not, and while it excludes the
kind.

Every cell loads something real, and checks that it is loaded where that is allowed.  For a load that is refused,
ignored or excluded, LoadPin's log line must match word for word; for any other, LoadPin must log nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator

import pytest
from _pytest.mark import ParameterSet

from guests.guest import Guest
from guests.outcome import OK
from guests.task import Task
from suites.loadpin.support import origins as at
from suites.loadpin.support.kinds_of_load import FROM_FILES, MODULE_FILE, Kind, prepare
from suites.loadpin.support.setting import (
    ENFORCING,
    KINDS,
    NOT_ENFORCING,
    PINNED,
    Ear,
    administrator,
    boot,
    loadpin,
    needs,
    pinned_scene,
    probe,
    verity,
)

pytestmark = loadpin

requirement = pytest.mark.requirement
Place = Callable[[Guest, Task], str]
Row = tuple[str, Place, "Verdict", "Verdict", tuple[pytest.MarkDecorator, ...]]


class Verdict(enum.Enum):
    """The result of a load, as LoadPin's log line has it; empty if LoadPin logs nothing."""

    YES = ""
    DENIED = "denied"
    IGNORED = "pinning-ignored"
    EXCLUDED = "pinning-excluded"


YES, DENIED, IGNORED = Verdict.YES, Verdict.DENIED, Verdict.IGNORED

same = (requirement("loadpin.same-superblock"),)
other = (requirement("loadpin.deny", "loadpin.ignore"),)
deviceless = (requirement("loadpin.deny", "loadpin.ignore", "loadpin.superblock"),)
trusted = (verity, requirement("loadpin.verity-trusted"))
untrusted = (verity, requirement("loadpin.verity-untrusted"))

# fmt: off
EVERY_KIND: tuple[Row, ...] = (
    #  from ...                       how it is made                     enforcing  not enforcing
    ("the-pinned-disk",               at.pinned,                         YES,       YES,     same),
    ("a-bind-mount-of-it",            at.bind_mount,                     YES,       YES,     same),
    ("a-second-mount-of-it",          at.second_mount,                   YES,       YES,     same),
    ("another-disk",                  at.other_disk,                     DENIED,    IGNORED, other),
    ("a-tmpfs",                       at.tmpfs,                          DENIED,    IGNORED, deviceless),
    ("a-trusted-verity-device",       at.trusted_verity,                 YES,       YES,     trusted),
    ("an-untrusted-verity-device",    at.untrusted_verity,               DENIED,    IGNORED, untrusted),
)

superblock = (requirement("loadpin.superblock"),)

MODULES_ONLY: tuple[Row, ...] = (
    #  from ...                       how it is made                     enforcing  not enforcing
    ("the-disk-moved-elsewhere",      at.remounted,                      YES,       YES,     same),
    ("the-initramfs",                 at.initramfs,                      DENIED,    IGNORED, superblock),
    ("a-loop-device-over-it",         at.loop_over_the_pinned_disk,      DENIED,    IGNORED,
     (*superblock, needs("BLK_DEV_LOOP"))),
    ("an-overlay-over-it",            at.overlay_over_the_pinned_disk,   DENIED,    IGNORED,
     (*superblock, needs("OVERLAY_FS"))),
    ("a-verity-device-before-trust",  at.verity_before_trust,            DENIED,    IGNORED, untrusted),
    ("trusted-bytes-not-verified",    at.trusted_disk_without_verity,    DENIED,    IGNORED, untrusted),
)
# fmt: on


def cells(rows: tuple[Row, ...], kinds: tuple[Kind, ...]) -> Iterator[ParameterSet]:
    """One test for each kind, place and mode."""
    for mode, column, booted in (("enforcing", 2, ENFORCING), ("not-enforcing", 3, NOT_ENFORCING)):
        for kind in kinds:
            for row in rows:
                name, place, *verdicts, marks = row
                verdict = verdicts[column - 2]
                come = verdict.value or "allowed"
                marks = (booted, *kind.marks, *marks)
                yield pytest.param(kind, place, verdict, marks=marks, id=f"{kind.id}-from-{name}-{mode}-is-{come}")


@pytest.mark.parametrize(("kind", "place", "verdict"), list(cells(EVERY_KIND, FROM_FILES)))
def test_place(guest: Guest, kind: Kind, place: Place, verdict: Verdict) -> None:
    """A load from the pinned superblock or a trusted one succeeds unlogged; from elsewhere, the mode decides."""
    root = pinned_scene(guest, other=False)
    check(guest, root, kind, place, verdict)


@pytest.mark.parametrize(("kind", "place", "verdict"), list(cells(MODULES_ONLY, (MODULE_FILE,))))
def test_superblock(guest: Guest, kind: Kind, place: Place, verdict: Verdict) -> None:
    """The superblock that a file is read through counts, not its bytes, its path or the storage below."""
    root = pinned_scene(guest, other=False)
    check(guest, root, kind, place, verdict)


def exclusions() -> Iterator[ParameterSet]:
    for kind in FROM_FILES:
        booted = boot("loadpin.enforce=1", f"loadpin.exclude={kind.name}")
        for name, place, *_, marks in EVERY_KIND:
            needed = [mark for mark in marks if mark.name == "needs"]
            yield pytest.param(
                kind, place, marks=(booted, *kind.marks, *needed), id=f"{kind.id}-from-{name}-enforcing-is-excluded"
            )


@pytest.mark.parametrize(("kind", "place"), list(exclusions()))
@pytest.mark.requirement("loadpin.exclude")
def test_excluded(guest: Guest, kind: Kind, place: Place) -> None:
    """An excluded kind loads from anywhere, pinned or not, and each such load is logged."""
    root = administrator(guest, other=False)
    if kind is not MODULE_FILE:
        probe(guest, root, PINNED)
    check(guest, root, kind, place, Verdict.EXCLUDED)


@boot("loadpin.enforce=0", f"loadpin.exclude={','.join(KINDS)}")
@verity
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=kind.marks, id=f"{kind.id}-from-anywhere-not-enforcing-is-excluded")
        for kind in FROM_FILES
    ],
)
@pytest.mark.requirement("loadpin.exclude")
def test_excluded_while_not_enforcing(guest: Guest, kind: Kind) -> None:
    """With every kind excluded and LoadPin not enforcing, each load is logged as excluded, not pinned or ignored."""
    root = administrator(guest, other=False)
    prepare(guest, kind, root)
    for place in (at.pinned, at.bind_mount, at.second_mount, at.other_disk, at.tmpfs, at.untrusted_verity):
        load(guest, root, kind, place(guest, root), Verdict.EXCLUDED)


def check(guest: Guest, root: Task, kind: Kind, place: Place, verdict: Verdict) -> None:
    prepare(guest, kind, root)
    load(guest, root, kind, place(guest, root), verdict)


def load(guest: Guest, root: Task, kind: Kind, directory: str, verdict: Verdict) -> None:
    """Load a file, and check the result and LoadPin's log lines."""
    ear = Ear(guest)
    done = kind.load(root, directory)
    # The image loaded with an initramfs may be excluded as well, and then has its own log line.
    heard = ear.news(kind.name if verdict is Verdict.EXCLUDED else "")
    if verdict is Verdict.DENIED:
        assert done == kind.refused
    else:
        assert done == OK
        kind.undo(guest, root)
    assert heard == ([kind.line(verdict.value, directory, root)] if verdict.value else [])
