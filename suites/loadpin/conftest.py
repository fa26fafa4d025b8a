# SPDX-License-Identifier: GPL-2.0-or-later
"""Options that LoadPin's tests need built in rather than modular: loading a module is what LoadPin checks."""

from __future__ import annotations

from typing import cast

import pytest

from kconfigs.kernel import Kernel

AS_MODULES = {"TEST_LKM", "TEST_FIRMWARE"}
"""Options that may be modules: the tests load these themselves."""


@pytest.fixture(autouse=True)
def _built_in(request: pytest.FixtureRequest, _applies: None) -> None:
    """Skip if an option is only a module: it is not loaded, and must not be loaded before the test's own loads."""
    if "kernel" not in request.fixturenames:
        return
    config = cast(Kernel, request.getfixturevalue("kernel")).config
    for marker in request.node.iter_markers("needs"):
        modular = [f"CONFIG_{name}=y" for name in marker.args if name not in AS_MODULES and not config.builtin(name)]
        if modular:
            pytest.skip(f"needs {', '.join(modular)}, built in")
