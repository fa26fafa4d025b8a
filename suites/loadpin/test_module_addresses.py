# SPDX-License-Identifier: GPL-2.0-or-later
"""Where modules are in memory, and who can read that in /proc/modules and in /sys/module.

Once a module of the pinned file system is loaded, these files are all that hides its place from attackers.
"""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import returned
from guests.task import Task
from guests.uapi import Cap
from suites.loadpin.support.disks_and_log import ENFORCING, PINNED, loadpin, modules, needs, root_before_pin

pytestmark = [loadpin, modules, ENFORCING]

requirement = pytest.mark.requirement
MODULE = "test_firmware"
SECTION = f"/sys/module/{MODULE}/sections/.text"


def root_with_module(guest: Guest) -> Task:
    """root, with a module loaded, and with addresses for those who have CAP_SYSLOG."""
    guest.set_sysctl("kernel.kptr_restrict", 1)
    root = root_before_pin(guest, other=False)
    root.load_module(f"{PINNED}/{MODULE}.ko").result()
    return root


def address_of_module(task: Task) -> int:
    lines = task.content("/proc/modules").decode().splitlines()
    return next(int(line.split()[5], 16) for line in lines if line.startswith(f"{MODULE} "))


def address_of_section(task: Task) -> int:
    return int(task.content(SECTION), 16)


@requirement("loadpin.module-address")
def test_address_of_a_module(guest: Guest) -> None:
    """/proc/modules shows a module's address to root, and 0 to root without CAP_SYSLOG and to other users."""
    root = root_with_module(guest)
    assert address_of_module(root) != 0
    assert address_of_module(guest.spawn("incapable", uid=0, caps=Cap.ALL & ~Cap.SYSLOG)) == 0
    assert address_of_module(guest.spawn("user")) == 0


@needs("KALLSYMS")
@requirement("loadpin.section-address")
def test_address_of_a_section(guest: Guest) -> None:
    """/sys/module shows the address of a module's section to root, and 0 to root without CAP_SYSLOG."""
    root = root_with_module(guest)
    assert address_of_section(root) != 0
    assert address_of_section(guest.spawn("incapable", uid=0, caps=Cap.ALL & ~Cap.SYSLOG)) == 0


@needs("KALLSYMS")
@requirement("loadpin.section-short-read")
def test_short_read_of_a_section(guest: Guest) -> None:
    """A read of fewer bytes than the address of a section has gets its first ones."""
    root = root_with_module(guest)
    length = len("0x\n") + 2 * root.abi.word
    address = root.content(SECTION)
    assert len(address) == length
    short = root.read(root.open(SECTION).result(), length - 2)
    assert short == returned(length - 2)
    assert short.read() == address[:-2]
