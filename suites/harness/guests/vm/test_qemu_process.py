# SPDX-License-Identifier: GPL-2.0-or-later
"""A QEMU process: its monitor, the description of its end, and that it never outlives its owner."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guests.errors import QemuError
from guests.vm import qemu_process
from guests.vm.qemu_process import PAUSES, Qemu, Qmp
from suites.harness.checkout import ROOT
from suites.harness.guests import fakes

NO_CONSOLE = "null,id=console"


class Monitor:
    """QEMU's end of a monitor, with messages that are queued in advance."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end

    def says(self, *messages: dict[str, Any]) -> None:
        self.end.sendall(b"".join(json.dumps(message).encode() + b"\r\n" for message in messages))

    def heard(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.end.recv(65536).splitlines()]


@pytest.fixture
def ends() -> Iterator[tuple[Qmp, Monitor]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Qmp(ours), Monitor(theirs)


GREETING: dict[str, Any] = {"QMP": {"version": {}, "capabilities": []}}
RESUMED = {"event": "RESUME", "timestamp": {}}


class TestQmp:
    def test_a_command_gets_its_answer(self, ends: tuple[Qmp, Monitor]) -> None:
        qmp, monitor = ends
        monitor.says(GREETING, {"return": {"status": "running"}})
        assert qmp.execute("query-status", fakes.later(), all=True) == {"status": "running"}
        assert monitor.heard() == [{"execute": "query-status", "arguments": {"all": True}}]

    def test_a_command_without_arguments_omits_them(self, ends: tuple[Qmp, Monitor]) -> None:
        qmp, monitor = ends
        qmp.send("cont")
        assert monitor.heard() == [{"execute": "cont"}]

    def test_answers_come_in_the_order_of_the_commands(self, ends: tuple[Qmp, Monitor]) -> None:
        qmp, monitor = ends
        qmp.send("one")
        qmp.send("two")
        monitor.says({"return": 1}, {"return": 2})
        assert [qmp.answer(fakes.later()), qmp.answer(fakes.later())] == [1, 2]

    def test_events_are_not_taken_for_answers(self, ends: tuple[Qmp, Monitor]) -> None:
        qmp, monitor = ends
        monitor.says(GREETING, {"event": "MIGRATION"}, RESUMED, {"return": {}})
        assert qmp.execute("cont", fakes.later()) == {}

    def test_a_wait_for_an_event_skips_answers_and_other_events(self, ends: tuple[Qmp, Monitor]) -> None:
        qmp, monitor = ends
        monitor.says(GREETING, {"return": {}}, {"event": "STOP"}, RESUMED, {"return": "kept"})
        assert qmp.event({"RESUME", "SHUTDOWN"}, fakes.later()) == RESUMED
        assert qmp.answer(fakes.later()) == "kept"

    def test_an_event_that_precedes_an_answer_is_kept(self, ends: tuple[Qmp, Monitor]) -> None:
        qmp, monitor = ends
        monitor.says({"event": "STOP"}, RESUMED, {"return": {}})
        assert qmp.answer(fakes.later()) == {}
        assert qmp.event({"RESUME"}, time.monotonic()) == RESUMED

    def test_a_refusal_ends_the_wait_for_an_event(self, ends: tuple[Qmp, Monitor]) -> None:
        qmp, monitor = ends
        monitor.says({"error": {"desc": "no such state"}})
        with pytest.raises(QemuError, match="no such state"):
            qmp.event({"RESUME"}, fakes.later())

    def test_an_answer_may_come_in_pieces(self, ends: tuple[Qmp, Monitor]) -> None:
        qmp, monitor = ends
        monitor.end.sendall(b'{"ret')
        with pytest.raises(QemuError, match="did not answer in time"):
            qmp.answer(time.monotonic())
        monitor.end.sendall(b'urn": 5}\r\n')
        assert qmp.answer(fakes.later()) == 5

    @pytest.mark.parametrize(
        ("refusal", "said"),
        [({"class": "GenericError", "desc": "no such device"}, "no such device"), ({"class": "Odd"}, "Odd")],
    )
    def test_a_refusal_is_an_error_that_quotes_qemu(
        self, ends: tuple[Qmp, Monitor], refusal: dict[str, str], said: str
    ) -> None:
        qmp, monitor = ends
        monitor.says({"error": refusal})
        with pytest.raises(QemuError, match=f"refused a command: .*{said}"):
            qmp.execute("device_add", fakes.later())

    @pytest.mark.parametrize("how", ["answer", "event"])
    def test_a_closed_monitor_is_reported(self, ends: tuple[Qmp, Monitor], how: str) -> None:
        qmp, monitor = ends
        monitor.says(GREETING)
        monitor.end.close()
        with pytest.raises(QemuError, match="closed its monitor"):
            _ = qmp.answer(fakes.later()) if how == "answer" else qmp.event({"RESUME"}, fakes.later())

    def test_silence_has_a_deadline(self, ends: tuple[Qmp, Monitor]) -> None:
        with pytest.raises(QemuError, match="did not answer in time"):
            ends[0].event({"RESUME"}, time.monotonic())

    def test_a_descriptor_is_passed_with_its_name(self, ends: tuple[Qmp, Monitor], tmp_path: Path) -> None:
        qmp, monitor = ends
        monitor.says({"return": {}})
        (tmp_path / "file").write_text("content")
        with (tmp_path / "file").open() as file:
            qmp.give_descriptor(file.fileno(), "state", fakes.later())
        message, received, _, _ = socket.recv_fds(monitor.end, 4096, 4)
        assert json.loads(message) == {"execute": "getfd", "arguments": {"fdname": "state"}}
        (descriptor,) = received
        assert os.read(descriptor, 100) == b"content"
        os.close(descriptor)


def playing(path: Path, body: str) -> Qemu:
    return Qemu([str(fakes.program(path / "qemu", fakes.QEMU + body))], console=NO_CONSOLE)


def start_and_kill(command: list[str]) -> None:
    """Start QEMU, and kill it if that succeeded."""
    with contextlib.suppress(QemuError):
        Qemu(command, console=NO_CONSOLE).kill()


class TestProcess:
    def test_it_uses_the_descriptors_that_it_inherits(self, tmp_path: Path) -> None:
        machine = playing(tmp_path, "agent(b'hello')\nos.write(fds['qmp'], b'{\"return\": 7}\\n')\nwait()\n")
        try:
            assert machine.agent.recv(5) == b"hello"
            assert machine.qmp.answer(fakes.later()) == 7
            assert not machine.ended()
        finally:
            machine.kill()
        assert machine.ended()

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            ("sys.exit(0)", "QEMU exited with 0"),
            ("print('first'); sys.exit('could not open disk')", "QEMU exited with 1: could not open disk"),
            ("os.kill(os.getpid(), signal.SIGSEGV)", "QEMU was killed by SIGSEGV"),
        ],
    )
    def test_its_end_is_described(self, tmp_path: Path, body: str, why: str) -> None:
        machine = playing(tmp_path, body)
        assert machine.why_ended() == why
        machine.kill()

    def test_kill_ends_its_children_too_and_may_be_repeated(self, tmp_path: Path) -> None:
        machine = playing(tmp_path, "child = os.fork()\nif child: agent(b'%d\\n' % child)\nwait()\n")
        child = os.pidfd_open(int(machine.agent.makefile().readline()))
        try:
            machine.kill()
            machine.kill()
            assert fakes.await_end(child)
        finally:
            os.close(child)

    @pytest.mark.parametrize(
        "error",
        [PermissionError(), OSError(12, "no memory"), BlockingIOError()],
        ids=repr,
    )
    def test_a_failed_start_leaves_no_descriptor(self, monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
        def fail(*_: object, **__: object) -> None:
            raise error

        before = fakes.open_descriptors()
        with monkeypatch.context() as patched:
            patched.setattr(subprocess, "Popen", fail)
            with pytest.raises(QemuError, match="QEMU cannot be started"):
                Qemu(["qemu"], console=NO_CONSOLE)
        assert fakes.open_descriptors() == before

    @pytest.mark.parametrize("allowed", range(12))
    def test_a_start_that_runs_out_of_descriptors_leaves_none(self, tmp_path: Path, allowed: int) -> None:
        """The limit of open files may be reached at any point of the start."""
        script = fakes.program(tmp_path / "qemu", fakes.QEMU + "wait()\n")
        before = fakes.open_descriptors()
        highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        gaps: list[int] = []
        while not gaps or gaps[-1] <= highest:
            gaps.append(os.dup(0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (gaps[-1] + 1 + allowed, hard))
        try:
            start_and_kill([str(script)])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for filled in gaps:
                os.close(filled)
        assert fakes.open_descriptors() == before

    def test_it_dies_when_its_owner_is_killed(self, tmp_path: Path) -> None:
        """A test run that receives SIGKILL cannot clean up, but must not leave QEMU running."""
        script = fakes.program(tmp_path / "qemu", fakes.QEMU + "agent(b'up\\n')\nwait()\n")
        owner = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import signal, sys\nfrom guests.vm.qemu_process import Qemu\n"
                f"machine = Qemu([sys.argv[1]], console={NO_CONSOLE!r})\n"
                "assert machine.agent.recv(3) == b'up\\n'\nprint(machine.pid, flush=True)\nsignal.pause()\n",
                str(script),
            ],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert owner.stdout
        machine = os.pidfd_open(int(owner.stdout.readline()))
        try:
            owner.send_signal(signal.SIGKILL)
            owner.communicate()
            assert fakes.await_end(machine)
        finally:
            os.close(machine)

    @pytest.mark.parametrize(
        ("state", "said"),
        [("running", ""), ("shutdown", "")]
        + [(state, f"QEMU has paused the guest: {why} ({state})") for state, why in PAUSES.items()],
    )
    def test_a_pause_of_its_own_is_described(self, tmp_path: Path, state: str, said: str) -> None:
        """The answer to a former command, which nobody has read, is not taken for the state."""
        machine = playing(
            tmp_path,
            "import json\nos.write(fds['qmp'], b'{\"return\": {}}\\n')\n"
            "asked = json.loads(os.read(fds['qmp'], 4096))\n"
            f"answer = {{'return': {{'status': {state!r}}}, 'id': asked['id']}}\n"
            "os.write(fds['qmp'], json.dumps(answer).encode() + b'\\n')\nwait()\n",
        )
        try:
            assert machine.pause() == said
        finally:
            machine.kill()

    def test_a_qemu_that_does_not_answer_is_described(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(qemu_process, "_STATUS_DEADLINE_S", 0.01)
        machine = playing(tmp_path, "wait()\n")
        assert machine.pause() == "QEMU itself does not answer"
        machine.kill()

    def test_one_that_has_ended_is_not_paused(self, tmp_path: Path) -> None:
        machine = playing(tmp_path, "sys.exit(0)\n")
        machine.why_ended()
        assert machine.pause() == ""
        machine.kill()

    def test_a_missing_qemu_has_no_version(self, tmp_path: Path) -> None:
        assert qemu_process.qemu_version(str(tmp_path / "none")) == ""

    def test_its_version_is_the_first_line_of_output(self, tmp_path: Path) -> None:
        found = fakes.program(tmp_path / "qemu", "print('QEMU emulator version 7.2\\nCopyright')\n")
        assert qemu_process.qemu_version(str(found)) == "QEMU emulator version 7.2"
