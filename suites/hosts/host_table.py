# SPDX-License-Identifier: GPL-2.0-or-later
"""The results of the hosts' trials: the table, and the exit status.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reports.judgement.exit_status import BROKEN, HELD, INTERRUPTED, MEANING, NOTHING_RAN, UNDETERMINED, WRONG_USE

_PROGRAMS = {"tox": "tox", "podman": "podman", "python": "Python", "qemu": "QEMU"}
"""The columns of versions, by what `Row.versions` calls the program."""
_HEAD = ("host", *_PROGRAMS.values(), "held", "broken", "errors", "seconds", "quick tests", "verdict")
_NUMBERS = {"held", "broken", "errors", "seconds"}

_BY_PRIORITY = (INTERRUPTED, BROKEN, UNDETERMINED, WRONG_USE, NOTHING_RAN)
"""Exit statuses by descending priority, for several hosts."""


@dataclass(frozen=True)
class Row:
    """The result of one host."""

    host: str
    versions: Mapping[str, str] = field(default_factory=dict)
    """The versions of `tox`, `podman`, `python` and `qemu`."""
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
            *(self.versions.get(name, "") for name in _PROGRAMS),
            *numbers,
            "" if self.seconds is None else f"{self.seconds:.0f}",
            "" if self.quick is None else "failed" if self.quick else "passed",
            self.verdict,
        ]


def render(rows: Sequence[Row]) -> str:
    """The table in Markdown, with aligned columns; those that are empty for all hosts are left out."""
    lines = [_HEAD, *(row.cells() for row in rows)]
    columns = [column for column in zip(*lines, strict=True) if any(column[1:])]
    head, *others = zip(*(_aligned(column) for column in columns), strict=True)
    rule = [("-" * (len(cell) - 1) + ":") if cell.strip() in _NUMBERS else "-" * len(cell) for cell in head]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *others))


def _aligned(column: Sequence[str]) -> list[str]:
    """The cells of a column, padded to the same width."""
    width = max(map(len, column))
    return [cell.rjust(width) if column[0] in _NUMBERS else cell.ljust(width) for cell in column]


def exit_status(rows: Sequence[Row]) -> int:
    """The hosts' status with the highest priority; excused hosts only count if there is no other."""
    statuses = {row.exit_status for row in rows}
    if HELD in statuses:
        statuses -= {HELD, *({NOTHING_RAN} if any(row.excused for row in rows) else ())}
    return next((status for status in _BY_PRIORITY if status in statuses), HELD if rows else NOTHING_RAN)
