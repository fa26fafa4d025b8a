# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's monitor of a clone, of which most answers are never read: the end of the guest, and questions."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from guests.errors import QemuError
from guests.vm.qemu_process import Qmp
from suites.harness.guests import fakes

RESUMED = {"event": "RESUME", "timestamp": {}}


@pytest.fixture
def ends() -> Iterator[tuple[Qmp, socket.socket]]:
    """Our end of a monitor, and QEMU's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Qmp(ours), theirs


def says(end: socket.socket, *messages: dict[str, Any]) -> None:
    end.sendall(b"".join(json.dumps(message).encode() + b"\r\n" for message in messages))


@pytest.mark.parametrize("by_guest", [True, False], ids=["guest", "host"])
def test_the_end_of_a_guest_is_noticed_without_waiting(ends: tuple[Qmp, socket.socket], by_guest: bool) -> None:
    """What the host does to QEMU, such as a SIGTERM, is not the guest's end."""
    qmp, end = ends
    says(end, {"QMP": {}}, {"return": {}}, RESUMED)
    assert not qmp.guest_has_shut_down()
    says(end, {"event": "SHUTDOWN", "data": {"guest": by_guest, "reason": "guest-reset"}})
    assert qmp.guest_has_shut_down() is by_guest
    assert qmp.guest_has_shut_down() is by_guest
    assert qmp.event({"RESUME"}, fakes.later()) == RESUMED


def test_a_monitor_that_is_closed_has_no_descriptor(ends: tuple[Qmp, socket.socket]) -> None:
    """Otherwise a wait for its data would never wait."""
    qmp, end = ends
    assert qmp.fileno() >= 0
    end.close()
    assert not qmp.guest_has_shut_down()
    assert qmp.fileno() == -1


def test_a_question_passes_arguments_and_a_descriptor(ends: tuple[Qmp, socket.socket]) -> None:
    qmp, end = ends
    with pytest.raises(QemuError, match="did not answer in time"):
        qmp.ask("getfd", time.monotonic(), {"fdname": "vmcore"}, descriptor=0)
    content, descriptors, _, _ = socket.recv_fds(end, 65536, 1)
    asked = json.loads(content)
    assert (asked["execute"], asked["arguments"]) == ("getfd", {"fdname": "vmcore"})
    assert os.fstat(descriptors[0]).st_rdev == os.fstat(0).st_rdev
    os.close(descriptors[0])
