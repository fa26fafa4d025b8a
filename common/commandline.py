# SPDX-License-Identifier: GPL-2.0-or-later
"""Command lines: wrong use ends with status 4 and a sentence, and every message begins with `kconform: `."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from common.errors import KconformError, UsageError
from common.text import printable, printable_lines

PREFIX = "kconform: "
INTERRUPTED = 2


class Parser(argparse.ArgumentParser):
    """argparse with our exit status for wrong use: its own, 2, would mean `interrupted`."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(UsageError.exit_status, f"{PREFIX}error: {printable(message)}\n  hint: see {self.prog} --help\n")


def whole_number(what: str, least: int, most: int | None = None) -> Callable[[str], int]:
    """The parser of an option whose value is a number of something."""

    def parse(text: str) -> int:
        if text.isascii() and text.isdigit() and least <= int(text) and (most is None or int(text) <= most):
            return int(text)
        bounds = f"from {least} to {most}" if most is not None else f"of {least} or more"
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is not a number of {what} {bounds}")

    return parse


def say(message: str) -> None:
    """A message to the user, on standard error."""
    print(PREFIX + printable_lines(message), file=sys.stderr, flush=True)


def run(command: Callable[[], int | None]) -> int:
    """Run a command to its exit status: 0 if it returns None, and 2, 3 or 4 for the exceptions that it ends with.

    An error of the system is one of ours: Python's own status for it, 1, would mean that a promise was broken.

    Call it from the main thread of a program: SIGTERM becomes KeyboardInterrupt, which releases locks and removes
    what is half made, and the project's log goes to standard error.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return command() or 0
    except KconformError as error:
        say(f"error: {error}")
        return error.exit_status
    except OSError as error:
        say(f"error: {_sentence(error)}")
        return KconformError.exit_status
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED


def output(text: str) -> None:
    """A command's result, on standard output.  UsageError if that cannot be written; no error if the reader left.

    Characters that the locale's encoding lacks are spelled out.
    """
    try:
        encoding = sys.stdout.encoding or "utf-8"
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except OSError as error:
        # At exit Python would try to write again, and complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # `| head` has seen enough
            raise UsageError(f"standard output cannot be written: {error.strerror}") from error


def _sentence(error: OSError) -> str:
    why = error.strerror or str(error) or type(error).__name__
    return why if error.filename is None else f"{printable(os.fsdecode(error.filename))}: {why}"


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return PREFIX + printable_lines(super().format(record))


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
