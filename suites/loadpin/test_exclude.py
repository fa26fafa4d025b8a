# SPDX-License-Identifier: GPL-2.0-or-later
"""loadpin.exclude=: which names it accepts, and what it does not exclude.  What it excludes: test_origins.py."""

from __future__ import annotations

import pytest
from _pytest.mark import ParameterSet

from guests.guest import Guest
from guests.outcome import ENOEXEC, OK
from guests.promises import breaks
from suites.loadpin.support.disks_and_log import (
    KINDS,
    OTHER,
    PINNED,
    LogReader,
    boot,
    boot_lines,
    loadpin,
    probe,
    root_before_pin,
)
from suites.loadpin.support.load_kinds import (
    FILE_LOADS,
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
READY = "ready to pin (currently enforcing)"
UNKNOWN = "loadpin.exclude-unknown"


def excluding(names: str) -> pytest.MarkDecorator:
    return boot("loadpin.enforce=1", f"loadpin.exclude={names}")


SEVERAL_KINDS = ("firmware", "x509-certificate", "security-policy")
SEVERAL = excluding("firmware,,x509-certificate,security-policy")
SIX_AND_A_KIND = excluding("a,b,c,d,e,f,kernel-module")
"""As many names as there is room for until 6.18, with `unknown` (include/linux/kernel_read_file.h)."""
EMPTY = excluding("")
ALMOST_RIGHT = excluding(
    "kernel,module,kernel-modules,kernel-modul,Kernel-Module,kernel_module,firmware*,kexec,kexec-,policy"
)
EVERY = boot("loadpin.enforce=0", f"loadpin.exclude={','.join(KINDS)}")


# The boot log


# fmt: off
BOOT_LOGS: tuple[tuple[str, pytest.MarkDecorator, tuple[str, ...]], ...] = (
    #  loadpin.exclude=              boot                          kinds
    ("firmware",                     excluding("firmware"),        ("firmware",)),
    ("kernel-module",                excluding("kernel-module"),   ("kernel-module",)),
    ("kexec-image",                  excluding("kexec-image"),     ("kexec-image",)),
    ("kexec-initramfs",              excluding("kexec-initramfs"), ("kexec-initramfs",)),
    ("security-policy",              excluding("security-policy"), ("security-policy",)),
    ("several-and-an-empty-name",    SEVERAL,                      SEVERAL_KINDS),
    ("six-unknown-names-and-a-kind", SIX_AND_A_KIND,               ("kernel-module",)),
    ("nothing",                      EMPTY,                        ()),
)
# fmt: on


@requirement("loadpin.exclude-logged", "loadpin.exclude-unknown")
@pytest.mark.parametrize("kinds", [pytest.param(kinds, marks=booted, id=name) for name, booted, kinds in BOOT_LOGS])
def test_boot_names_what_is_excluded(guest: Guest, kinds: tuple[str, ...]) -> None:
    """The boot log has one line for each excluded kind, in the order of the command line, and no other."""
    logged, wanted = boot_lines(guest.boot_log), [READY, *(f"excluding: {kind}" for kind in kinds)]
    with breaks("loadpin.exclude-logged"):
        assert [entry for entry in logged if entry in wanted] == wanted
    with breaks("loadpin.exclude-unknown"):
        assert logged == wanted


@EVERY
@requirement("loadpin.exclude-logged")
def test_boot_names_every_kind(guest: Guest) -> None:
    """All kinds can be excluded together."""
    assert boot_lines(guest.boot_log)[1:] == [f"excluding: {kind}" for kind in KINDS]


@ALMOST_RIGHT
@requirement("loadpin.exclude-unknown")
def test_names_that_are_almost_right(guest: Guest) -> None:
    """A name that is too short, too long, in another case or with another character is not a kind."""
    assert boot_lines(guest.boot_log) == [READY]


# Kinds that are not excluded


def not_excluded(
    excluded: pytest.MarkDecorator, name: str, *kinds: FileLoad, promise: str = "loadpin.exclude-only"
) -> list[ParameterSet]:
    return [
        pytest.param(
            kind,
            promise,
            marks=(excluded, requirement(promise), *kind.marks),
            id=f"{kind.id}-if-{name}-is-excluded",
        )
        for kind in kinds
    ]


@pytest.mark.parametrize(
    ("kind", "promise"),
    [
        *not_excluded(excluding("kexec-image"), "kexec-image", KEXEC_INITRAMFS, MODULE_FILE),
        *not_excluded(excluding("kexec-initramfs"), "kexec-initramfs", KEXEC_IMAGE, IMA_POLICY_FILE),
        *not_excluded(excluding("kernel-module"), "kernel-module", FIRMWARE_WHOLE, FIRMWARE_PART, KEXEC_IMAGE),
        *not_excluded(excluding("firmware"), "firmware", MODULE_FILE, IMA_POLICY_FILE),
        *not_excluded(excluding("security-policy"), "security-policy", FIRMWARE_WHOLE, KEXEC_INITRAMFS),
        *not_excluded(SEVERAL, "several", MODULE_FILE, KEXEC_IMAGE),
        *not_excluded(EMPTY, "nothing", *FILE_LOADS, promise=UNKNOWN),
        *not_excluded(ALMOST_RIGHT, "almost-right-names", *FILE_LOADS, promise=UNKNOWN),
    ],
)
def test_another_kind_is_denied(guest: Guest, kind: FileLoad, promise: str) -> None:
    """A kind that is not excluded loads from the pinned disk and is denied from elsewhere."""
    root = root_before_pin(guest)
    prepare(guest, kind, root)
    with breaks(kind.about(promise)):
        # This pins, unless something has pinned before.
        assert kind.load(root, PINNED) == OK
        kind.check_and_unload(guest, root)
        log = LogReader(guest)
        assert kind.load(root, OTHER) == kind.refused
        assert log.new_lines(f"{kind.name} ") == [kind.line("denied", OTHER, root)]


@SEVERAL
@requirement(UNKNOWN)
@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=kind.marks, id=kind.id) for kind in (FIRMWARE_WHOLE, FIRMWARE_PART, IMA_POLICY_FILE)],
)
def test_several_kinds_are_excluded(guest: Guest, kind: FileLoad) -> None:
    """Each kind in the list is excluded, including those after an empty name."""
    root = root_before_pin(guest)
    prepare(guest, kind, root)
    log = LogReader(guest)
    with breaks(kind.about(UNKNOWN)):
        assert kind.load(root, OTHER) == OK
        assert log.new_lines() == [kind.line("pinning-excluded", OTHER, root)]
        kind.check_and_unload(guest, root)


