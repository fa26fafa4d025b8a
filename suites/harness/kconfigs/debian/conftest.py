# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for tests of Debian's packages and archives."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.errors import UsageError
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.debian.signed_archive import Repository, Signer


@pytest.fixture(scope="module")
def signers() -> Iterator[tuple[Signer, Signer]]:
    """Someone whose key the machine knows, and someone else."""
    for program in ("apt-get", "gpg"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    # gpg's agent listens on a socket in its home, whose path must be short.
    with tempfile.TemporaryDirectory(prefix="kconform-") as folder:
        made = (Signer(Path(folder) / "ours", "ours"), Signer(Path(folder) / "other", "other"))
        yield made
        for signer in made:
            signer.stop()


@pytest.fixture
def repository(tmp_path: Path, signers: tuple[Signer, Signer]) -> Repository:
    return Repository(tmp_path / "archive", signers[0])


@pytest.fixture
def _keyring(monkeypatch: pytest.MonkeyPatch, signers: tuple[Signer, Signer], _x86_64: None) -> None:
    """The first signer is Debian."""
    keyrings = {"Debian": signers[0].keyring, "Ubuntu": Path("/nonexistent")}
    monkeypatch.setattr("kconfigs.debian.archive_suite.KEYRINGS", keyrings)


@pytest.fixture
def _impatient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """apt asks three times more where nobody answers."""
    (tmp_path / "apt.conf").write_text('Acquire::Retries "0";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))


@pytest.fixture
def refused(tmp_path: Path) -> Callable[[bytes], UsageError]:
    """The error that a package ends in; nothing is left of it."""

    return lambda content: fakes.refusal(tmp_path, "k.deb", content)
