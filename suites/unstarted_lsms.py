# SPDX-License-Identifier: GPL-2.0-or-later
"""Security modules (LSMs) that are built, but not started.

One test says so, by the promise AREA.started; the others do not apply, and accuse the kernel of nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from kconfigs.builtin_command_line import BuiltinCommandLine
from kconfigs.kconfig import Config
from kconfigs.kernel import Kernel
from kconfigs.plugin import candidate_of
from kconfigs.profile import AREAS, LackingError
from reports.run.requirement_marker import requirements_of


def left_out(lsm: str, config: Config, arguments: Sequence[str]) -> str:
    """What keeps an LSM that is built from being started by a boot with these arguments; empty if nothing does.

    The last lsm= on the command line counts, and CONFIG_LSM without one (security/security.c, ordered_lsm_init()).
    """
    chosen = BuiltinCommandLine.of(config).followed_by(arguments).value("lsm")
    # Before Linux 5.1, the option is not a list, and every LSM that is built is started.
    listed = config.string("LSM") if config["LSM"].startswith('"') else lsm
    order = listed if chosen is None else chosen
    if lsm in order.split(","):
        return ""
    where = f"CONFIG_LSM={order!r}" if chosen is None else f"lsm={chosen} on the command line"
    return f"{where} leaves it out"


def why_left_out(request: pytest.FixtureRequest, lsm: str) -> str:
    """`left_out` for the kernel of a test, and its boot."""
    kernel = cast(Kernel, request.getfixturevalue("kernel"))
    boot = request.node.get_closest_marker("boot")
    arguments = [*kernel.arguments, *request.config.option.append, *(boot.args if boot else ())]
    return left_out(lsm, kernel.config, arguments)


def skip_unless_started(request: pytest.FixtureRequest, lsm: str) -> None:
    """Skip a test that needs the LSM if it is left out, except for the test that says so.

    LackingError instead, which is a failure, if the run's profile asks for the LSM.
    """
    option = AREAS[lsm]
    if (
        "kernel" not in request.fixturenames
        or not any(option in marker.args for marker in request.node.iter_markers("needs"))
        or f"{lsm}.started" in requirements_of(request.node)
    ):
        return
    reason = why_left_out(request, lsm)
    if not reason:
        return
    candidate = candidate_of(request.node)
    profile = candidate.profile if candidate is not None else None
    version = cast(Kernel, request.getfixturevalue("kernel")).version
    if profile is not None and (line := profile.asks_for(option, version)):
        raise LackingError(f"{lsm}, started: {reason}", profile, line)
    pytest.skip(f"needs {lsm} started: {reason}")
