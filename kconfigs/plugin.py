# SPDX-License-Identifier: GPL-2.0-or-later
"""The pytest plugin of kernels (`-p kconfigs.plugin`): the kernels of a run, and the builds in its background.

This is a plugin and not a part of conftest.py, because pytest takes the value of an unknown option for a path:
`--kernel FILE` would decide where it looks for conftest.py, which would define the option too late.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from common.errors import KconformError, UsageError
from common.workers import handed_over, is_worker
from kconfigs import sysctl_settings
from kconfigs.build.build_announcements import BuildAnnouncer, to_terminal
from kconfigs.cache import Cache
from kconfigs.kernel_options import add_options, refuse_careless_target, requested_kernels
from kconfigs.planned_kernels import Candidate, plan
from kconfigs.run_folder import RunFolder
from kconfigs.sysctl_effects import remarks_of_any_kernel

FOLDER_KEY = "kconform_run_folder"
"""In a worker's input: the path of the run's folder."""

FOLDER = pytest.StashKey[RunFolder]()
LOOKED_UP = pytest.StashKey[list[Candidate] | KconformError]()
ANNOUNCER = pytest.StashKey[BuildAnnouncer]()


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


# Begin


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run one test at a time on a target, whatever -n says: its settings are those of all tests."""
    if config.option.target is not None and hasattr(config.option, "numprocesses"):
        config.option.numprocesses = None
        config.option.dist = "no"
        config.option.tx = []


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Wrong use ends the run here, before anything else happens, and once: the workers do not look again."""
    if is_worker(config):
        config.stash[FOLDER] = RunFolder(Path(handed_over(config, FOLDER_KEY)))
        return
    folder = tempfile.TemporaryDirectory(prefix="kconform-run-")
    config.add_cleanup(folder.cleanup)
    config.stash[FOLDER] = RunFolder(Path(folder.name))
    option = config.option
    try:
        refuse_careless_target(option)
        requests = requested_kernels(
            specs=option.kernel,
            flavors=option.flavor,
            kernel_config=option.kernel_config,
            profile_name=option.profile,
            matrix_file=option.matrix,
            allow_dropped=option.allow_dropped,
            changes=option.config,
            modules=option.modules,
            target=option.target,
            arch=option.arch,
        )
        settings = sysctl_settings.read(option.sysctl) if option.sysctl else None
        if settings is not None and not any(request.profile for request in requests):
            raise UsageError(
                "--sysctl is for what a profile requires after these settings, and no kernel here has a profile",
                hint="add --profile, or leave out --sysctl",
            )
        config.stash[FOLDER].begin(requests, settings)
        if not option.help:
            Cache().require_usable()
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error
    except OSError as error:
        raise pytest.UsageError(
            f"the run cannot begin: {error}\n  hint: set another TMPDIR, or a umask that leaves you your own files"
        ) from error
    # The default kernels may be missing, as long as no test needs one.
    named = option.kernel or option.matrix or option.target
    if named and not option.help:
        candidates_of(config)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput[FOLDER_KEY] = str(node.config.stash[FOLDER].path)


def pytest_report_header(config: pytest.Config) -> list[str]:
    settings = config.stash[FOLDER].settings
    if settings is None:
        return []
    return [f"warning: {remark}" for remark in (*settings.remarks, *remarks_of_any_kernel(settings))]


def pytest_sessionstart(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and not is_worker(session.config):
        announcer = BuildAnnouncer(session.config.stash[FOLDER].builds, to_terminal(reporter))
        session.config.stash[ANNOUNCER] = announcer
        announcer.start()


# Kernels and tests


def candidates_of(config: pytest.Config) -> list[Candidate]:
    """The kernels of this run, in the order in which they are tested: those that have to be built come last.

    Ends the run if what was asked for cannot be tested.
    """
    found = _looked_up(config)
    if isinstance(found, UsageError):
        raise pytest.UsageError(str(found)) from found
    if isinstance(found, KconformError):
        pytest.exit(f"Error: {found}", found.exit_status)
    return found


def _looked_up(config: pytest.Config) -> list[Candidate] | KconformError:
    """The kernels of this run, or why there are none."""
    if LOOKED_UP not in config.stash:
        folder = config.stash[FOLDER]
        try:
            planned = folder.kernels(plan)
            config.stash[LOOKED_UP] = [Candidate(one, folder.builds) for one in planned]
        except KconformError as error:
            config.stash[LOOKED_UP] = error
    return config.stash[LOOKED_UP]


def backports_of(config: pytest.Config) -> dict[str, str]:
    """The promises that a profile of this run lists as backported, each with the place of its line."""
    profiles = config.stash[FOLDER].profiles()
    return {name: one.where for profile in profiles for one in profile.backports for name in one.requirements}


def profiles_of(config: pytest.Config) -> dict[str, str]:
    """The name of the profile of each kernel of this run that has one.  Looks for no kernel if none has."""
    if not config.stash[FOLDER].profiles():
        return {}
    found = _looked_up(config)
    planned = [] if isinstance(found, KconformError) else found
    return {one.id: one.profile.name for one in planned if one.profile is not None}


def specs_and_flavors_of(config: pytest.Config) -> set[tuple[str, str]]:
    """The SPEC of each of this run's kernels, with the flavor, as in its id."""
    return {(one.source.spec, one.id.partition("/")[2]) for one in candidates_of(config)}


