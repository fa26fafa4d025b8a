# SPDX-License-Identifier: GPL-2.0-or-later
"""The doctor, on hosts that shell scripts simulate: what it finds and installs, and its exit status."""

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


class FakeHost:
    """A PATH that contains only what a test adds to it."""

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
        """Add an apt-get that offers these packages, each given with the program that it contains."""
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
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    return FakeHost(tmp_path, monkeypatch)


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


class TestReport:
    def test_it_reports_what_is_installed(self, host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
        host.apt()
        assert main(["doctor"]) == 0
        output = capsys.readouterr().out
        for words in ("QEMU          7.2.22", "gcc 1.2.3", f"in {host.cache}", "nothing is missing"):
            assert words in output

    def test_it_reports_what_is_missing_and_why_it_is_needed(
        self, host: FakeHost, capsys: pytest.CaptureFixture[str]
    ) -> None:
        host.apt()
        host.lack("bison")
        assert main(["doctor"]) == 4
        output = capsys.readouterr().out
        assert "MISSING        builds Kconfig's parser" in output
        assert "run: apt-get update && apt-get install" in output
        assert not host.logged, "the report installs nothing"

    @pytest.mark.parametrize(
        ("apt", "words"), [(True, "every source"), (False, "`source` and `deb:PACKAGE` need apt")]
    )
    def test_it_reports_which_kernels_can_be_tested(
        self, host: FakeHost, capsys: pytest.CaptureFixture[str], apt: bool, words: str
    ) -> None:
        host.distribution("fedora-42")
        if apt:
            host.program("apt-get")
            host.program("apt-cache")
        main(["doctor"])
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("kernels")]
        assert words in line

    def test_red_hats_qemu_is_sufficient(self, host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
        host.distribution("centos-10")
        host.lack(dependencies.list_dependencies()[0].name)
        assert main(["doctor"]) == 4
        libexec = Path(qemu_program.OTHER_PATHS[0])
        libexec.parent.mkdir()
        libexec.write_text("#!/bin/sh\necho 'QEMU emulator version 9.1.0 (qemu-kvm-9.1.0-1.el10)'\n")
        libexec.chmod(0o755)
        capsys.readouterr()
        assert main(["doctor"]) == 0
        output = capsys.readouterr().out
        assert f"QEMU          9.1.0 (qemu-kvm-9.1.0-1.el10), {libexec}; without 9p" in output

    @pytest.mark.usefixtures("host")
    def test_an_unwritable_cache_is_reported(
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
        self, host: FakeHost, capsys: pytest.CaptureFixture[str]
    ) -> None:
        host.lack("cc")
        assert main(["doctor"]) == 4
        assert capsys.readouterr().out.count("MISSING") == 4

    @pytest.mark.parametrize(
        ("remembered", "words"),
        [
            pytest.param(None, "not been tried yet", id="not-tried"),
            pytest.param({"kvm": True, "why": "a guest answered"}, "kvm: a guest answered", id="proved"),
            pytest.param({"kvm": False, "why": "it hung"}, "tcg: it hung", id="refuted"),
            pytest.param({"kvm": True, "identity": "elsewhere"}, "not been tried yet", id="proved-on-another-host"),
        ],
    )
    def test_it_reports_what_is_known_about_acceleration(
        self,
        host: FakeHost,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        remembered: dict[str, object] | None,
        words: str,
    ) -> None:
        monkeypatch.setattr(acceleration, "device_problem", lambda: None)
        if remembered is not None:
            host.cache.mkdir()
            memory = {"identity": acceleration.machine_identity()} | remembered
            (host.cache / "acceleration.json").write_text(json.dumps(memory))
        main(["doctor"])
        assert words in capsys.readouterr().out


def test_wrong_use_has_its_own_exit_status() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--nonsense"])
    assert ended.value.code == 4


def test_a_header_is_found_and_a_nonexistent_one_is_not() -> None:
    assert dependencies.find_headers(["stdlib.h", "no/such/header.h"]) == {"stdlib.h"}


def test_a_library_is_found_and_a_nonexistent_one_is_not() -> None:
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
def test_each_family_has_an_entry_for_each_dependency(family: packages.DistributionFamily) -> None:
    """The entry is a package, or a note that there is none."""
    wanted = {
        dependency.name for arch in ("x86_64", "aarch64") for dependency in dependencies.list_dependencies(arch)
    }
    assert set(family.packages) == wanted
    assert set(family.remarks) <= wanted
    assert all(family.packages[name] or name in family.remarks for name in wanted)


@pytest.mark.parametrize("family", packages.FAMILIES, ids=lambda family: family.name)
def test_the_documents_contain_the_command_for_each_family(
    family: packages.DistributionFamily, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    command = family.manager.shown(
        family.packages_for(each.name for each in dependencies.list_dependencies("x86_64"))
    )
    text = (ROOT / "docs" / "install.md").read_text().replace("\\\n    ", "")
    assert command in text


def test_red_hats_qemu_is_for_the_hosts_architecture(host: FakeHost) -> None:
    libexec = Path(qemu_program.OTHER_PATHS[0])
    libexec.parent.mkdir()
    host.program("any")
    libexec.symlink_to(host.bin / "any")
    host.lack(dependencies.list_dependencies()[0].name)
    assert qemu_program.find_qemu(platform.machine()) == str(libexec)
    with pytest.raises(QemuError):
        qemu_program.find_qemu("s390x")


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_qemu_is_the_one_for_the_hosts_architecture(arch: str) -> None:
    assert dependencies.list_dependencies(arch)[0].name == f"qemu-system-{arch}"
    assert dependencies.list_dependencies()[0].name == f"qemu-system-{platform.machine()}"


def test_the_doctor_avoids_slow_imports() -> None:
    """It runs before each test run, and must work although dependencies are missing."""
    code = "import sys; before = set(sys.modules); import kconform; kconform.parser('doctor');"
    code += "print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    packages = {name.partition(".")[0] for name in done.stdout.split()}
    assert "guests" in packages
    assert not packages & {"debian", "kconfiglib", "pexpect", "psutil", "pytest", "rich", "virtme"}
