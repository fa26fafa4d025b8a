# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that fail: what is a fault of the kernel and what a harness error, and what the error says."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from guests.errors import AgentError, GuestBroke, HostPausedError, ProtocolError, QemuError
from guests.guest import Guest
from guests.outcome import returned
from guests.protocol import conversation, wire
from guests.protocol.channel import SocketStream
from guests.protocol.wire import Op
from guests.uapi import number
from guests.vm.qemu_process import Qemu


def pause(guest: Guest, seconds: float = 0) -> None:
    """Stop a guest's QEMU for `seconds`, and continue it."""
    os.kill(guest.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, guest.pid, os.WSTOPPED)
    threading.Event().wait(seconds)
    os.kill(guest.pid, signal.SIGCONT)
    os.waitid(os.P_PID, guest.pid, os.WCONTINUED | os.WNOWAIT)


def stop(guest: Guest) -> None:
    """Have QEMU stop the virtual processor."""
    guest._qemu.qmp.send("stop")
    guest._qemu.qmp.event({"STOP"}, time.monotonic() + 20)


class TestDiagnosis:
    @pytest.mark.needs("MAGIC_SYSRQ")
    def test_a_panic_is_quoted(self, sibling: Guest) -> None:
        with pytest.raises(GuestBroke, match="Kernel panic - not syncing: sysrq triggered crash"):
            sibling.write_file("/proc/sysrq-trigger", "c")

    def test_the_panic_of_a_kernel_without_init_is_quoted(self, sibling: Guest) -> None:
        said = r"went down during init\[1\]\.exit_group\(0\): Kernel panic - not syncing: Attempted to kill init!"
        with pytest.raises(GuestBroke, match=said) as caught:
            sibling.init.exit(0)
        assert caught.value.verdict == "fail"

    def test_a_broken_guest_stays_broken_and_has_evidence(self, sibling: Guest) -> None:
        task = sibling.spawn("witness")
        sibling.write_file("/dev/kmsg", "the last line but one\n").result()
        sibling.log()
        call = task.begin("pause")
        with pytest.raises(GuestBroke, match="Attempted to kill init!"):
            sibling.init.exit(0)
        for again in (call.outcome, sibling.complaint, sibling.log, lambda: task.call("getpid")):
            with pytest.raises(GuestBroke, match="Attempted to kill init!"):
                again()
        found = sibling.evidence()
        assert f"init[1].spawn(witness) -> OK({task.pid})" in found["transcript"]
        assert f"witness[{task.pid}]" in found["process tree"]
        assert "the last line but one" in found["kernel log"]
        assert "Kernel panic - not syncing: Attempted to kill init!" in found["console"]

    def test_a_reboot_is_a_broken_guest(self, sibling: Guest) -> None:
        with pytest.raises(GuestBroke, match=r"went down during root\[\d+\]\.reboot\(\): it printed no reason"):
            sibling.root().call("reboot", 0xFEE1DEAD, 672274793, 0x01234567, None, shown="reboot()")

    def test_a_qemu_that_is_killed_is_a_harness_error(self, sibling: Guest) -> None:
        os.kill(sibling.pid, signal.SIGKILL)
        with pytest.raises(QemuError, match=r"QEMU ended during .*: QEMU was killed by SIGKILL"):
            sibling.spawn("task")

    def test_a_hung_call_is_distinguished_from_a_hung_kernel(
        self, sibling: Guest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task = sibling.spawn("task")
        sequence = sibling.send(Op.CALL, task.slot, wire.call_body(number("pause", sibling.arch), []), "pause()")
        with pytest.raises(GuestBroke, match=r"^pause\(\) did not return within 0 s$"):
            sibling.collect(sequence, "pause()", 0.01)
        assert sibling.spawn("another").call("getppid") == returned(1)
        monkeypatch.setattr(conversation, "SIGN_OF_LIFE_S", 0.01)
        stop(sibling)
        monkeypatch.setattr(Qemu, "pause", lambda _: "")
        with pytest.raises(GuestBroke, match=r"^the kernel has hung since getpid\(\): the guest no longer answers$"):
            sibling.collect(0, "getpid()", 0.01)
        assert set(sibling.evidence()) >= {"transcript", "process tree"}

    def test_a_timeout_in_a_guest_that_qemu_has_paused_is_a_harness_error(
        self, sibling: Guest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(conversation, "SIGN_OF_LIFE_S", 0.01)
        stop(sibling)
        said = r"^the kernel has hung since getpid\(\): .*; but QEMU has paused the guest: its monitor was told so"
        with pytest.raises(HostPausedError, match=said):
            sibling.collect(0, "getpid()", 0.01)

    def test_a_timeout_in_a_guest_that_the_host_stopped_is_a_harness_error(
        self, sibling: Guest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(conversation, "SIGN_OF_LIFE_S", 0.01)
        os.kill(sibling.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, sibling.pid, os.WSTOPPED | os.WNOWAIT)
        with pytest.raises(HostPausedError, match=r"^the kernel has hung .*; but QEMU was stopped by a signal"):
            sibling.collect(0, "getpid()", 0.01)
        assert set(sibling.evidence()) >= {"process tree"}

    def test_complaints_about_time_after_a_pause_are_a_harness_error(self, sibling: Guest) -> None:
        """Other complaints still fail the test, as do all complaints in a guest that was not paused."""
        lockup, other = "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [agent:70]", "BUG: planted"
        sibling.write_file("/dev/kmsg", f"{lockup}\n").result()
        assert sibling.complaint() == f"the kernel complained: {lockup}"
        pause(sibling)
        with pytest.raises(HostPausedError, match=r"soft lockup.*; but QEMU was stopped by a signal"):
            sibling.complaint()
        sibling.write_file("/dev/kmsg", f"{other}\n").result()
        assert sibling.complaint() == f"the kernel complained: {other}"

    @pytest.mark.needs("SOFTLOCKUP_DETECTOR")
    def test_a_lockup_that_a_pause_caused_is_a_harness_error(self, sibling: Guest) -> None:
        """The guest is stopped for longer than its watchdog's limit, which is two seconds here."""
        sibling.set_sysctl("kernel.watchdog_thresh", 1)
        for _ in range(5):  # the watchdog's first check only records the time
            pause(sibling, seconds=3)
            if any("soft lockup" in line for line in sibling.log()):
                break
        with pytest.raises(HostPausedError, match="soft lockup"):
            sibling.complaint()

    @pytest.mark.parametrize(
        "line",
        ["WARNING: CPU: 0 PID: 1 at planted.c:1", "BUG: KASAN: planted", "INFO: task a:1 blocked for more than 9 s"],
        ids=["warning", "kasan", "hung-task"],
    )
    def test_a_splat_in_the_log_is_a_broken_guest(self, sibling: Guest, line: str) -> None:
        """It is broken even if every call returned the expected value."""
        sibling.write_file("/dev/kmsg", "a harmless line\n").result()
        assert sibling.complaint() == ""
        sibling.write_file("/dev/kmsg", f"{line}\n").result()
        for _ in range(2):
            assert sibling.complaint() == f"the kernel complained: {line}"

    def test_complaints_and_evidence_are_escaped(self, sibling: Guest) -> None:
        """They contain neither control sequences nor lines that look like commands for a CI system."""
        forged = "BUG: \x1b[2J \x1b]0;x\x07 \u202e\n::error file=a.c,line=1::forged\n::add-mask::kernel\n"
        sibling.write_file("/dev/kmsg", forged).result()
        assert sibling.complaint() == r"the kernel complained: BUG: \x1b[2J \x1b]0;x\x07 \u202e"
        sibling.spawn("\x1b[2J\nname")
        found = sibling.evidence()
        assert all(char.isprintable() or char in "\n\t" for text in found.values() for char in text)
        assert not [line for text in found.values() for line in text.splitlines() if line.startswith(("::", "name"))]
        assert "::error file=a.c" in found["kernel log"]

    def test_a_conversation_ends_after_invalid_data(self, sibling: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every later call raises the same error, and the evidence is what was read before."""
        task = sibling.spawn("task")
        sibling.write_file("/dev/kmsg", "a line\n").result()
        assert "a line" in sibling.log()
        receive = SocketStream.receive_bytes
        with monkeypatch.context() as patched:
            patched.setattr(SocketStream, "receive_bytes", lambda self: receive(self)[:-1] + b"?")
            with pytest.raises(
                ProtocolError, match=r"during task\[\d+\]\.getppid\(\): the body of a frame"
            ) as caught:
                task.call("getppid")
        for again in (sibling.log, sibling.complaint, task.wait_death, lambda: task.call("getpid")):
            with pytest.raises(ProtocolError) as later:
                again()
            assert later.value is caught.value is sibling.protocol_error
        assert "a line" in sibling.evidence()["kernel log"]
        sibling.close()
        assert "a line" in sibling.evidence()["kernel log"]

    def test_an_agent_that_gives_up_is_a_harness_error_that_quotes_it(self, sibling: Guest) -> None:
        """The kernel then panics, because the agent is init."""
        sibling._channel._stream.send_some(memoryview(b"this is no frame at all"))
        with pytest.raises(AgentError, match=r"the agent gave up during .*: a frame's header is damaged"):
            sibling.spawn("task")

    @pytest.mark.parametrize(
        ("bit", "expected"),
        [(6, "taint U: a program requested the taint"), (9, "taint W: the kernel issued a warning"), (13, "")],
        ids=["user", "warning", "expected"],
    )
    def test_a_taint_without_a_message_is_a_broken_guest(self, sibling: Guest, bit: int, expected: str) -> None:
        """It can be waived in the same way as a splat."""
        assert sibling.complaint() == ""
        sibling.set_sysctl("kernel.tainted", 1 << bit)
        assert sibling.complaint() == (f"the kernel complained: {expected}" if expected else "")
        assert sibling.complaint(lambda line: line == expected) == ""

    def test_a_waived_splat_includes_its_taint(self, sibling: Guest) -> None:
        """It does not include any other taint."""
        sibling.write_file("/dev/kmsg", "BUG: known\n").result()
        sibling.set_sysctl("kernel.tainted", 1 << 9)
        assert sibling.complaint(lambda line: line == "BUG: known") == ""
        sibling.set_sysctl("kernel.tainted", 1 << 6)
        assert "taint U" in sibling.complaint(lambda line: line == "BUG: known")

    def test_a_taint_can_be_read_after_its_path_has_disappeared(self, sibling: Guest) -> None:
        detach = 2
        sibling.set_sysctl("kernel.tainted", 1 << 6)
        assert sibling.root().call("umount2", "/proc", detach) == returned(0)
        assert "taint U" in sibling.complaint()

    def test_an_unreadable_taint_is_a_harness_error(self, sibling: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patched:
            patched.setattr("guests.log.taint.read", lambda _: None)
            with pytest.raises(AgentError, match="so a taint would be missed"):
                sibling.complaint()

    def test_a_log_with_gaps_is_a_harness_error(self, sibling: Guest, tmp_path: Path) -> None:
        """A complaint may have been lost; one that is still there counts."""
        (tmp_path / "boot.log").write_text("6,1,0,-;Linux version\n")
        sibling.template = replace(sibling.template, directory=tmp_path)
        sibling.write_file("/dev/kmsg", "a line, long after the boot's last one\n").result()
        with pytest.raises(AgentError, match=r"^\d+ lines of the kernel's log were overwritten"):
            sibling.complaint()
        sibling.write_file("/dev/kmsg", "BUG: planted\n").result()
        assert sibling.complaint() == "the kernel complained: BUG: planted"

    def test_an_unreadable_log_is_a_harness_error(self, sibling: Guest, tmp_path: Path) -> None:
        (tmp_path / "boot.log").write_text("")
        sibling.template = replace(sibling.template, directory=tmp_path)
        with pytest.raises(AgentError, match="log cannot be read, so complaints would be missed"):
            sibling.complaint()
