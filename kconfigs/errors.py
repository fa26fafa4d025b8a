# SPDX-License-Identifier: GPL-2.0-or-later
"""The errors that a user sees: one sentence, a hint of what to do next, and the exit status."""

from __future__ import annotations


class KconformError(Exception):
    """We could not find out: an error of ours (build, boot, QEMU, agent), never the kernel's verdict.

    `verdict` is the outcome that a result gets from this exception, `exit_status` what a run that has
    nothing worse to say ends with (README.md, the report).  Both are read by name, so that a package
    that must not import this one can still tell.
    """

    verdict = "error"
    exit_status = 3

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class UsageError(KconformError):
    """The user asked for what cannot be: no such kernel, flavor, option."""

    exit_status = 4
