# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's log, read from /dev/kmsg by the agent (Documentation/ABI/testing/dev-kmsg), as records."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from guests.protocol.channel import Channel
from guests.protocol.wire import Op

_RECORD = re.compile(r"(\d+),(\d+),(\d+),([^;]*);(.*)")
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


@dataclass(frozen=True)
class Record:
    """One message: syslog level (0 to 7), number, microseconds since boot, text."""

    level: int
    sequence: int
    time_us: int
    text: str

    def __str__(self) -> str:
        return f"[{self.time_us // 1_000_000:5d}.{self.time_us % 1_000_000:06d}] {self.text}"


def read_raw(channel: Channel) -> str:
    """All that has been logged since the last reading, as /dev/kmsg writes it."""
    parts = []
    while body := channel.request(Op.KERNEL_LOG).body:
        parts.append(body.decode(errors="replace"))
    return "".join(parts)


def parse(raw: str) -> list[Record]:
    """The records of /dev/kmsg's output.  Their dictionaries (lines that begin with a blank) are left out."""
    records = []
    for line in raw.splitlines():
        match = _RECORD.fullmatch(line)
        if match and not line.startswith(" "):
            level, sequence, time_us, _, text = match.groups()
            records.append(Record(int(level) & 7, int(sequence), int(time_us), unescape(text)))
    return records


def lost(last: int, records: Iterable[Record]) -> int:
    """How many records were overwritten unread, after the one with number `last` and among these."""
    numbers = [last, *(record.sequence for record in records)]
    return numbers[-1] - last - (len(numbers) - 1)


def unescape(text: str) -> str:
    """Undo kmsg's escaping of bytes that are no printable ASCII."""
    octets = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    return octets.encode("latin-1", errors="replace").decode(errors="replace")


def render(records: Iterable[Record]) -> str:
    return "".join(f"{record}\n" for record in records)
