# SPDX-License-Identifier: GPL-2.0-or-later
"""Random walks: whatever tasks do, accesses are granted and refused as the model of the specification predicts."""

from __future__ import annotations

import pytest

from suites.walks.walk import PARTS
from suites.walks.walk_run import WalkTaker
from suites.yama.support.yama_walk import PROMISES, YamaWalk


@pytest.mark.walks
@pytest.mark.needs("SECURITY_YAMA", "SYSCTL", "CROSS_MEMORY_ATTACH", "USER_NS", "PID_NS")
@pytest.mark.requirement(*PROMISES)
@pytest.mark.parametrize("part", PARTS)
def test_walks(walks: WalkTaker, part: int) -> None:
    """Tasks are created, end, change, trace and declare; after each step, all pairs of them are compared.

    A difference breaks the promise from which the model's prediction follows.
    """
    walks(YamaWalk, part)
