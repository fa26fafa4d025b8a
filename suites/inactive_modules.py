# SPDX-License-Identifier: GPL-2.0-or-later
"""Security modules that are built, but not started: their tests do not apply, and accuse the kernel of nothing."""

from __future__ import annotations

from typing import cast

import pytest

from kconfigs.kernel import Kernel
from kconfigs.plugin import candidate_of
from kconfigs.profile import AREAS, LackingError


def skip_unless_started(request: pytest.FixtureRequest, module: str) -> None:
    """Skip a test that needs the module if CONFIG_LSM leaves it out and the test's boot has no lsm=.

    LackingError instead, which is a failure, if the run's profile asks for the module.
    """
    option = AREAS[module]
    if "kernel" not in request.fixturenames or not any(
        option in marker.args for marker in request.node.iter_markers("needs")
    ):
        return
    kernel = cast(Kernel, request.getfixturevalue("kernel"))
    boot = request.node.get_closest_marker("boot")
    by_boot = boot is not None and any(argument.startswith("lsm=") for argument in boot.args)
    # Before Linux 5.1, the option is not a list, and every module that is built is started.
    listed = not kernel.config["LSM"].startswith('"') or module in kernel.config.string("LSM").split(",")
    if by_boot or listed:
        return
    candidate = candidate_of(request.node)
    profile = candidate.profile if candidate is not None else None
    if profile is not None and (line := profile.asks_for(option, kernel.version)):
        raise LackingError(f"{module} in CONFIG_LSM", profile, line)
    pytest.skip(f"needs {module} in CONFIG_LSM, which has {kernel.config.string('LSM')!r}")
