# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs with --hold and --gdb, in a terminal of their own; and what they need before anything is run."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from guests.time_limit import load
from kconfigs.kernel import Kernel
from reports.judgement.exit_status import BROKEN, WRONG_USE
from suites.harness.checkout import ROOT
from suites.harness.project.separate_run import DEADLINE_S, SeparateRun, kernel_options

SAMPLE = "suites/harness/project/samples/failing_guests.py"
PROMPT = r"(?:>>> |In \[.{0,20}\]: )"


class HeldRun:
    """A run in a terminal; `plain` is for Python's own prompt even where IPython is installed."""

    def __init__(self, folder: Path, *arguments: str, plain: bool = True) -> None:
        path = [str(ROOT)]
        if plain:
            (folder / "IPython").mkdir()
            (folder / "IPython" / "__init__.py").write_text("raise ImportError\n", encoding="utf-8")
            path.insert(0, str(folder))
        self.report = folder / "report"
        self._gone = False
        command = ["-m", "pytest", "-c", "pyproject.toml", "-p", "no:cacheprovider", f"--report-dir={self.report}"]
        self._terminal: pexpect.spawn[str] = pexpect.spawn(
            sys.executable,
            [*command, *arguments],
            cwd=ROOT,
            encoding="utf-8",
            # Whole lines, however long.
            dimensions=(50, 1000),
            timeout=3 * DEADLINE_S * load(),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path), "TERM": "xterm"},
        )

    def expect(self, pattern: str) -> str:
        """Wait for the pattern, and return what came before."""
        self._terminal.expect(pattern)
        return str(self._terminal.before)

    def say(self, line: str) -> None:
        """Type a line at the next prompt."""
        self.expect(PROMPT)
        self._terminal.sendline(line)

    def press(self, key: str) -> None:
        self._terminal.send(key)

    def end(self) -> int:
        """Wait for the end, and return the exit status."""
        self._terminal.expect(pexpect.EOF)
        self._terminal.close()
        return int(self._terminal.exitstatus or 0)

    def hang_up(self) -> None:
        """Take the terminal away, as a broken connection does, and wait for the end."""
        os.close(self._terminal.child_fd)
        assert self._terminal.pid is not None
        os.waitpid(self._terminal.pid, 0)
        self._gone = True

    def close(self) -> None:
        if not self._gone:
            self._terminal.close(force=True)

    def results(self) -> dict[str, dict[str, Any]]:
        """The results by the names of their tests."""
        found = json.loads((self.report / "results.json").read_text(encoding="utf-8"))["results"]
        return {each["nodeid"].partition("::test_")[2].partition("[")[0]: each for each in found}

    def evidence(self, result: dict[str, Any], title: str) -> str:
        path = self.report / str(result["evidence"][title])
        return path.read_text(encoding="utf-8")


@pytest.fixture
def held(kernel: Kernel, tmp_path: Path) -> Iterator[Callable[..., HeldRun]]:
    runs: list[HeldRun] = []

    def start(*arguments: str, plain: bool = True) -> HeldRun:
        options = kernel_options(kernel, tmp_path)
        runs.append(HeldRun(tmp_path, SAMPLE, *options, "--reproducers=none", *arguments, plain=plain))
        return runs[0]

    yield start
    for run in runs:
        run.close()


def test_the_guests_of_failed_tests_are_held(held: Callable[..., HeldRun]) -> None:
    """Of one that broke a promise, in its first attempt only, and of one that crashed; with workers asked for."""
    run = held("--hold", "--confirm=1", "-n", "2")
    run.expect("hold: one test at a time")
    run.expect(r"held: .*test_broken")
    run.expect(r"failure: +evil\[\d+\]\.getuid\(\) -> OK\(1000\), expected EPERM")
    run.expect(r"guest: .*, running")
    run.expect(r"tasks: .*evil \(evil\[\d+\]\), secret \(secret")
    # The test's own variables, its module's names, and the tasks.
    run.say("secret.call('getuid') == returned(1000), EPERM, evil is guest.tasks[1]")
    run.expect(r"\(True, EPERM, True\)")
    # No limit of the test's time applies, and a call waits until Ctrl-C, after which the guest still answers.
    run.say("import signal; signal.getitimer(signal.ITIMER_REAL)")
    run.expect(r"\(0\.0, 0\.0\)")
    run.say("waiting = evil.begin('pause'); guest.spawn('another'); print('BE' + 'GUN'); waiting.outcome()")
    run.expect("BEGUN")
    run.press("\x03")
    run.expect("KeyboardInterrupt")
    run.say("transcript()")
    run.expect(r"init\[1\]\.spawn\(another\) -> OK")
    run.say("exit")
    run.expect("the guest ends")

    run.expect(r"held: .*test_crash")
    run.expect(r"failure: +the kernel went down during .*Attempted to kill init!")
    run.expect("guest: .*, down: its kernel has crashed or rebooted")
    run.expect("left: .*console")
    run.say("console()")
    run.expect("Kernel panic - not syncing: Attempted to kill init!")
    run.say("witness.call('getpid')")
    run.expect("GuestBroke: the kernel went down during witness")
    run.say("end_run()")
    run.expect(PROMPT)
    run.press("\x04")
    assert run.end() == BROKEN

    results = run.results()
    assert {name: each["outcome"] for name, each in results.items()} == {"broken": "fail", "crash": "fail"}
    assert results["broken"]["repetition"]["broken"] == 1
    calls = run.evidence(results["broken"], "calls at the prompt")
    assert "spawn(another)" in calls
    assert "getppid" not in calls
    assert "crash" in run.evidence(results["crash"], "vmcore")
    cores = list(run.report.glob("evidence/*/vmcore"))
    assert [core.parent.name.partition("-test_")[2].partition("-")[0] for core in cores] == ["crash"]
    assert cores[0].stat().st_size > 100_000