def builds(config: pytest.Config) -> dict[str, float | None]:
    """The kernels that are being built beside the run, and the seconds until each is there, if that is known."""
    found = config.stash.get(LOOKED_UP, [])
    states = {} if isinstance(found, KconformError) else {one.id: one.building() for one in found}
    return {kernel: state.left_s() for kernel, state in states.items() if state is not None}


def is_there(config: pytest.Config, kernel: str, digest: str) -> bool:
    """Whether the kernel with this id and digest is one of the run's, without building any."""
    return any(one.id == kernel and one.digest() == digest for one in candidates_of(config))


def candidate_of(item: pytest.Item) -> Candidate | None:
    """The kernel that a test is for."""
    callspec = getattr(item, "callspec", None)
    candidate = callspec.params.get("kernel") if callspec else None
    return candidate if isinstance(candidate, Candidate) else None


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that takes a kernel runs on each."""
    if "kernel" in metafunc.fixturenames:
        found = _looked_up(metafunc.config)
        if isinstance(found, KconformError):
            found = []  # an error here would be one of each file; pytest_collection_modifyitems raises it once
        metafunc.parametrize("kernel", found, ids=[one.id for one in found], indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config) -> None:
    if LOOKED_UP in config.stash:
        candidates_of(config)


# Kernels that have to be built are begun at once, at low priority, while the others are tested.  The process of the
# run that outlives all others begins them, because a builder dies with the process that started it.  With workers,
# only they know the tests: they record which kernels have one, before pytest-xdist tells the controller that they
# have collected.


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.option.collectonly:
        return
    ids = {one.id for item in session.items if (one := candidate_of(item)) is not None}
    session.config.stash[FOLDER].select(ids)
    if not is_worker(session.config):
        _begin_builds(session.config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any) -> None:
    _begin_builds(node.config)


def _begin_builds(config: pytest.Config) -> None:
    selected = config.stash[FOLDER].selected()
    last = None
    for candidate in candidates_of(config) if selected else []:
        if candidate.id in selected and candidate.begin(after=last):
            last = candidate


# End


def pytest_sessionfinish(session: pytest.Session) -> None:
    if ANNOUNCER in session.config.stash:
        session.config.stash[ANNOUNCER].stop()
    found = session.config.stash.get(LOOKED_UP, [])
    for candidate in [] if isinstance(found, KconformError) else found:
        candidate.abandon()
