# SPDX-License-Identifier: GPL-2.0-or-later
"""Command lines: exit statuses, and one prefix for messages."""

from __future__ import annotations

import subprocess
import sys

import pytest

from common.commandline import Parser
from suites.harness.checkout import ROOT


def ended(body: str) -> tuple[int, str, str]:
    """Exit status and output of a program whose command has this body."""
    script = (
        "import os, signal, sys\n"
        "from common.commandline import output, run, say\n"
        "from common.errors import KconformError, UsageError\n"
        f"def command():\n    {body}\n"
        "sys.exit(run(command))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_wrong_use_is_status_4_and_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        Parser(prog="kconform").parse_args(["\x1b[2J"])
    assert caught.value.code == 4
    said = capsys.readouterr().err
    assert "kconform: error: unrecognized arguments: \\x1b[2J\n  hint: see kconform --help\n" in said


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("pass", 0, ""),
        ("return 1", 1, ""),
        ("raise KconformError('no answer', hint='ask again')", 3, "kconform: error: no answer\n  hint: ask again\n"),
        ("raise UsageError('no such kernel')", 4, "kconform: error: no such kernel\n"),
        ("open('/nonexistent/\\x1b')", 3, "kconform: error: /nonexistent/\\x1b: No such file or directory\n"),
        ("raise OSError(28, 'No space left on device')", 3, "kconform: error: No space left on device\n"),
        ("raise KeyboardInterrupt", 2, "kconform: interrupted\n"),
        ("os.kill(os.getpid(), signal.SIGTERM); signal.pause()", 2, "kconform: interrupted\n"),
        ("import logging; logging.info('%s', 'a\\n::error::b\x1b')", 0, "kconform: a\n  ::error::b\\x1b\n"),
        ("say('a\\n::error::b')", 0, "kconform: a\n  ::error::b\n"),
    ],
)
def test_each_end_has_its_status(body: str, status: int, said: str) -> None:
    assert ended(body) == (status, "", said)


def test_what_the_locale_cannot_express_is_spelled_out() -> None:
    status, said, _ = ended("sys.stdout.reconfigure(encoding='ascii'); output('caf\\u00e9')")
    assert (status, said) == (0, "caf\\xe9\n")


def test_a_reader_that_has_left_is_no_error() -> None:
    assert ended("os.close(os.pipe()[0]); r, w = os.pipe(); os.close(r); os.dup2(w, 1); output('x')") == (0, "", "")


def test_output_that_cannot_be_written_is() -> None:
    status, _, said = ended("os.dup2(os.open('/dev/full', os.O_WRONLY), 1); output('x')")
    assert (status, said) == (4, "kconform: error: standard output cannot be written: No space left on device\n")
