# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's complaints about itself, found in its log.  A promise kept with a splat is not kept."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SPLATS = re.compile(
    r"""
      ^WARNING:\ (?!.*\bspectre\b)          # __warn(), lockdep
    | ^-+\[\ cut\ here\ \]-+                # ahead of a WARN or BUG
    | ^(?:watchdog:\ )?BUG:\               # KASAN, bad page, sleeping in atomic context, soft lockup
    | ^watchdog:\ .*\bhard\ LOCKUP\b
    | ^traps:\ PANIC:\                     # double fault
    | ^invalid\ opcode:
    | ^INFO:\ trying\ to\ register\ non-static\ key
    | \bOops(?::|\ -)
    | ^kernel\ BUG\ at\b
    | ^Kernel\ panic\ -\ not\ syncing
    | ^general\ protection\ fault,          # of the kernel; a process's has no comma
    | ^UBSAN:[ ]
    | ^INFO:\ task\ .*\ blocked\ for\ more\ than
    | ^INFO:\ possible\ (?:circular|recursive|irq)
    | ^INFO:\ rcu.*(?:stall|detected)
    | ^rcu:\ INFO:.*(?:stall|detected)
    | ^=+\ *\[\ BUG:
    | ^INFO:\ suspicious\ RCU\ usage
    | ^INFO:\ inconsistent\ lock\ state
    | ^refcount_t:[ ]
    | ^divide\ error:
    | ^stack\ segment:
    """,
    re.VERBOSE,
)
_TIME = re.compile(r"^\[\s*\d+\.\d+\]\s?(?:\[\s*[CT]\d+\]\s?)?")


def first(lines: Iterable[str]) -> str | None:
    """The first line of a splat, or None.  Console lines may have their times in front."""
    scissors = None
    for line in (line for record in lines for line in record.splitlines()):
        text = _TIME.sub("", line).strip()
        if scissors is None and _SPLATS.search(text):
            if not text.startswith("-"):
                return text
            # The line after the scissors says more than they do.
            scissors = text
        elif scissors is not None and text:
            return text
    return scissors
