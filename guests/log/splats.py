# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's complaints about itself, found in its log.  A test that causes one fails, whatever calls returned."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

_SPLATS = re.compile(
    r"""
      ^WARNING:\ (?:CPU:\ |\S+:\d+\ at\ )   # __warn(), until 6.18 and since
    | ^WARNING:\ (?:possible\ |suspicious\ RCU|inconsistent\ lock|bad\ (?:unlock|contention)|held\ lock|lock\ held)
    | ^WARNING:\ (?:Nested\ lock|\S+-safe\ ->)                     # these, too, are lockdep's
    | ^WARNING:\ (?:kernel\ stack|stack\ recursion|can't\ (?:access|dereference)|unknown\ \.orc)   # the unwinder
    | ^-+\[\ cut\ here\ \]-+                # the line before a WARN or BUG
    | ^(?:(?:NMI\ )?watchdog:\ )?BUG:\     # KASAN, bad page, sleeping in atomic context, soft lockup
    | ^BUG\ \S+\ \(.*\):\                  # SLUB, about a cache
    | ^\[\ (?:BUG|INFO|WARNING):\          # lockdep in its older format, still used for some findings
    | ^(?:NMI\ )?watchdog:\ .*\bhard\ LOCKUP\b
    | ^(?:traps:\ )?PANIC:\                # double fault
    | (?:\bOops|:\ [0-9a-f]+)\ \[\#\d+\]   # die(), for any fault: it numbers its messages
    | ^INFO:\ trying\ to\ register\ non-static\ key
    | \bOops(?::|\ -)
    | ^kernel\ BUG\ at\b
    | ^Kernel\ panic\ -\ not\ syncing
    | ^UBSAN:[ ]
    | ^INFO:\ task\ .*\ for\ more\ than       # blocked, blocked on a mutex, blocked in I/O wait
    | ^INFO:\ possible\ (?:circular|recursive|irq)
    | ^INFO:\ rcu.*(?:stall|detected)
    | ^rcu:\ INFO:.*(?:stall|detected)
    | ^INFO:\ suspicious\ RCU\ usage
    | ^INFO:\ inconsistent\ lock\ state
    | ^refcount_t:[ ]
    """,
    re.VERBOSE,
)
_UNKNOWN_WARNING = re.compile(r"^WARNING: ")
"""A line that anybody may print, for instance about a mount option that is obsolete.  It is a splat only if a report
follows it."""
_OF_A_REPORT = re.compile(r"\b(?:Not tainted|Tainted: )|^Call [Tt]race:")
_REPORT_LINES = 8
"""Number of lines after the first one of a report, within which it names the kernel and its taint (dump_stack_lvl(),
print_kernel_ident()), or begins its call trace."""

_CRASH = re.compile(r"\[#\d+\]|^(?:traps: )?PANIC: |^kernel BUG at\b|^Internal error: |^Kernel panic - not syncing")
"""The lines after which a kernel does not go on as if nothing had happened."""
_NOT_BY_ITSELF = re.compile(
    r"Attempted to kill init|[Nn]o (?:working )?init found|Requested init|[Uu]nable to mount root|[Oo]ut of memory|"
    r"deadlocked on memory|IO-APIC \+ timer|initramfs|VFS: "
)
"""Panics that the machine, its memory or the agent may have caused: init/main.c, mm/oom_kill.c, do_exit()."""
_ABOUT_TIME = re.compile(
    r"soft lockup|LOCKUP|workqueue lockup|blocked for more than|blocked on .* for more than|rcu.*(?:stall|detected)|"
    r"RCU Stall|hung_task|softlockup"
)
_END = re.compile(r"^-+\[ end trace\b")
"""The last line of a report that began with "cut here"."""
_LINE_MAX = 4096
"""Number of characters of a line to search.  No splat is longer, and some patterns take quadratic time."""
_TIME = re.compile(r"^(?:<\d+>)?(?:\[\s*\d+\.\d+\]\s?)?(?:\[\s*[CT]\d+\]\s?)?")
"""What a console has in front of a line: its level (console_msg_format=syslog), its time (CONFIG_PRINTK_TIME), and
its thread or processor (CONFIG_PRINTK_CALLER)."""


def untimed(line: str) -> str:
    """A line without what the kernel prints in front of it on a console."""
    return _TIME.sub("", line[:_LINE_MAX]).strip()


def first(lines: Iterable[str], excused: Callable[[str], bool] = lambda _: False) -> str | None:
    """The main line of the first splat that is not `excused`, or None.  Lines may begin with their times."""
    texts = (untimed(line) for record in lines for line in record.splitlines())
    warning, left = "", 0
    for text in texts:
        left -= 1
        if not _SPLATS.search(text):
            if warning and _OF_A_REPORT.search(text) and not excused(warning):
                return warning
            if _UNKNOWN_WARNING.search(text):
                warning, left = text, _REPORT_LINES
            elif left <= 0:
                warning = ""
            continue
        warning = ""
        cut = text.startswith("-")
        # The line after "cut here" is the one that describes the fault.
        main = next((later for later in texts if later), text) if cut else text
        if not excused(main):
            return main
        if cut:
            next((later for later in texts if _END.search(later)), None)
    return None


def crash(lines: Iterable[str]) -> str | None:
    """The line that describes how a kernel crashed by itself, or None.

    A panic that reports what the machine lacked, or that init has ended, does not count, unless an Oops precedes it.
    """
    for line in lines:
        text = untimed(line)
        if _CRASH.search(text) and not _NOT_BY_ITSELF.search(text) and not is_about_time(text):
            return text
    return None


def is_about_time(splat: str) -> bool:
    """Whether a splat only reports that something took too long, as happens in a guest that was paused."""
    return _ABOUT_TIME.search(splat) is not None
