# SPDX-License-Identifier: GPL-2.0-or-later
"""The doctor on simulated hosts: what it installs, and with which commands."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

import kconform
from guests.host import dependencies
from kconform import main
from suites.harness.guests.host.fake_host import FakeHost


class TestInstall:
    COMMAND = ("doctor", "--install", "--yes")

    def test_a_host_that_lacks_nothing_is_reported_in_one_line(
        self, host: FakeHost, capsys: pytest.CaptureFixture[str]
    ) -> None:
        host.apt()
        assert main(self.COMMAND) == 0
        assert capsys.readouterr().out.count("\n") == 1
        assert not host.logged

    def test_root_installs_only_what_is_missing_without_asking(self, host: FakeHost) -> None:
        host.apt(bison="bison", flex="flex")
        host.lack("bison", "flex")
        assert main(self.COMMAND) == 0
        assert host.logged.count("\n") == 1
        assert host.logged.startswith("noninteractive: ")
        assert host.logged.endswith("install -y --no-install-recommends flex bison\n")

    def test_missing_package_lists_are_fetched_first(self, host: FakeHost) -> None:
        host.apt(bison="bison")
        host.lists.unlink()
        host.lack("bison")
        assert main(self.COMMAND) == 0
        assert [line.split()[-1] for line in host.logged.splitlines()] == ["bison", "update", "bison"]

    def test_sudo_without_a_password_is_sufficient(self, host: FakeHost) -> None:
        host.user(1000)
        host.apt(bison="bison")
        host.sudo(asks=False)
        host.lack("bison")
        assert main(self.COMMAND) == 0
        assert "sudo true" in host.logged
        assert "noninteractive: " in host.logged

    @pytest.mark.parametrize("sudo", [True, False], ids=["sudo-asks-for-a-password", "there-is-no-sudo"])
    def test_without_privileges_the_command_to_run_is_printed(
        self, host: FakeHost, capsys: pytest.CaptureFixture[str], sudo: bool
    ) -> None:
        host.user(1000)
        host.apt(bison="bison")
        if sudo:
            host.sudo(asks=True)
        host.lack("bison", "gelf.h")
        assert main(self.COMMAND) == 4
        output = capsys.readouterr().err
        wanted = "sudo apt-get update && sudo apt-get install -y --no-install-recommends bison libelf-dev"
        assert f"run: {wanted}\n" in output
        assert not host.logged

    def test_without_a_package_manager_the_packages_are_named(
        self, host: FakeHost, capsys: pytest.CaptureFixture[str]
    ) -> None:
        host.lack("bison", "mksquashfs")
        assert main(self.COMMAND) == 4
        output = capsys.readouterr().err
        assert "the packages of Debian are squashfs-tools bison\n" in output
        assert "mksquashfs" in output
        assert "apt" not in output

    def test_on_an_unknown_distribution_the_programs_are_named(
        self, host: FakeHost, capsys: pytest.CaptureFixture[str]
    ) -> None:
        host.distribution("nixos")
        host.apt()
        host.lack("bison")
        assert main(self.COMMAND) == 4
        output = capsys.readouterr().err
        assert "bison" in output
        assert "install them with your package manager, then try again" in output
        assert not host.logged

    @pytest.mark.parametrize(
        ("distribution", "manager", "package", "log"),
        [
            ("fedora-42", "dnf", "squashfs-tools", "-q install -y --setopt=install_weak_deps=False squashfs-tools"),
            ("centos-10", "dnf", "squashfs-tools", "-q install -y --setopt=install_weak_deps=False squashfs-tools"),
            ("tumbleweed", "zypper", "squashfs", "--quiet --non-interactive install --no-recommends squashfs"),
            ("arch", "pacman", "squashfs-tools", "--noprogressbar -S --needed --noconfirm squashfs-tools"),
            ("alpine-3.22", "apk", "squashfs-tools", "--quiet --no-progress add squashfs-tools"),
        ],
    )
    def test_each_distribution_installs_with_its_own_package_manager(
        self, host: FakeHost, distribution: str, manager: str, package: str, log: str
    ) -> None:
        host.distribution(distribution)
        host.manager(manager, {package: "mksquashfs"})
        host.lack("mksquashfs")
        assert main(self.COMMAND) == 0
        assert host.logged == f": {log}\n", "apt's environment is not set"

    def test_on_arch_lists_are_never_fetched_without_an_upgrade(
        self, host: FakeHost, capsys: pytest.CaptureFixture[str]
    ) -> None:
        host.distribution("arch")
        host.manager("pacman", {})
        host.lists.unlink()
        host.lack("bison")
        assert main(self.COMMAND) == 3
        assert host.logged.count("\n") == 1
        assert "hint: bring the system up to date with `pacman -Syu`" in capsys.readouterr().err

    def test_a_package_that_a_distribution_lacks_is_not_requested(
        self, host: FakeHost, capsys: pytest.CaptureFixture[str]
    ) -> None:
        host.distribution("centos-10")
        host.manager("dnf", {"bison": "bison"})
        host.lack("bison", "ccache")
        assert main(self.COMMAND) == 0
        assert host.logged.endswith(" bison\n")
        assert "note: ccache: it is in EPEL" in capsys.readouterr().err

    @pytest.mark.parametrize("named", [["--qemu={}"], ["--qemu", "{}"], ["--qemu=none", "-k", "a", "--qemu={}"]])
    @pytest.mark.parametrize(
        ("version", "status"), [("9.2.0", 0), ("6.2.0", 4), ("", 4)], ids=["new", "too-old", "missing"]
    )
    def test_the_qemu_that_a_run_names_counts(
        self, host: FakeHost, named: list[str], version: str, status: int, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The system's is not needed, neither for this machine's architecture nor for others."""
        host.apt()
        host.lack(dependencies.list_dependencies()[0].name)
        own = host.bin.parent / "my-qemu"
        if version:
            own.write_text(f"#!/bin/sh\necho 'QEMU emulator version {version}'\n")
            own.chmod(0o755)
        words = [word.format(own) for word in named]
        assert main([*self.COMMAND, "--for-run", *words, "--kernel=deb:linux-image-686:i386"]) == status
        assert not host.logged
        if status:
            assert str(own) in capsys.readouterr().err

    def test_busyboxs_setpriv_is_not_sufficient(self, host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
        host.distribution("alpine-3.22")
        host.program("setpriv", "echo 'BusyBox v1.37.0 multi-call binary: setpriv [OPTIONS] PROG ARGS'")
        host.manager("apk", {"setpriv": "setpriv"})
        assert main(self.COMMAND) == 0
        assert host.logged.endswith(" setpriv\n")
        assert "installed" in capsys.readouterr().out

    def test_a_failing_apt_is_an_error_that_quotes_its_last_lines(
        self, host: FakeHost, capsys: pytest.CaptureFixture[str]
    ) -> None:
        host.program("apt-get", "echo 'E: Failed to fetch bison: no route'; exit 100")
        host.lack("bison")
        assert main(self.COMMAND) == 3
        output = capsys.readouterr().err
        assert "status 100" in output
        assert "E: Failed to fetch bison: no route" in output

    @pytest.mark.parametrize("required", [["bison"], []], ids=["with-required-ones", "alone"])
    def test_a_package_that_is_not_required_may_fail(
        self, host: FakeHost, capsys: pytest.CaptureFixture[str], required: list[str]
    ) -> None:
        """A mirror may lack ccache, and a run does not need it."""
        host.apt(bison="bison")
        manager = (host.bin / "apt-get").read_text().partition("\n")[2]
        host.program("apt-get", f'case " $* " in *ccache*) echo "E: no ccache here"; exit 100 ;; esac\n{manager}')
        host.lack("ccache", *required)
        assert main(self.COMMAND) == 0
        printed = capsys.readouterr()
        assert "note: ccache could not be installed" in printed.err
        assert "E: no ccache here" in printed.err
        assert ("kconform: installed" in printed.out) == bool(required)
        assert (host.bin / "bison").exists()

    def test_a_package_that_lacks_its_program_is_an_error(
        self, host: FakeHost, capsys: pytest.CaptureFixture[str]
    ) -> None:
        host.apt(bison="something-else")
        host.lack("bison")
        assert main(self.COMMAND) == 3
        assert "bison cannot be found" in capsys.readouterr().err

    def test_a_missing_optional_program_is_no_error(self, host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
        host.user(1000)
        host.apt()
        host.lack("ccache")
        assert main(self.COMMAND) == 0
        assert "ccache" in capsys.readouterr().err

    def test_the_error_for_an_old_qemu_names_both_versions(
        self, host: FakeHost, capsys: pytest.CaptureFixture[str]
    ) -> None:
        host.apt()
        qemu = dependencies.list_dependencies()[0]
        host.program(qemu.name, "echo 'QEMU emulator version 6.2.0'")
        assert main(self.COMMAND) == 4
        assert f"{qemu.name} 6.2.0 is too old: 7.0 or later is needed" in capsys.readouterr().err
        assert not host.logged


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestQuestion:
    """On a terminal, the doctor asks before it installs."""

    COMMAND = ("doctor", "--install")

    @pytest.fixture
    def enter(self, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
        """Types an answer, and returns the exit status."""
        host.apt(bison="bison")
        host.lack("bison")

        def enter(answer: str) -> int:
            monkeypatch.setattr("sys.stdin", _Terminal(answer))
            monkeypatch.setattr("sys.stdout", _Terminal())
            return main(self.COMMAND)

        return enter

    @pytest.mark.parametrize("answer", ["\n", "y\n", " YES \n"])
    def test_yes_installs(self, host: FakeHost, enter: Callable[[str], int], answer: str) -> None:
        assert enter(answer) == 0
        assert host.logged

    @pytest.mark.parametrize("answer", ["n\n", "what?\n", ""], ids=["n", "something-else", "end-of-input"])
    def test_no_names_the_command_instead(
        self, host: FakeHost, enter: Callable[[str], int], capsys: pytest.CaptureFixture[str], answer: str
    ) -> None:
        assert enter(answer) == 4
        assert not host.logged
        assert "run: " in capsys.readouterr().err

    def test_without_standard_input_nobody_is_asked(self, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
        """As without a terminal.  A program that was started with `<&-` has none."""
        host.apt(bison="bison")
        host.lack("bison")
        monkeypatch.setattr("sys.stdin", None)
        assert main(self.COMMAND) == 0
        assert host.logged


@pytest.mark.parametrize("option", ["-h", "--help", "-V", "--version", "--fixtures", "--fixtures-per-test", "--co"])
def test_before_a_run_that_starts_no_guest_nothing_is_installed(monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(kconform, "kconform_command", lambda *words: pytest.fail(f"it runs {words}"))
    monkeypatch.setattr(kconform, "_become", became.append)
    kconform.run_suites(["yama", option])
    assert became[0][-2:] == ["yama", option]
