# SPDX-License-Identifier: GPL-2.0-or-later
"""The versions of a kernel that archives still have."""

from __future__ import annotations

import pytest

from common.errors import UsageError
from kconfigs.debian.apt import Apt
from kconfigs.debian.kernel_versions import OfferedKernel, kind_of, offered
from suites.harness.kconfigs.debian.fake_apt import Control, FakeApt, debian


def kernel(
    release: str, version: str, kind: str = "cloud-amd64", depends: str = "kmod, linux-base (>= 4)"
) -> Control:
    return debian(f"linux-image-{release}-{kind}", version, depends)


MACHINE = FakeApt(
    kernel("6.1.0-9", "6.1.27-1"),
    kernel("6.1.0-10", "6.1.38-1"),
    kernel("6.1.0-10", "6.1.37-1"),
    kernel("6.1.0-10", "6.1.38-1", "amd64"),
    kernel("6.1.0-10", "6.1.38-1", "rt-amd64"),
    debian("linux-image-cloud-amd64", "6.1.38-1", "linux-image-6.1.0-10-cloud-amd64 (= 6.1.38-1)"),
    debian("linux-image-6.12-cloud-amd64", "6.12.7-1", "linux-image-6.12.7+deb12-cloud-amd64 (= 6.12.7-1)"),
    debian("linux-image-6.1.0-10-cloud-amd64-dbg", "6.1.38-1"),
)
BACKPORTS = FakeApt(
    kernel("6.12.7+deb12", "6.12.7-1~bpo12+1", depends="linux-modules-6.12.7+deb12-cloud-amd64"),
    kernel("6.1.0-10", "6.1.38-1"),
)


def test_all_kernels_of_a_kind_are_listed_by_version() -> None:
    """In dpkg's order, each version once, and neither metapackages nor kernels that are configured differently."""
    found = offered("cloud-amd64", {"": Apt(MACHINE), "bookworm-backports": Apt(BACKPORTS)})
    assert found == [
        OfferedKernel("linux-image-6.1.0-9-cloud-amd64", "6.1.27-1"),
        OfferedKernel("linux-image-6.1.0-10-cloud-amd64", "6.1.37-1"),
        OfferedKernel("linux-image-6.1.0-10-cloud-amd64", "6.1.38-1"),
        OfferedKernel("linux-image-6.12.7+deb12-cloud-amd64", "6.12.7-1~bpo12+1", "bookworm-backports"),
    ]
    assert found[3].spec == "deb:linux-image-6.12.7+deb12-cloud-amd64=6.12.7-1~bpo12+1@bookworm-backports"
    assert [one.version for one in offered("amd64", {"": Apt(MACHINE)})] == ["6.1.38-1"]
    assert offered("generic", {"": Apt(MACHINE)}) == []


@pytest.mark.parametrize(
    ("package", "kind"),
    [
        ("linux-image-cloud-amd64", "cloud-amd64"),
        ("linux-image-6.1.0-56-cloud-amd64", "cloud-amd64"),
        ("linux-image-6.16.12+deb13-cloud-amd64", "cloud-amd64"),
        ("linux-image-6.12-amd64", "amd64"),
        ("linux-image-6.8.0-45-generic", "generic"),
        ("linux-image-generic", "generic"),
    ],
)
def test_the_kind_is_what_the_name_ends_with(package: str, kind: str) -> None:
    assert kind_of(package) == kind


def test_a_package_of_another_name_has_no_kind() -> None:
    with pytest.raises(UsageError, match="my-kernel is not named as Debian and Ubuntu name kernels"):
        kind_of("my-kernel")
