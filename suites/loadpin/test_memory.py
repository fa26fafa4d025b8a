# SPDX-License-Identifier: GPL-2.0-or-later
"""Loads without a file: the contents come from a program's memory, and LoadPin cannot tell their origin."""

from __future__ import annotations

import errno
from collections.abc import Iterable

import pytest
from _pytest.mark import ParameterSet

from guests.guest import Guest
from guests.outcome import EFAULT, EINVAL, ENOEXEC, EPERM, OK, Expected, Outcome, error
from guests.uapi import KEXEC_ON_CRASH, Cap, Clone
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    NOT_ENFORCING,
    PINNED,
    LogReader,
    boot,
    line,
    line_without_file,
    loadpin,
    modules,
    needs,
    probe,
    probe_kind,
    root_after_pin,
    root_before_pin,
)
from suites.loadpin.support.load_kinds import INIT_MODULE, KEXEC_LOAD, MEMORY_LOADS, MemoryLoad
from suites.user_namespaces import map_ids

pytestmark = loadpin

requirement = pytest.mark.requirement
JUNK = b"nothing that anybody could load\n" * 64


def each(result: str, kinds: Iterable[MemoryLoad] = MEMORY_LOADS) -> list[ParameterSet]:
    return [pytest.param(kind, marks=kind.marks, id=f"{kind.id}-is-{result}") for kind in kinds]


@ENFORCING
@requirement("loadpin.old-api")
@pytest.mark.parametrize("kind", each("denied"))
def test_before_a_pin_while_enforcing(guest: Guest, kind: MemoryLoad) -> None:
    """A load from memory is denied even before a pin, and pins nothing: the first file does."""
    root = root_before_pin(guest, other=False)
    log = LogReader(guest)
    assert kind.load(guest, root) == EPERM
    assert log.new_lines() == [kind.line("old-api-denied", root)]
    assert probe(guest, root, PINNED) == ENOEXEC
    assert log.last() == line(probe_kind(guest), "pinned", f"{PINNED}/junk", root)


@NOT_ENFORCING
@requirement("loadpin.old-api")
@pytest.mark.parametrize("kind", each("ignored"))
def test_before_a_pin_while_not_enforcing(guest: Guest, kind: MemoryLoad) -> None:
    """A load from memory succeeds while LoadPin does not enforce, and pins nothing."""
    root = root_before_pin(guest, other=False)
    log = LogReader(guest)
    assert kind.load(guest, root) == OK
    assert log.new_lines() == [kind.line("old-api-pinning-ignored", root)]
    kind.check_and_unload(guest, root)
    log.new_lines()
    assert probe(guest, root, PINNED) == ENOEXEC
    assert log.last() == line(probe_kind(guest), "pinned", f"{PINNED}/junk", root)


@ENFORCING
@requirement("loadpin.old-api")
@pytest.mark.parametrize("kind", each("denied"))
def test_after_a_pin_while_enforcing(guest: Guest, kind: MemoryLoad) -> None:
    """A load from memory is denied after a pin too, even of contents that a program has read from the pinned disk."""
    root = root_after_pin(guest, other=False)
    log = LogReader(guest)
    assert kind.load(guest, root) == EPERM
    assert log.new_lines() == [kind.line("old-api-denied", root)]


@NOT_ENFORCING
@requirement("loadpin.old-api")
@pytest.mark.parametrize("kind", each("ignored"))
def test_after_a_pin_while_not_enforcing(guest: Guest, kind: MemoryLoad) -> None:
    """A load from memory succeeds while LoadPin does not enforce, and the pin stays."""
    root = root_after_pin(guest, other=False)
    log = LogReader(guest)
    assert kind.load(guest, root) == OK
    assert log.new_lines() == [kind.line("old-api-pinning-ignored", root)]
    kind.check_and_unload(guest, root)
    log.new_lines()
    assert probe(guest, root, PINNED) == ENOEXEC
    assert log.new_lines() == []


