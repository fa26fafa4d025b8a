# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine that somebody else booted: this one, with network settings of its own, reached by a fake ssh."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from guests.sysctl_path import sysctl_path
from guests.target import kept_settings
from guests.target.target_connection import TargetConnection
from guests.target.target_guest import TargetGuest
from guests.vm.initramfs import agent
from kconfigs.cache import Cache
from kconfigs.kconfig import Config
from kconfigs.sources import TargetSource
from kconfigs.target_facts import TargetFacts
from kconfigs.target_machine import parse_target
from suites.harness.guests import fakes

SETTING, FIRST_SETTING = "net.ipv4.ip_default_ttl", "net.ipv4.tcp_fin_timeout"
"""Settings that each network namespace has, so that the tests change none of this machine's."""

SSH = """
import os, signal, subprocess, sys, threading
words = sys.argv[1:]
control = next(word.partition("=")[2] for word in words if word.startswith("ControlPath="))
if "-M" in words:
    open(control, "w").close()
    signal.pause()
if "-O" in words:
    sys.exit(not os.path.exists(control))
command = ["nsenter", "--target={pid}", "--net", "--mount", "sh", "-c", words[-1]]
there = subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, start_new_session=True)
signal.signal(signal.SIGUSR1, lambda *_: os._exit(255))
def carry(source, target):
    while data := os.read(source, 65536):
        while data:
            data = data[os.write(target, data):]
def to_there():
    carry(0, there.stdin.fileno())
    there.stdin.close()
# The main thread takes the signal: if another did, the handler would run only once the main thread has waited.
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
threading.Thread(target=to_there, daemon=True).start()
ways = (there.stdout, 1), (there.stderr, 2)
back = [threading.Thread(target=carry, args=(source.fileno(), to), daemon=True) for source, to in ways]
for one in back:
    one.start()
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
status = there.wait()
for one in back:
    one.join()
os._exit(status if status >= 0 else 128 - status)
"""
"""An ssh that runs what it is told in namespaces of this machine, and is cut off by SIGUSR1."""


@dataclass(frozen=True)
class OtherMachine:
    """What the tests see of it."""

    pid: int
    """A process that has its network settings and its /tmp."""
    folder: Path

    def setting(self, name: str) -> str:
        command = ["nsenter", f"--net=/proc/{self.pid}/ns/net", "cat", sysctl_path(name)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def copies(self) -> list[Path]:
        """The files of agents there."""
        return sorted(Path(f"/proc/{self.pid}/root", "tmp").glob("kconform-????????/agent"))


@pytest.fixture
def other_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OtherMachine]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    # A /tmp of its own: several such machines may be there at a time.
    script = "mount -t tmpfs tmpfs /tmp && echo there && exec sleep infinity"
    holder = subprocess.Popen(["unshare", "--net", "--mount", "sh", "-c", script], stdout=-1)
    try:
        assert holder.stdout is not None
        if holder.stdout.readline() != b"there\n":
            pytest.skip("needs namespaces")
        fakes.program(tmp_path / "bin" / "ssh", SSH.replace("{pid}", str(holder.pid)))
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        monkeypatch.setattr(kept_settings, "RESTORED_SYSCTLS", {SETTING: "", FIRST_SETTING: "31"})
        paths = frozenset(map(sysctl_path, (SETTING, FIRST_SETTING)))
        monkeypatch.setattr(kept_settings, "PATHS", paths)
        yield OtherMachine(holder.pid, tmp_path)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()


def source() -> TargetSource:
    facts = TargetFacts("6.12.7", platform.machine(), "#1 SMP", (), None, sudo=False, audited=False)
    return TargetSource(
        spec="ssh:board",
        name="board-6.12.7",
        origin="fake",
        arch=platform.machine(),
        version=(6, 12, 7),
        machine=parse_target("ssh:board"),
        facts=facts,
        config=Config({}),
    )


@pytest.fixture(scope="session")
def agent_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return agent(platform.machine(), Cache(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def connection(other_machine: OtherMachine, agent_program: Path) -> Iterator[TargetConnection]:
    made = TargetConnection(source(), agent_program)
    yield made
    made.close()
    assert other_machine.copies() == []


@pytest.fixture
def start(connection: TargetConnection, tmp_path: Path) -> Callable[[], TargetGuest]:
    """Starts a guest there, which the test closes."""

    return lambda: TargetGuest(fakes.kernel(tmp_path), connection).started()
