# SPDX-License-Identifier: GPL-2.0-or-later
"""Wiring: markers and fixtures that join kernels (kconfigs), guests and reports."""

from __future__ import annotations

import contextlib
import importlib.metadata
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import cast

import hypothesis
import pytest

from common.workers import is_worker
from guests import guest_evidence, system_settings
from guests.errors import BootCrashed, GuestBroke, QemuError, UsageError
from guests.guest import Guest
from guests.plugin import LIMIT, boot_of, changes_of_guests, machine_options_of, skip_without_devices
from guests.system_settings import ConfiguredGuest
from guests.target.target_pool import TargetPool
from guests.vm import device_state
from guests.vm.acceleration import Acceleration
from guests.vm.clone_pool import DEFAULT_BOOT, Boot, Pool
from guests.vm.qemu_program import find_qemu, inspect
from kconfigs import flavors, needed_options, sources
from kconfigs.cache import Cache
from kconfigs.kernel import Kernel
from kconfigs.planned_kernels import Candidate
from kconfigs.plugin import FOLDER, backports_of, builds, candidate_of, is_there, specs_of
from kconfigs.sources import TargetSource
from reports.model.result import JSON
from reports.run import notes, preparation_times, resume
from reports.run.apply_waivers import check_flavors, splat_waivers
from reports.run.options import runs_tests
from reports.run.requirement_marker import expect_backports, leave_out, requirements_of
from suites.applicable_tests import promises_of, skip_unless_applicable
from suites.reproducers import kept, replayed_guest
from suites.walks.fresh_guests import GuestSupply

pytest_plugins = ["pytester"]
# A comparison in a helper of the tests then shows its values, as one in a test does.
pytest.register_assert_rewrite(*(f"suites.{area}.support" for area in ("ptrace", "yama", "loadpin", "seccomp")))

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("kconform", deadline=None)
hypothesis.settings.load_profile("kconform")

GUEST = pytest.StashKey[Guest]()
POOL = pytest.StashKey[Pool]()
TARGET = pytest.StashKey[TargetPool]()
NEXT = pytest.StashKey[pytest.Item | None]()

REACHES_INIT = "boot.reaches-init"
"""The promise that every test needs (suites/boot/requirements.toml)."""
LIMITED_MESSAGES = "yama.log"
"""The promise of messages of which a kernel prints ten in five seconds, and no more."""


# Markers, and the requested kernels


