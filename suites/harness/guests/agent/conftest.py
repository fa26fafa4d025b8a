# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for tests of the agent, which runs on this host."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kconfigs.cache import Cache
from suites.harness.guests.fakes import HostSession, host_session


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """Where the agent is kept after it was compiled once."""
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def host(store: Cache) -> Iterator[HostSession]:
    """A session with an agent whose tasks are processes of this host."""
    with host_session(store) as session:
        yield session
