# SPDX-License-Identifier: GPL-2.0-or-later
"""What LoadPin's tests need beyond an option: LoadPin started, no lockdown, and other options built in, not modular.

Loading a module is what LoadPin checks, so the tests load none but their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from guests.guest import Guest
from guests.vm.kernel_modules import read_module
from kconfigs.kconfig import spelled
from kconfigs.kernel import Kernel
from kconfigs.needed_options import needed
from suites.initial_settings import command_line
from suites.loadpin.support.disks_and_log import MODULES
from suites.lockdown_and_signing import SIGNED, lockdown, signatures_enforced, turned_off_loads
from suites.unstarted_lsms import skip_unless_started, why_left_out

EXCLUDE = "loadpin.exclude"
AS_MODULES = {"TEST_LKM", "TEST_FIRMWARE"}
"""Options that may be modules: the tests load these themselves."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.own_machine("LoadPin pins the first file that a kernel loads, until reboot"))


@pytest.fixture(autouse=True)
def _started(request: pytest.FixtureRequest, _applies: None) -> None:
    skip_unless_started(request, "loadpin")


@pytest.fixture
def left_out(request: pytest.FixtureRequest, _applies: None) -> str:
    """Why LoadPin, which is built, is not started; empty if nothing keeps it from that."""
    return why_left_out(request, "loadpin")


@pytest.fixture(autouse=True)
def _built_in(request: pytest.FixtureRequest, _applies: None) -> None:
    """Skip if an option is only a module: it is not loaded, and must not be loaded before the test's own loads."""
    if "kernel" not in request.fixturenames:
        return
    config = cast(Kernel, request.getfixturevalue("kernel")).config
    for marker in request.node.iter_markers("needs"):
        modular = [need for need in marker.args if need not in AS_MODULES and not config.meets(need, built_in=True)]
        if modular:
            pytest.skip(f"needs {', '.join(map(spelled, modular))}, built in")


@pytest.fixture(autouse=True)
def _nothing_excluded(request: pytest.FixtureRequest, _built_in: None) -> None:
    """Skip a test, unless it asks for the initial settings, if the command line excludes more than the test itself.

    A loadpin.exclude= of a test takes the place of only as many names as it has (kernel/params.c: param_array()).
    """
    asks_for_initial_settings = {"left_out", "required_by_profile"} & set(request.fixturenames)
    if "kernel" not in request.fixturenames or asks_for_initial_settings:
        return
    excluded: list[str] = []
    for names in (value.split(",") for value in command_line(request).values(EXCLUDE)):
        excluded[: len(names)] = names
    boot = request.node.get_closest_marker("boot")
    own = [argument.split(",") for argument in (boot.args if boot else ()) if argument.startswith(f"{EXCLUDE}=")]
    left = [name for name in excluded[len(own[0]) if own else 0 :] if name]
    if left:
        pytest.skip(f"for a kernel whose LoadPin checks all loads: {EXCLUDE} has {', '.join(left)} from the boot on")


@pytest.fixture(autouse=True)
def _not_locked_down(request: pytest.FixtureRequest, _started: None, _nothing_excluded: None) -> None:
    """Skip a test that loads if the kernel is always locked down: it then refuses loads by itself."""
    if "kernel" not in request.fixturenames or "required_by_profile" in request.fixturenames:
        return
    config = cast(Kernel, request.getfixturevalue("kernel")).config
    for option in ("LOCK_DOWN_KERNEL_FORCE_INTEGRITY", "LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY"):
        if config.enabled(option):
            pytest.skip(f"for a kernel without CONFIG_{option}")
    if "guest" in request.fixturenames:
        guest = cast(Guest, request.getfixturevalue("guest"))
        level = lockdown(guest)
        if level != "none":
            pytest.skip(f"for a kernel that is not locked down: its level is {level}")
        for setting in turned_off_loads(guest):
            pytest.skip(f"for a kernel that loads modules and other kernels: {setting} from the boot on")


@pytest.fixture(autouse=True)
def _accepts_its_modules(request: pytest.FixtureRequest, _not_locked_down: None) -> None:
    """Skip a test that loads modules if the kernel enforces signatures, and its modules have none.

    Kbuild signs modules when they are installed, so those of a kernel that was built here are not signed.
    """
    wanted = set(needed(request.node))
    if "guest" not in request.fixturenames or not wanted & AS_MODULES:
        return
    guest = cast(Guest, request.getfixturevalue("guest"))
    if signatures_enforced(guest):
        own = [name for name, option in MODULES if option in wanted and guest.kernel.config[option] == "m"]
        if unsigned := [name for name in own if not read_module(guest.kernel, name).endswith(SIGNED)]:
            pytest.skip(f"the kernel enforces signatures, and {', '.join(unsigned)} has none")


@pytest.fixture(autouse=True)
def _accepts_its_images(request: pytest.FixtureRequest, _not_locked_down: None) -> None:
    """Skip a test that loads an image for kexec_file_load() if the kernel enforces signatures, for ours have none."""
    if "KEXEC_FILE" not in needed(request.node):
        return
    if cast(Kernel, request.getfixturevalue("kernel")).config.enabled("KEXEC_SIG_FORCE"):
        pytest.skip("for a kernel without CONFIG_KEXEC_SIG_FORCE")
