# SPDX-License-Identifier: GPL-2.0-or-later
"""The doctor, on machines that a few shell scripts play: what it finds, what it installs, and what it ends with."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from guests import accel, needs
from guests.__main__ import main
from guests.needs import Need

ROOT = Path(__file__).parents[2]

CC = """\
while read -r word rest; do
    case $word in
    '#if') header=${rest#*<}; header=${header%>*} ;;
    found) if [ -e "$HEADERS/$header" ]; then echo "found $rest"; fi ;;
    esac
done
"""
QEMU = "echo 'QEMU emulator version 7.2.22 (Debian 1:7.2)'"
APT = """\
echo "$DEBIAN_FRONTEND: $*" >> "$LOG"
case " $* " in
*' update '*) : > "$LISTS" ;;
*' install '*)
    if [ ! -e "$LISTS" ]; then echo "E: Unable to locate package" >&2; exit 100; fi
    for word in "$@"; do
        if [ -e "$OFFERS/$word" ]; then . "$OFFERS/$word"; fi
    done ;;
esac
"""


class Machine:
    """A PATH with nothing on it but what a test puts there."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.bin, self.headers, self.offers = (folder / name for name in ("bin", "headers", "offers"))
        for made in (self.bin, self.headers, self.offers):
            made.mkdir()
        self.log, self.lists = folder / "log", folder / "lists"
        self.lists.touch()
        self.cache = folder / "cache"
        monkeypatch.setattr(needs, "SYSTEM_PATH", str(folder / "sbin"))
        for name, path in {
            "PATH": self.bin,
            "HEADERS": self.headers,
            "OFFERS": self.offers,
            "LOG": self.log,
            "LISTS": self.lists,
            "KCONFORM_CACHE": self.cache,
        }.items():
            monkeypatch.setenv(name, str(path))
        for name in ("env", "true"):
            (self.bin / name).symlink_to(f"/usr/bin/{name}")
        for need in needs.needs():
            self.add(need)
        self.user(0)

    def user(self, uid: int) -> None:
        self._monkeypatch.setattr("os.geteuid", lambda: uid)

    def program(self, name: str, script: str = "echo 1.2.3") -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def add(self, need: Need) -> None:
        if need.header:
            header = self.headers / need.name
            header.parent.mkdir(exist_ok=True)
            header.touch()
        else:
            script = CC if need.name == "cc" else QEMU if "qemu" in need.name else "echo 1.2.3"
            self.program(need.name, script)

    def lack(self, *names: str) -> None:
        for name in names:
            (self.headers / name if name.endswith(".h") else self.bin / name).unlink()

    def apt(self, **offers: str) -> None:
        """An apt-get, and the packages that it has: each the name of the program that it brings."""
        self.program("apt-get", APT)
        for package, program in offers.items():
            (self.offers / package).write_text(f': > "$PATH/{program}"; /bin/chmod 755 "$PATH/{program}"\n')

    def sudo(self, *, asks: bool) -> None:
        self.program("sudo", "exit 1" if asks else 'shift; echo "sudo $*" >> "$LOG"; exec "$@"')

    @property
    def logged(self) -> str:
        return self.log.read_text() if self.log.exists() else ""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


