# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a kernel's configuration has what a test needs, by the markers `needs` and `lacks`."""

from __future__ import annotations

import pytest

from kconfigs.builtin_command_line import BuiltinCommandLine
from kconfigs.kconfig import spelled
from kconfigs.kernel import Kernel
from kconfigs.profile import LackingError, Profile
from kconfigs.target_facts import ENTRIES, YES

TURNED_OFF = dict.fromkeys(("AUDIT", "AUDITSYSCALL"), ("audit", ("0", "off")))
"""Options that a kernel argument turns off for good, whatever a later one says, with its name and values
(kernel/audit.c, audit_enable(): AUDIT_DISABLED)."""


def missing(item: pytest.Item, kernel: Kernel) -> list[str]:
    """The options that the test needs and the kernel lacks, as the test's markers name them."""
    return [need for need in needed(item) if not kernel.config.meets(need)]


def needed(item: pytest.Item) -> list[str]:
    """The options that a test needs, as its markers name them."""
    # The options that the whole file needs come first.
    markers = reversed(list(item.iter_markers("needs")))
    return list(dict.fromkeys(need for marker in markers for need in marker.args))


def command_line(request: pytest.FixtureRequest, kernel: Kernel) -> BuiltinCommandLine:
    """The command line of a kernel, but for what the test's own boot adds."""
    return BuiltinCommandLine.of(kernel.config).followed_by([*kernel.arguments, *request.config.option.append])


def skip_without_entry(option: str, line: BuiltinCommandLine) -> None:
    """Skip a test that needs an option for a system call entry which a kernel argument turns off."""
    parameter, _ = ENTRIES.get(option, ("", ""))
    said = line.value(parameter)
    if said is not None and said not in YES:
        pytest.skip(f"needs CONFIG_{option}, which {parameter}={said} turns off")


def skip_unless_configured(request: pytest.FixtureRequest, kernel: Kernel, profile: Profile | None) -> None:
    """Skip a test of which the kernel lacks an option, or has one that it must lack, and say which.

    LackingError instead, which is a failure, if the run's profile asks for the option.
    """
    lacking = missing(request.node, kernel)
    for option in (option for need in lacking for option in need.split(" or ")):
        if profile is not None and (asked := profile.asks_for(option, kernel.version)):
            raise LackingError(f"CONFIG_{option}", profile, asked)
    if lacking:
        pytest.skip(f"needs {', '.join(map(spelled, lacking))}")
    wanted = needed(request.node)
    boot = request.node.get_closest_marker("boot")
    line = command_line(request, kernel)
    for option, (parameter, values) in TURNED_OFF.items():
        off = [f"{parameter}={value}" for value in line.values(parameter) if value in values]
        # A test that boots with it is about that.
        if option in wanted and off and not (boot and set(boot.args) & {f"{parameter}={value}" for value in values}):
            pytest.skip(f"needs CONFIG_{option}, which {off[0]} turns off")
    for option in {option for need in wanted for option in need.split(" or ")}:
        skip_without_entry(option, line)
    for marker in request.node.iter_markers("lacks"):
        present = [f"CONFIG_{option}" for option in marker.args if kernel.config.enabled(option)]
        if present:
            pytest.skip(f"for a kernel without {', '.join(present)}")
