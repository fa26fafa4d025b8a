# SPDX-License-Identifier: GPL-2.0-or-later
"""The doctor's dependencies: how they are found, and their packages in each family of distributions."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Mapping
from pathlib import Path

import pytest

from guests import commands
from guests.errors import QemuError
from guests.host import dependencies, doctor, packages
from guests.host.dependencies import Dependency
from guests.vm import qemu_program
from kconfigs.architectures import ARCHITECTURES
from suites.harness.checkout import ROOT
from suites.harness.guests.host.fake_host import FakeHost
from suites.harness.guests.host.os_releases import OS_RELEASES


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
    assert wanted <= set(family.packages)
    assert set(family.remarks) <= wanted
    assert all(family.packages[name] or name in family.remarks for name in wanted)


def test_kernels_of_another_architecture_need_more_and_only_they() -> None:
    own = dependencies.list_dependencies("x86_64")
    more = [each.name for each in dependencies.list_dependencies("x86_64", ["aarch64", "x86_64", "aarch64"])]
    foreign = [
        *("qemu-system-aarch64", "aarch64-linux-gnu-gcc", "linux/types.h of aarch64-linux-gnu"),
        *("arm-linux-gnueabihf-gcc", "linux/types.h of arm-linux-gnueabihf"),
    ]
    assert more == [*(each.name for each in own), *foreign]
    debian = next(family for family in packages.FAMILIES if family.name == "Debian")
    assert debian.packages_for(foreign) == [
        "qemu-system-arm",
        "gcc-aarch64-linux-gnu",
        "linux-libc-dev-arm64-cross",
        "gcc-arm-linux-gnueabihf",
        "linux-libc-dev-armhf-cross",
    ]


def test_the_hosts_compiler_may_be_that_of_guests() -> None:
    own = dependencies.list_dependencies("x86_64")
    more = dependencies.list_dependencies("x86_64", ["i386"])
    assert [each.name for each in more[len(own) :]] == ["qemu-system-i386"]


@pytest.mark.parametrize("guests", [["arm", "aarch64"], ["aarch64", "arm"]])
def test_what_some_guests_need_and_others_can_use_is_required(guests: list[str]) -> None:
    compilers = [
        each for each in dependencies.list_dependencies("x86_64", guests) if each.name == "arm-linux-gnueabihf-gcc"
    ]
    assert [compiler.required for compiler in compilers] == [True]
    optional = [each.name for each in dependencies.list_dependencies("x86_64", ["aarch64"]) if not each.required]
    assert {"arm-linux-gnueabihf-gcc", "linux/types.h of arm-linux-gnueabihf"} <= set(optional)


@pytest.mark.parametrize("arch", list(ARCHITECTURES))
def test_debian_has_packages_for_kernels_of_each_architecture(arch: str) -> None:
    debian = next(family for family in packages.FAMILIES if family.name == "Debian")
    own = "aarch64" if arch == "x86_64" else "x86_64"
    more = {each.name for each in dependencies.list_dependencies(own, [arch])}
    wanted = more - {each.name for each in dependencies.list_dependencies(own)}
    assert {name: debian.packages_for([name]) for name in wanted if not debian.packages_for([name])} == {}


@pytest.mark.parametrize(
    ("arguments", "arches"),
    [
        (["--kernel=deb:linux-image-cloud-arm64:arm64@trixie"], ["aarch64"]),
        (["--kernel", "deb:a:amd64=1:2", "-k", "talk"], ["x86_64"]),
        (["--kernel=deb:linux-image-cloud-amd64=6.1:arm64", "deb:a:mips64el"], []),
        (["--arch=arm64", "--kernel=source"], ["aarch64"]),
        (["--kernel", "source", "--arch", "amd64"], ["x86_64"]),
        (["--arch=arm46"], []),
        (["--arch"], []),
        ([], []),
    ],
)
def test_the_architectures_of_a_run(monkeypatch: pytest.MonkeyPatch, arguments: list[str], arches: list[str]) -> None:
    asked: list[list[str]] = []

    def install_missing(arches: list[str], *, sure: bool, qemu: str | None) -> int:
        asked.append([*arches, str(sure)])
        assert qemu is None
        return 0

    monkeypatch.setattr(doctor, "install_missing", install_missing)
    parser = argparse.ArgumentParser()
    commands.add_commands(parser.add_subparsers())
    options = parser.parse_args(["doctor", "--install", "--yes", "--for-run", *arguments])
    assert options.run(options) == 0
    assert asked == [[*arches, "True"]]


def test_the_architectures_of_a_matrix(tmp_path: Path) -> None:
    kernels = ("deb:linux-image-s390x:s390x@trixie", "deb:linux-image-cloud-amd64", 'source"\narch = "riscv64')
    matrix = tmp_path / "mine.toml"
    matrix.write_text("".join(f'[[kernel]]\nspec = "{kernel}"\n' for kernel in kernels))
    for arguments in ([f"--matrix={matrix}"], ["--matrix", str(matrix)]):
        assert list(commands._named_in(arguments)) == ["s390x", "riscv64"]
    assert list(commands._named_in([f"--matrix={tmp_path}/none.toml", "--matrix"])) == []


def test_the_matrix_of_architectures_has_each() -> None:
    named = set(commands._named_in(["--matrix", str(ROOT / "architectures.toml")]))
    assert named == ARCHITECTURES.keys() - {"x86_64"}


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
        qemu_program.find_qemu("sparc64")


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_qemu_is_the_one_for_the_hosts_architecture(arch: str) -> None:
    assert dependencies.list_dependencies(arch)[0].name == f"qemu-system-{arch}"
    assert dependencies.list_dependencies()[0].name == f"qemu-system-{platform.machine()}"
