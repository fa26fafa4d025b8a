# SPDX-License-Identifier: GPL-2.0-or-later
"""What seccomp's tests need beyond an option that every kernel of their versions has."""

from __future__ import annotations

import pytest

from guests.guest import Guest
from kconfigs.kernel import Kernel
from suites import initial_settings


@pytest.fixture(autouse=True)
def _may_trace(request: pytest.FixtureRequest, _applies: None) -> None:
    initial_settings.skip_without_attach(request)


@pytest.fixture
def guest(guest: Guest) -> Guest:
    """A guest in which a task may trace its children, also on a machine that somebody else booted."""
    if not guest.disposable:
        initial_settings.let_trace(guest)
    return guest


@pytest.fixture
def cpu_mitigations(kernel: Kernel, _applies: None) -> None:
    """Skip, without a boot, if the kernel has no mitigations of processors' faults.

    It has them if it is older than the option, which was then not the architecture's matter.
    """
    if kernel.config.enabled("ARCH_CONFIGURES_CPU_MITIGATIONS") and not kernel.config.enabled("CPU_MITIGATIONS"):
        pytest.skip("needs CONFIG_CPU_MITIGATIONS")
