# SPDX-License-Identifier: GPL-2.0-or-later
"""Stand-ins for programs of the host, and a session with an agent that runs on it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guests.vm.programs_for_guests import find
from kconfigs.cache import Cache
from suites.harness.guests import fakes
from suites.seccomp.support import traced_program

SOURCE = Path(__file__).with_name("stand_in_programs.c")

Compile = Callable[..., Path]


@pytest.fixture
def bin_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory for programs, which come before all others of their names."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(traced_program, "_BIN", f"{folder}/")
    find.cache_clear()
    yield folder
    find.cache_clear()


@pytest.fixture
def compiled(bin_: Path) -> Compile:
    """Compile a stand-in of this name."""

    def compile_(name: str, *, kind: str = "", stat: str = "fstat") -> Path:
        command = ["cc", "-std=gnu11", "-O2", "-ffreestanding", "-nostdlib", "-static", "-fno-stack-protector"]
        command += [f"-DAS={kind or name}", f"-DSTAT=__NR_{stat}", "-o", str(bin_ / name), str(SOURCE)]
        subprocess.run(command, check=True)
        return bin_ / name

    return compile_


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def host(store: Cache, monkeypatch: pytest.MonkeyPatch) -> Iterator[fakes.HostSession]:
    with fakes.host_session(store) as session:
        # With the user's own credentials.
        monkeypatch.setattr(session, "spawn", session.child)
        yield session