# An excluded load pins nothing


def excluded_loads() -> list[ParameterSet]:
    found = []
    for kind in (MODULE_FILE, KEXEC_IMAGE, IMA_POLICY_FILE):
        booted = excluding(kind.name)
        follower = IMA_POLICY_FILE if kind is not IMA_POLICY_FILE else KEXEC_IMAGE
        marks = (booted, *kind.marks, *follower.marks)
        found.append(pytest.param(kind, follower, marks=marks, id=f"{kind.id}-does-not-pin"))
    return found


@requirement("loadpin.exclude-no-pin")
@pytest.mark.parametrize(("kind", "follower"), excluded_loads())
def test_an_excluded_load_does_not_pin(guest: Guest, kind: FileLoad, follower: FileLoad) -> None:
    """An excluded load comes first, from another disk; the first load of another kind then pins its own disk."""
    root = root_before_pin(guest)
    log = LogReader(guest)
    assert kind.load(root, OTHER) == OK
    assert log.new_lines() == [kind.line("pinning-excluded", OTHER, root)]
    kind.check_and_unload(guest, root)
    assert follower.load(root, PINNED) == OK
    assert log.last() == follower.line("pinned", PINNED, root)
    follower.check_and_unload(guest, root)
    assert follower.load(root, OTHER) == follower.refused
    assert log.new_lines() == [follower.line("denied", OTHER, root)]


@EVERY
@requirement("loadpin.exclude-no-pin")
def test_if_everything_is_excluded_nothing_is_pinned(guest: Guest) -> None:
    """With every kind excluded, no load pins: LoadPin logs nothing about a device."""
    root = root_before_pin(guest)
    log = LogReader(guest)
    for directory in (OTHER, PINNED):
        assert probe(guest, root, directory) == ENOEXEC
    assert [entry.split()[1] for entry in log.new_lines()] == ["pinning-excluded"] * 2
