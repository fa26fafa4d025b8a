# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel built beside a run that has something better to do meanwhile.

`start` begins it, in a process that ends with ours.  `wait`, in any process, follows its status file.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common.errors import KconformError, UsageError
from kconfigs.process import dies_with_parent
from kconfigs.progress import State, StatusFile, is_running

_POLL_S = 0.2


def start(
    spec: str, flavor: str | None, status: Path, kernel_config: Path | None = None, what: str = ""
) -> subprocess.Popen[bytes]:
    """Build a kernel at low priority, and write how far it is to `status` (see StatusFile), where `what` names it.

    The builder dies with the thread that starts it, and its compilers with the builder.  What it says
    otherwise is in a file beside the status, with the suffix `.log`.
    """
    status.parent.mkdir(parents=True, exist_ok=True)
    status.unlink(missing_ok=True)
    command = [*("nice", "-n", "19", sys.executable, "-m", "kconfigs", "build", spec, "--status", str(status))]
    command += ["--flavor", flavor] if flavor else []
    command += ["--kernel-config", str(kernel_config)] if kernel_config else []
    package = str(Path(__file__).parent.parent)
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))
    with status.with_suffix(".log").open("wb") as log:
        builder = subprocess.Popen(
            dies_with_parent(command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": path},
            # Ctrl-C is for the run; the builder then goes with it.
            process_group=0,
        )
    StatusFile(status, builder.pid).begin(what)
    return builder


def read(status: Path) -> tuple[State, dict[str, Any]]:
    """The state just now, and the whole record.  KconformError if there is none."""
    try:
        record = json.loads(status.read_text(encoding="utf-8"))
        state = State(record["state"], record["what"], record["objects"], record["total"], record["started"])
    except (OSError, ValueError, KeyError) as error:
        raise KconformError(f"{status} tells of no kernel build ({error})") from error
    return state, record


def wait(status: Path, on_progress: Callable[[State], None] | None = None) -> None:
    """Block until the kernel is built; then `resolve(spec).kernel(flavor)` finds it in the cache.

    Raises the error that ended the build, or a KconformError if the builder died without a word.
    """
    while True:
        # Looked at first: a builder that ends in between has written its last word by then.
        alive = _builder_alive(status)
        state, record = read(status)
        if on_progress is not None:
            on_progress(state)
        if state.phase == "done":
            return
        if state.phase == "failed":
            raise _rebuilt(record.get("error"))
        if not alive:
            raise KconformError(
                f"the kernel build of {state.what or 'the background'} died while {state.phase}",
                hint=f"its last words are in {status.with_suffix('.log')}",
            )
        time.sleep(_POLL_S)


def _builder_alive(status: Path) -> bool:
    with contextlib.suppress(KconformError, KeyError):
        record = read(status)[1]
        return is_running(record["pid"], record["birth"])
    return False


def _rebuilt(error: dict[str, Any] | None) -> KconformError:
    error = error or {}
    kind = UsageError if error.get("exit_status") == UsageError.exit_status else KconformError
    return kind(error.get("message", "the kernel build failed"), hint=error.get("hint", ""))
