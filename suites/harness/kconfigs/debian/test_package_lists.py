# SPDX-License-Identifier: GPL-2.0-or-later
"""Package lists of our own, for a user who may not fetch those that apt lacks."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import pytest

from common.errors import KconformError, UsageError
from kconfigs.cache import Cache
from kconfigs.debian import archive_suite
from kconfigs.debian.apt import Apt
from kconfigs.debian.package_lists import with_lists
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.debian.fake_apt import FakeApt, debian
from suites.harness.kconfigs.debian.signed_archive import Repository
from suites.harness.kconfigs.fake_kernels import PACKAGE

TODAY = datetime.date(2026, 11, 22)


@pytest.fixture
def _user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


@pytest.fixture
def sources(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, _keyring: None) -> Path:
    """The sources.list of a machine whose apt has no lists."""
    path = tmp_path / "sources.list"
    keyring = archive_suite.KEYRINGS["Debian"]
    path.write_text(f"deb [signed-by={keyring} target=Packages] {repository.uri} testing main\n")
    (tmp_path / "none/partial").mkdir(parents=True)
    (tmp_path / "apt.conf").write_text(
        f'Dir::State "{tmp_path}";\nDir::State::lists "none";\nDir::Etc::sourcelist "{path}";\n'
        'Dir::Etc::sourceparts "-";\nAcquire::Retries "0";\nAPT::Sandbox::User "root";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    return path


@pytest.mark.usefixtures("_user", "sources")
class TestAnyUser:
    def test_finds_and_gets_a_package(self, cache: Cache) -> None:
        assert not Apt().has_lists
        source = fakes.resolved(f"deb:{PACKAGE}", apt=Apt(), cache=cache)
        assert source.kernel().release == fakes.RELEASE

    def test_finds_another_suite_of_the_same_archive(self, cache: Cache, repository: Repository) -> None:
        with pytest.raises(UsageError, match=f"{repository.uri}/ has no suite tasting"):
            fakes.resolved(f"deb:{PACKAGE}@tasting", apt=Apt(), cache=cache)
        assert fakes.resolved(f"deb:{PACKAGE}@testing", apt=Apt(), cache=cache).source.origin.startswith(PACKAGE)

    def test_is_told_if_the_lists_cannot_be_fetched(self, cache: Cache, sources: Path) -> None:
        sources.write_text("deb http://127.0.0.1:1/debian testing main\n")
        with pytest.raises(KconformError, match="has no package lists, and they could not be fetched") as caught:
            with_lists(Apt(), cache)
        assert (caught.value.exit_status, "network" in caught.value.hint) == (3, True)
        assert cache.entries() == []

    def test_is_told_if_there_is_nothing_to_fetch(self, cache: Cache, sources: Path) -> None:
        sources.write_text("")
        with pytest.raises(UsageError, match="apt has no sources of packages"):
            with_lists(Apt(), cache)


@pytest.mark.usefixtures("_user")
class TestLists:
    def fetched(self, cache: Cache, day: datetime.date, sources: list[Path]) -> int:
        fake = FakeApt(debian(PACKAGE), lists=False)
        with_lists(Apt(fake), cache, day, sources)
        return sum("update" in call for call in fake.calls)

    def test_are_fetched_once_a_day(self, cache: Cache) -> None:
        tomorrow = TODAY + datetime.timedelta(days=1)
        assert [self.fetched(cache, day, []) for day in (TODAY, TODAY, tomorrow, tomorrow)] == [1, 0, 1, 0]
        [entry] = cache.entries()
        assert entry.key.endswith("_2026-11-23")

    def test_are_those_of_the_sources(self, cache: Cache, tmp_path: Path) -> None:
        """A cache may be shared by containers of different releases."""
        folder = tmp_path / "sources.list.d"
        folder.mkdir()
        for number, name in enumerate(("trixie", "sid"), 1):
            (folder / "debian.sources").write_text(f"Suites: {name}\n")
            assert self.fetched(cache, TODAY, [folder]) == 1
            assert len(cache.entries()) == number
        assert self.fetched(cache, TODAY, [folder]) == 0

    def test_of_the_machine_are_used_if_there_are_any(self, cache: Cache) -> None:
        machine = Apt(FakeApt(debian(PACKAGE)))
        assert with_lists(machine, cache) is machine

    def test_are_not_needed_without_apt(self, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nonexistent")
        machine = Apt()
        assert with_lists(machine, cache) is machine


def test_root_fetches_the_machines_own(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    machine = Apt(FakeApt(debian(PACKAGE), lists=False))
    assert with_lists(machine, cache) is machine
    assert cache.entries() == []
