# SPDX-License-Identifier: GPL-2.0-or-later
"""What a kernel holds against itself in /proc/sys/kernel/tainted (Documentation/admin-guide/tainted-kernels.rst).

It is the memory of complaints: a bit stays set until the next boot, and not each of them leaves a line in the log
that the scanner of splats knows.
"""

from __future__ import annotations

import re

from guests.errors import ProtocolError
from guests.protocol import wire
from guests.protocol.channel import Channel
from guests.protocol.wire import Op

PATH = "/proc/sys/kernel/tainted"

_LONGEST = 64
_NUMBER = re.compile(rb"[0-9]{1,20}\n?")

BITS = (
    ("P", "a proprietary module was loaded"),
    ("F", "a module was loaded by force"),
    ("S", "the kernel runs on a system out of specification"),
    ("R", "a module was unloaded by force"),
    ("M", "the processor reported a machine check"),
    ("B", "a bad page was referenced"),
    ("U", "a program asked for the taint"),
    ("D", "the kernel has died: an oops or a BUG"),
    ("A", "an ACPI table was overridden"),
    ("W", "the kernel issued a warning"),
    ("C", "a staging driver was loaded"),
    ("I", "a fault of the firmware was worked around"),
    ("O", "a module from outside of the tree was loaded"),
    ("E", "an unsigned module was loaded"),
    ("L", "a soft lockup occurred"),
    ("K", "the kernel was live-patched"),
    ("X", "the distribution's own taint"),
    ("T", "structures were laid out at random"),
    ("N", "a test within the kernel was run"),
    ("J", "a program changed a device's firmware by fwctl"),
)
"""By number: the letter that an oops shows, and what it means."""

EXPECTED = {
    "E": "LoadPin's tests load the kernel's own modules, which not every build signs",
}
"""Taints that a good kernel may get from our tests, each with the reason."""

OF_SPLATS = frozenset("BDLMW")
"""Taints that come with a splat in the log: what is known of that one, is known of them."""


def read(channel: Channel) -> int | None:
    """The kernel's taint, as init reads it; None where the kernel has no such file (CONFIG_PROC_SYSCTL)."""
    value, content = wire.split_content(channel.request(Op.TAINT).body, _LONGEST)
    if value < 0:
        return None
    if not _NUMBER.fullmatch(content):
        raise ProtocolError(f"{PATH} does not hold a number: {content!r}")
    return int(content)


def gained(before: int, now: int) -> dict[str, str]:
    """What was added from one reading to the next, and is not EXPECTED: letter -> meaning."""
    added = {number for number in range(now.bit_length()) if now & ~before & 1 << number}
    found = dict(BITS[number] if number < len(BITS) else (f"bit {number}", "unknown to us") for number in added)
    return {letter: meaning for letter, meaning in found.items() if letter not in EXPECTED}