def pytest_configure(config: pytest.Config) -> None:
    for line in (
        "needs(*options): skip unless the kernel has all of these (without CONFIG_; of 'A or B', one is enough)",
        "lacks(*options): skip if the kernel has any of these config options",
        "boot(*arguments, disks=(), programs=(), processor=()): boot with these kernel arguments, disks"
        " (guests.vm.disk_images.DiskPlan), programs of the host, and properties of the emulated processor",
        "own_machine(why, promises=()): not on a machine that somebody else booted (--target): it could not be undone"
        " there, or other programs would suffer or interfere; with promises, only these are left out there",
    ):
        config.addinivalue_line("markers", line)
    check_flavors(config, [sources.SHIPPED, *flavors.FLAVORS])
    if resume.FORMER in config.stash:
        resume.keep(config, specs_of(config), lambda kernel, digest: is_there(config, kernel, digest))
        resume.require_same_machine(config, changes_of_guests(config, config.stash[FOLDER].settings))
    preparation_times.watch_builds(config, lambda: builds(config))
    preparation_times.group_boots(config, lambda item: (boot := boot_of(item)) and (_kernel_of(item), boot))
    expect_backports(config, backports_of(config))
    config.stash[POOL] = Pool(
        Cache(),
        mode=config.getoption("accel"),
        cold=config.getoption("cold"),
        probe=config.getoption("probe_accel"),
        qemu=config.getoption("qemu"),
        options=machine_options_of(config),
        shared=config.stash[FOLDER].boots,
        watch=preparation_times.stopwatch(config),
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group tests that boot alike within a kernel, so that a spare clone fits the next test."""
    boots: dict[tuple[str | None, Boot | None], int] = {}
    items.sort(key=lambda item: boots.setdefault((_kernel_of(item), boot_of(item)), len(boots)))


def _kernel_of(item: pytest.Item) -> str | None:
    return candidate.id if (candidate := candidate_of(item)) is not None else None


@pytest.fixture(scope="session")
def kernel(request: pytest.FixtureRequest) -> Kernel:
    """The kernel under test, built or unpacked first if necessary."""
    with request.config.stash[LIMIT].suspended():
        return cast(Candidate, request.param).kernel(preparation_times.stopwatch(request.config))


@pytest.fixture(autouse=True)
def _applies(request: pytest.FixtureRequest) -> None:
    """Skip a test that does not apply to the kernel, and say which option or version is missing."""
    if "kernel" not in request.fixturenames:
        return
    kernel = cast(Kernel, request.getfixturevalue("kernel"))
    notes.set_kernel(request.node, _kernel_info(request.config, kernel))
    skip_unless_applicable(request, kernel, lambda: _take(request, kernel, DEFAULT_BOOT))
    if kernel.target and (why := _unmet_on_target(request, kernel)):
        pytest.skip(why)


def _unmet_on_target(request: pytest.FixtureRequest, kernel: Kernel) -> str:
    """Why a test cannot run on a machine that somebody else booted; empty if it can."""
    for marker in request.node.iter_markers("own_machine"):
        if not marker.kwargs:
            return f"needs a machine of its own: {marker.args[0]}"
        leave_out(request.node, marker.kwargs["promises"])
    boot, options = boot_of(request.node), needed_options.needed(request.node)
    return _target_pool(request).unmet(kernel, boot, options, request.fixturenames)


def _target_pool(request: pytest.FixtureRequest) -> TargetPool:
    stash = request.config.stash
    if TARGET not in stash:
        stash[TARGET] = TargetPool(cast(TargetSource, cast(Candidate, candidate_of(request.node)).source), Cache())
    return stash[TARGET]


@pytest.fixture
def promised(request: pytest.FixtureRequest, kernel: Kernel) -> Callable[[str], bool]:
    """Whether the kernel makes a promise: for tables in which one row is newer than the others."""
    return promises_of(request, kernel, lambda: _take(request, kernel, DEFAULT_BOOT)).makes


@pytest.fixture
def required_by_profile(request: pytest.FixtureRequest, kernel: Kernel) -> Callable[[str], str]:
    """The initial setting that the profile requires (with --sysctl: after that); the test is skipped without one."""
    after_sysctl = bool(request.config.option.sysctl)

    def default(what: str) -> str:
        profile = cast(Candidate, candidate_of(request.node)).profile
        line = profile.default(what, kernel.version, after_sysctl=after_sysctl) if profile is not None else None
        if line is None:
            pytest.skip(f"no profile requires a value of {what}")
        return line.value

    return default


def _kernel_info(config: pytest.Config, kernel: Kernel, acceleration: Acceleration | None = None) -> dict[str, JSON]:
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


# Guests


@pytest.fixture
def guest(request: pytest.FixtureRequest, kernel: Kernel, _applies: None) -> Iterator[Guest]:
    """A freshly booted guest, booted as the test's `boot` marker specifies."""
    with contextlib.closing(_take_for_test(request, kernel, request.node.stash.get(NEXT, None))) as taken:
        yield taken


@pytest.fixture
def guest_supply(request: pytest.FixtureRequest, kernel: Kernel, _applies: None) -> GuestSupply:
    """Fresh guests for a test that takes many, and closes each."""
    return GuestSupply(partial(_take_for_test, request, kernel, request.node), partial(_complaint, request.node))


def _take_for_test(request: pytest.FixtureRequest, kernel: Kernel, following: pytest.Item | None) -> Guest:
    """The guest that a test's evidence is about, which the caller must close.  `following` needs the next one."""
    if (replayed := replayed_guest(request.node)) is not None:
        return replayed
    if kernel.target:
        return _take_on_target(request, kernel)
    pool, boot = request.config.stash[POOL], boot_of(request.node) or DEFAULT_BOOT
    skip_without_devices(boot, pool.qemu(kernel.arch))
    with contextlib.ExitStack() as on_error:
        taken = on_error.enter_context(contextlib.closing(_take(request, kernel, boot)))
        request.node.stash[GUEST] = kept(request.node, taken, boot, pool)
        if splat := _boot_splat(request, taken):
            info = _kernel_info(request.config, kernel, pool.acceleration(kernel))
            notes.set_kernel(request.node, {**info, "boot_complaint": splat})
        if following is not None and _kernel_of(following) == _kernel_of(request.node):
            pool.prepare(kernel, boot_of(following) or boot)
        on_error.pop_all()
    return taken


def _take_on_target(request: pytest.FixtureRequest, kernel: Kernel) -> Guest:
    """A guest on a machine that somebody else booted, which the caller must close."""
    taken = _target_pool(request).take(kernel)
    request.node.stash[GUEST] = taken
    if LIMITED_MESSAGES in requirements_of(request.node):
        taken.await_messages()
    return taken


def _take(request: pytest.FixtureRequest, kernel: Kernel, boot: Boot) -> Guest:
    """A guest, which the caller must close."""
    if kernel.target:
        return _target_pool(request).take(kernel)
    pool, limit = request.config.stash[POOL], request.config.stash[LIMIT]
    try:
        with limit.suspended():
            taken_on = pool.acceleration(kernel)
            notes.set_kernel(request.node, _kernel_info(request.config, kernel, taken_on))
            limit.kvm = taken_on.kvm
            return pool.take(kernel, boot)
    except BootCrashed as crashed:
        # Whatever the test is about, this is the promise that was seen broken.
        request.node.add_marker(pytest.mark.requirement(REACHES_INIT))
        crashed.breaks = (REACHES_INIT,)
        raise


@pytest.fixture
def configured(request: pytest.FixtureRequest, guest: Guest) -> ConfiguredGuest:
    """The guest, after the system's sysctl settings (--sysctl) have been made in it."""
    found = ConfiguredGuest.of(guest, request.config.stash[FOLDER].settings)
    if found.made:
        notes.attach(request.node, "sysctl settings", "\n".join(found.report()))
    return found


@pytest.fixture
def boot_splat(request: pytest.FixtureRequest, guest: Guest) -> str:
    """The first complaint that the kernel logged while it booted, unless it is waived; empty if there is none."""
    return _boot_splat(request, guest)


def _boot_splat(request: pytest.FixtureRequest, guest: Guest) -> str:
    return guest.boot_splat(splat_waivers(request.config, _kernel_info(request.config, guest.kernel)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    item.stash[NEXT] = nextitem
    if candidate := candidate_of(item):
        # The kernel may turn out to be unavailable; then this is all that is known about it.
        notes.set_kernel(item, {"id": candidate.id, "spec": candidate.source.spec})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a test whose kernel logged a splat or became tainted, whatever its calls returned or failed with."""
    try:
        yield
    except (Exception, pytest.fail.Exception) as error:
        broken = item.stash.get(GUEST, None)
        if broken and (other := guest_evidence.replacement(error, broken, lambda: _complaint(item, broken))):
            raise other from error
        raise
    if (guest := item.stash.get(GUEST, None)) and (complaint := _complaint(item, guest)):
        raise GuestBroke(complaint)


def _complaint(item: pytest.Item, guest: Guest) -> str:
    """The guest's complaint, unless it is waived; waived ones are attached to the test's evidence."""
    waived = splat_waivers(item.config, _kernel_info(item.config, guest.kernel))
    complaint = guest.complaint(waived)
    if waived.known:
        notes.attach(item, "waived splats", "".join(waived.known))
    return complaint


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    guest = item.stash.get(GUEST, None)
    if guest is not None and (call.when == "call" or call.excinfo is not None):
        for title, text in guest.evidence().items():
            notes.attach(item, title, text)
    if guest is not None and call.when == "teardown":
        del item.stash[GUEST]
    report = yield
    if (candidate := candidate_of(item)) and candidate.error is not None and call.excinfo is not None:
        # Every test of this kernel fails with this error; a traceback through kconform's code would add nothing.
        report.longrepr = str(candidate.error)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    session.config.stash[POOL].close()
    if TARGET in session.config.stash:
        session.config.stash[TARGET].close()


def pytest_sessionstart(session: pytest.Session) -> None:
    config = session.config
    if config.option.target:
        return
    notes.describe_run(config, "virtme-ng", importlib.metadata.version("virtme-ng"))
    if config.option.sysctl:
        notes.describe_run(config, "sysctl", list(map(str, system_settings.to_make(config.stash[FOLDER].settings))))
    try:
        program = inspect(find_qemu(chosen=config.getoption("qemu")))
    except UsageError as error:
        pytest.exit(str(error), returncode=4)
    except QemuError:
        return  # tests that need a guest report this; most of the project's own tests need none
    notes.describe_run(config, "qemu", program.version_line)
    notes.describe_run(config, "qemu_path", program.path)
    if _wants_guests(config):
        try:
            device_state.prove(program)
        except QemuError as error:
            pytest.exit(str(error), returncode=4)


def _wants_guests(config: pytest.Config) -> bool:
    """Whether this process starts a run of the suites; workers need not repeat its checks."""
    own_tests = config.rootpath / "suites" / "harness"
    named = (config.invocation_params.dir / argument.partition("::")[0] for argument in config.args)
    runs = runs_tests(config) and not is_worker(config)
    return runs and not all(path.resolve().is_relative_to(own_tests) for path in named)
