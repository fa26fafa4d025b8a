# SPDX-License-Identifier: GPL-2.0-or-later
"""The prompt, in a terminal of its own, without a guest."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from guests.time_limit import load
from suites.harness.checkout import ROOT

PROGRAM = """
import os, signal
from guests.live.prompt import open_prompt
parent = os.getpid()
if os.fork():
    # As tox: a program that waits for the run, in the same foreground job.
    signal.signal(signal.SIGINT, lambda *_: print("PARENT INTERRUPTED", flush=True))
    while True:
        try:
            status = os.waitpid(-1, 0)[1]
            break
        except InterruptedError:
            pass
    print("PARENT", os.tcgetpgrp(0) == os.getpgrp(), os.waitstatus_to_exitcode(status), flush=True)
else:
    open_prompt({"answer": 42}, "BANNER")
    print("LEFT", os.getpgrp() == os.getpgid(parent), flush=True)
"""
PROMPT = r"(?:>>> |In \[.{0,20}\]: )"

Spawn = Callable[[], "pexpect.spawn[str]"]


@pytest.fixture(params=["plain", "ipython"])
def spawn(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Spawn]:
    path = [str(ROOT)]
    if request.param == "plain":
        (tmp_path / "IPython").mkdir()
        (tmp_path / "IPython" / "__init__.py").write_text("raise ImportError\n")
        path.insert(0, str(tmp_path))
    elif importlib.util.find_spec("IPython") is None:
        pytest.skip("needs IPython")
    child: list[pexpect.spawn[str]] = []

    def start() -> pexpect.spawn[str]:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path),
            "TERM": "xterm",
            "IPYTHONDIR": str(tmp_path),
        }
        program = [sys.executable, "-W", "error", "-c", PROGRAM]
        child.append(pexpect.spawn(program[0], program[1:], encoding="utf-8", timeout=60 * load(), env=environment))
        child[0].expect("BANNER")
        return child[0]

    yield start
    for each in child:
        each.close(force=True)


def test_it_knows_its_names_and_shows_errors_in_a_line(spawn: Spawn) -> None:
    """In comprehensions as well; and `exit` leaves."""
    terminal = spawn()
    terminal.expect(PROMPT)
    terminal.sendline("later = [answer + n for n in (1, 2)]")
    terminal.expect(PROMPT)
    terminal.sendline("print('SUM', [n + sum(later) for n in (0,)])")
    terminal.expect(r"SUM \[87\]")
    terminal.expect(PROMPT)
    terminal.sendline("1 / 0")
    terminal.expect("ZeroDivisionError")
    assert "Traceback" not in (terminal.before or "")
    terminal.expect(PROMPT)
    terminal.sendline("exit")
    terminal.expect("LEFT True")
    terminal.expect("PARENT True 0")


@pytest.mark.parametrize("word", ["quit()", "\x04"], ids=["quit", "ctrl-d"])
def test_it_is_left(spawn: Spawn, word: str) -> None:
    terminal = spawn()
    terminal.expect(PROMPT)
    terminal.send(word if word == "\x04" else f"{word}\r")
    terminal.expect("LEFT True")


def test_ctrl_c_ends_what_runs_and_reaches_nobody_else(spawn: Spawn) -> None:
    """Neither the prompt nor the program that has started the run."""
    terminal = spawn()
    terminal.expect(PROMPT)
    # A call that waits would miss a signal that arrives just before it.
    terminal.sendline("print('BE' + 'GUN', flush=True); sum(1 for _ in iter(int, 1))")
    terminal.expect("BEGUN")
    terminal.send("\x03")
    terminal.expect("KeyboardInterrupt")
    terminal.expect(PROMPT)
    terminal.sendline("exit()")
    terminal.expect("LEFT True")
    assert "PARENT INTERRUPTED" not in (terminal.before or "")
    terminal.expect("PARENT True 0")
