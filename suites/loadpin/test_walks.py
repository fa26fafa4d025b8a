# SPDX-License-Identifier: GPL-2.0-or-later
"""Random walks: whatever is mounted, loaded and switched, LoadPin decides and logs as the model predicts."""

from __future__ import annotations

import pytest

from suites.loadpin.support.disks_and_log import boot, needs
from suites.loadpin.support.loadpin_walk import walk_booted
from suites.loadpin.support.walk_boots import BOOTS, CLOSED, SWITCHED_ON, WalkBoot
from suites.walks.walk_run import WalkTaker

requirement = pytest.mark.requirement


def marks_of(each: WalkBoot) -> tuple[pytest.MarkDecorator, ...]:
    return boot(*each.arguments), needs(*each.needed), requirement(*each.promises)


@pytest.mark.walks
@pytest.mark.parametrize(
    "closed",
    [
        pytest.param(False, marks=requirement(*SWITCHED_ON), id="the-sysctl-can-be-switched-on"),
        pytest.param(True, marks=requirement(*CLOSED), id="the-sysctl-is-closed"),
    ],
)
@pytest.mark.parametrize("booted", [pytest.param(each, marks=marks_of(each), id=each.name) for each in BOOTS])
def test_walks(walks: WalkTaker, booted: WalkBoot, closed: bool) -> None:
    """File systems come and go, files of all kinds are loaded, and lists set; after each step, every mount is judged.

    A difference breaks the promise from which the model's prediction follows.
    """
    walks(walk_booted(booted, closed=closed))
