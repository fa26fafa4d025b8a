# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for tests that run pytest themselves."""

from __future__ import annotations

import pytest

from suites.harness.reports.run import inner_runs


@pytest.fixture
def _inner_project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project in the test's directory, without a suite."""
    inner_runs.prepare(pytester, monkeypatch)


@pytest.fixture(params=[(), ("-n", "2")], ids=["one-process", "xdist"])
def workers(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Arguments for pytest: tests run in its own process, or in two of pytest-xdist."""
    return tuple(request.param)