@requirement("loadpin.exclude-old-api")
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=(boot("loadpin.enforce=1", f"loadpin.exclude={kind.name}"), *kind.marks), id=kind.id)
        for kind in MEMORY_LOADS
    ],
)
def test_excluded(guest: Guest, kind: MemoryLoad) -> None:
    """An excluded kind also loads from memory while LoadPin enforces."""
    root = root_before_pin(guest, other=False)
    log = LogReader(guest)
    assert kind.load(guest, root) == OK
    assert log.new_lines() == [kind.line("pinning-excluded", root)]
    kind.check_and_unload(guest, root)


def others() -> list[ParameterSet]:
    cells = (
        ("kernel-module", KEXEC_LOAD),
        ("kexec-initramfs", KEXEC_LOAD),
        ("kexec-image", INIT_MODULE),
    )
    return [
        pytest.param(
            kind,
            marks=(boot("loadpin.enforce=1", f"loadpin.exclude={excluded}"), *kind.marks),
            id=f"{kind.id}-if-{excluded}-is-excluded",
        )
        for excluded, kind in cells
    ]


@requirement("loadpin.exclude-only")
@pytest.mark.parametrize("kind", others())
def test_not_excluded(guest: Guest, kind: MemoryLoad) -> None:
    """While one kind is excluded, loads of another kind from memory are denied as usual."""
    root = root_before_pin(guest, other=False)
    log = LogReader(guest)
    assert kind.load(guest, root) == EPERM
    assert log.new_lines() == [kind.line("old-api-denied", root)]


# Other system calls


@modules
@needs("IA32_EMULATION")
@ENFORCING
@requirement("loadpin.old-api")
def test_init_module_by_int_0x80(guest: Guest) -> None:
    """A 32-bit program's init_module() is denied too."""
    root = root_before_pin(guest, other=False)
    log = LogReader(guest)
    assert root.call32("init_module", JUNK, len(JUNK), "") == EPERM
    assert log.new_lines() == [line_without_file("kernel-module", "old-api-denied", root)]


@needs("KEXEC", "IA32_EMULATION")
@ENFORCING
@requirement("loadpin.old-api")
def test_kexec_load_by_int_0x80(guest: Guest) -> None:
    """A 32-bit program's kexec_load(), which has a separate entry point, is denied too."""
    root = root_before_pin(guest, other=False)
    log = LogReader(guest)
    assert root.call32("kexec_load", 0, 0, None, 0) == EPERM
    assert log.new_lines() == [line_without_file("kexec-image", "old-api-denied", root)]


@needs("KEXEC")
@requirement("loadpin.old-api")
@pytest.mark.parametrize(
    ("outcome", "logged"),
    [
        pytest.param(EPERM, "old-api-denied", marks=ENFORCING, id="while-enforcing-is-denied"),
        pytest.param(OK, "old-api-pinning-ignored", marks=NOT_ENFORCING, id="while-not-enforcing-is-ignored"),
    ],
)
def test_kexec_load_for_a_crash(guest: Guest, outcome: Expected, logged: str) -> None:
    """A crash kernel is checked like any other.  With no segments, it needs no reserved memory."""
    root = root_before_pin(guest, other=False)
    log = LogReader(guest)
    assert root.kexec_load(segments=0, flags=KEXEC_ON_CRASH) == outcome
    assert log.new_lines() == [line_without_file("kexec-image", logged, root)]


# Checks before LoadPin is consulted, and after


@modules
@ENFORCING
@requirement("loadpin.order")
def test_init_module_of_too_few_bytes(guest: Guest) -> None:
    """init_module() of less than an ELF header fails with ENOEXEC before LoadPin is consulted."""
    root = root_before_pin(guest, other=False)
    log = LogReader(guest)
    assert root.init_module(b"little") == ENOEXEC
    assert log.new_lines() == []


