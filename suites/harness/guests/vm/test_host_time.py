# SPDX-License-Identifier: GPL-2.0-or-later
"""Time that the host takes from a guest is distinguished from time that the guest's kernel uses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from guests.log import splats
from guests.vm import host_time
from guests.vm.host_time import Heartbeat, HostTime
from guests.vm.stall_limits import stall_limits
from kconfigs.kconfig import Config


class TestHeartbeat:
    def test_a_gap_is_a_period_in_which_nothing_ran(self) -> None:
        now = 1000.0
        heart = Heartbeat(lambda: now)
        now += 1
        assert heart.lost_s(0) == 0
        now += 60
        assert heart.lost_s(0) == pytest.approx(60)
        assert heart.lost_s(now - 10) == pytest.approx(10), "time before the start of the guest does not count"
        now += 1
        assert heart.lost_s(now) == 0


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process with a busy loop, like a virtual processor."""
    code = "print(end='x', flush=True)\nwhile True: pass"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout
    child.stdout.read(1)
    yield child
    child.kill()
    child.communicate()


class TestHostTime:
    def test_a_process_that_ran_undisturbed(self, child: subprocess.Popen[bytes]) -> None:
        assert HostTime(child.pid).pause() == ""

    def test_a_stopped_process(self, child: subprocess.Popen[bytes]) -> None:
        there = HostTime(child.pid)
        child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        assert there.pause() == there.excuse() == "QEMU was stopped by a signal"

    def test_a_process_that_was_stopped_and_continued(self, child: subprocess.Popen[bytes]) -> None:
        there = HostTime(child.pid)
        child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED)
        child.send_signal(signal.SIGCONT)
        os.waitid(os.P_PID, child.pid, os.WCONTINUED | os.WNOWAIT)
        for _ in range(2):
            assert there.pause() == "QEMU was stopped by a signal", "the stop is remembered"

    def test_a_process_that_has_ended(self, child: subprocess.Popen[bytes]) -> None:
        there = HostTime(child.pid)
        child.kill()
        child.wait()
        assert there.starved_s() == 0
        assert there.pause() == ""

    @pytest.mark.parametrize("error", [FileNotFoundError, ProcessLookupError])
    def test_a_process_that_ends_while_its_threads_are_listed(
        self, child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, error: type[OSError]
    ) -> None:
        def ended(*_: object) -> None:
            raise error

        there = HostTime(child.pid)
        for listing in "scandir", "listdir":
            monkeypatch.setattr(os, listing, ended)
        assert there.starved_s() == 0
        there.look(there._looked + 1)
        assert there.excuse() == ""

    def test_a_process_that_waits_for_a_processor(self, child: subprocess.Popen[bytes]) -> None:
        """Two busy loops share one processor: each waits for about half of the time."""
        os.sched_setaffinity(child.pid, {min(os.sched_getaffinity(0))})
        there = HostTime(child.pid)
        rival = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            os.sched_setaffinity(rival.pid, {min(os.sched_getaffinity(0))})
            before = there.starved_s()
            while there.starved_s() - before < 0.1:
                assert rival.poll() is None
        finally:
            rival.kill()
            rival.wait()
        assert there.excuse() == "", "such a short delay is no excuse"

    def test_a_process_that_has_waited_for_a_long_time(
        self, child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        there = HostTime(child.pid)
        monkeypatch.setattr(HostTime, "starved_s", lambda _: host_time.LIMIT_S / 2 + 1)
        assert there.excuse() == "QEMU waited 11 s for a processor"
        assert there.pause() == ""

    @pytest.mark.parametrize(("limit_s", "excused"), [(2.0, True), (3.0, True), (4.0, False), (20.0, False)])
    def test_a_short_limit_is_explained_by_a_shorter_delay(
        self, child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, limit_s: float, excused: bool
    ) -> None:
        there = HostTime(child.pid)
        monkeypatch.setattr(HostTime, "starved_s", lambda _: 1.6)
        assert bool(there.excuse(limit_s)) == excused


class TestBlockedProcess:
    """QEMU waits for a disk of the host, and its guest cannot run: nothing that is late is the kernel's fault."""

    SPAWN = """
import os, sys
os.posix_spawn("/bin/true", ["true"], {}, file_actions=[(os.POSIX_SPAWN_OPEN, 0, sys.argv[1], os.O_RDONLY, 0)])
print(end="x", flush=True)
sys.stdin.read()
"""

    @pytest.fixture
    def blocked(self, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
        """A process in state D: its child, made by vfork(), waits for somebody to write to a pipe."""
        os.mkfifo(tmp_path / "pipe")
        process = subprocess.Popen(
            [sys.executable, "-c", self.SPAWN, tmp_path / "pipe"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        while b") D " not in Path(f"/proc/{process.pid}/stat").read_bytes():
            assert process.poll() is None
        yield process
        if process.poll() is None:
            (tmp_path / "pipe").write_text("")
            process.communicate()

    @pytest.fixture
    def unwatched(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only the test looks, with times of its own."""
        monkeypatch.setattr(Heartbeat, "watch", lambda *_: None)

    @pytest.mark.usefixtures("unwatched")
    def test_its_time_is_the_hosts(self, blocked: subprocess.Popen[bytes]) -> None:
        there = HostTime(blocked.pid)
        begin = there._looked
        for second in range(0, 12, 2):
            there.look(begin + second)
        assert there.lost_s() - there.starved_s() == pytest.approx(10, abs=1)
        assert there.excuse() == ""
        for second in range(12, 40, 2):
            there.look(begin + second)
        assert "for a file or for memory of the host (state D)" in there.excuse()

    def test_the_heartbeat_looks(self, blocked: subprocess.Popen[bytes]) -> None:
        there = HostTime(blocked.pid)
        while there.lost_s() - there.starved_s() < 0.1:
            assert blocked.poll() is None

    @pytest.mark.usefixtures("unwatched")
    def test_a_process_that_runs_loses_nothing(self, child: subprocess.Popen[bytes]) -> None:
        there = HostTime(child.pid)
        for second in range(30):
            there.look(there._looked + second)
        assert there.excuse() == ""

    @pytest.mark.usefixtures("unwatched")
    def test_what_is_blocked_now_and_then_loses_nothing(
        self, child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        there = HostTime(child.pid)
        looks = iter([["1"], [], ["1"], ["2"], []])
        monkeypatch.setattr(there, "_threads_blocked", lambda: next(looks, []))
        begin = there._looked
        for second in range(5):
            there.look(begin + second)
        assert there.lost_s() - there.starved_s() < 1


LOCKUP = "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [agent:70]"
STALL = "rcu: INFO: rcu_preempt self-detected stall on CPU"
EXPEDITED = "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 0-.... } 6 jiffies s: 97 root: 0x1/."


@pytest.mark.parametrize(
    ("config", "arguments", "limits"),
    [
        ("", "", (20, 21, 21)),
        ("CONFIG_RCU_CPU_STALL_TIMEOUT=60", "", (20, 60, 60)),
        ("CONFIG_RCU_CPU_STALL_TIMEOUT=3\nCONFIG_RCU_EXP_CPU_STALL_TIMEOUT=20", "", (20, 3, 0.02)),
        ("CONFIG_RCU_EXP_CPU_STALL_TIMEOUT=0", "rcupdate.rcu_cpu_stall_timeout=1", (20, 3, 3)),
        ("CONFIG_RCU_CPU_STALL_TIMEOUT=3", "rcupdate.rcu-exp-cpu-stall-timeout=500 nowatchdog", (20, 3, 0.5)),
        ("", "watchdog_thresh=5 watchdog_thresh=1", (2, 21, 21)),
        ("", "watchdog_thresh=0", (20, 21, 21)),
        ('CONFIG_CMDLINE_BOOL=y\nCONFIG_CMDLINE="watchdog_thresh=2"', "quiet", (4, 21, 21)),
        ("", "watchdog_thresh=often", (20, 21, 21)),
    ],
)
def test_a_kernels_limits_are_those_of_its_settings(config: str, arguments: str, limits: tuple[float, ...]) -> None:
    found = stall_limits(Config.parse(config), arguments.split())
    assert tuple(map(found.of, (LOCKUP, STALL, EXPEDITED))) == limits


@pytest.mark.parametrize(
    "line",
    [
        "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [agent:70]",
        "NMI watchdog: Watchdog detected hard LOCKUP on cpu 0",
        "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 61s!",
        "INFO: task init:1 blocked for more than 122 seconds.",
        "INFO: task init:1 blocked on a mutex likely owned by task x:2 for more than 122 seconds.",
        "rcu: INFO: rcu_preempt self-detected stall on CPU",
        "rcu: INFO: rcu_sched detected stalls on CPUs/tasks:",
        "Kernel panic - not syncing: softlockup: hung tasks",
        "Kernel panic - not syncing: hung_task: blocked tasks",
    ],
)
def test_a_splat_that_is_only_about_time(line: str) -> None:
    assert splats.first([line]) == line
    assert splats.is_about_time(line)


@pytest.mark.parametrize(
    "line",
    [
        "BUG: KASAN: slab-use-after-free in ptracer_exception_found+0x10/0x20",
        "WARNING: suspicious RCU usage",
        "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000000",
        "BUG: sleeping function called from invalid context at kernel/locking/mutex.c:1",
        "WARNING: CPU: 0 PID: 1 at kernel/seccomp.c:1 __secure_computing+0x10/0x20",
    ],
)
def test_a_splat_that_is_about_more_than_time(line: str) -> None:
    assert splats.first([line]) == line
    assert not splats.is_about_time(line)
