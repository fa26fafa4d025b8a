# SPDX-License-Identifier: GPL-2.0-or-later
"""Wiring: markers and fixtures that join kernels (kconfigs), guests and reports."""

from __future__ import annotations

import importlib.metadata
import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from guests.accel import Acceleration
from guests.errors import GuestBroke, KconformError, UsageError
from guests.guest import Guest
from guests.outcome import Expected, Outcome
from guests.qemu import qemu_version
from guests.stable import DEFAULT_BOOT, Boot, Stable
from kconfigs import profile as profiles
from kconfigs.cache import Cache
from kconfigs.candidates import Candidate, Narrator, candidates
from kconfigs.kernel import Kernel
from kconfigs.profile import LackingError, Profile
from reports import record
from reports.plugin import is_worker
from reports.promises import registry, requirements_of
from reports.waivers import SplatExcuse

pytest_plugins = ["pytester"]

GUEST = pytest.StashKey[Guest]()
CANDIDATES = pytest.StashKey[list[Candidate]]()
PROFILE = pytest.StashKey[Profile | None]()
STABLE = pytest.StashKey[Stable]()
BUILDS = "KCONFORM_BUILDS"
TROUBLE = pytest.StashKey[KconformError]()
NARRATOR = pytest.StashKey[Narrator]()
NEXT = pytest.StashKey[pytest.Item | None]()


# Markers, and the kernels that were asked for


def pytest_configure(config: pytest.Config) -> None:
    for line in (
        "needs(*options): skip unless the kernel has these config options (without CONFIG_)",
        "lacks(*options): skip if the kernel has one of these config options",
        "boot(*arguments, disks=(), programs=()): boot with these kernel arguments, disks (guests.disks.DiskPlan)"
        " and programs of the host",
    ):
        config.addinivalue_line("markers", line)
    if not is_worker(config):
        # Workers inherit it: one folder in which all processes of the run follow the kernel builds.
        folder = tempfile.TemporaryDirectory(prefix="kconform-builds-")
        os.environ[BUILDS] = folder.name
        config.add_cleanup(folder.cleanup)
    try:
        config.stash[PROFILE] = profiles.load(config.getoption("profile")) if config.getoption("profile") else None
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[STABLE] = Stable(Cache(), mode=config.getoption("accel"), cold=config.getoption("cold"))


def _candidates(config: pytest.Config) -> list[Candidate]:
    """The kernels of this run, in the order in which they are tested: what has to be built comes last.

    None, where what the user asked for cannot be; pytest_collection_modifyitems() says so then.
    """
    if CANDIDATES not in config.stash:
        config.stash[CANDIDATES] = []
        try:
            config.stash[CANDIDATES] = candidates(
                config.getoption("kernel"),
                config.getoption("flavor"),
                config.getoption("kernel_config"),
                Path(os.environ[BUILDS]),
            )
        except KconformError as error:
            config.stash[TROUBLE] = error
    return config.stash[CANDIDATES]


