# SPDX-License-Identifier: GPL-2.0-or-later
"""The connection to a machine that somebody else booted, and the copy of the agent there.

One ssh connection serves the whole run, and each test has a session of its own in it.  The agent's file is removed by
the session that has put it there, when that session's input ends: also if this process is killed, or the connection
is lost.
"""

from __future__ import annotations

import contextlib
import select
import shlex
import subprocess
import tempfile
import time
from pathlib import Path

from common.text import printable
from guests.errors import TargetError
from guests.target.kept_settings import agent_words
from guests.target.piped_process import PipedProcess
from guests.vm.qemu_command import TITLE_SPACE, dying_with_parent
from kconfigs.sources import TargetSource
from kconfigs.target_facts import SUDO

CONNECT_S = 180.0
END_S = 60.0

# The reader of the file's bytes may take more than these, so nothing follows until it has answered.
_KEEP_FILE = """\
umask 022
folder=$(mktemp -d /tmp/kconform-XXXXXXXX) || exit 1
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
head -c {size} > "$folder/agent" && chmod 755 "$folder/agent" && echo "$folder"
cat > /dev/null
"""


class TargetConnection:
    """Opened when the first test needs it."""

    def __init__(self, source: TargetSource, agent: Path) -> None:
        """`agent` is the file to copy there."""
        self.machine = source.machine
        self._sudo = SUDO if source.facts.sudo else ""
        self._agent = agent
        self._scratch = tempfile.TemporaryDirectory(prefix="kconform-target-")
        self._errors = Path(self._scratch.name, "errors").open("w+b")  # noqa: SIM115
        """What ssh and the shell there have to complain of."""
        self._control = Path(self._scratch.name, "control") if self.machine.host else None
        self._master: subprocess.Popen[bytes] | None = None
        self._keeper: PipedProcess | None = None
        self._folder = ""
        self._failure: TargetError | None = None
        """Why there was no connection, or no copy of the agent: every later test has the same error at once."""

    def agent_command(self) -> list[str]:
        """What runs the agent there, with its channel as standard input and output.  TargetError if it cannot."""
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        if self._keeper is None or self._keeper.poll() is not None:
            try:
                self._close_keeper()
                self._connect()
                self._put_agent()
            except TargetError as error:
                self._failure = error
                raise
        words = [f"{self._folder}/agent", "target", TITLE_SPACE, *agent_words()]
        return self.machine.command(f"exec {self._sudo}{shlex.join(words)}", self._control)

    def close(self) -> None:
        """Remove the file, and end the connection.  Raises nothing."""
        self._close_keeper()
        self._disconnect()
        self._errors.close()
        self._scratch.cleanup()

    def _connect(self) -> None:
        if self._control is None or (self._master is not None and self._master.poll() is None):
            return
        self._disconnect()
        self._control.unlink(missing_ok=True)
        self._master = subprocess.Popen(
            dying_with_parent(self.machine.connection(self._control)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
        )
        deadline = time.monotonic() + CONNECT_S
        question = self.machine.question(self._control)
        while subprocess.run(question, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode:
            if self._master.poll() is not None or time.monotonic() > deadline:
                self._disconnect()
                raise TargetError(f"{printable(self.machine.text)} cannot be reached: {self._complaint()}")
            select.select([], [], [], 0.02)

    def _put_agent(self) -> None:
        content = self._agent.read_bytes()
        script = _KEEP_FILE.format(size=len(content))
        self._keeper = PipedProcess(self.machine.command(script, self._control), self._errors)
        with contextlib.suppress(BrokenPipeError):
            self._keeper.input.write(content)
            self._keeper.input.flush()
        ready, _, _ = select.select([self._keeper.output], [], [], CONNECT_S)
        self._folder = self._keeper.output.readline().decode(errors="replace").strip() if ready else ""
        if not self._folder.startswith("/tmp/kconform-"):  # noqa: S108
            self._close_keeper()
            raise TargetError(
                f"the agent cannot be copied to {printable(self.machine.text)}: {self._complaint()}",
                hint="it needs a shell, mktemp, head and cat there, and some space in /tmp",
            )

    def _close_keeper(self) -> None:
        if self._keeper is not None:
            with contextlib.suppress(BrokenPipeError):
                self._keeper.input.close()
            self._end(self._keeper)
            self._keeper.output.close()
        self._keeper = None

    def _disconnect(self) -> None:
        if self._master is not None:
            self._master.terminate()
            self._end(self._master)

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        try:
            process.wait(timeout=END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _complaint(self) -> str:
        """The last line that there is of them."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return printable(lines[-1]) if lines else "no reason is given"
