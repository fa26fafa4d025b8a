# SPDX-License-Identifier: GPL-2.0-or-later
"""What the agent is: init, or what its first argument says."""

from __future__ import annotations

import platform
import subprocess

import pytest

from guests.guest import Guest
from guests.outcome import OK, returned
from guests.uapi import Clone
from guests.vm.initramfs import agent
from guests.vm.qemu_command import TITLE_SPACE
from kconfigs.cache import Cache
from suites.harness.guests.fakes import DEADLINE_S

MODES = ("task", "pipes", "target")


@pytest.mark.boot(*MODES, "pfoo")
def test_init_ignores_its_arguments(guest: Guest) -> None:
    """Words of the command line that the kernel does not know are init's arguments, and may look like modes."""
    assert guest.read_file("/proc/1/cmdline").rstrip("\0").split("\0")[1:] == [*MODES, "pfoo", TITLE_SPACE]
    task = guest.spawn("named")
    assert guest.read_file(f"/proc/{task.pid}/cmdline").rstrip("\0") == "named"
    first = guest.root().spawn("first", flags=Clone.NEWPID)
    for executing in (task, first):
        assert executing.execute_again() == OK
    assert task.call("getpid") == returned(task.pid)
    assert first.call("getpid") == returned(1)


@pytest.mark.parametrize("words", [(), ("pfoo",), ("task", "1")], ids=["none", "beginning", "task"])
def test_another_process_has_a_mode(store: Cache, words: tuple[str, ...]) -> None:
    """It ends unless its first argument is the whole word, and as a task unless it has inherited what tasks share."""
    command = [str(agent(platform.machine(), store)), *words]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "kconform: agent: this is not init, and its first argument is no mode: errno 22\n"
