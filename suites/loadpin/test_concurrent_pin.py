# SPDX-License-Identifier: GPL-2.0-or-later
"""Loads at the same time as one another, and as changes of LoadPin's enforcement."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from guests.guest import Guest
from guests.outcome import ENOEXEC
from guests.sysctl_path import sysctl_path
from guests.uapi import MNT_DETACH, O_WRONLY
from suites.loadpin.support.disks_and_log import (
    ENFORCING,
    OTHER,
    PINNED,
    SYSCTL,
    UNMOUNTED,
    LogReader,
    loadpin,
    modules,
    probe,
    root_before_pin,
)
from suites.races.race import Race

pytestmark = [pytest.mark.races, loadpin, modules, ENFORCING]

EITHER = {"ENOEXEC", "EPERM"}
"""ENOEXEC means that LoadPin has allowed the load."""


@pytest.mark.requirement("loadpin.one-pin")
def test_first_loads(fresh_races: Iterator[tuple[Guest, Race]]) -> None:
    """Of the first loads from three superblocks at the same time, one pins, and the others are denied."""
    for guest, race in fresh_races:
        root = root_before_pin(guest)
        root.copy_file(f"{PINNED}/junk", "/tmp/junk")  # noqa: S108 - the guest's
        tasks = {where: root.spawn(where) for where in (PINNED, OTHER, "/tmp")}  # noqa: S108
        files = {where: task.open(f"{where}/junk").result() for where, task in tasks.items()}
        plans = {where: race.plan(task) for where, task in tasks.items()}
        log = LogReader(guest)
        race.go(*plans.values())
        for where, plan in plans.items():
            race.watch(where, plan.call("finit_module", files[where], "", 0))
        race.tally(*plans.values())
        allowed, denied = "ENOEXEC", "EPERM"
        race.check((allowed, denied, denied), (denied, allowed, denied), (denied, denied, allowed), rounds=1)
        lines = sorted(entry.split()[1] for entry in log.new_lines("kernel-module "))
        assert lines == ["denied", "denied", "pinned"]


@pytest.mark.requirement("loadpin.umount")
def test_pin_and_umount(fresh_races: Iterator[tuple[Guest, Race]]) -> None:
    """The first load comes while its file system is detached: it pins, and nothing loads once it is closed."""
    for guest, race in fresh_races:
        root = root_before_pin(guest)
        loader, unmounter = root.spawn("loader"), root.spawn("unmounter")
        file, another = (
            task.open(f"{where}/junk").result() for task, where in ((loader, PINNED), (unmounter, OTHER))
        )
        loading, unmounting = race.plan(loader), race.plan(unmounter)
        log = LogReader(guest)
        race.go(loading, unmounting)
        race.watch("load", loading.call("finit_module", file, "", 0))
        loading.call("close", file)
        race.watch("detach", unmounting.call("umount2", PINNED, MNT_DETACH))
        race.meet(loading, unmounting)
        race.watch("load from another", unmounting.call("finit_module", another, "", 0))
        race.tally(loading, unmounting)
        race.check(("ENOEXEC", "OK", "EPERM"), rounds=1)
        guest.wait_for_log(f"LoadPin: {UNMOUNTED}")
        assert [entry.split()[1] for entry in log.new_lines("kernel-module ")] == ["pinned", "denied"]


@pytest.mark.needs("SYSCTL")
@pytest.mark.requirement("loadpin.sysctl-writable")
def test_enforcement_and_load(guest: Guest, race: Race) -> None:
    """During a change of enforcement, a load from elsewhere is allowed or denied; after it, as the new value says."""
    root = root_before_pin(guest)
    probe(guest, root, OTHER).require(ENOEXEC)
    changer = root.spawn("changer")
    switch = changer.open(sysctl_path(SYSCTL), O_WRONLY).result()
    file = root.open(f"{PINNED}/junk").result()
    changing, loading = race.plan(changer), race.plan(root)
    race.switch(
        *(changing, loading),
        on=lambda: changing.call("pwrite64", switch, b"0", 1, 0),
        off=lambda: changing.call("pwrite64", switch, b"1", 1, 0),
        look=lambda: loading.call("finit_module", file, "", 0),
    )
    #           not enforcing              enforcing
    race.check(("OK", EITHER, "ENOEXEC", "OK", EITHER, "EPERM"), most=2000)  # each logs five lines
