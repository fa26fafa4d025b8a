# SPDX-License-Identifier: GPL-2.0-or-later
"""The audit records of filters' actions, and the sysctl that says which actions are recorded."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

from guests.bpf import log, policy
from guests.guest import Guest
from guests.task import Task
from suites.seccomp.support.filtered_tasks import unprivileged

AVAIL, LOGGED = "kernel.seccomp.actions_avail", "kernel.seccomp.actions_logged"
PATH = "/proc/sys/kernel/seccomp/"
NAMES = "kill_process kill_thread trap errno user_notif trace log allow"
DEFAULT = "kill_process kill_thread trap errno user_notif trace log"
audited = pytest.mark.needs("AUDIT", "SYSCTL")


class AuditRecords:
    """The guest's audit records of filters, by the task that caused them."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        # Without an audit daemon, the records go to the kernel log, and none must be dropped by rate limiting.
        guest.set_sysctl("kernel.printk_ratelimit", 0)

    def wait_for_all(self) -> None:
        """Wait until all records so far can be read: they come in order, so wait for one more."""
        logged = self.guest.sysctl(LOGGED)
        self.guest.set_sysctl(LOGGED, DEFAULT)
        last = unprivileged(self.guest, "last")
        last.install(policy(log("getppid"))).result()
        last.call("getppid").result()
        self.guest.set_sysctl(LOGGED, logged or "\n")
        self.guest.wait_for_log(f" pid={last.pid} ")

    def of(self, task: Task) -> list[str]:
        return [line for line in self.guest.log() if "type=1326" in line and f" pid={task.pid} " in line]


def fields(record: str) -> dict[str, str]:
    """The fields of a record by name; one that is missing is empty."""
    return defaultdict(str, re.findall(r"(\w+)=(\S+)", record.partition("): ")[2]))