# Every test that takes a kernel runs on each


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kernel" in metafunc.fixturenames:
        found = _candidates(metafunc.config)
        metafunc.parametrize("kernel", found, ids=[one.id for one in found], indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that boot alike stand together within a kernel, so that a spare clone fits the next test."""
    trouble = config.stash.get(TROUBLE, None)
    if isinstance(trouble, UsageError):
        raise pytest.UsageError(str(trouble))
    if trouble is not None:
        pytest.exit(f"Error: {trouble}", trouble.exit_status)
    boots: dict[tuple[object, Boot | None], int] = {}
    items.sort(key=lambda item: boots.setdefault((_candidate_id(item), _boot_of(item)), len(boots)))


# Kernels that have to be built are begun at once, at low priority, while the others are tested: by the process of the
# run that outlives all others, for a builder dies with the one that began it.


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    if not (is_worker(session.config) or session.config.option.collectonly):
        _begin(session.config, {_candidate_id(item) for item in session.items})


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    """With workers, who alone collect: the first to have done so tells which tests there are, before any is run."""
    if node.gateway.id == "gw0":
        found = _candidates(node.config)
        _begin(node.config, {one.id for one in found if any(f"[{one.id}" in test for test in ids)})


def _begin(config: pytest.Config, wanted: set[str | None]) -> None:
    for candidate in _candidates(config) if wanted else []:
        if candidate.id in wanted:
            candidate.begin()


def _candidate(item: pytest.Item) -> Candidate | None:
    callspec = getattr(item, "callspec", None)
    candidate = callspec.params.get("kernel") if callspec else None
    return candidate if isinstance(candidate, Candidate) else None


def _candidate_id(item: pytest.Item) -> str | None:
    candidate = _candidate(item)
    return candidate.id if candidate is not None else None


def _boot_of(item: pytest.Item) -> Boot | None:
    if "guest" not in getattr(item, "fixturenames", ()):
        return None
    marker = item.get_closest_marker("boot")
    if marker is None:
        return DEFAULT_BOOT
    return Boot(marker.args, **{what: tuple(wanted) for what, wanted in marker.kwargs.items()})


@pytest.fixture(scope="session")
def kernel(request: pytest.FixtureRequest) -> Kernel:
    """The kernel under test, built or unpacked if it was not yet."""
    return cast(Candidate, request.param).kernel()


@pytest.fixture(autouse=True)
def _applies(request: pytest.FixtureRequest) -> None:
    """Skip what does not apply to the kernel, and say which option or version is missing."""
    if "kernel" not in request.fixturenames:
        return
    kernel = cast(Kernel, request.getfixturevalue("kernel"))
    profile = request.config.stash[PROFILE]
    record.set_kernel(request.node, _kernel_info(kernel))
    known = registry(request.config)
    for identifier in requirements_of(request.node):
        reason = known[identifier].applies(kernel.version)
        if reason:
            pytest.skip(reason)
    for marker in request.node.iter_markers("needs"):
        missing = [f"CONFIG_{option}" for option in marker.args if not kernel.config.enabled(option)]
        for option in missing:
            if profile is not None and (line := profile.asks_for(option, kernel.version)):
                raise LackingError(option, profile, line)
        if missing:
            pytest.skip(f"needs {', '.join(missing)}")
    for marker in request.node.iter_markers("lacks"):
        present = [f"CONFIG_{option}" for option in marker.args if kernel.config.enabled(option)]
        if present:
            pytest.skip(f"for a kernel without {', '.join(present)}")


@pytest.fixture
def asked(request: pytest.FixtureRequest, kernel: Kernel) -> Callable[[str], str]:
    """What the profile wants the kernel to begin with; without a profile that says so, the test is skipped."""

    def default(what: str) -> str:
        profile = request.config.stash[PROFILE]
        line = profile.default(what, kernel.version) if profile is not None else None
        if line is None:
            pytest.skip(f"no profile asks for {what} (--profile)")
        return line.value

    return default


def _kernel_info(kernel: Kernel, acceleration: Acceleration | None = None) -> dict[str, record.JSON]:
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
    }


# Guests


@pytest.fixture
def guest(request: pytest.FixtureRequest, kernel: Kernel, _applies: None) -> Iterator[Guest]:
    """A guest that has only just booted, as the test's `boot` marker wants it."""
    stable = request.config.stash[STABLE]
    boot = _boot_of(request.node) or DEFAULT_BOOT
    taken_on = stable.acceleration(kernel)
    record.set_kernel(request.node, _kernel_info(kernel, taken_on))
    taken = stable.take(kernel, boot)
    request.node.stash[GUEST] = taken
    complaint = taken.boot_complaint
    if complaint and not SplatExcuse(request.config, _kernel_info(kernel))(complaint):
        record.set_kernel(request.node, {**_kernel_info(kernel, taken_on), "boot_complaint": complaint})
    following = request.node.stash.get(NEXT, None)
    if following is not None and _candidate_id(following) == _candidate_id(request.node):
        stable.prepare(kernel, _boot_of(following) or boot)
    try:
        yield taken
    finally:
        taken.close()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    item.stash[NEXT] = nextitem


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """A test whose kernel complained has failed, whatever its calls returned, and whatever it stumbled over then."""
    guest = item.stash.get(GUEST, None)
    try:
        yield
    except (AssertionError, GuestBroke):
        raise
    except Exception as error:
        # A task that an oops has killed takes no more orders.
        if guest is not None and (complaint := _complaint(item, guest)):
            raise GuestBroke(complaint) from error
        raise
    if guest is not None and (complaint := _complaint(item, guest)):
        raise GuestBroke(complaint)


def _complaint(item: pytest.Item, guest: Guest) -> str:
    """The guest's own, if it has one that is not waived; what was waived is with the test's evidence."""
    excuse = SplatExcuse(item.config, _kernel_info(guest.kernel))
    complaint = guest.complaint(excuse)
    if excuse.known:
        record.attach(item, "waived splats", "".join(excuse.known))
    return complaint


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    if call.when == "call" and (guest := item.stash.get(GUEST, None)) is not None:
        for title, text in guest.evidence().items():
            record.attach(item, title, text)
    report = yield
    candidate = _candidate(item)
    if candidate is not None and candidate.error is not None and call.excinfo is not None:
        # Each test of this kernel says so; the way through our code to it would say no more.
        report.longrepr = str(candidate.error)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    if NARRATOR in session.config.stash:
        session.config.stash[NARRATOR].stop()
    session.config.stash[STABLE].close()
    for candidate in session.config.stash.get(CANDIDATES, []):
        candidate.abandon()


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Who did what to whom, what came, and what was wanted."""
    if op == "==" and isinstance(left, Outcome) and isinstance(right, Expected):
        return [f"{left!r}, expected {right!r}"]
    return None


def pytest_sessionstart(session: pytest.Session) -> None:
    record.describe_run(session.config, "qemu", qemu_version())
    record.describe_run(session.config, "virtme-ng", importlib.metadata.version("virtme-ng"))
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and not is_worker(session.config):

        def say(text: str) -> None:
            reporter.ensure_newline()
            reporter.write_line(text)
            reporter.flush()

        session.config.stash[NARRATOR] = Narrator(Path(os.environ[BUILDS]), say)
        session.config.stash[NARRATOR].start()
