# SPDX-License-Identifier: GPL-2.0-or-later
"""Which tests apply to a kernel: those of promises that it makes, if its config has the options that they need.

Probes of a promise (guests/kernel_probes.py) ask the kernel before the test, in a separate guest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from guests.guest import Guest
from guests.kernel_probes import KernelAnswers
from kconfigs import needed_options
from kconfigs.kernel import Kernel
from kconfigs.planned_kernels import Candidate
from kconfigs.plugin import candidate_of
from reports.judgement.kernel_promises import KernelPromises
from reports.run import notes
from reports.run.requirement_marker import registry, requirements_of

ANSWERS = pytest.StashKey[KernelAnswers]()

Take = Callable[[], Guest]
"""Returns a guest of the kernel, booted without parameters."""


def promises_of(request: pytest.FixtureRequest, kernel: Kernel, take: Take) -> KernelPromises:
    """The promises of the kernel of a test."""
    profile = cast(Candidate, candidate_of(request.node)).profile
    answers = request.config.stash.setdefault(ANSWERS, KernelAnswers())
    return KernelPromises(
        registry(request.config),
        kernel.version,
        arch=kernel.arch,
        listed=lambda identifier: profile.lists(identifier, kernel.release) if profile is not None else "",
        says=lambda probe: answers.says(kernel, probe, take),
    )


def skip_unless_applicable(request: pytest.FixtureRequest, kernel: Kernel, take: Take) -> None:
    """Skip a test that does not apply to the kernel, and say which option or version is missing.

    LackingError instead, which is a failure, if the run's profile asks for the option.
    """
    promises = promises_of(request, kernel, take)
    # A kernel is not asked for what would not be tested anyway.
    ask = not needed_options.missing(request.node, kernel)
    for identifier in requirements_of(request.node):
        standing = promises.standing(identifier, ask=ask)
        if standing.excluded:
            pytest.skip(standing.excluded)
        if standing.backported:
            notes.add_remark(request.node, f"backported: {identifier}: {standing.backported}")
    needed_options.skip_unless_configured(request, kernel, cast(Candidate, candidate_of(request.node)).profile)