@modules
@ENFORCING
@requirement("loadpin.order-after")
def test_init_module_of_unreadable_memory(guest: Guest) -> None:
    """LoadPin's EPERM comes before the kernel tries to read the caller's memory, which is unmapped."""
    root = root_before_pin(guest, other=False)
    log = LogReader(guest)
    assert root.call("init_module", None, 4096, "") == EPERM
    assert log.new_lines() == [line_without_file("kernel-module", "old-api-denied", root)]


@modules
@NOT_ENFORCING
@requirement("loadpin.order-after")
def test_init_module_of_unreadable_memory_while_not_enforcing(guest: Guest) -> None:
    """LoadPin lets init_module() of unmapped memory pass, and only then does it fail with EFAULT."""
    root = root_before_pin(guest, other=False)
    log = LogReader(guest)
    assert root.call("init_module", None, 4096, "") == EFAULT
    assert log.new_lines() == [line_without_file("kernel-module", "old-api-pinning-ignored", root)]


@needs("KEXEC")
@requirement("loadpin.order-after")
@pytest.mark.parametrize(
    ("error", "logged"),
    [
        pytest.param(EPERM, "old-api-denied", marks=ENFORCING, id="while-enforcing-is-EPERM"),
        pytest.param(EINVAL, "old-api-pinning-ignored", marks=NOT_ENFORCING, id="while-not-enforcing-is-EINVAL"),
    ],
)
def test_kexec_load_with_unknown_flags(guest: Guest, error: Expected, logged: str) -> None:
    """kexec_load() consults LoadPin before it checks the flags."""
    root = root_before_pin(guest, other=False)
    log = LogReader(guest)
    assert root.kexec_load(segments=0, flags=0x800) == error
    assert log.new_lines() == [line_without_file("kexec-image", logged, root)]


@needs("KEXEC")
@NOT_ENFORCING
@requirement("loadpin.kexec-segments")
def test_kexec_load_of_impossible_segments(guest: Guest) -> None:
    """A segment that wraps around, or is larger than the memory, is refused before its content, NULL, is read."""
    root = guest.root()
    page, place = root.hello().page_size, root.abi.memory_begins + (32 << 20)
    last_page, more_than_memory = (1 << 8 * root.abi.word) - page, 1 << (40 if root.abi.word == 8 else 31)

    def load(start: int, size: int) -> Outcome:
        shown = f"kexec_load({size:#x} bytes at {start:#x})"
        return root.call("kexec_load", place, 1, root.abi.words(0, page, start, size), 0, shown=shown)

    assert root.kexec_load() == OK
    assert root.kexec_load(segments=0) == OK
    assert load(place + 1, page) == error(errno.EADDRNOTAVAIL)
    assert load(last_page, 3 * page) == error(errno.EADDRNOTAVAIL)
    assert load(place, more_than_memory) == EINVAL
    assert not root.kernel_is_loaded()


@requirement("loadpin.order")
@ENFORCING
@pytest.mark.parametrize("kind", each("EPERM-unlogged"))
def test_without_the_capability(guest: Guest, kind: MemoryLoad) -> None:
    """A caller without the capability to load is refused before LoadPin is consulted."""
    unprivileged = guest.spawn("unprivileged", caps=Cap.ALL & ~Cap.SYS_MODULE & ~Cap.SYS_BOOT)
    log = LogReader(guest)
    assert kind.load(guest, unprivileged) == EPERM
    assert log.new_lines() == []


@needs("USER_NS")
@requirement("loadpin.order-namespace")
@ENFORCING
@pytest.mark.parametrize("kind", each("EPERM-unlogged"))
def test_root_of_a_user_namespace(guest: Guest, kind: MemoryLoad) -> None:
    """Root of a user namespace, with all capabilities there, is refused before LoadPin is consulted; root is not."""
    root = guest.root()
    inside = root.spawn("inside", flags=Clone.NEWUSER)
    map_ids(guest, inside, "0 0 1")
    log = LogReader(guest)
    assert kind.load(guest, inside) == EPERM
    assert log.new_lines() == []
    kind.load(guest, root).require(EPERM)
    assert log.new_lines() == [kind.line("old-api-denied", root)]
