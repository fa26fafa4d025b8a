# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages of another architecture, as in `deb:PACKAGE:ARCH`, from an archive of our own that gpg has signed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs.cache import Cache
from kconfigs.debian import archive_suite
from kconfigs.debian.apt import Apt
from kconfigs.debian.archive_suite import apt_of
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.debian.fake_apt import FakeApt, debian
from suites.harness.kconfigs.debian.signed_archive import Repository, Signer
from suites.harness.kconfigs.fake_kernels import PACKAGE

pytestmark = pytest.mark.usefixtures("_keyring")


@pytest.fixture(autouse=True)
def _machine(_x86_64: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The packages are for x86-64, and this machine is not."""
    monkeypatch.setattr("platform.machine", lambda: "aarch64")


@pytest.mark.parametrize("suite", ["", "@testing"], ids=["of-the-suites-in-use", "of-another-suite"])
def test_a_kernel(repository: Repository, cache: Cache, suite: str) -> None:
    """The archive is this machine's, its suites too unless one is named, and the packages are the other's."""
    source = fakes.resolved(f"deb:{PACKAGE}:amd64{suite}", apt=repository.machine(), cache=cache)
    assert (source.source.arch, source.source.origin) == ("x86_64", f"{PACKAGE}:amd64 6.12.7-1")
    assert source.source.name == "debian-6.12.7-fake-amd64"
    assert source.kernel().release == fakes.RELEASE
    [lists] = [entry.key.partition("_")[0] for entry in cache.entries() if entry.kind == "suites"]
    assert re.fullmatch(r"testing\+amd64" if suite else r"amd64-[0-9a-f]{12}", lists)


def test_systems_with_different_releases_share_no_lists(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the host and a container with the same cache: each gets the packages of its own release."""
    fetched: list[str] = []

    def update(*_: object) -> bool:
        fetched.append(release)
        return True

    monkeypatch.setattr(archive_suite, "update", update)
    for release in ("bookworm", "trixie", "bookworm"):
        said = f"Repo-URI: http://x/\nOrigin: Debian\nLabel: Debian\nRelease: {release}\n"
        apt_of("", Apt(lambda *_, said=said: said), cache, arch="amd64")
    assert fetched == ["bookworm", "trixie"]


def test_the_machines_own_architecture_needs_no_other_lists(cache: Cache) -> None:
    fake = FakeApt(debian("linux-image-6.12.7-arm64") | {"Architecture": "arm64"})
    source = fakes.resolved("deb:linux-image-6.12.7-arm64:arm64", apt=Apt(fake), cache=cache)
    assert (source.source.arch, source.source.name) == ("aarch64", "debian-6.12.7-arm64")
    assert not any("APT::Architecture=arm64" in call for call in fake.calls)


def test_apt_is_told_and_dpkg_is_not(signers: tuple[Signer, Signer], tmp_path: Path, cache: Cache) -> None:
    del signers
    commands: list[Sequence[str]] = []
    repository = Repository(tmp_path / "archive", None)

    def run(command: Sequence[str], cwd: Path | None) -> str:
        commands.append(command)
        return repository.run(command, cwd)

    with pytest.raises(UsageError, match="no valid signature for testing"):
        apt_of("", Apt(run), cache, arch="amd64")
    assert any("APT::Architecture=amd64" in command for command in commands)
    assert {command[0] for command in commands} == {"apt-get"}


def test_source_is_the_same_for_all(repository: Repository, cache: Cache) -> None:
    with pytest.raises(UsageError, match="is source, which is the same for all architectures"):
        fakes.resolved("deb:linux-source-6.12:amd64", apt=repository.machine(), cache=cache)


def test_a_machine_without_the_distributions_archive_is_refused(cache: Cache) -> None:
    machine = Apt(lambda *_: "Repo-URI: http://example.org/\nOrigin: Node Source\nLabel: Node Source\n")
    with pytest.raises(UsageError, match="uses no archive of Debian or Ubuntu that could have packages for amd64"):
        apt_of("", machine, cache, arch="amd64")
