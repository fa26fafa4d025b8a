# SPDX-License-Identifier: GPL-2.0-or-later
"""The records of the kernel's log, which the agent reads from /dev/kmsg (Documentation/ABI/testing/dev-kmsg)."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from guests.guest_text import escaped
from guests.protocol.channel import Channel
from guests.protocol.wire import Op

READ_MAX = 1 << 23
"""Maximum number of bytes for one reading: far more than a kernel's buffer holds (CONFIG_LOG_BUF_SHIFT)."""
READ_S = 60.0
"""Maximum number of seconds for one reading."""
LOG_BYTES = 1 << 23
"""Approximate maximum size in bytes of the records that are kept of a guest's log; the oldest are kept."""
_RECORD_SIZE = 300
"""Approximate size in bytes of a record without its text, in memory."""
_LINE_MAX = 8192
"""Maximum length of a record; the kernel's have up to 1 KiB (kernel/printk/internal.h, PRINTKRB_RECORD_MAX)."""

_RECORD = re.compile(r"([0-9]{1,10}),([0-9]{1,20}),([0-9]{1,20}),([^;]{0,256});(.*)")
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


@dataclass(frozen=True)
class LogRecord:
    """One message: syslog level (0 to 7), sequence number, microseconds since boot, text."""

    level: int
    sequence: int
    time_us: int
    text: str

    def __str__(self) -> str:
        """The record as dmesg shows it; further lines of its text are indented, so as not to look like records."""
        time = f"[{self.time_us // 1_000_000:5d}.{self.time_us % 1_000_000:06d}] "
        return time + self.text.replace("\n", "\n" + " " * len(time))


@dataclass
class Log:
    """The kept part of what a guest's kernel has logged."""

    records: list[LogRecord] = field(default_factory=list)
    left_out: int = 0
    """The number of records that were not kept because the log is too long."""
    endless: bool = False
    """Whether a reading was abandoned because it did not end."""
    _kept: int = 0

    @property
    def incomplete(self) -> bool:
        """Whether the records lack something that was logged."""
        return self.endless or self.left_out > 0

    def add(self, raw: str, complete: bool) -> None:
        """Add the result of `read_raw`."""
        self.endless |= not complete
        for match in _matches(raw):
            if self._kept > LOG_BYTES:
                self.left_out += 1
            else:
                self.records.append(_record(match))
                self._kept += _RECORD_SIZE + len(self.records[-1].text)

    def render(self) -> str:
        notices = [f"[... {self.left_out} more records omitted ...]\n"] if self.left_out else []
        notices += ["[... the kernel logs faster than its log can be read ...]\n"] if self.endless else []
        return render(self.records) + "".join(notices)


def read_raw(channel: Channel) -> tuple[str, bool]:
    """What has been logged since the last reading, in the format of /dev/kmsg, and whether that is all of it."""
    deadline = channel.deadline(READ_S)
    parts = []
    length = 0
    while body := channel.request(Op.KERNEL_LOG).body:
        parts.append(body.decode(errors="replace"))
        length += len(body)
        if length > READ_MAX or deadline.left() <= 0:
            return "".join(parts), False
    return "".join(parts), True


def parse(raw: str) -> list[LogRecord]:
    """The records in output of /dev/kmsg, without their dictionaries (lines that begin with a space)."""
    return [_record(match) for match in _matches(raw)]


def _matches(raw: str) -> Iterator[re.Match[str]]:
    # Line by line, because a list of all lines may be much larger than the text.
    for line in io.StringIO(raw, newline="\n"):
        if match := _RECORD.fullmatch(line.rstrip("\n")[:_LINE_MAX]):
            yield match


def _record(match: re.Match[str]) -> LogRecord:
    level, sequence, time_us, _, text = match.groups()
    return LogRecord(int(level) & 7, int(sequence), int(time_us), unescape(text))


def lost(last: int, records: Iterable[LogRecord]) -> int:
    """The minimum number of records that were overwritten unread, from the one after number `last` to these."""
    numbers = [last, *(record.sequence for record in records)]
    return sum(max(after - before - 1, 1) for before, after in pairwise(numbers) if after != before + 1)


def unescape(text: str) -> str:
    """Undo kmsg's escaping of bytes that are not printable ASCII, except for characters that are not printable."""
    octets = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    return escaped(octets.encode("latin-1", errors="replace").decode(errors="backslashreplace"))


def render(records: Iterable[LogRecord]) -> str:
    return "".join(f"{record}\n" for record in records)
