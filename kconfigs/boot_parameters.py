# SPDX-License-Identifier: GPL-2.0-or-later
"""The parameters that a boot loader passes, read from /proc/cmdline, /etc/kernel/cmdline or an entry of its menu."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from common import bounded
from common.errors import UsageError
from common.paths import users_path
from common.text import printable
from kconfigs.builtin_command_line import Parameter, parse_parameters
from kconfigs.input_limits import COMMAND_LINE

WHAT = "kernel command line"
STANDARD_INPUT = "-"

# The files of GRUB from which others are made.  In these, a parameter is a part of a shell's string.
_OF_GRUB = re.compile(r"\s*(?:export\s+)?GRUB_\w+=|\s*menuentry\s")


@dataclass(frozen=True)
class BootParameters:
    """What a boot loader passes to the kernel."""

    parameters: tuple[Parameter, ...]
    """Those with a value, in their order."""
    shown: str
    """The file, for messages."""
    remarks: tuple[str, ...] = ()
    """What is not known of them."""


def read(name: str) -> BootParameters:
    """The parameters in a file, or in standard input if its name is `-`.  UsageError if there are none.

    All lines are one command line, as in /etc/kernel/cmdline; those that begin with `#` are comments.  So a boot
    loader's entry can be read too: the words of its other lines have no `=`, or are no parameters that count.
    """
    shown = "standard input" if name == STANDARD_INPUT else printable(name)
    lines = list(_lines(_content(name, shown), shown))
    if not lines:
        raise UsageError(f"{shown} has no kernel command line: it is empty", hint="give it what /proc/cmdline has")
    for text, where in lines:
        if _OF_GRUB.match(text):
            raise UsageError(
                f"{where}: not a {WHAT}, but a line of GRUB's configuration",
                hint="give a copy of /proc/cmdline, or one entry of a boot loader",
            )
    unknown = [
        f"{where}: {printable(word)} is a variable of the boot loader, and what it stands for is not known"
        for text, where in lines
        for word in text.split()
        if word.startswith("$")
    ]
    return BootParameters(parse_parameters(lines), shown, tuple(unknown))


def _content(name: str, shown: str) -> str:
    try:
        if name == STANDARD_INPUT:
            content = sys.stdin.buffer.read(COMMAND_LINE + 1)
            if len(content) > COMMAND_LINE:
                raise bounded.too_large(shown, COMMAND_LINE, WHAT)
        else:
            content = bounded.read(users_path(name), COMMAND_LINE, WHAT)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{shown} cannot be read: {getattr(error, 'strerror', None) or error}",
            hint="name a copy of /proc/cmdline, or - for standard input",
        ) from error
    return bounded.decoded(content, WHAT, shown)


def _lines(text: str, shown: str) -> Iterator[tuple[str, str]]:
    """The lines that are no comments, each with its place."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield line, f"{shown}:{number}"
