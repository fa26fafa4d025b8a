# SPDX-License-Identifier: GPL-2.0-or-later
"""The sysctls that show the actions and control what is logged; the operations that tell what a kernel has."""

from __future__ import annotations

import pytest

from guests.bpf import Action
from guests.call_arguments import Out
from guests.guest import Guest
from guests.outcome import EACCES, EFAULT, EINVAL, EOPNOTSUPP, EPERM, OK, Outcome, mismatches
from guests.syscalls.seccomp import DATA_SIZE, GET_ACTION_AVAIL, GET_NOTIF_SIZES, NOTIF_SIZE, RESPONSE_SIZE
from guests.uapi import O_RDONLY, O_WRONLY, Cap, Clone
from suites.seccomp.support.audit_records import AVAIL, DEFAULT, LOGGED, NAMES, PATH, AuditRecords, audited

pytestmark = pytest.mark.needs("SECCOMP_FILTER")
NOWHERE = 0x1000


@pytest.mark.needs("SYSCTL")
@pytest.mark.requirement("seccomp.actions-avail")
def test_actions_avail(guest: Guest) -> None:
    """kernel.seccomp.actions_avail lists all actions, most severe first, and is not writable, not even by root."""
    assert guest.sysctl(AVAIL) == NAMES
    root = guest.root()
    assert root.open(PATH + "actions_avail", O_WRONLY) == EACCES
    root.open(PATH + "actions_logged", O_WRONLY).result()
    found = guest.spawn("reader").read_text(PATH + "actions_avail")
    assert found == OK
    assert found.read().startswith(NAMES.encode())


# fmt: off
WRITES: dict[str, tuple[str, bool, str]] = {
    # what is written                                accepted?  what is read afterwards
    "one":                ("kill_process",            True,   "kill_process"),
    "in-another-order":   ("log trap kill_process",   True,   "kill_process trap log"),
    "the-same-twice":     ("trap trap",               True,   "trap"),
    "nothing":            ("",                        True,   ""),
    "a-newline":          ("errno\n",                 True,   "errno"),
    "all-but-allow":      (DEFAULT,                   True,   DEFAULT),
    "allow":              ("allow",                   False,  DEFAULT),
    "allow-among-others": ("kill_process allow log",  False,  DEFAULT),
    "an-unknown-name":    ("kill",                    False,  DEFAULT),
    "unknown-at-the-end": ("trap errno no_such",      False,  DEFAULT),
    "capital-letters":    ("TRAP",                    False,  DEFAULT),
    "commas":             ("trap,errno",              False,  DEFAULT),
}
# fmt: on


@pytest.mark.needs("SYSCTL")
@pytest.mark.requirement("seccomp.actions-logged")
def test_actions_logged(guest: Guest) -> None:
    """actions_logged accepts any set of names without allow, and returns it by severity; others change nothing."""
    found: dict[str, tuple[object, object]] = {"at first": (guest.sysctl(LOGGED), DEFAULT)}
    for name, (text, taken, afterwards) in WRITES.items():
        guest.set_sysctl(LOGGED, DEFAULT)
        found[name] = (_write(guest, text), OK if taken else EINVAL)
        found[f"{name}, read"] = (guest.sysctl(LOGGED), afterwards)
    assert mismatches(found) == []


def _write(guest: Guest, text: str) -> Outcome:
    # A sysctl that accepts a line accepts its newline too.
    return guest.write_file(PATH + "actions_logged", text if text.endswith("\n") else text + "\n")


@pytest.mark.needs("SYSCTL", "USER_NS")
@pytest.mark.requirement("seccomp.actions-logged-privilege")
def test_who_may_write_actions_logged(guest: Guest) -> None:
    """Everybody can read actions_logged; only uid 0 can open it for writing, and only with CAP_SYS_ADMIN write it."""
    path = PATH + "actions_logged"
    powerless = guest.spawn("powerless", uid=0, caps=Cap.ALL & ~Cap.SYS_ADMIN)
    apart = guest.spawn("outside", uid=0).spawn("apart", flags=Clone.NEWUSER)
    found: dict[str, tuple[object, object]] = {
        "an ordinary user reads": (guest.spawn("user").open(path, O_RDONLY), OK),
        "an ordinary user writes": (guest.spawn("user").write_text(path, "trap\n"), EACCES),
        "with CAP_SYS_ADMIN alone": (guest.spawn("capable", caps=Cap.SYS_ADMIN).write_text(path, "trap\n"), EACCES),
        "uid 0 without CAP_SYS_ADMIN": (powerless.write_text(path, "trap\n"), EPERM),
        "uid 0 with it in its own user namespace": (apart.write_text(path, "trap\n"), EPERM),
        "unchanged so far": (guest.sysctl(LOGGED), DEFAULT),
        "uid 0 with it": (guest.spawn("root", uid=0, caps=Cap.SYS_ADMIN).write_text(path, "trap\n"), OK),
        "changed": (guest.sysctl(LOGGED), "trap"),
    }
    assert mismatches(found) == []


@audited
@pytest.mark.boot("audit=1")
@pytest.mark.requirement("seccomp.log-config-change")
def test_writes_to_actions_logged_are_recorded(guest: Guest) -> None:
    """With audit=1, a record of each write has the new actions, the old ones, and whether it succeeded."""
    AuditRecords(guest)
    guest.set_sysctl(LOGGED, "trap log")
    record = guest.wait_for_log("op=seccomp-logging")
    assert "type=1305" in record
    assert f"actions=trap,log old-actions={DEFAULT.replace(' ', ',')} res=1" in record
    assert _write(guest, "allow") == EINVAL
    assert "actions=? old-actions=trap,log res=0" in guest.wait_for_log(" res=0")
    assert _write(guest, "") == OK
    assert "actions=(none) old-actions=trap,log res=1" in guest.wait_for_log("actions=(none)")
    assert _write(guest, "errno") == OK
    assert "actions=errno old-actions=(none) res=1" in guest.wait_for_log("actions=errno")


@pytest.mark.requirement("seccomp.action-avail")
def test_get_action_avail(guest: Guest) -> None:
    """SECCOMP_GET_ACTION_AVAIL knows every action and no other value, and requires no privilege."""
    task = guest.spawn("asking")
    found: dict[str, tuple[object, object]] = {action.name: (task.action_avail(action), OK) for action in Action}
    for value in (0x00010000, 0x00030001, 0x00060000, 0x7FFE0000, 0x80010000, 0xFFFFFFFF):
        found[f"{value:#x}"] = (task.action_avail(value), EOPNOTSUPP)
    found["unreadable"] = (task.call("seccomp", GET_ACTION_AVAIL, 0, NOWHERE), EFAULT)
    assert mismatches(found) == []


@pytest.mark.requirement("seccomp.notif-sizes")
def test_get_notif_sizes(guest: Guest) -> None:
    """SECCOMP_GET_NOTIF_SIZES returns the sizes of three structures, in two bytes each."""
    task = guest.spawn("asking")
    told = task.call("seccomp", GET_NOTIF_SIZES, 0, Out(6))
    assert told == OK
    assert task.abi.unpack("3H", told.read()) == (NOTIF_SIZE, RESPONSE_SIZE, DATA_SIZE)
    assert task.call("seccomp", GET_NOTIF_SIZES, 0, NOWHERE) == EFAULT
