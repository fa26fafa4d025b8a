# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest's QEMU may do on the host: a kernel under test that breaks into it gains little."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from guests.guest import Guest
from guests.vm.qemu_program import find_qemu, inspect


@pytest.fixture
def status(guest: Guest, pytestconfig: pytest.Config) -> dict[str, str]:
    """/proc/PID/status of a running clone's QEMU."""
    program = inspect(find_qemu(guest.arch, pytestconfig.getoption("qemu")))
    if not program.sandboxed:
        pytest.skip(f"needs a QEMU that supports -sandbox here, which {program.path} does not")
    assert guest.root().call("getppid").value == 1, "it runs"
    lines = Path(f"/proc/{guest.pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_it_is_under_a_seccomp_filter(status: dict[str, str]) -> None:
    assert status["Name"].startswith("qemu")
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")


def test_all_of_its_threads_are(status: dict[str, str]) -> None:
    threads = list(Path(f"/proc/{status['Pid']}/task").glob("*/status"))
    assert len(threads) > 1
    assert all("\nSeccomp:\t2\n" in thread.read_text() for thread in threads)


def test_it_has_no_network_and_no_named_socket(guest: Guest) -> None:
    """Its channels are pairs of sockets, so no two runs can meet at a port or a path."""
    sockets = psutil.Process(guest.pid).net_connections("all")
    assert sockets
    assert [socket for socket in sockets if socket.laddr or socket.raddr] == []
    assert not guest.exists("/sys/class/net/eth0")
