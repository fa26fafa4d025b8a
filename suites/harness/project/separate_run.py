# SPDX-License-Identifier: GPL-2.0-or-later
"""A pytest run in processes of its own, which a test can disturb, and of which nothing is left after the test."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import psutil

from guests.time_limit import load
from kconfigs.kernel import Kernel
from suites import marked_processes
from suites.harness.checkout import ROOT

DEADLINE_S = 60.0
"""For what takes seconds on an idle machine; longer on a busy one."""
_TICK_S = 0.02


def kernel_options(kernel: Kernel, folder: Path) -> list[str]:
    """Options for a run on this kernel: a package with its modules, which may include virtio, or a built kernel.

    The config of a built one is written to `folder`.
    """
    if kernel.spec.startswith("deb:"):
        return [f"--kernel={kernel.spec}"]
    config = folder / "config"
    config.write_text(kernel.config.render())
    return [f"--kernel={kernel.image}", f"--kernel-config={config}"]


class SeparateRun:
    """Its processes are identified by a variable in their environment."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        cwd: Path = ROOT,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        default_report: bool = False,
    ) -> None:
        """`folder`: where its log and its report are, and its temporary files, in `tmp`.

        `prefix` is a command that runs pytest.  With `default_report`, there is no --report-dir.
        """
        self._mark = marked_processes.new_mark("KCONFORM_MARK")
        name, _, value = self._mark.partition("=")
        self.temporary = folder / "tmp"
        self.temporary.mkdir(exist_ok=True)
        self.log = folder / "log"
        self.report = folder / "report"
        command = [
            # A test that is killed leaves no run.
            *("setpriv", "--pdeathsig", "KILL", "--"),
            # As when started from a terminal: a background job of a script ignores SIGINT, and so do its children.
            *("env", "--default-signal=INT,HUP", *prefix),
            *(sys.executable, "-m", "pytest", *arguments),
            *("-p", "no:cacheprovider", *(() if default_report else (f"--report-dir={self.report}",))),
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "TMPDIR": str(self.temporary),
                    name: value,
                    **(env or {}),
                },
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End a run that has not ended by itself, so that it does not affect later tests."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def wait(self) -> int:
        """The exit status; negative for a signal."""
        return self.process.wait(DEADLINE_S * load())

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def results(self) -> dict[str, Any]:
        """results.json, which is complete at any time."""
        return dict(json.loads((self.report / "results.json").read_text()))

    def members(self) -> list[psutil.Process]:
        """All living processes of the run."""
        return list(marked_processes.living(self._mark))

    def processes(self) -> list[str]:
        """The command names of all living processes of the run."""
        return [process.info["name"] for process in self.members()]

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until the condition is true; AssertionError, with the log's end, if that takes too long."""
        deadline = time.monotonic() + DEADLINE_S * load()
        while not condition():
            assert time.monotonic() < deadline, f"waited for {what}, in vain:\n{self.said()[-3000:]}"
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_TICK_S)

    def wait_while_running(self, condition: Callable[[], bool], what: str) -> None:
        """The same, for what only a run that has not ended can do."""

        def done() -> bool:
            assert self.process.poll() is None, f"it ended before {what}:\n{self.said()[-3000:]}"
            return condition()

        self.wait_for(done, what)

    def wait_until_gone(self) -> None:
        """Wait until no process of the run is left."""
        deadline = time.monotonic() + DEADLINE_S * load()
        while members := self.members():
            assert time.monotonic() < deadline, f"still there: {self.processes()}"
            psutil.wait_procs(members, timeout=deadline - time.monotonic())

    def left_behind(self) -> list[str]:
        """Files that the run has left in its directory for temporary files; pytest keeps its own, by design."""
        return sorted(path.name for path in self.temporary.iterdir() if not path.name.startswith("pytest-of-"))