class TestInstall:
    COMMAND = ("doctor", "--install", "--yes")

    def test_a_machine_that_has_everything_is_told_so_in_one_line(
        self, machine: Machine, capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine.apt()
        assert main(self.COMMAND) == 0
        assert capsys.readouterr().out.count("\n") == 1
        assert not machine.logged

    def test_root_installs_only_what_is_missing_without_a_question(self, machine: Machine) -> None:
        machine.apt(bison="bison", flex="flex")
        machine.lack("bison", "flex")
        assert main(self.COMMAND) == 0
        assert machine.logged.count("\n") == 1
        assert machine.logged.startswith("noninteractive: ")
        assert machine.logged.endswith("install -y --no-install-recommends flex bison\n")

    def test_lists_that_are_missing_are_fetched_first(self, machine: Machine) -> None:
        machine.apt(bison="bison")
        machine.lists.unlink()
        machine.lack("bison")
        assert main(self.COMMAND) == 0
        assert [line.split()[-1] for line in machine.logged.splitlines()] == ["bison", "update", "bison"]

    def test_sudo_without_a_password_will_do(self, machine: Machine) -> None:
        machine.user(1000)
        machine.apt(bison="bison")
        machine.sudo(asks=False)
        machine.lack("bison")
        assert main(self.COMMAND) == 0
        assert "sudo true" in machine.logged
        assert "noninteractive: " in machine.logged

    @pytest.mark.parametrize("sudo", [True, False], ids=["sudo-asks-for-a-password", "there-is-no-sudo"])
    def test_who_may_not_install_gets_the_one_command(
        self, machine: Machine, capsys: pytest.CaptureFixture[str], sudo: bool
    ) -> None:
        machine.user(1000)
        machine.apt(bison="bison")
        if sudo:
            machine.sudo(asks=True)
        machine.lack("bison", "gelf.h")
        assert main(self.COMMAND) == 4
        told = capsys.readouterr().err
        wanted = "sudo apt-get update && sudo apt-get install -y --no-install-recommends bison libelf-dev"
        assert f"run: {wanted}\n" in told
        assert not machine.logged

    def test_without_apt_the_programs_are_named(self, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
        machine.lack("bison", "mksquashfs")
        assert main(self.COMMAND) == 4
        told = capsys.readouterr().err
        assert "bison" in told
        assert "mksquashfs" in told
        assert "apt" not in told

    def test_a_failing_apt_is_an_error_of_ours_with_its_last_lines(
        self, machine: Machine, capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine.program("apt-get", "echo 'E: Failed to fetch bison: no route'; exit 100")
        machine.lack("bison")
        assert main(self.COMMAND) == 3
        told = capsys.readouterr().err
        assert "status 100" in told
        assert "E: Failed to fetch bison: no route" in told

    def test_a_package_that_does_not_bring_its_program_is_an_error_of_ours(
        self, machine: Machine, capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine.apt(bison="something-else")
        machine.lack("bison")
        assert main(self.COMMAND) == 3
        assert "there is still no bison" in capsys.readouterr().err

    def test_what_is_not_required_stops_nobody(self, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
        machine.user(1000)
        machine.apt()
        machine.lack("ccache")
        assert main(self.COMMAND) == 0
        assert "ccache" in capsys.readouterr().err

    def test_a_qemu_that_is_too_old_is_named_with_both_versions(
        self, machine: Machine, capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine.apt()
        qemu = needs.needs()[0]
        machine.program(qemu.name, "echo 'QEMU emulator version 6.2.0'")
        assert main(self.COMMAND) == 4
        assert f"{qemu.name} 6.2.0 is too old: 7.0 or later is needed" in capsys.readouterr().err
        assert not machine.logged


class TestReport:
    def test_it_says_what_there_is(self, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
        machine.apt()
        assert main(["doctor"]) == 0
        told = capsys.readouterr().out
        for words in ("QEMU          7.2.22", "gcc 1.2.3", f"in {machine.cache}", "nothing is missing"):
            assert words in told

    def test_it_says_what_there_is_not_and_for_what_it_is_needed(
        self, machine: Machine, capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine.apt()
        machine.lack("bison")
        assert main(["doctor"]) == 4
        told = capsys.readouterr().out
        assert "MISSING        builds Kconfig's parser" in told
        assert "run: apt-get update && apt-get install" in told
        assert not machine.logged, "it was only asked"

    def test_without_a_compiler_its_headers_are_missing_too(
        self, machine: Machine, capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine.lack("cc")
        assert main(["doctor"]) == 4
        assert capsys.readouterr().out.count("MISSING") == 4

    @pytest.mark.parametrize(
        ("remembered", "words"),
        [
            pytest.param(None, "not tried yet", id="nobody-has-tried"),
            pytest.param({"kvm": True, "why": "a guest answered"}, "kvm: a guest answered", id="proved"),
            pytest.param({"kvm": False, "why": "it hung"}, "tcg: it hung", id="refuted"),
            pytest.param({"kvm": True, "identity": "elsewhere"}, "not tried yet", id="proved-on-another-machine"),
        ],
    )
    def test_it_says_what_is_known_of_acceleration(
        self,
        machine: Machine,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        remembered: dict[str, object] | None,
        words: str,
    ) -> None:
        monkeypatch.setattr(accel, "device_trouble", lambda: None)
        if remembered is not None:
            machine.cache.mkdir()
            memory = {"identity": accel.machine_identity()} | remembered
            (machine.cache / "acceleration.json").write_text(json.dumps(memory))
        main(["doctor"])
        assert words in capsys.readouterr().out


def test_wrong_use_has_its_own_exit_status() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--nonsense"])
    assert ended.value.code == 4


def test_this_machine_has_a_header_and_lacks_another() -> None:
    assert needs.find_headers(["stdlib.h", "no/such/header.h"]) == {"stdlib.h"}


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_qemu_is_the_one_for_the_machine(arch: str) -> None:
    assert needs.needs(arch)[0].name == f"qemu-system-{arch}"
    assert needs.needs()[0].name == f"qemu-system-{platform.machine()}"


def test_the_doctor_starts_without_what_takes_long_to_import() -> None:
    """It runs before each run, and tells what is missing where not everything is there."""
    code = "import sys; before = set(sys.modules); import guests.__main__; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    packages = {name.partition(".")[0] for name in done.stdout.split()}
    assert "guests" in packages
    assert not packages & {"debian", "kconfiglib", "pexpect", "psutil", "pytest", "rich", "virtme"}
