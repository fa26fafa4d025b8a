# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest that a test takes: a clone of a template, one on a target, or one that only repeats what was said; and
what a report says about its kernel."""

from __future__ import annotations

import contextlib
from typing import cast

import pytest

from guests.errors import BootCrashed
from guests.guest import Guest
from guests.plugin import LIMIT, boot_of, changes_of_guests, skip_without_devices
from guests.target.target_pool import TargetPool
from guests.vm.acceleration import Acceleration
from guests.vm.boot_request import DEFAULT_BOOT, Boot
from guests.vm.clone_pool import Pool
from kconfigs import needed_options
from kconfigs.cache import Cache
from kconfigs.kernel import Kernel
from kconfigs.planned_kernels import Candidate
from kconfigs.plugin import FOLDER, candidate_of
from kconfigs.sources import TargetSource
from reports.model.result import JSON
from reports.run import notes
from reports.run.apply_waivers import splat_waivers
from reports.run.requirement_marker import leave_out, requirements_of
from suites import initial_settings
from suites.reproducers import kept, replayed_guest

GUEST = pytest.StashKey[Guest]()
POOL = pytest.StashKey[Pool]()
TARGET = pytest.StashKey[TargetPool]()

REACHES_INIT = "boot.reaches-init"
"""The promise that every test needs (suites/boot/requirements.toml)."""
LIMITED_MESSAGES = "yama.log"
"""The prefix of the promises about rate-limited messages, of which a kernel prints at most ten in five seconds."""


# Take a guest


def take_for_test(request: pytest.FixtureRequest, kernel: Kernel, following: pytest.Item | None) -> Guest:
    """The guest that a test's evidence is about, which the caller must close.  `following` needs the next one."""
    if (replayed := replayed_guest(request.node)) is not None:
        return replayed
    if kernel.target:
        return _take_on_target(request, kernel)
    pool, boot = request.config.stash[POOL], boot_of(request.node) or DEFAULT_BOOT
    skip_without_devices(boot, pool.qemu(kernel.arch), kernel.arch)
    with contextlib.ExitStack() as on_error:
        taken = on_error.enter_context(contextlib.closing(take(request, kernel, boot)))
        request.node.stash[GUEST] = kept(request.node, taken, boot, pool)
        if splat := boot_splat_of(request, taken):
            info = kernel_info(request.config, kernel, pool.acceleration(kernel))
            notes.set_kernel(request.node, {**info, "boot_complaint": splat})
        initial_settings.undo(request, taken)
        if following is not None and kernel_of(following) == kernel_of(request.node):
            pool.prepare(kernel, boot_of(following) or boot)
        on_error.pop_all()
    return taken


def _take_on_target(request: pytest.FixtureRequest, kernel: Kernel) -> Guest:
    """A guest on a machine that somebody else booted, which the caller must close."""
    taken = target_pool(request).take(kernel)
    request.node.stash[GUEST] = taken
    if any(promise.startswith(LIMITED_MESSAGES) for promise in requirements_of(request.node)):
        taken.await_messages()
    return taken


def take(request: pytest.FixtureRequest, kernel: Kernel, boot: Boot) -> Guest:
    """A guest, which the caller must close."""
    if kernel.target:
        return target_pool(request).take(kernel)
    pool, limit = request.config.stash[POOL], request.config.stash[LIMIT]
    try:
        with limit.suspended():
            taken_on = pool.acceleration(kernel)
            notes.set_kernel(request.node, kernel_info(request.config, kernel, taken_on))
            limit.kvm = taken_on.kvm
            return pool.take(kernel, boot)
    except BootCrashed as crashed:
        # Whatever the test is about, this is the promise that was seen broken.
        request.node.add_marker(pytest.mark.requirement(REACHES_INIT))
        crashed.breaks = (REACHES_INIT,)
        raise


# Targets


def unmet_on_target(request: pytest.FixtureRequest, kernel: Kernel) -> str:
    """Why a test cannot run on a machine that somebody else booted; empty if it can."""
    for marker in request.node.iter_markers("own_machine"):
        if not marker.kwargs:
            return f"needs a machine of its own: {marker.args[0]}"
        leave_out(request.node, marker.kwargs["promises"])
    boot, options = boot_of(request.node), needed_options.needed(request.node)
    return target_pool(request).unmet(kernel, boot, options, request.fixturenames)


def target_pool(request: pytest.FixtureRequest) -> TargetPool:
    stash = request.config.stash
    if TARGET not in stash:
        stash[TARGET] = TargetPool(cast(TargetSource, cast(Candidate, candidate_of(request.node)).source), Cache())
    return stash[TARGET]


# What a report says


def kernel_info(config: pytest.Config, kernel: Kernel, acceleration: Acceleration | None = None) -> dict[str, JSON]:
    return {
        "id": kernel.id,
        "name": kernel.name,
        "flavor": kernel.flavor,
        "release": kernel.release,
        "arch": kernel.arch,
        "spec": kernel.spec,
        "identity": kernel.identity,
        "digest": kernel.digest,
        "accel": acceleration.name if acceleration else None,
        "accel_why": acceleration.why if acceleration else None,
        "version": ".".join(map(str, kernel.version)),
        "lost_options": kernel.lost_options or None,
        "machine_options": changes_of_guests(config, config.stash[FOLDER].settings),
        "target": kernel.target or None,
    }


def boot_splat_of(request: pytest.FixtureRequest, guest: Guest) -> str:
    return guest.boot_splat(splat_waivers(request.config, kernel_info(request.config, guest.kernel)))


def complaint_of(item: pytest.Item, guest: Guest) -> str:
    """The guest's complaint, unless it is waived; waived ones are attached to the test's evidence."""
    waived = splat_waivers(item.config, kernel_info(item.config, guest.kernel))
    complaint = guest.complaint(waived)
    if waived.known:
        notes.attach(item, "waived splats", "".join(waived.known))
    return complaint


def kernel_of(item: pytest.Item) -> str | None:
    return candidate.id if (candidate := candidate_of(item)) is not None else None
