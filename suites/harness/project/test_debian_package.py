# SPDX-License-Identifier: GPL-2.0-or-later
"""`tox -e debian-package`: the source package that it makes, and its command lines; no host is made."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from common.errors import KconformError
from suites.harness.checkout import ROOT
from suites.hosts import debian_package, debian_source, host_commands, trial_ways
from suites.hosts.distributions import Host, chosen

SID = Host("debian-sid", "Debian", "sid")
CHANGELOG = """kconform (1.2.3~rc1-4) UNRELEASED; urgency=medium

  * Something.

 -- A B <a@b.example>  Thu, 01 Jan 1970 00:01:40 +0000
"""


def archive(path: Path, *names: str) -> None:
    with tarfile.open(path, "w:gz") as made:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            made.addfile(member, io.BytesIO(name.encode()))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    (folder / debian_source.PACKAGING).mkdir(parents=True)
    (folder / debian_source.PACKAGING / "changelog").write_text(CHANGELOG)
    (folder / "pyproject.toml").write_text('[project]\ndependencies = ["pytest>=9", "system-calls>=6.10"]\n')
    (folder / "program").write_text("#!/bin/sh\n")
    (folder / "program").chmod(0o700)
    return folder


class TestSource:
    def test_the_upstream_version_and_the_time_are_the_changelogs(self) -> None:
        assert (debian_source.version(CHANGELOG), debian_source.date(CHANGELOG)) == ("1.2.3~rc1", 100)

    @pytest.mark.parametrize("text", ["", "kconform (1.0)\n", CHANGELOG.partition(" --")[0]])
    def test_a_changelog_without_them_is_an_error(self, text: str) -> None:
        with pytest.raises(KconformError, match="changelog cannot be read"):
            debian_source.version(text)
        with pytest.raises(KconformError, match="changelog cannot be read"):
            debian_source.date(text)

    def test_the_same_files_make_the_same_archive(self, checkout: Path, tmp_path: Path) -> None:
        made = [tmp_path / "a.tar.gz", tmp_path / "b.tar.gz"]
        for each, mode in zip(made, (0o700, 0o755), strict=True):
            (checkout / "program").chmod(mode)
            debian_source.pack(checkout, each, "kconform-1", 100)
            (checkout / "pyproject.toml").touch()
        assert made[0].read_bytes() == made[1].read_bytes()
        with tarfile.open(made[0]) as opened:
            members = {member.name: member for member in opened}
        assert {name.partition("/")[0] for name in members} == {"kconform-1"}
        assert (members["kconform-1/program"].mode, members["kconform-1/pyproject.toml"].mode) == (0o755, 0o644)
        assert {(member.uid, member.uname, member.mtime) for member in members.values()} == {(0, "root", 100)}

    def test_it_is_laid_out_as_dpkg_expects(
        self, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fetched = []

        def download(needed: str, folder: Path, component: Path) -> None:
            fetched.append(needed)
            folder.mkdir()
            archive(component, "system_calls-7/LICENSE", "system_calls-7/system_calls/__init__.py")

        monkeypatch.setattr(debian_source, "_download", download)
        folder = tmp_path / "made"
        folder.mkdir()
        source = debian_source.make(checkout, folder)
        assert fetched == ["system-calls>=6.10"]
        assert source == folder / "kconform-1.2.3~rc1"
        assert {path.name for path in folder.iterdir()} == {
            "kconform-1.2.3~rc1",
            "kconform_1.2.3~rc1.orig.tar.gz",
            "kconform_1.2.3~rc1.orig-system-calls.tar.gz",
        }
        assert (source / "debian/changelog").read_text() == CHANGELOG
        assert (source / "system-calls/system_calls/__init__.py").is_file()

    def test_a_failed_download_is_an_error_that_says_why(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(debian_source, "fetch", lambda *_: ["sh", "-c", "echo no such host >&2; exit 1"])
        with pytest.raises(KconformError, match="system-calls>=1 could not be downloaded: no such host"):
            debian_source._download("system-calls>=1", tmp_path, tmp_path / "component")

    def test_pip_fetches_the_source_and_not_what_it_depends_on(self) -> None:
        command = debian_source.fetch("system-calls>=1", Path("/d"))
        assert {"download", "--no-deps", "--no-binary=:all:", "--dest=/d", "system-calls>=1"} <= set(command)

    def test_the_project_names_the_component(self) -> None:
        assert debian_source.requirement((ROOT / "pyproject.toml").read_text()).startswith("system-calls>=")


class TestCommandLines:
    def test_only_the_package_says_what_it_is_built_with(self) -> None:
        steps = debian_package.build_steps()
        assert [step for step in steps if step[:2] == ("apt-get", "install")] == [
            ("apt-get", "install", "-y", "--no-install-recommends", "build-essential")
        ]
        assert steps[0] == host_commands.UPDATE
        assert [step[0] for step in steps[-2:]] == ["apt-get", "dpkg-buildpackage"]
        assert steps[-2][1] == "build-dep"

    def test_a_warning_of_lintian_is_a_failure(self) -> None:
        [command] = [step[-1] for step in debian_package.check_steps() if "lintian" in step[-1] and step[0] == "sh"]
        assert " --fail-on=error,warning " in command

    def test_what_was_built_is_what_autopkgtest_tests(self) -> None:
        command = debian_package.check_steps()[-1][-1]
        assert command == "autopkgtest --no-built-binaries *.deb *.dsc -- null"

    def test_apt_installs_the_package_and_nothing_beside(self) -> None:
        way = trial_ways.of_package("kconform_1_all.deb")
        assert [command for command in way.install if command[0] == "apt-get"] == [
            host_commands.UPDATE,
            ("apt-get", "install", "-y", "--no-install-recommends", f"{way.files}/kconform_1_all.deb"),
        ]

    def test_its_user_can_install_nothing(self) -> None:
        way = trial_ways.of_package("kconform_1_all.deb")
        job = way.main_job(SID, ["-k", "talk"])
        assert job[:2] == ["setpriv", "--reuid=nobody"]
        assert job[-4:] == ["kconform", "--kernel=deb:linux-image-cloud-amd64", "-k", "talk"]
        assert ("chown", "nobody:nogroup", way.folder) in way.install
        assert way.folder != way.files

    def test_the_host_is_known(self) -> None:
        assert [host.suite for host in chosen([debian_package.RELEASE])] == ["sid"]
