# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest on a machine that somebody else booted: what it offers to a test, and what it leaves behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from guests.errors import AgentError, GuestBroke, TargetError
from guests.outcome import OK, returned
from guests.protocol.wire import Op
from guests.sysctl_path import sysctl_path
from guests.target.target_guest import TargetGuest
from guests.uapi import Clone
from suites.harness.guests.fakes import DEADLINE_S, await_end
from suites.harness.guests.target.conftest import FIRST_SETTING, SETTING, OtherMachine

Start = Callable[[], TargetGuest]


def processes(guest: TargetGuest) -> list[psutil.Process]:
    """The agent, the keeper, and all tasks, which may have changed their parents."""
    keeper = psutil.Process(guest.init.tid).parent()
    assert keeper is not None
    return [keeper, *keeper.children(recursive=True)]


def gone(left: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(left, timeout=DEADLINE_S)[1]


def test_tasks_are_processes_of_the_machine(start: Start) -> None:
    """Init is any process there, and its tasks have the numbers by which the machine knows them."""
    guest = start()
    try:
        task = guest.init.spawn("task")
        assert task.call("getppid") == returned(guest.init.tid)
        assert Path(f"/proc/{task.tid}/comm").read_text() == "task\n"
        assert not guest.disposable
    finally:
        guest.close()


def test_the_root_is_one_of_its_own(start: Start, other_machine: OtherMachine) -> None:
    """It has what an initramfs has, and what is made there, or mounted, is not on the machine."""
    guest = start()
    try:
        for path in ("/init", "/proc/self", "/sys/kernel", "/dev/null", "/tmp"):  # noqa: S108
            assert guest.exists(path)
        assert not guest.exists(str(other_machine.folder))
        made = "/tmp/kconform-made-by-a-test"  # noqa: S108
        guest.upload(made, b"here")
        assert guest.init.spawn("task").mount("tmpfs", f"{made}-mounted", "tmpfs") == OK
        assert not Path(made).exists()
        assert "kconform-made" not in Path("/proc/self/mountinfo").read_text()
    finally:
        guest.close()


def test_settings_are_restored(start: Start, other_machine: OtherMachine) -> None:
    """What a test has changed, and what the agent has set for the test, is as before once the guest is closed."""
    before = {name: other_machine.setting(name) for name in (SETTING, FIRST_SETTING)}
    assert before[FIRST_SETTING] != "31"
    guest = start()
    assert other_machine.setting(FIRST_SETTING) == "31"
    guest.set_sysctl(SETTING, 77)
    assert other_machine.setting(SETTING) == "77"
    guest.close()
    assert {name: other_machine.setting(name) for name in before} == before


def test_a_task_may_change_a_setting_too(start: Start, other_machine: OtherMachine) -> None:
    before = other_machine.setting(SETTING)
    guest = start()
    assert guest.init.spawn("task").write_text("/proc/sys/net/ipv4/ip_default_ttl", "78") == OK
    assert other_machine.setting(SETTING) == "78"
    guest.close()
    assert other_machine.setting(SETTING) == before


def test_no_other_file_of_the_machine_is_written(start: Start) -> None:
    """The test is skipped instead, and says what it would have needed."""
    guest = start()
    try:
        for path in ("/proc/sys/net/ipv4/ip_forward", "/proc/sysrq-trigger", "/sys/power/state", "/dev/null"):
            with pytest.raises(pytest.skip.Exception, match="nothing would restore that on ssh:board"):
                guest.write_file(path, "0")
        assert guest.write_file("/proc/self/oom_score_adj", "100") == OK
    finally:
        guest.close()


def test_no_process_outlives_the_guest(start: Start) -> None:
    """Neither do orphans, tasks that another one traces, nor those with a pid namespace of their own."""
    guest = start()
    tracer, target = guest.init.spawn("tracer"), guest.init.spawn("target")
    child = target.spawn("child")
    target.spawn("inside", flags=Clone.NEWPID).spawn("further")
    tracer.orphan("orphan")
    # The child traces its own parent, whose end its parent cannot see before the child ends.
    assert child.attach_and_wait(target) == OK
    left = processes(guest)
    assert len(left) > 7
    guest.close()
    assert gone(left)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGUSR1], ids=["ssh-is-killed", "ssh-is-cut-off"])
