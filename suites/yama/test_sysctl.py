# SPDX-License-Identifier: GPL-2.0-or-later
"""kernel.yama.ptrace_scope: who may read it, who may write it, and which values it accepts."""

from __future__ import annotations

import pytest

from guests.call_arguments import Out
from guests.guest import Guest
from guests.outcome import EACCES, EINVAL, EPERM, OK, Expected
from guests.uapi import AT_FDCWD, O_RDWR, O_WRONLY, STATX_BASIC_STATS, Cap, Clone
from suites.yama.support.accesses import LOCKING, SCOPE

pytestmark = pytest.mark.needs("SECURITY_YAMA", "SYSCTL")

FILE = "/proc/sys/kernel/yama/ptrace_scope"
ALL_BUT_PTRACE = Cap.ALL & ~Cap.SYS_PTRACE


@pytest.mark.requirement("yama.sysctl-mode")
def test_mode(guest: Guest) -> None:
    """ptrace_scope has mode 0644 and owner root: all can read it, and non-root gets EACCES on opening it to write."""
    guest.set_sysctl(SCOPE, 2)
    user = guest.spawn("user")
    status = user.call("statx", AT_FDCWD, FILE, 0, STATX_BASIC_STATS, Out(256))
    assert status == OK
    # struct statx: stx_uid, stx_gid and stx_mode are at byte 20.
    owner, group, mode = user.abi.unpack_from("IIH", status.read(), 20)
    assert (mode & 0o7777, owner, group) == (0o644, 0, 0)
    for reader in (guest.root("root"), user):
        shown = reader.read_text(FILE)
        assert shown == OK
        assert shown.read()[:2] == b"2\n"
    for flags in (O_WRONLY, O_RDWR):
        assert user.open(FILE, flags) == EACCES
    assert guest.spawn("capable", caps=Cap.SYS_PTRACE).open(FILE, O_WRONLY) == EACCES
    assert guest.sysctl(SCOPE) == "2"


@pytest.mark.requirement("yama.sysctl-capability")
def test_capability(guest: Guest) -> None:
    """uid 0 can open ptrace_scope for writing, but writing requires CAP_SYS_PTRACE; reading does not."""
    guest.set_sysctl(SCOPE, 1)
    incapable = guest.spawn("incapable", uid=0, caps=ALL_BUT_PTRACE)
    capable = guest.spawn("capable", uid=0, caps=Cap.SYS_PTRACE)
    assert incapable.read_text(FILE) == OK
    for text in ("0", "1", "2", "3", "text"):
        assert incapable.write_text(FILE, text) == EPERM
        assert guest.sysctl(SCOPE) == "1"
    assert capable.write_text(FILE, "2") == OK
    assert guest.sysctl(SCOPE) == "2"


@pytest.mark.needs("USER_NS")
@pytest.mark.requirement("yama.sysctl-capability")
def test_capability_of_a_namespace_is_not_enough(guest: Guest) -> None:
    """uid 0 with all capabilities, but in a user namespace of its own, cannot change the scope."""
    guest.set_sysctl(SCOPE, 1)
    creator = guest.spawn("creator", uid=0, caps=Cap.SYS_PTRACE)
    inside = creator.spawn("inside", flags=Clone.NEWUSER)
    assert inside.open(FILE, O_WRONLY) == OK
    assert inside.write_text(FILE, "0") == EPERM
    assert guest.sysctl(SCOPE) == "1"
    assert creator.write_text(FILE, "0") == OK


@pytest.mark.requirement("yama.sysctl-range")
@pytest.mark.parametrize(
    ("text", "wanted", "then"),
    [
        pytest.param("0", OK, "0", id="0-is-accepted"),
        pytest.param("1", OK, "1", id="1-is-accepted"),
        pytest.param("2", OK, "2", id="2-is-accepted"),
        pytest.param("3", OK, "3", id="3-is-accepted", marks=LOCKING),
        pytest.param("0\n", OK, "0", id="a-newline-may-follow"),
        pytest.param("-1", EINVAL, "1", id="minus-one-is-refused"),
        pytest.param("4", EINVAL, "1", id="4-is-refused"),
        pytest.param("2147483647", EINVAL, "1", id="the-largest-number-is-refused"),
        pytest.param("4294967296", EINVAL, "1", id="a-33-bit-number-is-refused"),
        pytest.param("18446744073709551616", EINVAL, "1", id="a-65-bit-number-is-refused"),
        pytest.param("text", EINVAL, "1", id="text-is-refused"),
        pytest.param("0text", EINVAL, "1", id="a-number-with-text-is-refused"),
    ],
)
def test_range(guest: Guest, text: str, wanted: Expected, then: str) -> None:
    """ptrace_scope accepts 0 to 3; anything else is EINVAL and does not change the value."""
    guest.set_sysctl(SCOPE, 1)
    assert guest.root("root").write_text(FILE, text) == wanted
    assert guest.sysctl(SCOPE) == then


@pytest.mark.requirement("yama.sysctl-range")
def test_up_and_down(guest: Guest) -> None:
    """Below 3, the scope can be lowered as well as raised."""
    root = guest.root("root")
    for scope in "0120210":
        assert root.write_text(FILE, scope) == OK
        assert guest.sysctl(SCOPE) == scope


@LOCKING
@pytest.mark.requirement("yama.sysctl-lock")
def test_locked_at_3(guest: Guest) -> None:
    """Nobody can lower the scope from 3; writing 3 again is accepted."""
    root = guest.root("root")
    assert root.write_text(FILE, "3") == OK
    for scope in ("0", "1", "2", "4", "-1"):
        assert root.write_text(FILE, scope) == EINVAL
        assert guest.write_file(FILE, scope) == EINVAL
        assert guest.sysctl(SCOPE) == "3"
    assert root.write_text(FILE, "3") == OK
    assert guest.sysctl(SCOPE) == "3"


@LOCKING
@pytest.mark.requirement("yama.sysctl-lock")
def test_locked_for_an_open_file_too(guest: Guest) -> None:
    """A descriptor opened before the scope was locked cannot lower it either."""
    guest.set_sysctl(SCOPE, 1)
    root = guest.root("root")
    fd = root.open(FILE, O_WRONLY).result()
    assert root.write(fd, b"2") == OK
    guest.set_sysctl(SCOPE, 3)
    assert root.call("pwrite64", fd, b"0", 1, 0) == EINVAL
    assert guest.sysctl(SCOPE) == "3"
