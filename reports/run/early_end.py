# SPDX-License-Identifier: GPL-2.0-or-later
"""How a run ends before its time: SIGTERM and SIGHUP end it in order, as Ctrl-C does, and no worker outlives it.

The first signal raises KeyboardInterrupt where the run is, so that its guests end and its report is written; a second
one ends the process at once.  pytest and Python do this for SIGINT only.

pytest-xdist's workers notice the end of their controller only after some seconds, in which they go on testing, and
not at all while they are stopped in a call that holds Python's lock.  Here, a thread of each worker waits for it.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from types import FrameType
from typing import Any

import pytest

from common.workers import handed_over, is_worker

SIGNALS = (signal.SIGTERM, signal.SIGHUP)

WORKER_INPUT = "kconform_controller"

CAUGHT = pytest.StashKey[tuple[signal.Signals, ...]]()
"""The signals that this run has a handler for."""


def tell_worker(node: Any) -> None:
    """Tell a worker of xdist which process its controller is, if it is on the same machine."""
    if node.gateway.spec.popen:
        node.workerinput[WORKER_INPUT] = os.getpid()


def begin(config: pytest.Config) -> None:
    """End in order when a signal arrives; in a worker, end with the controller."""
    if is_worker(config):
        controller = handed_over(config, WORKER_INPUT)
        if controller is not None:
            _end_with(controller)
    elif threading.current_thread() is threading.main_thread():
        # nohup ignores SIGHUP, and a run within another process leaves that process its handlers.
        caught = tuple(number for number in SIGNALS if signal.getsignal(number) is signal.SIG_DFL)
        for number in caught:
            signal.signal(number, _interrupt)
        config.stash[CAUGHT] = caught


def end(config: pytest.Config) -> None:
    """Handle signals as before the run."""
    for number in config.stash.get(CAUGHT, ()):
        signal.signal(number, signal.SIG_DFL)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    for each in SIGNALS:
        if signal.getsignal(each) is _interrupt:
            signal.signal(each, signal.SIG_DFL)
    raise KeyboardInterrupt(f"the run received {signal.Signals(number).name}")


def _end_with(controller: int) -> None:
    """Kill this process when the controller has ended.  Its guests end with it (guests/vm/qemu_command.py)."""
    try:
        descriptor = os.pidfd_open(controller)
    except ProcessLookupError:
        os.kill(os.getpid(), signal.SIGKILL)
        return

    def wait() -> None:
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        ended.poll()
        # Nobody takes a result any more, so there is nothing to do in order.
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="controller", daemon=True).start()
