# SPDX-License-Identifier: GPL-2.0-or-later
"""A pytest plugin that ends a run at the first broken promise, and at nothing else.

pytest's -x would also end it at the first error, and a mutant that only breaks the preparation of one test would pass
for one that could not be tested.  The failed test is torn down first: its reproducer is made then.
"""

from __future__ import annotations

from typing import Any

import pytest

from reports.run.phases import phase_of


class StopAtFailure:
    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._failed: set[str] = set()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if phase_of(report).verdict == "fail":
            self._failed.add(report.nodeid)
        if report.when != "teardown" or report.nodeid not in self._failed:
            return
        # In the controller of pytest-xdist, its own session decides.
        distributed: Any = self._session.config.pluginmanager.getplugin("dsession")
        (distributed or self._session).shouldstop = f"{report.nodeid} failed"


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.pluginmanager.register(StopAtFailure(session))
