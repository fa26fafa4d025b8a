# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel that is built while a run tests others.

`start` begins the build, in a process that ends with ours.  `wait`, in any process, follows its status file.
`python -m kconfigs.build.background_build ORDER STATUS` is that process.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common import commandline
from common.errors import KconformError
from common.text import printable
from kconfigs.build.build_progress import BuildState
from kconfigs.build.status_file import StatusFile, read_status
from kconfigs.build.supervised_process import dies_with_parent
from kconfigs.fetch import fetch
from kconfigs.sources import Source

_POLL_S = 0.2
_QUOTED_BYTES, _QUOTED_LINES = 4096, 8


@dataclass(frozen=True)
class BuildOrder:
    """What to build."""

    source: Source
    flavor: str | None
    what: str = ""
    """What the status calls it until the builder has begun: the kernel's id."""
    after: int = 0
    """The pid of the builder that goes first; 0 if there is none.

    It must not have been reaped.  Kernels are then built in the order in which they are tested, while a lock alone
    would let any builder go next.
    """


def start(order: BuildOrder, status: Path) -> subprocess.Popen[bytes]:
    """Build a kernel at low priority, and write the state of the build to `status` (see StatusFile).

    The builder ends with the thread that started it, and its compilers end with the builder.  Its output is in a file
    beside the status, with the suffix `.log`.
    """
    status.parent.mkdir(parents=True, exist_ok=True)
    status.unlink(missing_ok=True)
    asked = status.with_suffix(".order")
    asked.write_bytes(pickle.dumps(order))
    root = str(Path(__file__).parents[2])
    with status.with_suffix(".log").open("wb") as log:
        builder = subprocess.Popen(
            dies_with_parent(["nice", "-n", "19", sys.executable, "-P", "-m", __name__, str(asked), str(status)]),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # For Python to find the project wherever the run was started; -P, for it to find nothing else there.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))},
            # Ctrl-C is for the run, which then ends the builder.
            process_group=0,
        )
    StatusFile(status, builder.pid).begin(order.what)
    return builder


def wait(status: Path, on_progress: Callable[[BuildState], None] | None = None) -> None:
    """Block until the kernel is built; then the cache has it.

    Raises the error that ended the build, or a KconformError if the builder died without reporting one.
    """
    while True:
        # Before the state is read: a builder that ends in between has written its last state by then.
        alive = _is_alive(status)
        found = read_status(status)
        if on_progress is not None:
            on_progress(found.state)
        if found.state.phase == "done":
            return
        if found.error is not None:
            raise found.error
        if not alive:
            raise KconformError(
                f"the build of {printable(found.state.what) or 'a kernel'} died while {found.state.phase}; "
                + _last_output(status.with_suffix(".log"))
            )
        time.sleep(_POLL_S)


def _last_output(log: Path) -> str:
    """The end of the builder's output, which goes with the run's folder."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _QUOTED_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError as error:
        return f"its output cannot be read: {error.strerror}"
    shown = [printable(line) for line in lines if line.strip()][-_QUOTED_LINES:]
    return "its last output:\n    " + "\n    ".join(shown) if shown else "it printed nothing"


def _is_alive(status: Path) -> bool:
    try:
        return read_status(status).builder_is_running
    except KconformError:
        return False


def main(asked: Path, status_path: Path) -> None:
    """Carry out an order that `start` wrote, and keep the status file up to date."""
    order: BuildOrder = pickle.loads(asked.read_bytes())  # noqa: S301 - written by `start`, in our own folder
    status = StatusFile(status_path)
    try:
        if order.after:
            _wait_for_end(order.after)
        kernel = fetch(order.source, order.flavor, status)
    except KconformError as error:
        status.failed(error)
        raise
    except BaseException as error:
        status.failed(KconformError(f"the kernel build ended: {type(error).__name__} {error}".rstrip()))
        raise
    status.done()
    logging.getLogger("kconform").info("%s: %s", kernel.id, kernel.image)


def _wait_for_end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError), os.fdopen(os.pidfd_open(pid), "rb", 0) as process:
        select.select([process], [], [])


if __name__ == "__main__":
    sys.exit(commandline.run(lambda: main(*map(Path, sys.argv[1:]))))
