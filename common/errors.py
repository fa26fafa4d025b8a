# SPDX-License-Identifier: GPL-2.0-or-later
"""The errors that a user sees: one sentence, a hint about what to do next, and an exit status."""

from __future__ import annotations

from typing import Self

from common.text import printable_lines


class KconformError(Exception):
    """The answer could not be determined: a build, a boot, QEMU or the agent failed.  Never the kernel's verdict.

    `verdict` is the outcome of a result that ends with this exception.  `exit_status` is what a run ends with if it
    has nothing worse to report (README.md lists the statuses).  Both are looked up by name, so that a package that
    must not import a subclass can still read them.

    The message may quote anything: what would control a terminal is spelled out, and a second line never begins at
    the left margin, where a CI would obey it.
    """

    verdict = "error"
    exit_status = 3

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = printable_lines(message)
        self.hint = printable_lines(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message

    def at(self, place: str) -> Self:
        """The same error, with the place in front.  Raise it `from` this one."""
        return type(self)(f"{place}: {self.message}", hint=self.hint)


class UsageError(KconformError):
    """The user asked for something that does not exist or cannot be done: a kernel, a flavor, an option."""

    exit_status = 4
