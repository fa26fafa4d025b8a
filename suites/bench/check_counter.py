# SPDX-License-Identifier: GPL-2.0-or-later
"""A pytest plugin for suites.bench.selftest_benchmark, which counts the outcomes that tests get."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from guests.outcome import Outcome

COUNT_TO = "KCONFORM_COUNT_CHECKS_TO"
"""The environment variable with the path of the file for the result."""


class Counter:
    """Counts the outcomes that are created from now on."""

    def __init__(self) -> None:
        self.count = 0
        make = Outcome.__init__

        def make_and_count(*arguments: Any, **named: Any) -> None:
            self.count += 1
            make(*arguments, **named)

        setattr(Outcome, "__init__", make_and_count)  # noqa: B010

    def pytest_sessionfinish(self) -> None:
        Path(os.environ[COUNT_TO]).write_text(str(self.count), encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Counter())
