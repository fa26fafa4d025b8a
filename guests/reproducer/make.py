# SPDX-License-Identifier: GPL-2.0-or-later
"""A reproducer from the guest of a test that has ended."""

from __future__ import annotations

from guests.errors import GuestBroke
from guests.guest import Guest
from guests.reproducer import violation
from guests.reproducer.analysis import Analyst
from guests.reproducer.contents import ContentAnalyst
from guests.reproducer.findings import Analysis
from guests.reproducer.orders import CannotReproduce
from guests.reproducer.program_source import Subject, render
from guests.reproducer.replay import Run


def make(guest: Guest, run: Run, failure: BaseException | None, subject: Subject) -> str:
    """The C source of a program that repeats what the test did with this guest.

    `run` runs the test again; `failure` is what it raised.  CannotReproduce says why there is none.
    """
    if guest.kernel.arch != "x86_64":
        raise CannotReproduce(f"there is no runtime for {guest.kernel.arch} yet")
    if any(task.agent != guest.native for task in guest.tasks):
        raise CannotReproduce("it has 32-bit tasks")
    complained = isinstance(failure, GuestBroke) and failure.message.startswith("the kernel complained")
    analysis = _analysed(guest, run, failed=failure is not None and not complained)
    return render(analysis, guest, subject)


def _analysed(guest: Guest, run: Run, *, failed: bool) -> Analysis:
    analyst = Analyst(guest, run)
    analyst.prepare(failed=failed)
    analyst.weigh_comparisons()
    analyst.weigh_questions()
    analyst.name_tasks()
    analyst.name_addresses()
    analyst.name_handlers()
    analyst.name_cookies()
    analyst.name_results()
    ContentAnalyst(analyst).look()
    if failed and not analyst.found.violation_known:
        violation.find(analyst)
    return analyst.found
