# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules of the kernel's audit, as auditctl adds them: which processes are audited, and which of their calls."""

from __future__ import annotations

from socket import AF_NETLINK, SOCK_RAW

from guests.errors import require
from guests.guest import Guest

AUDIT_ADD_RULE, REQUEST_AND_ACK, NETLINK_AUDIT = 1011, 5, 9
AT_CREATION, AT_THE_EXIT, EXCLUDED = 1, 4, 5
NEVER, ALWAYS = 0, 2
UID, TYPE, EQUAL = 1, 12, 0x40000000


def audit_calls(guest: Guest, name: str, *, uid: int | None = None) -> None:
    """Audit each call of this name at its exit, perhaps only that of a user: auditctl -a always,exit -S NAME."""
    # With audit=1, the boot may have logged as many records as the kernel logs in five seconds.
    guest.set_sysctl("kernel.printk_ratelimit", 0)
    _add_rule(guest, AT_THE_EXIT, ALWAYS, {} if uid is None else {UID: uid}, guest.init.number(name))


def leave_new_tasks_alone(guest: Guest) -> None:
    """Audit no task that is created from now on: auditctl -a never,task.

    Children of init may have been created before.
    """
    _add_rule(guest, AT_CREATION, NEVER, {})


def exclude_records(guest: Guest, kind: int, *, uid: int) -> None:
    """Drop a user's records of this type: auditctl -a always,exclude -F msgtype=KIND -F uid=UID."""
    _add_rule(guest, EXCLUDED, ALWAYS, {TYPE: kind, UID: uid})


def _add_rule(guest: Guest, list_: int, action: int, equal: dict[int, int], call: int | None = None) -> None:
    """`equal`: the values that fields must have."""
    auditor = guest.root("auditor")
    calls = [0] * 64
    if call is not None:
        calls[call // 32] = 1 << call % 32
    rest = [0] * (64 - len(equal))
    values, operators = [*equal.values(), *rest], [EQUAL] * len(equal) + rest
    rule = auditor.abi.pack("III257I", list_, action, len(equal), *calls, *equal, *rest, *values, *operators, 0)
    header = auditor.abi.pack("IHHII", 16 + len(rule), AUDIT_ADD_RULE, REQUEST_AND_ACK, 1, 0)
    socket = auditor.call("socket", AF_NETLINK, SOCK_RAW, NETLINK_AUDIT).result()
    auditor.call("sendto", socket, header + rule, 16 + len(rule), 0, None, 0).result()
    answer = auditor.read(socket, 64).read()
    taken = auditor.abi.unpack_from("IHHIIi", answer)[1::4] == (2, 0)
    require(taken, f"the kernel did not take the audit rule of list {list_}, action {action}")
