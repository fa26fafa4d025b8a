# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's log, read from /dev/kmsg by the agent (Documentation/ABI/testing/dev-kmsg), as records."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from guests.printable import escaped
from guests.protocol.channel import Channel
from guests.protocol.wire import Op

READ_MAX = 1 << 23
"""Bytes that one reading takes in: far more than a kernel's buffer holds (CONFIG_LOG_BUF_SHIFT)."""
READ_S = 60.0
"""Seconds that one reading may take."""
KEPT = 1 << 23
"""Bytes, about, that the records of a guest's log may take up here; those are kept that came first."""
_RECORD_SIZE = 300
"""Bytes, about, that a record without text takes up."""
_LINE_MAX = 8192
"""Of a record; the kernel's have 1 KiB (kernel/printk/internal.h, PRINTKRB_RECORD_MAX)."""

_RECORD = re.compile(r"([0-9]{1,10}),([0-9]{1,20}),([0-9]{1,20}),([^;]{0,256});(.*)")
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


@dataclass(frozen=True)
class Record:
    """One message: syslog level (0 to 7), number, microseconds since boot, text."""

    level: int
    sequence: int
    time_us: int
    text: str

    def __str__(self) -> str:
        """With the lines after a text's first one indented, so that none of them looks like another record."""
        time = f"[{self.time_us // 1_000_000:5d}.{self.time_us % 1_000_000:06d}] "
        return time + self.text.replace("\n", "\n" + " " * len(time))


@dataclass
class Log:
    """What a guest's kernel has logged, as far as it is kept."""

    records: list[Record] = field(default_factory=list)
    left_out: int = 0
    """Records that are not kept, because the log is too long."""
    endless: bool = False
    """Whether a reading was given up, because there was always more."""
    _kept: int = 0

    @property
    def incomplete(self) -> bool:
        """Whether something was logged that is not among the records."""
        return self.endless or self.left_out > 0

    def add(self, raw: str, complete: bool) -> None:
        """What `read_raw` returned."""
        self.endless |= not complete
        for match in _matches(raw):
            if self._kept > KEPT:
                self.left_out += 1
            else:
                self.records.append(_record(match))
                self._kept += _RECORD_SIZE + len(self.records[-1].text)

    def render(self) -> str:
        notices = [f"[... {self.left_out} more records are left out ...]\n"] if self.left_out else []
        notices += ["[... the kernel logs faster than its log can be read ...]\n"] if self.endless else []
        return render(self.records) + "".join(notices)


def read_raw(channel: Channel) -> tuple[str, bool]:
    """What has been logged since the last reading, as /dev/kmsg writes it, and whether that is all of it."""
    deadline = channel.deadline(READ_S)
    parts = []
    length = 0
    while body := channel.request(Op.KERNEL_LOG).body:
        parts.append(body.decode(errors="replace"))
        length += len(body)
        if length > READ_MAX or deadline.left() <= 0:
            return "".join(parts), False
    return "".join(parts), True


def parse(raw: str) -> list[Record]:
    """The records of /dev/kmsg's output.  Their dictionaries (lines that begin with a blank) are left out."""
    return [_record(match) for match in _matches(raw)]


def _matches(raw: str) -> Iterator[re.Match[str]]:
    # Line by line: a list of all lines may be much larger than the text.
    for line in io.StringIO(raw, newline="\n"):
        if match := _RECORD.fullmatch(line.rstrip("\n")[:_LINE_MAX]):
            yield match


def _record(match: re.Match[str]) -> Record:
    level, sequence, time_us, _, text = match.groups()
    return Record(int(level) & 7, int(sequence), int(time_us), unescape(text))


def lost(last: int, records: Iterable[Record]) -> int:
    """How many records were overwritten unread, after the one with number `last` and among these, at least."""
    numbers = [last, *(record.sequence for record in records)]
    return sum(max(after - before - 1, 1) for before, after in pairwise(numbers) if after != before + 1)


def unescape(text: str) -> str:
    """Undo kmsg's escaping of bytes that are not printable ASCII, but leave escaped what does not print."""
    octets = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    return escaped(octets.encode("latin-1", errors="replace").decode(errors="backslashreplace"))


def render(records: Iterable[Record]) -> str:
    return "".join(f"{record}\n" for record in records)
