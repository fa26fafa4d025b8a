# SPDX-License-Identifier: GPL-2.0-or-later
"""The table: each kind of load, from each origin, while LoadPin enforces, does not enforce, or excludes the kind.

Every cell loads something real, and checks that it is loaded where that is allowed.  For a load that is refused,
ignored or excluded, LoadPin's log line must match word for word; for any other, LoadPin must log nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator

import pytest
from _pytest.mark import ParameterSet

from guests.guest import Guest
from guests.outcome import ENOEXEC, OK
from guests.promises import breaks
from guests.task import Task
from suites.loadpin.support import origins
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    KINDS,
    NOT_ENFORCING,
    PINNED,
    LogReader,
    boot,
    loadpin,
    needs,
    probe,
    root_after_pin,
    root_before_pin,
    verity,
)
from suites.loadpin.support.load_kinds import FILE_LOADS, MODULE_FILE, FileLoad, prepare

pytestmark = loadpin

requirement = pytest.mark.requirement
Origin = Callable[[Guest, Task], str]
Row = tuple[str, Origin, "LoadResult", "LoadResult", tuple[pytest.MarkDecorator, ...]]


class LoadResult(enum.Enum):
    """The result of a load, as LoadPin's log line has it; empty if LoadPin logs nothing."""

    YES = ""
    DENIED = "denied"
    IGNORED = "pinning-ignored"
    EXCLUDED = "pinning-excluded"


YES, DENIED, IGNORED = LoadResult.YES, LoadResult.DENIED, LoadResult.IGNORED

same = (requirement("loadpin.same-superblock"),)
other: tuple[pytest.MarkDecorator, ...] = ()
superblock = (requirement("loadpin.superblock"),)
trusted = (verity, requirement("loadpin.verity-trusted"))
untrusted = (verity, requirement("loadpin.verity-untrusted"))

# fmt: off
EVERY_KIND: tuple[Row, ...] = (
    #  from ...                       how it is made                          enforcing  not enforcing
    ("the-pinned-disk",               origins.pinned,                         YES,       YES,     same),
    ("a-bind-mount-of-it",            origins.bind_mount,                     YES,       YES,     same),
    ("a-second-mount-of-it",          origins.second_mount,                   YES,       YES,     same),
    ("another-disk",                  origins.other_disk,                     DENIED,    IGNORED, other),
    ("a-tmpfs",                       origins.tmpfs,                          DENIED,    IGNORED, superblock),
    ("a-trusted-verity-device",       origins.trusted_verity,                 YES,       YES,     trusted),
    ("an-untrusted-verity-device",    origins.untrusted_verity,               DENIED,    IGNORED, untrusted),
)

ELSEWHERE = ("another-disk", "a-tmpfs")
"""Origins that are about enforcement, which is another promise in each mode."""
BY_MODE = {DENIED: requirement("loadpin.deny"), IGNORED: requirement("loadpin.ignore")}

MODULES_ONLY: tuple[Row, ...] = (
    #  from ...                       how it is made                          enforcing  not enforcing
    ("the-disk-moved-elsewhere",      origins.moved_mount,                    YES,       YES,     same),
    ("the-initramfs",                 origins.initramfs,                      DENIED,    IGNORED, superblock),
    ("a-loop-device-over-it",         origins.loop_over_the_pinned_disk,      DENIED,    IGNORED,
     (*superblock, needs("BLK_DEV_LOOP"))),
    ("an-overlay-over-it",            origins.overlay_over_the_pinned_disk,   DENIED,    IGNORED,
     (*superblock, needs("OVERLAY_FS"))),
    ("a-verity-device-before-trust",  origins.verity_before_trust,            DENIED,    IGNORED, untrusted),
    ("trusted-bytes-not-verified",    origins.trusted_disk_without_verity,    DENIED,    IGNORED, untrusted),
)
# fmt: on


