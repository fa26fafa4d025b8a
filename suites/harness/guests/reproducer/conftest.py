# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for tests of reproducers, which are made from what an agent on this host did, and run on this host."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guests.guest import Guest
from guests.reproducer import guest_trial
from guests.reproducer.make import make
from guests.reproducer.program_source import Subject
from guests.reproducer.replay import Run
from guests.session import Session
from guests.vm.initramfs import agent
from kconfigs.cache import Cache
from kconfigs.kernel import Kernel
from suites.harness.guests.fakes import HostSession, kernel

Scenario = Callable[[Session], None]
SUBJECT = Subject(
    promise="A task is told the truth.",
    requirements=[("host.truth", "The kernel tells the truth.")],
    nodeid="suites/host/test_truth.py::test_truth[host/shipped]",
    kernel="host/shipped",
    release="1.2",
    failure="",
)


class RecordedHost(HostSession):
    """A session of this host with what a replay takes from a guest."""

    template = None

    def __init__(self, program: Path, kernel: Kernel) -> None:
        self.kernel = kernel
        super().__init__(program)


@pytest.fixture(scope="session")
def agent_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return agent(platform.machine(), Cache(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def recorded(agent_program: Path, tmp_path: Path) -> Iterator[RecordedHost]:
    session = RecordedHost(agent_program, kernel(tmp_path))
    try:
        yield session
    finally:
        session.close()


def source_of(recorded: RecordedHost, scenario: Scenario) -> str:
    """The reproducer of a scenario, after it has run."""
    run: Run = scenario
    failure: BaseException | None = None
    try:
        scenario(recorded)
    except AssertionError as error:
        failure = error
    guest: Guest = recorded  # type: ignore[assignment]
    return make(guest, run, failure, SUBJECT)


def story_of(source: str) -> list[str]:
    """The steps of the story, without the declarations."""
    inside = source.partition("static void story(void)\n{\n")[2].partition("\n}\n")[0]
    return [line.strip() for line in inside.partition("\n\n")[2].splitlines()]


def built(source: str, folder: Path) -> Path:
    """Build the reproducer for this host."""
    program = folder / "reproducer"
    program.write_bytes(guest_trial.build(source, platform.machine()))
    program.chmod(0o755)
    return program


def run(source: str, folder: Path) -> tuple[int, str]:
    """Build the reproducer, run it on this host, and return its exit status and what it printed."""
    done = subprocess.run([built(source, folder)], capture_output=True, encoding="utf-8", check=False, timeout=300)
    return done.returncode, done.stdout
