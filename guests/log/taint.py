# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's taint, from /proc/sys/kernel/tainted (Documentation/admin-guide/tainted-kernels.rst).

A bit stays set until the next boot, so it also reveals a fault whose log message splats.py does not recognize.
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
    ("S", "the kernel runs on an out-of-specification system"),
    ("R", "a module was unloaded by force"),
    ("M", "the processor reported a machine check"),
    ("B", "a bad page was referenced"),
    ("U", "a program requested the taint"),
    ("D", "the kernel died: there was an oops or a BUG"),
    ("A", "an ACPI table was overridden"),
    ("W", "the kernel issued a warning"),
    ("C", "a staging driver was loaded"),
    ("I", "the kernel worked around a firmware bug"),
    ("O", "an out-of-tree module was loaded"),
    ("E", "an unsigned module was loaded"),
    ("L", "a soft lockup occurred"),
    ("K", "the kernel was live-patched"),
    ("X", "the distribution's own taint"),
    ("T", "the layout of structures was randomized"),
    ("N", "an in-kernel test was run"),
    ("J", "a program changed a device's firmware through fwctl"),
)
"""By bit number: the letter that an oops shows, and its meaning."""

EXPECTED = {
    "E": "LoadPin's tests load the kernel's own modules, which not every build signs",
}
"""Taints that the tests may cause in a correct kernel, each with the reason."""

OF_SPLATS = frozenset("BDLMW")
"""Taints that accompany a splat in the log: if the splat is excused, so are they."""


def read(channel: Channel) -> int | None:
    """The kernel's taint, as init reads it; None if the kernel has no such file (CONFIG_PROC_SYSCTL)."""
    value, content = wire.split_content(channel.request(Op.TAINT).body, _LONGEST)
    if value < 0:
        return None
    if not _NUMBER.fullmatch(content):
        raise ProtocolError(f"{PATH} does not hold a number: {content!r}")
    return int(content)


def gained(before: int, now: int) -> dict[str, str]:
    """The taints that were added between two readings and are not EXPECTED: letter -> meaning."""
    added = {number for number in range(now.bit_length()) if now & ~before & 1 << number}
    unknown = "not known to kconform"
    found = dict(BITS[number] if number < len(BITS) else (f"bit {number}", unknown) for number in added)
    return {letter: meaning for letter, meaning in found.items() if letter not in EXPECTED}
