# SPDX-License-Identifier: GPL-2.0-or-later
"""Random walks: whatever filters tasks install and inherit, their calls end as the model predicts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from suites.seccomp.support.filter_walk import PROMISES, FilterWalk
from suites.walks.walk import Walk


@pytest.mark.walks
@pytest.mark.needs("SECCOMP_FILTER")
@pytest.mark.requirement(*PROMISES)
def test_walks(walks: Callable[[type[Walk]], None]) -> None:
    """Tasks install filters, fork, execute and die; after each step, all of them make calls and show their state.

    A difference breaks the promise from which the model's prediction follows.
    """
    walks(FilterWalk)
