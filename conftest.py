# SPDX-License-Identifier: GPL-2.0-or-later
"""Markers and fixtures that connect kernels (kconfigs), guests and reports."""

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
from guests.errors import GuestBroke, QemuError, UsageError
from guests.guest import Guest
from guests.plugin import LIMIT, boot_of, changes_of_guests, machine_options_of
from guests.system_settings import ConfiguredGuest
from guests.vm import device_state
from guests.vm.boot_request import DEFAULT_BOOT, Boot
from guests.vm.clone_pool import Pool
from guests.vm.qemu_program import find_qemu, inspect
from kconfigs import flavors, sources
from kconfigs.architectures import ARCHITECTURES
from kconfigs.cache import Cache
from kconfigs.kernel import Kernel
from kconfigs.planned_kernels import Candidate
from kconfigs.plugin import (
    FOLDER,
    backports_of,
    builds,
    candidate_of,
    is_there,
    profiles_of,
    specs_and_flavors_of,
)
from reports.run import notes, preparation_times, resume
from reports.run.apply_waivers import check_kernels
from reports.run.options import runs_tests
from reports.run.requirement_marker import expect_backports
from suites.applicable_tests import promises_of, skip_unless_applicable
from suites.taken_guests import (
    GUEST,
    POOL,
    TARGET,
    boot_splat_of,
    complaint_of,
    kernel_info,
    kernel_of,
    take,
    take_for_test,
    unmet_on_target,
)
from suites.walks.fresh_guests import GuestSupply

pytest_plugins = ["pytester"]
# A comparison in a helper of the tests then shows its values, as one in a test does.
pytest.register_assert_rewrite(*(f"suites.{area}.support" for area in ("ptrace", "yama", "loadpin", "seccomp")))

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("kconform", deadline=None)
hypothesis.settings.load_profile("kconform")

NEXT = pytest.StashKey[pytest.Item | None]()

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
    check_kernels(config, [sources.SHIPPED, *flavors.FLAVORS], list(ARCHITECTURES))
    if resume.FORMER in config.stash:
        resume.keep(config, specs_and_flavors_of(config), lambda kernel, digest: is_there(config, kernel, digest))
        resume.require_same_machine(config, changes_of_guests(config, config.stash[FOLDER].settings))
        resume.require_same_profiles(config, profiles_of(config))
    preparation_times.watch_builds(config, lambda: builds(config))
    preparation_times.group_boots(config, lambda item: (boot := boot_of(item)) and (kernel_of(item), boot))
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
    items.sort(key=lambda item: boots.setdefault((kernel_of(item), boot_of(item)), len(boots)))


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
    notes.set_kernel(request.node, kernel_info(request.config, kernel))
    skip_unless_applicable(request, kernel, lambda: take(request, kernel, DEFAULT_BOOT))
    if kernel.target and (why := unmet_on_target(request, kernel)):
        pytest.skip(why)


@pytest.fixture
def promised(request: pytest.FixtureRequest, kernel: Kernel) -> Callable[[str], bool]:
    """Whether the kernel makes a promise: for tables in which one row is newer than the others."""
    return promises_of(request, kernel, lambda: take(request, kernel, DEFAULT_BOOT)).makes


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


# Guests


@pytest.fixture
def guest(request: pytest.FixtureRequest, kernel: Kernel, _applies: None) -> Iterator[Guest]:
    """A freshly booted guest, booted as the test's `boot` marker specifies."""
    with contextlib.closing(take_for_test(request, kernel, request.node.stash.get(NEXT, None))) as taken:
        yield taken


@pytest.fixture
def guest_supply(request: pytest.FixtureRequest, kernel: Kernel, _applies: None) -> GuestSupply:
    """Fresh guests for a test that takes many, and closes each."""
    return GuestSupply(partial(take_for_test, request, kernel, request.node), partial(complaint_of, request.node))


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
    return boot_splat_of(request, guest)


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
        if broken and (other := guest_evidence.replacement(error, broken, lambda: complaint_of(item, broken))):
            raise other from error
        raise
    if (guest := item.stash.get(GUEST, None)) and (complaint := complaint_of(item, guest)):
        raise GuestBroke(complaint)


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
    if profiles := profiles_of(config):
        notes.describe_run(config, resume.PROFILES, profiles)
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