def test_the_result_survives_the_terminal(held: Callable[..., HeldRun]) -> None:
    """The run ends with the terminal, and its report has what was found until then."""
    run = held("--hold")
    run.expect(PROMPT)
    run.hang_up()
    assert {name: each["outcome"] for name, each in run.results().items()} == {"broken": "fail"}


@pytest.mark.skipif(shutil.which("gdb") is None, reason="needs gdb")
def test_gdb_attaches_to_the_guest(held: Callable[..., HeldRun], kernel: Kernel) -> None:
    """While the prompt is there; and a call made while gdb has stopped the guest waits for gdb to let it go."""
    if kernel.arch != "x86_64":
        pytest.skip("needs a gdb for x86-64")
    run = held("--gdb", "-x", "-k", "broken", plain=importlib.util.find_spec("IPython") is None)
    run.expect("gdb: +")
    line = run.expect("\r\n")
    assert line.startswith("gdb ")
    run.expect("with -x the run")
    go = run.report / "go"
    os.mkfifo(go)
    script = ["-ex 'info registers rip'", """-ex 'shell cat "$GO"'""", "-ex detach"]
    debugger = subprocess.Popen(
        ["sh", "-c", " ".join([line.replace("gdb ", "gdb -batch -nx ", 1), *script])],
        env={**os.environ, "GO": str(go)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with go.open("w"):  # returns once gdb has stopped the guest
        run.say("print('ASK' + 'ED'); secret.call('getuid')")
        run.expect("ASKED")
    said, _ = debugger.communicate()
    assert "rip            0xffffffff" in said
    run.expect(r"secret\[\d+\]\.getuid\(\) -> OK\(1000\)")
    run.say("quit()")
    assert run.end() == BROKEN


def test_crashes_beyond_the_limit_leave_no_dump(kernel: Kernel, tmp_path: Path) -> None:
    """The limit is that of the run, not of each of its processes; mutants, bisections and coverage keep none."""
    options = (*kernel_options(kernel, tmp_path), "--reproducers=none", "--repeat=2", "--vmcores=1", "-k", "crash")
    with SeparateRun(tmp_path, "-c", str(ROOT / "pyproject.toml"), SAMPLE, *options) as run:
        assert run.wait() == BROKEN, run.said()
    assert len(list(run.report.glob("evidence/*/vmcore.txt"))) == 1
    assert len(list(run.report.glob("evidence/*/vmcore"))) == 1


class TestWrongUse:
    @pytest.mark.parametrize("option", ["--hold", "--gdb"])
    def test_without_a_terminal_nothing_is_run(self, tmp_path: Path, option: str) -> None:
        with SeparateRun(tmp_path, "-c", str(ROOT / "pyproject.toml"), SAMPLE, option, "-n", "2") as run:
            assert run.wait() == WRONG_USE
        said = run.said()
        assert f"ERROR: {option} opens a prompt, and the standard input is no terminal" in said
        assert "hint: run it in a terminal; over ssh, give the command one with `ssh -t`" in said
        assert "session starts" not in said
        assert not run.report.exists()

    def test_on_a_machine_that_somebody_else_booted(self, tmp_path: Path) -> None:
        options = ("--hold", "--target=local", "--i-own-this-machine")
        with SeparateRun(tmp_path, "-c", str(ROOT / "pyproject.toml"), SAMPLE, *options) as run:
            assert run.wait() == WRONG_USE
        assert "keep a guest of QEMU, and a machine that somebody else booted (--target) has none" in run.said()
        assert not run.report.exists()

    def test_a_number_of_dumps(self, tmp_path: Path) -> None:
        with SeparateRun(tmp_path, "-c", str(ROOT / "pyproject.toml"), SAMPLE, "--vmcores=some") as run:
            assert run.wait() == WRONG_USE
        assert "'some' is not a number of dumps from 0 to 100" in run.said()
