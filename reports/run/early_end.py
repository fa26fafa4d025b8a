# SPDX-License-Identifier: GPL-2.0-or-later
"""How a run ends before its time: SIGTERM and SIGHUP end it in order, as Ctrl-C does, and no worker outlives it.

The first signal raises KeyboardInterrupt where the run is, so that its guests end and its report is written; a second
one ends the process at once.  pytest and Python do this for SIGINT only.

A run whose output nobody reads any more, as in `pytest | head`, ends in the same way.  Python ignores SIGPIPE, and
the failed write would be an error inside pytest, whose terminal cannot say so; the run would count as finished.

pytest-xdist's workers notice the end of their controller only after some seconds, in which they go on testing, and
not at all while they are stopped in a call that holds Python's lock.  Here, a thread of each worker waits for it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from common.workers import handed_over, is_worker

SIGNALS = (signal.SIGTERM, signal.SIGHUP)

WORKER_INPUT = "kconform_controller"

CAUGHT = pytest.StashKey[dict[signal.Signals, signal.Handlers]]()
"""The signals that this run has a handler for, and what was done about them before."""


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
        caught = {number: signal.SIG_DFL for number in SIGNALS if signal.getsignal(number) is signal.SIG_DFL}
        for number in caught:
            signal.signal(number, _interrupt)
        if signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN and (output := _pipe(1)):
            signal.signal(signal.SIGPIPE, _interrupt_if_unread(output))
            caught[signal.SIGPIPE] = signal.SIG_IGN
        config.stash[CAUGHT] = caught


def end(config: pytest.Config) -> None:
    """Handle signals as before the run."""
    for number, former in config.stash.get(CAUGHT, {}).items():
        signal.signal(number, former)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    for each in SIGNALS:
        if signal.getsignal(each) is _interrupt:
            signal.signal(each, signal.SIG_DFL)
    raise KeyboardInterrupt(f"the run received {signal.Signals(number).name}")


Pipe = tuple[int, int]
"""Device and inode of a pipe or a socket, which all its descriptors have."""


def _pipe(descriptor: int) -> Pipe | None:
    """The pipe that a descriptor refers to; None if it refers to none."""
    with contextlib.suppress(OSError):
        found = os.fstat(descriptor)
        if stat.S_ISFIFO(found.st_mode) or stat.S_ISSOCK(found.st_mode):
            return found.st_dev, found.st_ino
    return None


def _interrupt_if_unread(output: Pipe) -> Callable[[int, FrameType | None], None]:
    """A handler of SIGPIPE, which a write to any pipe without a reader causes, such as that of an ended QEMU."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        # While pytest captures output, descriptor 1 is another file, and the pipe has another number.
        writing = [descriptor for descriptor in _open_descriptors() if _pipe(descriptor) == output]
        if any(map(_is_unread, writing)):
            nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            for descriptor in writing:
                os.dup2(nowhere, descriptor, os.get_inheritable(descriptor))
            os.close(nowhere)
            raise KeyboardInterrupt("nobody reads the run's output any more")

    return handle


def _open_descriptors() -> Iterator[int]:
    for link in Path("/proc/self/fd").iterdir():
        yield int(link.name)


def _is_unread(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)  # POLLERR and POLLHUP are always reported
    return bool(poll.poll(0))


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
