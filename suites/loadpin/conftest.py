# SPDX-License-Identifier: GPL-2.0-or-later
"""What LoadPin's tests need built in, and not as a module: loading a module is what LoadPin judges."""

from __future__ import annotations

from typing import cast

import pytest

from kconfigs.kernel import Kernel

AS_MODULES = {"TEST_LKM", "TEST_FIRMWARE"}
"""Those that are loaded for a test."""


@pytest.fixture(autouse=True)
def _built_in(request: pytest.FixtureRequest, _applies: None) -> None:
    """Skip where something is there as a module only: nobody has loaded it, and nobody may before the test does."""
    if "kernel" not in request.fixturenames:
        return
    config = cast(Kernel, request.getfixturevalue("kernel")).config
    for marker in request.node.iter_markers("needs"):
        modular = [f"CONFIG_{name}=y" for name in marker.args if name not in AS_MODULES and not config.builtin(name)]
        if modular:
            pytest.skip(f"needs {', '.join(modular)}, built in")
