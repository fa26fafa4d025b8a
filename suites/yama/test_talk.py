# SPDX-License-Identifier: GPL-2.0-or-later
"""Yama's scenarios from the talk, under the names used on its slides."""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import EINVAL, EPERM, OK
from guests.promises import breaks
from guests.sysctl_path import sysctl_path
from guests.uapi import PTRACER_ANY, Signal

SCOPE = "kernel.yama.ptrace_scope"
WITHOUT_YAMA = pytest.mark.boot("lsm=loadpin")

yama = pytest.mark.needs("SECURITY_YAMA", "SYSCTL")


@yama
@pytest.mark.requirement("yama.scope-0")
def test_daemon_of_another_user(guest: Guest) -> None:
    """A daemon is protected only because it runs as another user; a process of the same user is not."""
    guest.set_sysctl(SCOPE, 0)
    evil, mine = guest.spawn("evil", uid=1000), guest.spawn("mine", uid=1000)
    daemon = guest.spawn("daemon", uid=33)
    assert evil.attach(daemon) == EPERM
    assert evil.attach(mine) == OK


@WITHOUT_YAMA
@pytest.mark.needs("CROSS_MEMORY_ATTACH")
@pytest.mark.requirement("yama.absent")
def test_secret_without_yama(guest: Guest) -> None:
    """evil, of the same user, stops secret and reads its memory; secret cannot ask for protection."""
    assert not guest.exists(sysctl_path(SCOPE))
    evil, secret = guest.spawn("evil"), guest.spawn("secret")
    password = secret.store(b"hunter2!")
    assert secret.set_ptracer(PTRACER_ANY) == EINVAL
    assert evil.attach_and_wait(secret) == OK
    assert evil.process_vm_readv(secret, password) == OK
    assert evil.read_memory(secret, password, 8) == b"hunter2!"


@yama
@pytest.mark.requirement("yama.scope-1", "yama.set-ptracer", "yama.revoke", "yama.log")
def test_secret_with_yama(guest: Guest) -> None:
    """evil is not an ancestor of secret, so it is refused until secret itself admits it."""
    guest.set_sysctl(SCOPE, 1)
    evil, secret = guest.spawn("evil"), guest.spawn("secret")
    with breaks("yama.scope-1"):
        assert evil.attach(secret) == EPERM
    with breaks("yama.log"):
        guest.wait_for_log(f'ptrace attach of "secret"[{secret.pid}] was attempted by "evil"[{evil.pid}]')
    with breaks("yama.set-ptracer"):
        assert secret.set_ptracer(evil) == OK
        assert evil.attach_and_wait(secret) == OK
        assert evil.detach(secret) == OK
    with breaks("yama.revoke"):
        assert secret.set_ptracer(0) == OK
        assert evil.attach(secret) == EPERM


@yama
@pytest.mark.requirement("yama.scope-1", "yama.traceme")
def test_gdb_and_its_program(guest: Guest) -> None:
    r"""`gdb ./program` works, and so does attaching to a child later; `gdb -p` on a stranger does not.

    shell ── gdb ── program
       └──── other
    """
    guest.set_sysctl(SCOPE, 1)
    shell = guest.spawn("shell")
    gdb, other = shell.spawn("gdb"), shell.spawn("other")
    program, started = gdb.spawn("program"), gdb.spawn("started")

    with breaks("yama.traceme"):
        assert program.traceme() == OK
        stopping = program.begin("kill", program, Signal.STOP)
        assert gdb.wait(program).stopped_by == Signal.STOP
        assert gdb.resume(program) == OK
        assert stopping.outcome() == OK

    with breaks("yama.scope-1"):
        assert gdb.attach(started) == OK
        assert gdb.attach(other) == EPERM


@yama
@pytest.mark.requirement("yama.scope-1", "yama.set-ptracer")
def test_crash_handler_before_and_after_set_ptracer(guest: Guest) -> None:
    r"""A crash handler is a child of the program that crashed: it may attach only if the program names it.

    browser ── handler          the handler attaches to its own parent
       └────── sandbox          another child, which the browser does not name
    """
    guest.set_sysctl(SCOPE, 1)
    browser = guest.spawn("browser")
    handler, sandbox = browser.spawn("handler"), browser.spawn("sandbox")
    with breaks("yama.scope-1"):
        assert handler.attach(browser) == EPERM
    with breaks("yama.set-ptracer"):
        assert browser.set_ptracer(handler) == OK
        assert sandbox.attach(browser) == EPERM
        assert handler.attach_and_wait(browser) == OK