def cells(rows: tuple[Row, ...], kinds: tuple[FileLoad, ...]) -> Iterator[ParameterSet]:
    """One test for each kind, origin and mode."""
    for mode, column, booted in (("enforcing", 2, ENFORCING), ("not-enforcing", 3, NOT_ENFORCING)):
        for kind in kinds:
            for row in rows:
                name, origin, *results, marks = row
                result = results[column - 2]
                outcome = result.value or "allowed"
                if name in ELSEWHERE:
                    marks = (*marks, BY_MODE[result])
                if kind.own_promise:  # whatever the row is about, another kind shows it
                    marks = tuple(mark for mark in marks if mark.name != "requirement")
                yield pytest.param(
                    kind,
                    origin,
                    result,
                    marks=(booted, *kind.marks, *marks),
                    id=f"{kind.id}-from-{name}-{mode}-is-{outcome}",
                )


@pytest.mark.parametrize(("kind", "origin", "result"), list(cells(EVERY_KIND, FILE_LOADS)))
def test_origin(guest: Guest, kind: FileLoad, origin: Origin, result: LoadResult) -> None:
    """A load from the pinned superblock or a trusted one succeeds unlogged; from elsewhere, the mode decides."""
    root = root_after_pin(guest, other=False)
    check(guest, root, kind, origin, result)


@pytest.mark.parametrize(("kind", "origin", "result"), list(cells(MODULES_ONLY, (MODULE_FILE,))))
def test_superblock(guest: Guest, kind: FileLoad, origin: Origin, result: LoadResult) -> None:
    """The superblock that a file is read through counts, not its bytes, its path or the storage below."""
    root = root_after_pin(guest, other=False)
    check(guest, root, kind, origin, result)


def exclusions() -> Iterator[ParameterSet]:
    for kind in FILE_LOADS:
        booted = boot("loadpin.enforce=1", f"loadpin.exclude={kind.name}")
        for name, origin, *_, marks in EVERY_KIND:
            needed = [mark for mark in marks if mark.name == "needs"]
            yield pytest.param(
                kind, origin, marks=(booted, *kind.marks, *needed), id=f"{kind.id}-from-{name}-enforcing-is-excluded"
            )


@pytest.mark.parametrize(("kind", "origin"), list(exclusions()))
@pytest.mark.requirement("loadpin.exclude")
def test_excluded(guest: Guest, kind: FileLoad, origin: Origin) -> None:
    """An excluded kind loads from anywhere, pinned or not, and each such load is logged."""
    root = root_before_pin(guest, other=False)
    if kind is not MODULE_FILE:
        probe(guest, root, PINNED).require(ENOEXEC)
    with breaks(kind.about("loadpin.exclude")):
        check(guest, root, kind, origin, LoadResult.EXCLUDED)


@boot("loadpin.enforce=0", f"loadpin.exclude={','.join(KINDS)}")
@verity
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=kind.marks, id=f"{kind.id}-from-anywhere-not-enforcing-is-excluded")
        for kind in FILE_LOADS
    ],
)
@pytest.mark.requirement("loadpin.exclude")
def test_excluded_while_not_enforcing(guest: Guest, kind: FileLoad) -> None:
    """With every kind excluded and LoadPin not enforcing, each load is logged as excluded, not pinned or ignored."""
    root = root_before_pin(guest, other=False)
    prepare(guest, kind, root)
    pinned = (origins.pinned, origins.bind_mount, origins.second_mount)
    with breaks(kind.about("loadpin.exclude")):
        for origin in (*pinned, origins.other_disk, origins.tmpfs, origins.untrusted_verity):
            check_load(guest, root, kind, origin(guest, root), LoadResult.EXCLUDED)


def check(guest: Guest, root: Task, kind: FileLoad, origin: Origin, result: LoadResult) -> None:
    prepare(guest, kind, root)
    check_load(guest, root, kind, origin(guest, root), result)


def check_load(guest: Guest, root: Task, kind: FileLoad, directory: str, result: LoadResult) -> None:
    """Load a file, and check the result and LoadPin's log lines."""
    log = LogReader(guest)
    done = kind.load(root, directory)
    # The image loaded with an initramfs may be excluded as well, and then has its own log line.
    logged = log.new_lines(kind.name if result is LoadResult.EXCLUDED else "")
    if result is LoadResult.DENIED:
        assert done == kind.refused
    else:
        assert done == OK
        kind.check_and_unload(guest, root)
    assert logged == ([kind.line(result.value, directory, root)] if result.value else [])
