# SPDX-License-Identifier: GPL-2.0-or-later
"""Random walks: whatever filters tasks install and inherit, their calls end as the model predicts."""

from __future__ import annotations

import pytest

from suites.seccomp.support.filter_walk import PROMISES, FilterWalk
from suites.walks.walk import PARTS
from suites.walks.walk_run import WalkTaker


@pytest.mark.walks
@pytest.mark.needs("SECCOMP_FILTER")
@pytest.mark.requirement(*PROMISES)
@pytest.mark.parametrize("part", PARTS)
def test_walks(walks: WalkTaker, part: int) -> None:
    """Tasks install filters, fork, execute and die; after each step, all of them make calls and show their state.

    A difference breaks the promise from which the model's prediction follows.
    """
    walks(FilterWalk, part)
