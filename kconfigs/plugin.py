# SPDX-License-Identifier: GPL-2.0-or-later
"""The pytest plugin (`-p kconfigs.plugin`): which kernels a run has, and the builds that go on beside it.

A plugin, and not a part of conftest.py, because pytest takes the value of an option that it does not know yet for a
path: `--kernel FILE` would decide where it looks for conftest.py, which comes too late to say otherwise.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from common.errors import KconformError, UsageError
from kconfigs import profile
from kconfigs.candidates import Candidate, candidates, wanted
from kconfigs.matrix import Wanted
from kconfigs.narrator import Narrator, to_terminal

BUILDS = "KCONFORM_BUILDS"
"""Environment: the folder in which all processes of the run follow the kernel builds."""

WANTED = pytest.StashKey[list[Wanted]]()
CANDIDATES = pytest.StashKey[list[Candidate]]()
TROUBLE = pytest.StashKey[KconformError]()
NARRATOR = pytest.StashKey[Narrator]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kconform")
    group.addoption(
        "--kernel",
        action="append",
        metavar="SPEC",
        help="a kernel to test, may be given again: source, deb:PACKAGE[=VERSION][@SUITE], a .deb file, an image,"
        " a kernel tree, or running (default: the distribution's prebuilt cloud kernel, and source)",
    )
    group.addoption(
        "--flavor",
        action="append",
        metavar="NAME",
        help="a set of kconfigs to build sources and trees with (default: full)",
    )
    group.addoption("--kernel-config", type=Path, metavar="FILE", help="the .config of a kernel image")
    group.addoption(
        "--profile",
        metavar="NAME",
        help="what each kernel must have and begin with: a skip for the lack of it is a failure"
        f" ({', '.join(profile.shipped())}, or a TOML file)",
    )
    group.addoption(
        "--matrix",
        type=Path,
        metavar="FILE",
        help="a TOML file that names the kernels of the run, their flavors and profiles (docs/many-kernels.md)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if not _is_worker(config):
        # Workers inherit it.
        folder = tempfile.TemporaryDirectory(prefix="kconform-builds-")
        os.environ[BUILDS] = folder.name
        config.add_cleanup(folder.cleanup)
    options = ("kernel", "flavor", "kernel_config", "profile", "matrix")
    try:
        config.stash[WANTED] = wanted(*(config.getoption(name) for name in options))
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error


def candidates_of(config: pytest.Config) -> list[Candidate]:
    """The kernels of this run, in the order in which they are tested: what has to be built comes last.

    None, where what the user asked for cannot be; pytest_collection_modifyitems() says so then.
    """
    if CANDIDATES not in config.stash:
        config.stash[CANDIDATES] = []
        try:
            asked = config.stash[WANTED]
            config.stash[CANDIDATES] = candidates(asked, Path(os.environ[BUILDS]))
        except KconformError as error:
            config.stash[TROUBLE] = error
    return config.stash[CANDIDATES]


def specs_of(config: pytest.Config) -> set[str]:
    """What the kernels of this run were asked for by.  Ends the run if these cannot be."""
    return {one.source.spec for one in _known(config)}


def is_there(config: pytest.Config, kernel: str, digest: str) -> bool:
    """Whether the kernel of this id and digest is one of the run's, without building any.

    Ends the run if nobody can tell, for the kernels that were asked for cannot be.
    """
    return any(one.id == kernel and one.digest() == digest for one in _known(config))


def _known(config: pytest.Config) -> list[Candidate]:
    found = candidates_of(config)
    _stop_at_trouble(config)
    return found


def candidate_of(item: pytest.Item) -> Candidate | None:
    """The kernel that a test is for."""
    callspec = getattr(item, "callspec", None)
    candidate = callspec.params.get("kernel") if callspec else None
    return candidate if isinstance(candidate, Candidate) else None


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that takes a kernel runs on each."""
    if "kernel" in metafunc.fixturenames:
        found = candidates_of(metafunc.config)
        metafunc.parametrize("kernel", found, ids=[one.id for one in found], indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config) -> None:
    _stop_at_trouble(config)


def _stop_at_trouble(config: pytest.Config) -> None:
    trouble = config.stash.get(TROUBLE, None)
    if isinstance(trouble, UsageError):
        raise pytest.UsageError(str(trouble))
    if trouble is not None:
        pytest.exit(f"Error: {trouble}", trouble.exit_status)


# Kernels that have to be built are begun at once, at low priority, while the others are tested: by the process of the
# run that outlives all others, for a builder dies with the one that began it.


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    if not (_is_worker(session.config) or session.config.option.collectonly):
        _begin(session.config, {one.id for item in session.items if (one := candidate_of(item)) is not None})


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    """With workers, who alone collect: the first to have done so tells which tests there are, before any is run."""
    if node.gateway.id == "gw0":
        found = candidates_of(node.config)
        _begin(node.config, {one.id for one in found if any(f"[{one.id}" in test for test in ids)})


def _begin(config: pytest.Config, ids: set[str]) -> None:
    for candidate in candidates_of(config) if ids else []:
        if candidate.id in ids:
            candidate.begin()


def pytest_sessionstart(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and not _is_worker(session.config):
        session.config.stash[NARRATOR] = Narrator(Path(os.environ[BUILDS]), to_terminal(reporter))
        session.config.stash[NARRATOR].start()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if NARRATOR in session.config.stash:
        session.config.stash[NARRATOR].stop()
    for candidate in session.config.stash.get(CANDIDATES, []):
        candidate.abandon()


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")
