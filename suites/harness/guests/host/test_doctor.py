# SPDX-License-Identifier: GPL-2.0-or-later
"""The doctor, on machines that a few shell scripts play: what it finds, what it installs, and what it ends with."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from guests.errors import QemuError
from guests.host import dependencies, packages
from guests.host.dependencies import Dependency
from guests.vm import acceleration, qemu_program
from kconform import main
from suites.harness.guests.host.os_releases import OS_RELEASES

ROOT = Path(__file__).parents[4]

CC = """\
while read -r word rest; do
    case $word in
    '#if') header=${rest#*<}; header=${header%>*} ;;
    found) if [ -e "$HEADERS/$header" ]; then echo "found $rest"; fi ;;
    esac
done
"""
QEMU = """\
case $1 in
-device) echo 'name "virtio-9p-pci", bus PCI' ;;
*) echo 'QEMU emulator version 7.2.22 (Debian 1:7.2)' ;;
esac
"""
SETPRIV = "echo ' --pdeathsig keep|clear|<signame>'"
MANAGER = """\
echo "$DEBIAN_FRONTEND: $*" >> "$LOG"
case " $* " in
*' update '* | *' refresh '*) : > "$LISTS" ;;
*' install '* | *' -S '* | *' add '*)
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
        self.bin, self.headers, self.packages_for = (folder / name for name in ("bin", "headers", "packages_for"))
        for made in (self.bin, self.headers, self.packages_for):
            made.mkdir()
        self.log, self.lists = folder / "log", folder / "lists"
        self.lists.touch()
        self.cache = folder / "cache"
        monkeypatch.setattr(dependencies, "SYSTEM_PATH", str(folder / "sbin"))
        monkeypatch.setattr(qemu_program, "OTHER_PATHS", (str(folder / "libexec" / "qemu-kvm"),))
        for name, path in {
            "PATH": self.bin,
            "HEADERS": self.headers,
            "OFFERS": self.packages_for,
            "LOG": self.log,
            "LISTS": self.lists,
            "KCONFORM_CACHE": self.cache,
        }.items():
            monkeypatch.setenv(name, str(path))
        for name in ("env", "true"):
            (self.bin / name).symlink_to(f"/usr/bin/{name}")
        for dependency in dependencies.list_dependencies():
            self.add(dependency)
        monkeypatch.delenv("DEBIAN_FRONTEND", raising=False)
        self.user(0)
        self.distribution("debian-12")

    def user(self, uid: int) -> None:
        self._monkeypatch.setattr("os.geteuid", lambda: uid)

    def distribution(self, name: str) -> None:
        self._monkeypatch.setattr(platform, "freedesktop_os_release", lambda: OS_RELEASES[name])

    def program(self, name: str, script: str = "echo 1.2.3") -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def add(self, dependency: Dependency) -> None:
        if dependency.kind == "header":
            header = self.headers / dependency.name
            header.parent.mkdir(exist_ok=True)
            header.touch()
        elif dependency.kind == "program":
            scripts = {"cc": CC, "setpriv": SETPRIV}
            self.program(
                dependency.name, QEMU if "qemu" in dependency.name else scripts.get(dependency.name, "echo 1.2.3")
            )

    def lack(self, *names: str) -> None:
        for name in names:
            (self.headers / name if name.endswith(".h") else self.bin / name).unlink()

    def apt(self, **packages_for: str) -> None:
        """An apt-get, and the packages that it has: each the name of the program that it brings."""
        self.manager("apt-get", packages_for)

    def manager(self, name: str, packages_for: Mapping[str, str]) -> None:
        self.program(name, MANAGER)
        for package, program in packages_for.items():
            text = f'echo "#!/bin/sh\n{SETPRIV}" > "$PATH/{program}"; /bin/chmod 755 "$PATH/{program}"\n'
            (self.packages_for / package).write_text(text)

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
        output = capsys.readouterr().err
        wanted = "sudo apt-get update && sudo apt-get install -y --no-install-recommends bison libelf-dev"
        assert f"run: {wanted}\n" in output
        assert not machine.logged

    def test_without_a_package_manager_the_packages_are_named(
        self, machine: Machine, capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine.lack("bison", "mksquashfs")
        assert main(self.COMMAND) == 4
        output = capsys.readouterr().err
        assert "the packages of Debian are squashfs-tools bison\n" in output
        assert "mksquashfs" in output
        assert "apt" not in output

    def test_on_an_unknown_distribution_the_programs_are_named(
        self, machine: Machine, capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine.distribution("nixos")
        machine.apt()
        machine.lack("bison")
        assert main(self.COMMAND) == 4
        output = capsys.readouterr().err
        assert "bison" in output
        assert "install them with your package manager, then try again" in output
        assert not machine.logged

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
    def test_each_distribution_installs_by_its_own_manager(
        self, machine: Machine, distribution: str, manager: str, package: str, log: str
    ) -> None:
        machine.distribution(distribution)
        machine.manager(manager, {package: "mksquashfs"})
        machine.lack("mksquashfs")
        assert main(self.COMMAND) == 0
        assert machine.logged == f": {log}\n", "and nothing of apt's environment"

    def test_lists_are_never_fetched_without_an_upgrade_on_arch(
        self, machine: Machine, capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine.distribution("arch")
        machine.manager("pacman", {})
        machine.lists.unlink()
        machine.lack("bison")
        assert main(self.COMMAND) == 3
        assert machine.logged.count("\n") == 1
        assert "hint: bring the system up to date with `pacman -Syu`" in capsys.readouterr().err

    def test_what_a_distribution_does_not_have_is_not_asked_of_it(
        self, machine: Machine, capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine.distribution("centos-10")
        machine.manager("dnf", {"bison": "bison"})
        machine.lack("bison", "ccache")
        assert main(self.COMMAND) == 0
        assert machine.logged.endswith(" bison\n")
        assert "note: ccache: it is in EPEL" in capsys.readouterr().err

    def test_setpriv_of_busybox_is_none(self, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
        machine.distribution("alpine-3.22")
        machine.program("setpriv", "echo 'BusyBox v1.37.0 multi-call binary: setpriv [OPTIONS] PROG ARGS'")
        machine.manager("apk", {"setpriv": "setpriv"})
        assert main(self.COMMAND) == 0
        assert machine.logged.endswith(" setpriv\n")
        assert "installed" in capsys.readouterr().out

    def test_a_failing_apt_is_an_error_of_ours_with_its_last_lines(
        self, machine: Machine, capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine.program("apt-get", "echo 'E: Failed to fetch bison: no route'; exit 100")
        machine.lack("bison")
        assert main(self.COMMAND) == 3
        output = capsys.readouterr().err
        assert "status 100" in output
        assert "E: Failed to fetch bison: no route" in output

    def test_a_package_that_does_not_bring_its_program_is_an_error_of_ours(
        self, machine: Machine, capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine.apt(bison="something-else")
        machine.lack("bison")
        assert main(self.COMMAND) == 3
        assert "bison cannot be found" in capsys.readouterr().err

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
        qemu = dependencies.list_dependencies()[0]
        machine.program(qemu.name, "echo 'QEMU emulator version 6.2.0'")
        assert main(self.COMMAND) == 4
        assert f"{qemu.name} 6.2.0 is too old: 7.0 or later is needed" in capsys.readouterr().err
        assert not machine.logged


class TestReport:
    def test_it_says_what_there_is(self, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
        machine.apt()
        assert main(["doctor"]) == 0
        output = capsys.readouterr().out
        for words in ("QEMU          7.2.22", "gcc 1.2.3", f"in {machine.cache}", "nothing is missing"):
            assert words in output

    def test_it_says_what_there_is_not_and_for_what_it_is_needed(
        self, machine: Machine, capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine.apt()
        machine.lack("bison")
        assert main(["doctor"]) == 4
        output = capsys.readouterr().out
        assert "MISSING        builds Kconfig's parser" in output
        assert "run: apt-get update && apt-get install" in output
        assert not machine.logged, "it was only asked"

    @pytest.mark.parametrize(
        ("apt", "words"), [(True, "every source"), (False, "`source` and `deb:PACKAGE` need apt")]
    )
    def test_it_says_which_kernels_can_be_tested(
        self, machine: Machine, capsys: pytest.CaptureFixture[str], apt: bool, words: str
    ) -> None:
        machine.distribution("fedora-42")
        if apt:
            machine.program("apt-get")
            machine.program("apt-cache")
        main(["doctor"])
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("kernels")]
        assert words in line

    def test_the_qemu_of_red_hat_will_do(self, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
        machine.distribution("centos-10")
        machine.lack(dependencies.list_dependencies()[0].name)
        assert main(["doctor"]) == 4
        libexec = Path(qemu_program.OTHER_PATHS[0])
        libexec.parent.mkdir()
        libexec.write_text("#!/bin/sh\necho 'QEMU emulator version 9.1.0 (qemu-kvm-9.1.0-1.el10)'\n")
        libexec.chmod(0o755)
        capsys.readouterr()
        assert main(["doctor"]) == 0
        output = capsys.readouterr().out
        assert f"QEMU          9.1.0 (qemu-kvm-9.1.0-1.el10), {libexec}; without 9p" in output

    @pytest.mark.usefixtures("machine")
    def test_a_cache_that_cannot_be_written_to_is_told(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KCONFORM_CACHE", "/proc/kconform")
        assert main(["doctor"]) == 4
        output = capsys.readouterr().out
        assert (
            "the cache directory /proc/kconform is not writable: No such file or directory\n"
            "  hint: set KCONFORM_CACHE" in output
        )
        assert "nothing is missing" not in output

    def test_without_a_compiler_its_headers_are_missing_too(
        self, machine: Machine, capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine.lack("cc")
        assert main(["doctor"]) == 4
        assert capsys.readouterr().out.count("MISSING") == 4

    @pytest.mark.parametrize(
        ("remembered", "words"),
        [
            pytest.param(None, "not been tried yet", id="nobody-has-tried"),
            pytest.param({"kvm": True, "why": "a guest answered"}, "kvm: a guest answered", id="proved"),
            pytest.param({"kvm": False, "why": "it hung"}, "tcg: it hung", id="refuted"),
            pytest.param(
                {"kvm": True, "identity": "elsewhere"}, "not been tried yet", id="proved-on-another-machine"
            ),
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
        monkeypatch.setattr(acceleration, "device_problem", lambda: None)
        if remembered is not None:
            machine.cache.mkdir()
            memory = {"identity": acceleration.machine_identity()} | remembered
            (machine.cache / "acceleration.json").write_text(json.dumps(memory))
        main(["doctor"])
        assert words in capsys.readouterr().out


def test_wrong_use_has_its_own_exit_status() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--nonsense"])
    assert ended.value.code == 4


def test_this_machine_has_a_header_and_lacks_another() -> None:
    assert dependencies.find_headers(["stdlib.h", "no/such/header.h"]) == {"stdlib.h"}


def test_this_machine_has_a_library_and_lacks_another() -> None:
    present = Dependency("libc.so.6", "here", kind="library")
    found = dependencies.find_dependencies([present, Dependency("libnosuchthing.so.1", "nowhere", kind="library")])
    assert list(found.present) == [present]


@pytest.mark.parametrize(
    ("distribution", "family"),
    [
        ("debian-12", "Debian"),
        ("ubuntu-24.04", "Debian"),
        ("mint-22", "Debian"),
        ("fedora-42", "Fedora"),
        ("centos-10", "RHEL and CentOS Stream"),
        ("rocky-9", "RHEL and CentOS Stream"),
        ("leap-15", "openSUSE"),
        ("tumbleweed", "openSUSE"),
        ("arch", "Arch Linux"),
        ("manjaro", "Arch Linux"),
        ("alpine-3.22", "Alpine Linux"),
    ],
)
def test_a_distribution_has_the_package_names_of_its_family(distribution: str, family: str) -> None:
    found = packages.family_of(OS_RELEASES[distribution])
    assert found is not None
    assert found.name == family


@pytest.mark.parametrize("os_release", [OS_RELEASES["nixos"], {}, {"ID": ""}], ids=["nixos", "empty", "no-name"])
def test_an_unknown_distribution_has_no_family(os_release: Mapping[str, str]) -> None:
    assert packages.family_of(os_release) is None


@pytest.mark.parametrize("family", packages.FAMILIES, ids=lambda family: family.name)
def test_each_family_has_an_answer_for_each_need(family: packages.Family) -> None:
    """A package, or the remark that there is none."""
    wanted = {
        dependency.name for arch in ("x86_64", "aarch64") for dependency in dependencies.list_dependencies(arch)
    }
    assert set(family.packages) == wanted
    assert set(family.remarks) <= wanted
    assert all(family.packages[name] or name in family.remarks for name in wanted)


@pytest.mark.parametrize("family", packages.FAMILIES, ids=lambda family: family.name)
def test_the_documents_have_the_command_of_each_family(
    family: packages.Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    command = family.manager.shown(
        family.packages_for(each.name for each in dependencies.list_dependencies("x86_64"))
    )
    text = (ROOT / "docs" / "install.md").read_text().replace("\\\n    ", "")
    assert command in text


def test_the_qemu_of_red_hat_is_for_its_own_architecture(machine: Machine) -> None:
    libexec = Path(qemu_program.OTHER_PATHS[0])
    libexec.parent.mkdir()
    machine.program("any")
    libexec.symlink_to(machine.bin / "any")
    machine.lack(dependencies.list_dependencies()[0].name)
    assert qemu_program.find_qemu(platform.machine()) == str(libexec)
    with pytest.raises(QemuError):
        qemu_program.find_qemu("s390x")


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_qemu_is_the_one_for_the_machine(arch: str) -> None:
    assert dependencies.list_dependencies(arch)[0].name == f"qemu-system-{arch}"
    assert dependencies.list_dependencies()[0].name == f"qemu-system-{platform.machine()}"


def test_the_doctor_starts_without_what_takes_long_to_import() -> None:
    """It runs before each run, and tells what is missing where not everything is there."""
    code = "import sys; before = set(sys.modules); import kconform; kconform.parser('doctor');"
    code += "print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    packages = {name.partition(".")[0] for name in done.stdout.split()}
    assert "guests" in packages
    assert not packages & {"debian", "kconfiglib", "pexpect", "psutil", "pytest", "rich", "virtme"}
