# SPDX-License-Identifier: GPL-2.0-or-later
"""Building a reproducer, and running it in a guest."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from guests.errors import GuestBroke, KconformError
from guests.guest import Guest
from guests.outcome import OK, Outcome, describe
from guests.uapi import O_CREAT, O_TRUNC, O_WRONLY
from guests.vm.initramfs import installed_compiler

PROMISE_KEPT, PROMISE_BROKEN, UNDETERMINED = 0, 1, 2
"""Exit statuses of a reproducer."""
FLAGS = ("-static", "-Wall", "-Wextra", "-Werror")
LONGEST_S = 180.0
"""Maximum time that a reproducer may take; each of its steps has a deadline of its own."""
_MEANING: dict[int | None, str] = {
    PROMISE_KEPT: "the kernel keeps its promise",
    PROMISE_BROKEN: "the kernel breaks its promise",
    UNDETERMINED: "it could not be found out",
}
_PROGRAM, _OUTPUT = "/tmp/reproducer", "/tmp/output"  # noqa: S108 (in a guest)


@dataclass(frozen=True)
class ReproducerRun:
    """A reproducer's run: its exit status, None if it did not end by itself, and what it printed."""

    status: int | None
    output: str

    @property
    def meaning(self) -> str:
        return _MEANING.get(self.status, "it did not end as it should")

    def __str__(self) -> str:
        status = "no exit status" if self.status is None else f"exit status {self.status}"
        return f"{self.output}{status}: {self.meaning}\n"


def says_broken(text: str) -> bool:
    """Whether this is the text of a run that found the promise broken."""
    return text.endswith(f"{ReproducerRun(PROMISE_BROKEN, '')}")


@cache
def build(source: str, arch: str) -> bytes:
    """The static program.  KconformError if it does not compile."""
    with tempfile.TemporaryDirectory(prefix="kconform-reproducer-") as directory:
        written, made = Path(directory) / "reproducer.c", Path(directory) / "reproducer"
        written.write_text(source, encoding="utf-8")
        command = [installed_compiler(arch), *FLAGS, "-o", str(made), str(written)]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
        if done.returncode:
            said = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip())
            raise KconformError(f"the reproducer does not compile: {said}", hint="is a static libc installed?")
        return made.read_bytes()


def run(take: Callable[[], Guest], program: bytes) -> ReproducerRun:
    """Run it as root in a fresh guest, and wait for its end.  If the kernel ever breaks, there is no status."""
    try:
        guest = take()
    except GuestBroke as error:
        return ReproducerRun(None, f"{error.message}\n")
    with contextlib.closing(guest):
        return _run(guest, program)


def _run(guest: Guest, program: bytes) -> ReproducerRun:
    printed = ""
    try:
        guest.upload(_PROGRAM, program, 0o755)
        outcome = _execute(guest)
        printed = guest.read_file(_OUTPUT)
        if outcome == OK or outcome.signal:
            return ReproducerRun(None, f"{printed}{describe(outcome)}\n")
        complaint = guest.complaint()
    except GuestBroke as error:
        return ReproducerRun(None, f"{printed}{error.message}\n{_tail(guest)}")
    if complaint:
        return ReproducerRun(PROMISE_BROKEN, f"{printed}{complaint}\n")
    return ReproducerRun(outcome.value >> 8 & 0xFF, printed)


def _execute(guest: Guest) -> Outcome:
    """Execute the program, with its output in a file, and return how it ended."""
    task = guest.root("reproducer")
    output = task.open(_OUTPUT, O_WRONLY | O_CREAT | O_TRUNC).result()
    for descriptor in (1, 2):
        task.call("dup3", output, descriptor, 0).result()
    task.close(output).result()
    execution = task.begin("execve", _PROGRAM, task.store_words(_PROGRAM), None, shown=f"execve({_PROGRAM})")
    guest.wait_until(lambda: execution.finished(), "the reproducer to end", LONGEST_S)
    return execution.outcome()


def _tail(guest: Guest) -> str:
    return "".join(f"{line}\n" for line in guest.console().splitlines()[-5:])