def test_a_connection_that_is_lost(start: Start, other_machine: OtherMachine, number: signal.Signals) -> None:
    """The test is an error, in one sentence, and the agent restores the settings and ends everything by itself."""
    before = other_machine.setting(SETTING)
    guest = start()
    guest.set_sysctl(SETTING, 79)
    guest.init.spawn("task")
    left = processes(guest)
    os.kill(guest.pid, number)
    os.waitid(os.P_PID, guest.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(TargetError) as caught:
        guest.init.spawn("another")
    assert str(caught.value).startswith("the connection to ssh:board was lost during init")
    assert "restores the machine's settings by itself" in caught.value.hint
    guest.close()
    assert gone(left)
    assert other_machine.setting(SETTING) == before


@pytest.mark.parametrize("lost", [False, True], ids=["connected", "connection-lost"])
def test_a_setting_that_cannot_be_restored(start: Start, other_machine: OtherMachine, *, lost: bool) -> None:
    """It is named, if anybody can still read that; and all others are restored."""
    path, before = sysctl_path(SETTING), other_machine.setting(FIRST_SETTING)
    guest = start()
    assert guest.init.spawn("task").bind_mount("/dev/null", path) == OK
    assert other_machine.setting(FIRST_SETTING) != before
    left = processes(guest)
    if lost:
        os.kill(guest.pid, signal.SIGKILL)
        with pytest.raises(TargetError):
            guest.init.spawn("another")
        guest.close()
    else:
        with pytest.raises(TargetError, match=f"ssh:board may not be as it was: not as before: {path}"):
            guest.close()
    assert gone(left)
    assert other_machine.setting(FIRST_SETTING) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_whoever_ends_the_keeper(start: Start, other_machine: OtherMachine, number: signal.Signals) -> None:
    """The keeper, which the system may ask to end, ends the agent and restores the settings first."""
    before = other_machine.setting(SETTING)
    guest = start()
    guest.set_sysctl(SETTING, 80)
    left = processes(guest)
    left[0].send_signal(number)
    assert gone(left)
    assert other_machine.setting(SETTING) == before
    with pytest.raises((TargetError, AgentError)):
        guest.init.spawn("another")
    guest.close()


def test_an_agent_that_is_killed(start: Start, other_machine: OtherMachine) -> None:
    before = other_machine.setting(SETTING)
    guest = start()
    guest.set_sysctl(SETTING, 81)
    left = processes(guest)
    os.kill(guest.init.tid, signal.SIGKILL)
    with pytest.raises(TargetError, match=r"the agent on ssh:board ended during"):
        guest.init.spawn("another")
    guest.close()
    assert gone(left)
    assert other_machine.setting(SETTING) == before


def test_one_agent_at_a_time(start: Start) -> None:
    """A second run is told that another one changes the machine's settings."""
    first = start()
    try:
        with pytest.raises(AgentError, match="another run is testing this machine"):
            start()
    finally:
        first.close()
    start().close()


def test_a_machine_that_does_not_answer(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """That may be the network's fault, so the kernel is not accused of it."""
    guest = start()
    stopped = psutil.Process(guest.init.tid)
    stopped.suspend()
    try:
        monkeypatch.setattr("guests.protocol.conversation.SIGN_OF_LIFE_S", 0.05)
        with pytest.raises(TargetError, match="ssh:board no longer answers"):
            guest.collect(guest._channel.send(Op.HELLO), "a greeting", 0.05)
    finally:
        stopped.resume()
        guest.close()


def test_a_machine_that_does_not_answer_while_a_test_waits(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same if the test waits for an event, and requests nothing meanwhile."""
    guest = start()
    task, stopped = guest.init.spawn("task"), psutil.Process(guest.init.tid)
    stopped.suspend()
    try:
        monkeypatch.setattr("guests.protocol.conversation.SIGN_OF_LIFE_S", 0.05)
        with pytest.raises(TargetError, match=r"ssh:board no longer answers, since the wait for task\[\d+\] to end"):
            guest.wait_until(lambda: task.death is not None, f"{task} to end", 0.05)
    finally:
        stopped.resume()
        guest.close()


def test_an_event_that_arrives_too_late(start: Start) -> None:
    """The network may have been slow, so that is an error, although the machine answers."""
    guest = start()
    task, stopped = guest.init.spawn("task"), psutil.Process(guest.init.tid)

    def ended() -> bool:
        stopped.resume()
        return task.death is not None

    stopped.suspend()
    try:
        end = os.pidfd_open(task.tid)
        os.kill(task.tid, signal.SIGKILL)
        assert await_end(end)
        os.close(end)
        with pytest.raises(TargetError, match=r"ssh:board answered too late: waited 0 s for task\[\d+\] to end"):
            guest.wait_until(ended, f"{task} to end", 0)
    finally:
        stopped.resume()
        guest.close()


def test_an_event_that_does_not_happen_is_the_kernels_fault(start: Start) -> None:
    """As in any guest, if the agent answers at the end of the wait."""
    guest = start()
    try:
        task = guest.init.spawn("task")
        with pytest.raises(GuestBroke, match=r"waited 0 s for task\[\d+\] to end, which did not happen"):
            guest.wait_until(lambda: task.death is not None, f"{task} to end", 0.05)
    finally:
        guest.close()


def test_a_complaint_that_names_no_task_is_no_accusation(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine does other things besides.  If the complaint names a task of the test, it counts."""
    guest = start()
    try:
        task = guest.init.spawn("task")
        lines = ["WARNING: CPU: 0 PID: 1 at kernel/seccomp.c:1 f+0x0/0x1", "CPU: 0 PID: 1 Comm: systemd Not tainted"]
        monkeypatch.setattr(guest, "_logged", lambda: lines)
        with pytest.raises(TargetError, match="nothing shows that a task of the test has to do with it"):
            guest.complaint()
        lines[1] = f"CPU: 0 PID: {task.tid} Comm: task Not tainted"
        assert guest.complaint().startswith("the kernel complained: WARNING")
    finally:
        guest.close()


def test_a_call_that_does_not_return_is_the_kernels_fault(start: Start) -> None:
    """As in any guest, if the agent answers meanwhile."""
    guest = start()
    try:
        call = guest.init.spawn("task").begin("pause")
        with pytest.raises(GuestBroke, match="did not return"):
            guest.collect(call._sequence, "pause", 0.05)
    finally:
        guest.close()
