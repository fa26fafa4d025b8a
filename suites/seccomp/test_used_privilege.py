# SPDX-License-Identifier: GPL-2.0-or-later
"""A task that has used its privilege is marked (PF_SUPERPRIV), also if it was to install a filter."""

from __future__ import annotations

import pytest

from guests.bpf import Action, ret
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EACCES, OK
from guests.task import Task
from guests.uapi import Clone

pytestmark = [pytest.mark.needs("SECCOMP_FILTER", "USER_NS"), pytest.mark.requirement("seccomp.privilege-mark")]

PF_SUPERPRIV = 0x100
"""include/linux/sched.h; process accounting shows it as ASU (include/uapi/linux/acct.h)."""
ALLOW_ALL = (ret(Action.ALLOW),)


def marked(guest: Guest, task: Task) -> bool:
    """Whether field 9 of /proc/PID/stat, the task's flags, has the mark."""
    after_the_name = guest.read_file(f"/proc/{task.pid}/task/{task.tid}/stat").rpartition(")")[2]
    return bool(int(after_the_name.split()[6]) & PF_SUPERPRIV)


def unmarked_child(guest: Guest, flags: Clone = Clone.NONE) -> Task:
    """A task that has used no privilege, unlike its parent, which has set its own capabilities."""
    task = guest.spawn("parent", quiet=True).spawn("child", flags=flags)
    require(not marked(guest, task), f"{task} has used privilege already")
    return task


def test_installing_a_filter(guest: Guest) -> None:
    """Installing a filter by CAP_SYS_ADMIN marks the task; installing one by no_new_privs does not, nor an attempt.

    The capability is one in a user namespace: the compiler of filters asks, too, whether the task has it outside of
    any (arch/x86/net/bpf_jit_comp.c: do_jit()).
    """
    privileged = unmarked_child(guest, Clone.NEWUSER)
    assert privileged.install(ALLOW_ALL) == OK
    assert marked(guest, privileged)
    restricted = unmarked_child(guest, Clone.NEWUSER)
    restricted.set_no_new_privs().result()
    assert restricted.install(ALLOW_ALL) == OK
    assert not marked(guest, restricted)
    unprivileged = unmarked_child(guest)
    assert unprivileged.install(ALLOW_ALL) == EACCES
    assert not marked(guest, unprivileged)
