# SPDX-License-Identifier: GPL-2.0-or-later
"""Suites that are not in apt's sources: the real apt, with an archive of our own that gpg has signed."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from common.errors import KconformError, UsageError
from kconfigs.cache import Cache
from kconfigs.debian.apt import Apt
from kconfigs.debian.archive_suite import Archive, apt_of, archive_of
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.debian.signed_archive import Repository, Signer
from suites.harness.kconfigs.fake_kernels import PACKAGE

pytestmark = pytest.mark.usefixtures("_keyring")

TODAY = datetime.date(2026, 11, 22)
DEBIAN = Archive("http://deb.debian.org/debian/", "Debian", "Debian")
SECURITY = Archive("http://deb.debian.org/debian-security/", "Debian", "Debian-Security")
UBUNTU = Archive("http://archive.ubuntu.com/ubuntu/", "Ubuntu", "Ubuntu")


def test_a_kernel_from_a_suite(repository: Repository, cache: Cache) -> None:
    source = fakes.resolved(f"deb:{PACKAGE}@testing", apt=repository.machine(), cache=cache)
    assert (source.source.name, source.source.origin) == ("debian-6.12.7-fake", f"{PACKAGE} 6.12.7-1")
    assert source.kernel().release == fakes.RELEASE


def test_a_package_that_the_suite_lacks_is_wrong_use(repository: Repository, cache: Cache) -> None:
    with pytest.raises(UsageError, match=r"knows no package linux-image-6\.12\.8-fake") as caught:
        fakes.resolved("deb:linux-image-6.12.8-fake@testing", apt=repository.machine(), cache=cache)
    assert PACKAGE in caught.value.hint


def test_the_kernel_source_of_a_suite(repository: Repository, cache: Cache) -> None:
    with pytest.raises(UsageError, match="no package with kernel source"):
        fakes.resolved("source@testing", apt=repository.machine(), cache=cache)


def test_an_unknown_suite_is_wrong_use(repository: Repository, cache: Cache) -> None:
    with pytest.raises(UsageError, match=f"{repository.uri} has no suite tasting"):
        apt_of("tasting", repository.machine(), cache)
    assert cache.entries() == []


@pytest.mark.parametrize("name", ["", "a b", "../x", "Trixie", "sid main\ndeb"])
def test_what_is_not_a_suites_name_is_refused(repository: Repository, cache: Cache, name: str) -> None:
    with pytest.raises(UsageError, match="is not the name of a suite"):
        fakes.resolved(f"deb:{PACKAGE}@{name}", apt=repository.machine(), cache=cache)


def test_without_a_signature_it_is_refused(tmp_path: Path, cache: Cache) -> None:
    with pytest.raises(UsageError, match="no valid signature for testing") as caught:
        apt_of("testing", Repository(tmp_path / "archive", None).machine(), cache)
    assert "ours-archive-keyring" in caught.value.hint


def test_a_signature_by_an_unknown_key_is_refused(
    tmp_path: Path, cache: Cache, signers: tuple[Signer, Signer]
) -> None:
    with pytest.raises(
        UsageError, match=r"the signature of testing cannot be checked, because the key \w+ is unknown"
    ):
        apt_of("testing", Repository(tmp_path / "archive", signers[1]).machine(), cache)


def test_an_index_that_was_changed_is_refused(repository: Repository, cache: Cache) -> None:
    repository.index.write_text(repository.index.read_text().replace("6.12.7-1", "6.12.8-1"))
    with pytest.raises(KconformError, match=r"could not be fetched: .*Hash Sum mismatch"):
        apt_of("testing", repository.machine(), cache)
    assert cache.entries() == []


def test_a_package_that_was_changed_is_refused(repository: Repository, cache: Cache, tmp_path: Path) -> None:
    source = fakes.resolved(f"deb:{PACKAGE}@testing", apt=repository.machine(), cache=cache)
    fakes.kernel_deb(tmp_path / "archive/pool/kernel.deb", Version="6.12.7-2")
    with pytest.raises(KconformError, match="could not be downloaded") as caught:
        source.kernel()
    assert "cache clear suites" in caught.value.hint


def test_lists_are_fetched_once_a_day(repository: Repository, cache: Cache) -> None:
    commands: list[Sequence[str]] = []

    def run(command: Sequence[str], cwd: Path | None) -> str:
        commands.append(command)
        return repository.run(command, cwd)

    def fetched(day: datetime.date) -> int:
        commands.clear()
        apt_of("testing", Apt(run), cache, day)
        return sum("update" in command for command in commands)

    tomorrow = TODAY + datetime.timedelta(days=1)
    assert [fetched(TODAY), fetched(TODAY), fetched(tomorrow), fetched(tomorrow)] == [1, 0, 1, 0]
    assert [entry.key for entry in cache.entries()] == ["testing_2026-11-23"]


@pytest.mark.usefixtures("_impatient")
def test_without_a_network_older_lists_are_used(
    repository: Repository, cache: Cache, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("kconform"), "propagate", True)
    apt_of("testing", repository.machine(), cache, TODAY)
    repository.uri = "http://127.0.0.1:1/debian"
    found = apt_of("testing", repository.machine(), cache, TODAY + datetime.timedelta(days=1))
    assert found.kernel(PACKAGE).kernel.version == "6.12.7-1"
    assert "using those of 2026-11-22" in caplog.text


@pytest.mark.usefixtures("_impatient")
def test_without_network_and_lists_it_is_a_harness_error(repository: Repository, cache: Cache) -> None:
    repository.uri = "http://127.0.0.1:1/debian"
    with pytest.raises(KconformError, match="the lists of testing could not be fetched") as caught:
        apt_of("testing", repository.machine(), cache)
    assert caught.value.exit_status == 3
    assert "network" in caught.value.hint


@pytest.mark.parametrize(
    ("suite", "known", "wanted"),
    [
        pytest.param("sid", [SECURITY, DEBIAN], DEBIAN, id="debian"),
        pytest.param("bullseye-security", [DEBIAN, SECURITY], SECURITY, id="security"),
        pytest.param(
            "bullseye-security",
            [DEBIAN],
            Archive("http://deb.debian.org/debian-security", "Debian", "Debian-Security"),
            id="security-not-used-here",
        ),
        pytest.param("noble-security", [UBUNTU], UBUNTU, id="ubuntu-has-one-archive"),
    ],
)
def test_the_archive_of_a_suite_is_found(suite: str, known: list[Archive], wanted: Archive) -> None:
    assert archive_of(suite, known) == wanted


def test_a_machine_without_the_distributions_archive_is_refused(cache: Cache) -> None:
    machine = Apt(lambda *_: "Repo-URI: http://example.org/\nOrigin: Node Source\nLabel: Node Source\n")
    with pytest.raises(UsageError, match="uses no archive of Debian or Ubuntu that could have sid"):
        apt_of("sid", machine, cache)


def test_only_packages_are_fetched_and_only_with_a_key(signers: tuple[Signer, Signer]) -> None:
    keyring = signers[0].keyring
    assert DEBIAN.line("sid") == f"deb [signed-by={keyring} target=Packages] {DEBIAN.uri} sid main\n"
    assert UBUNTU.line("noble") == f"deb [target=Packages] {UBUNTU.uri} noble main\n"
