# SPDX-License-Identifier: GPL-2.0-or-later
"""The results of the hosts' trials: the table, and the exit status.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reports.judgement.exit_status import BROKEN, HELD, INTERRUPTED, MEANING, NOTHING_RAN, UNDETERMINED, WRONG_USE

HEAD = ("host", "tox", "Python", "QEMU", "held", "broken", "errors", "seconds", "quick tests", "verdict")
_NUMBERS = {"held", "broken", "errors", "seconds"}

_BY_PRIORITY = (INTERRUPTED, BROKEN, UNDETERMINED, WRONG_USE, NOTHING_RAN)
"""Exit statuses by descending priority, for several hosts."""


@dataclass(frozen=True)
class Row:
    """The result of one host."""

    host: str
    versions: Mapping[str, str] = field(default_factory=dict)
    """The versions of `tox`, `python` and `qemu`."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """The number of tests by outcome; empty if there is no report."""
    seconds: float | None = None
    """The duration of README's first command, without the installation of tox."""
    status: int | None = None
    """Its exit status; None if it did not run."""
    quick: int | None = None
    """Exit status of the project's own quick tests."""
    why_not: str = ""
    """Why the host was not tried."""
    excused: bool = False
    """Whether this is no error: its archive cannot be reached, and it is not required."""

    @property
    def exit_status(self) -> int:
        """The exit status as in README.md; a failure of the project's own tests is not a broken promise."""
        if self.status is None:
            return NOTHING_RAN if self.excused else UNDETERMINED
        if self.status in (HELD, BROKEN) and not self.counts:
            # tox itself may have exited with status 1.
            return UNDETERMINED
        if self.status == HELD:
            return UNDETERMINED if self.quick else HELD
        return self.status if self.status in MEANING else UNDETERMINED

    @property
    def verdict(self) -> str:
        if self.status is None:
            return f"not tried: {self.why_not}"
        if self.status in (HELD, BROKEN) and not self.counts:
            return "no test ran"
        if self.status == HELD and self.quick:
            return "the project's own tests failed"
        return MEANING.get(self.status, f"exit status {self.status}")

    def cells(self) -> list[str]:
        count = self.counts
        numbers = [str(count.get(name, 0)) if count else "" for name in ("pass", "fail", "error")]
        return [
            self.host,
            *(self.versions.get(name, "") for name in ("tox", "python", "qemu")),
            *numbers,
            "" if self.seconds is None else f"{self.seconds:.0f}",
            "" if self.quick is None else "failed" if self.quick else "passed",
            self.verdict,
        ]


def render(rows: Sequence[Row]) -> str:
    """The table in Markdown, with aligned columns."""
    cells = [list(HEAD), *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEAD))]
    lines = [_line(line, widths) for line in cells]
    rule = [
        ("-" * (width - 1) + ":") if name in _NUMBERS else "-" * width
        for name, width in zip(HEAD, widths, strict=True)
    ]
    return "\n".join([lines[0], "| " + " | ".join(rule) + " |", *lines[1:]])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.rjust(width) if name in _NUMBERS else cell.ljust(width)
        for name, cell, width in zip(HEAD, cells, widths, strict=True)
    ]
    return "| " + " | ".join(padded) + " |"


def exit_status(rows: Sequence[Row]) -> int:
    """The hosts' status with the highest priority; excused hosts only count if there is no other."""
    statuses = {row.exit_status for row in rows}
    if HELD in statuses:
        statuses -= {HELD, *({NOTHING_RAN} if any(row.excused for row in rows) else ())}
    return next((status for status in _BY_PRIORITY if status in statuses), HELD if rows else NOTHING_RAN)
