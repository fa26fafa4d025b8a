# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults of kernels, agents and QEMUs, each caused by a test, and a healthy test after each.

For test_faults_guests.py, which knows the expected verdicts.
"""

from __future__ import annotations

import contextlib
import os
import signal
import struct
from collections.abc import Callable, Iterator

import pytest

from guests.guest import Guest
from guests.outcome import OK, killed, returned
from guests.protocol import channel, conversation
from guests.protocol.wire import Op
from guests.uapi import AT_FDCWD, O_RDWR, O_WRONLY, Ptrace, Signal
from suites.harness.guests import planted_code

PATIENCE_S = 5.0
"""Instead of twice 20 s, for the answer of a guest that will give none."""
MAP_PRIVATE_ANONYMOUS_POPULATE = 0x8022
MIB = 1 << 20


@contextlib.contextmanager
def impatient() -> Iterator[None]:
    """Wait only for a short time, for an answer that does not come."""
    former = channel.CALL_DEADLINE
    try:
        _set_deadlines(PATIENCE_S)
        yield
    finally:
        _set_deadlines(former)


def _set_deadlines(seconds: float) -> None:
    conversation.SIGN_OF_LIFE_S = channel.CALL_DEADLINE = seconds
    conversation.Conversation.collect.__defaults__ = (seconds,)


def healthy(guest: Guest) -> None:
    """Nothing is left of the fault before."""
    task = guest.spawn("task")
    assert task.call("getppid") == returned(1)
    assert guest.root().call("kill", task, 0) == OK


# The kernel


def panic(guest: Guest) -> None:
    guest.write_file("/proc/sysrq-trigger", "c")


def reboot(guest: Guest) -> None:
    guest.write_file("/proc/sysrq-trigger", "b")


def invalid_opcode(guest: Guest) -> None:
    planted_code.run(guest, planted_code.invalid_opcode)


def null_dereference(guest: Guest) -> None:
    planted_code.run(guest, planted_code.null_dereference)


def warning(guest: Guest) -> None:
    assert planted_code.run(guest, planted_code.warning) == OK


def double_fault(guest: Guest) -> None:
    planted_code.run(guest, planted_code.double_fault)


def hung_task(guest: Guest) -> None:
    guest.set_sysctl("kernel.hung_task_timeout_secs", 1)
    planted_code.begin(guest, planted_code.endless_sleep)
    guest.wait_for_log("blocked for more than")


def soft_lockup(guest: Guest) -> None:
    guest.set_sysctl("kernel.watchdog_thresh", 1)
    guest.set_sysctl("kernel.softlockup_panic", 1)
    planted_code.run(guest, planted_code.endless_loop)


def hang(guest: Guest) -> None:
    """The same, and no watchdog notices."""
    guest.set_sysctl("kernel.watchdog", 0)
    waiting = planted_code.begin(guest, planted_code.endless_loop)
    with impatient():
        waiting.outcome()


# The agent


def agent_ends(guest: Guest) -> None:
    guest.init.exit(0)


def agent_is_killed(guest: Guest) -> None:
    """The kernel lets no process of the guest do that."""
    assert guest.root().call("kill", 1, Signal.KILL) == OK
    healthy(guest)


def stop_agent(guest: Guest) -> None:
    tracer = guest.root("tracer")
    assert tracer.call("ptrace", Ptrace.SEIZE, 1, 0, 0) == OK
    tracer.begin("ptrace", Ptrace.INTERRUPT, 1, 0, 0)


def agent_is_stopped(guest: Guest) -> None:
    stop_agent(guest)
    with impatient():
        # Its tracer may run only after the first of these.
        for _ in range(1000):
            guest.read_file("/proc/uptime")


def agent_does_not_read(guest: Guest) -> None:
    """More than the buffers on the way hold, and than it reads until its tracer runs, which has to stop it first."""
    stop_agent(guest)
    with impatient():
        for number in range(10_000):
            guest.send(Op.WRITE_FILE, 0, bytes(0x30000), f"order {number}")


def task_takes_all_memory(guest: Guest) -> None:
    """The OOM killer ends the task, as it should."""
    task = guest.root("greedy")
    guest.set_sysctl("vm.overcommit_memory", 1)
    found = task.call("mmap", None, 512 * MIB, 3, MAP_PRIVATE_ANONYMOUS_POPULATE, -1, 0)
    assert found == killed(Signal.KILL)


def agent_takes_all_memory(guest: Guest) -> None:
    guest.set_sysctl("vm.overcommit_memory", 1)
    guest.init.call("mmap", None, 512 * MIB, 3, MAP_PRIVATE_ANONYMOUS_POPULATE, -1, 0)


def clock_jumps(guest: Guest) -> None:
    """To 1970 and to 2106, as the guest's root may do."""
    task = guest.root("clock")
    for second in (100_000, 1 << 32):
        assert task.call("clock_settime", 0, struct.pack("<qq", second, 0)) == OK
        healthy(guest)


# Floods


def log_flood(guest: Guest) -> None:
    """More than the kernel's log holds, and quickly: not on the console."""
    guest.set_sysctl("kernel.printk_devkmsg", "on\n")
    guest.write_file("/sys/module/printk/parameters/ignore_loglevel", "N").result()
    guest.set_sysctl("kernel.printk", 1)
    task = guest.root("writer")
    log = task.call("openat", AT_FDCWD, "/dev/kmsg", O_WRONLY, 0).result()
    for _ in range(1200):
        task.call("write", log, b"<7>" + b"x" * 900, 903).result()


def console_flood(guest: Guest) -> None:
    """With what a terminal would obey."""
    task = guest.root("writer")
    console = task.call("openat", AT_FDCWD, "/dev/console", O_RDWR, 0).result()
    text = b"\x1b[2J\x1b]0;title\x07\n::error::forged\n" * 500
    for _ in range(2):
        task.call("write", console, text, len(text)).result()


# QEMU


def signalled(number: signal.Signals) -> Callable[[Guest], None]:
    def act(guest: Guest) -> None:
        task = guest.spawn("task")
        os.kill(guest.pid, number)
        with impatient():
            task.call("getpid")
            guest.spawn("another")

    act.__name__ = f"qemu_{number.name}"
    return act


FAULTS: tuple[Callable[[Guest], None], ...] = (
    *(panic, reboot, invalid_opcode, null_dereference, warning, double_fault, hung_task, soft_lockup, hang),
    *(agent_ends, agent_is_killed, agent_is_stopped, agent_does_not_read),
    *(task_takes_all_memory, agent_takes_all_memory, clock_jumps, log_flood, console_flood),
    *map(signalled, (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGSTOP)),
)
NEEDS: dict[Callable[[Guest], None], tuple[str, ...]] = {
    panic: ("MAGIC_SYSRQ",),
    reboot: ("MAGIC_SYSRQ",),
    hung_task: (*planted_code.REQUIRED_OPTIONS, "DETECT_HUNG_TASK"),
    soft_lockup: (*planted_code.REQUIRED_OPTIONS, "SOFTLOCKUP_DETECTOR"),
    hang: (*planted_code.REQUIRED_OPTIONS, "SOFTLOCKUP_DETECTOR"),
    **dict.fromkeys((invalid_opcode, null_dereference, warning, double_fault), planted_code.REQUIRED_OPTIONS),
}


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(act, id=name, marks=pytest.mark.needs(*NEEDS.get(fault, ())))
        for fault in FAULTS
        for name, act in ((fault.__name__, fault), (f"after-{fault.__name__}", healthy))
    ],
)
def test_fault(guest: Guest, act: Callable[[Guest], None]) -> None:
    act(guest)
