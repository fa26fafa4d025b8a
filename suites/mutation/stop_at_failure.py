# SPDX-License-Identifier: GPL-2.0-or-later
"""A pytest plugin that ends a run at the first broken promise, and at no error.

pytest's -x would also end it at the first error, and a mutant that only breaks the preparation of one test would pass
for one that could not be tested.  The failed test is torn down first: its reproducer is made then.

If reproducers are wanted, and that of the failed test does not show the fault, or there is none, the run goes on for
a while: others of the tests that the fault breaks may have a better one.
"""

from __future__ import annotations

from typing import Any

import pytest

from guests.reproducer.guest_trial import says_broken
from reports.run.phases import phase_of
from suites.reproducers import TRIAL

MOST_TESTS = 40
"""How many more tests are run for the sake of a reproducer."""


class StopAtFailure:
    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._failed: set[str] = set()
        self._left = 0 if session.config.getoption("reproducers", "none") == "none" else MOST_TESTS

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        phase = phase_of(report)
        if phase.verdict == "fail":
            self._failed.add(report.nodeid)
        if report.when != "teardown" or not self._failed:
            return
        shown = any(title == TRIAL and says_broken(text) for title, text in phase.evidence)
        if self._left and not shown:
            self._left -= 1
            return
        # In the controller of pytest-xdist, its own session decides.
        distributed: Any = self._session.config.pluginmanager.getplugin("dsession")
        (distributed or self._session).shouldstop = "a test failed"


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.pluginmanager.register(StopAtFailure(session))
