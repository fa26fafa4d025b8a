# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines of walks that are longer than one call."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest

from guests.errors import GuestBroke
from guests.guest import Guest
from guests.outcome import Outcome, exited
from guests.syscalls.block_devices import SECTOR, DmTarget
from guests.task import Task
from guests.uapi import MS_PRIVATE, MS_REC, Clone
from suites.loadpin.support.disks_and_log import UNMOUNTED, LogReader, line, probe, probe_kind
from suites.loadpin.support.verified_devices import verity_of
from suites.lockdown_and_signing import lockdown, signatures_enforced, turned_off_loads

ENFORCE = "/proc/sys/kernel/loadpin/enforce"
RESET_DEADLINE_S = 10.0


def skip_where_others_refuse(guest: Guest) -> None:
    """Skip a test if something other than LoadPin refuses its loads."""
    if (level := lockdown(guest)) != "none":
        pytest.skip(f"for a kernel that is not locked down: its level is {level}")
    if signatures_enforced(guest):
        pytest.skip("for a kernel that accepts modules without a signature")
    for setting in turned_off_loads(guest):
        pytest.skip(f"for a kernel that loads modules and other kernels: {setting} from the boot on")


def spawn_apart(parent: Task, name: str) -> Task:
    """A child with a mount namespace of its own, from which no mount reaches another one."""
    child = parent.spawn(name, flags=Clone.NEWNS)
    child.call("mount", None, "/", None, MS_REC | MS_PRIVATE, None, shown="make all mounts private").result()
    return child


def end(parent: Task, child: Task) -> None:
    child.exit().require(exited(0))
    parent.reap(child).result()


def map_linear(guest: Guest, task: Task, name: str, below: str) -> str:
    """A linear device above another one, which has the data of /dev/vdc, and its path."""
    tree = verity_of(guest, 2)
    return task.create_mapped(name, DmTarget(tree.data_blocks * tree.block_size // SECTOR, "linear", f"{below} 0"))


def replace_table(task: Task, name: str, table: DmTarget) -> None:
    """Load another table into a device, and have it take effect."""
    task.load_table(name, table).result()
    task.suspend_dm(name).result()
    task.resume_dm(name).result()


def read_false_device(guest: Guest, task: Task) -> Outcome:
    """Read from a verity device above /dev/vdd whose table has the root digest of /dev/vdc."""
    table = dataclasses.replace(verity_of(guest, 3), root_digest=verity_of(guest, 2).root_digest).target("/dev/vdd")
    descriptor = task.open(task.create_mapped("false", table)).result()
    done = task.read(descriptor)
    task.close(descriptor).result()
    task.remove_dm("false").result()
    return done


def lines_of_the_end(guest: Guest, log: LogReader) -> list[str]:
    """LoadPin's lines, after waiting for the one about the end of the pinned file system."""
    with contextlib.suppress(GuestBroke):
        guest.wait_for_log(f"LoadPin: {UNMOUNTED}")
    return log.new_lines()


def lines_of_the_new_pin(
    guest: Guest, log: LogReader, task: Task, directory: str, deadline_s: float = RESET_DEADLINE_S
) -> list[str]:
    """Load until the former superblock is gone, up to which the pin is ignored; LoadPin's lines about the last."""
    ignored = [line(probe_kind(guest), "pinning-ignored", f"{directory}/junk", task)]
    found: list[str] = []

    def pinned() -> bool:
        probe(guest, task, directory)
        found[:] = log.new_lines()
        return found != ignored

    with contextlib.suppress(GuestBroke):
        guest.wait_until(pinned, "a load to pin anew", deadline_s)
    return found
