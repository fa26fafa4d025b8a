# SPDX-License-Identifier: GPL-2.0-or-later
"""The first pin: what sets it, and that it stays."""

from __future__ import annotations

import errno

import pytest
from _pytest.mark import ParameterSet

from guests.guest import Guest
from guests.outcome import ENOEXEC, EPERM, OK
from guests.promises import breaks
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    ENGAGED,
    NOT_ENFORCING,
    OTHER,
    PINNED,
    LogReader,
    boot,
    device_line,
    line,
    loadpin,
    modules,
    probe,
    probe_kind,
    root_after_pin,
    root_before_pin,
)
from suites.loadpin.support.load_kinds import (
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


def first_loads() -> list[ParameterSet]:
    """Each kind, with a boot in which nothing else has to be loaded first that would pin."""
    boots = (
        (MODULE_FILE, ENFORCING),
        (KEXEC_IMAGE, ENFORCING),
        (IMA_POLICY_FILE, ENFORCING),
        (KEXEC_INITRAMFS, boot("loadpin.enforce=1", "loadpin.exclude=kexec-image")),
        (FIRMWARE_WHOLE, boot("loadpin.enforce=1", "loadpin.exclude=kernel-module")),
        (FIRMWARE_PART, boot("loadpin.enforce=1", "loadpin.exclude=kernel-module")),
    )
    return [pytest.param(kind, marks=(booted, *kind.marks), id=f"{kind.id}-pins") for kind, booted in boots]


@requirement("loadpin.pin", "loadpin.device", "loadpin.writable", "loadpin.deny")
@pytest.mark.parametrize("kind", first_loads())
def test_the_first_load_pins(guest: Guest, kind: FileLoad) -> None:
    """The first load succeeds and pins: the log has the device, the engaged pin and the file; others are denied."""
    root = root_before_pin(guest)
    prepare(guest, kind, root)
    log = LogReader(guest)
    done = kind.load(root, PINNED)
    logged = [entry for entry in log.new_lines() if "pinning-excluded" not in entry]
    with breaks("loadpin.device", "loadpin.writable"):
        assert logged[:-1] == [device_line(guest, "vda", "read-only"), ENGAGED]
    with breaks(kind.about("loadpin.pin")):
        assert done == OK
        assert logged[-1:] == [kind.line("pinned", PINNED, root)]
        kind.check_and_unload(guest, root)
    with breaks(kind.about("loadpin.deny")):
        assert kind.load(root, OTHER) == kind.refused
        assert log.new_lines(f"{kind.name} denied") == [kind.line("denied", OTHER, root)]


@ENFORCING
@requirement("loadpin.pin-failed")
def test_a_failed_load_pins(guest: Guest) -> None:
    """A file that is neither a module nor a kernel fails to load, but pins as the first file read."""
    root = root_before_pin(guest)
    log = LogReader(guest)
    assert probe(guest, root, OTHER) == ENOEXEC
    assert log.last() == line(probe_kind(guest), "pinned", f"{OTHER}/junk", root)
    assert probe(guest, root, PINNED) == EPERM
    assert log.new_lines() == [line(probe_kind(guest), "denied", f"{PINNED}/junk", root)]


@NOT_ENFORCING
@requirement("loadpin.ignore")
def test_the_pin_stays(guest: Guest) -> None:
    """The pinned disk stays pinned, however often files load from elsewhere with the pin ignored."""
    root = root_after_pin(guest)
    log = LogReader(guest)
    for _ in range(2):
        assert probe(guest, root, OTHER) == ENOEXEC
        assert log.new_lines() == [line(probe_kind(guest), "pinning-ignored", f"{OTHER}/junk", root)]
        assert probe(guest, root, PINNED) == ENOEXEC
        assert log.new_lines() == []


@modules
@ENFORCING
@requirement("loadpin.one-pin")
def test_two_first_loads_at_once(guest: Guest) -> None:
    """Of two first loads that are both under way before either has returned, one pins, and the other is denied."""
    root = root_before_pin(guest)
    tasks = {PINNED: root.spawn("one"), OTHER: root.spawn("two")}
    files = {where: task.open(f"{where}/junk").result() for where, task in tasks.items()}
    log = LogReader(guest)
    calls = [task.begin("finit_module", files[where], "", 0) for where, task in tasks.items()]
    outcomes = [call.outcome() for call in calls]
    assert sorted(outcome.errno for outcome in outcomes) == [errno.EPERM, errno.ENOEXEC], outcomes
    assert sorted(entry.split()[1] for entry in log.new_lines("kernel-module ")) == ["denied", "pinned"]
