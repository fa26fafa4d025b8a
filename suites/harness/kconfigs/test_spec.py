# SPDX-License-Identifier: GPL-2.0-or-later
"""What a SPEC says, and which kernels can be tested at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UsageError
from common.versions import Version
from kconfigs.architectures import ARCHITECTURES, architecture, from_debian, require_testable
from kconfigs.spec import PackageSpec, PathSpec, RunningSpec, Spec, parse


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("source", PackageSpec("source", "")),
        ("source@sid", PackageSpec("source@sid", "", "", "sid")),
        ("deb:linux-image-amd64", PackageSpec("deb:linux-image-amd64", "linux-image-amd64")),
        ("deb:a=6.12.7-1+b1@trixie", PackageSpec("deb:a=6.12.7-1+b1@trixie", "a", "6.12.7-1+b1", "trixie")),
        ("deb:a:arm64", PackageSpec("deb:a:arm64", "a", arch="arm64")),
        ("deb:a:arm64=1:6.1-1@sid", PackageSpec("deb:a:arm64=1:6.1-1@sid", "a", "1:6.1-1", "sid", "arm64")),
        ("deb:a=1:6.1-1", PackageSpec("deb:a=1:6.1-1", "a", "1:6.1-1")),
        ("running", RunningSpec("running")),
        ("./source", PathSpec("./source", Path("source"))),
        ("linux", PathSpec("linux", Path("linux"))),
        ("k.deb", PathSpec("k.deb", Path("k.deb"))),
        ("a@b", PathSpec("a@b", Path("a@b"))),
    ],
)
def test_each_kind_is_recognised(text: str, spec: Spec) -> None:
    assert parse(text) == spec


@pytest.mark.parametrize("text", ["deb:", "deb:=1", "deb:@sid", "source@", "source@a b", "deb:a@/etc"])
def test_what_names_nothing_is_wrong_use(text: str) -> None:
    with pytest.raises(UsageError, match=r"names no package|is not the name of a suite") as caught:
        parse(text)
    assert "deb:linux-image" in caught.value.hint


@pytest.mark.parametrize("text", ["deb:a:", "deb:a:mips64el", "deb:a:aarch64", "deb:a:arm64:amd64"])
def test_an_unknown_architecture_is_wrong_use(text: str) -> None:
    with pytest.raises(UsageError, match="names an architecture that kconform cannot test yet") as caught:
        parse(text)
    assert "amd64, arm64" in caught.value.hint


def test_a_path_in_a_file_is_made_whole(tmp_path: Path) -> None:
    (tmp_path / "linux").mkdir()
    assert parse("linux", tmp_path) == PathSpec(str(tmp_path / "linux"), tmp_path / "linux")
    assert parse("nowhere", tmp_path) == PathSpec("nowhere", tmp_path / "nowhere")


class TestTestable:
    @pytest.fixture(autouse=True)
    def _machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("platform.machine", lambda: "aarch64")

    @pytest.mark.parametrize("version", [(), (5, 10), (5, 10, 262), (7,)])
    def test_any_architecture_of_the_table_and_a_version_that_is_not_too_old(self, version: Version) -> None:
        for arch, row in ARCHITECTURES.items():
            require_testable("k", arch, version and max(version, row.oldest))

    @pytest.mark.parametrize(
        ("arch", "version", "message"),
        [
            ("mips64", (6, 12), "k is a kernel for mips64, which kconform cannot test yet"),
            ("aarch64", (5, 9, 16), r"k is Linux 5\.9\.16, and 5\.10 is the oldest that can be tested$"),
            ("riscv64", (6, 6, 1), r"k is Linux 6\.6\.1, and 6\.12 is the oldest that can be tested on riscv64$"),
        ],
    )
    def test_others_are_refused(self, arch: str, version: Version, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            require_testable("k", arch, version)

    def test_an_architecture_has_one_row(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert (architecture().srcarch, architecture().target) == ("arm64", "Image")
        assert [from_debian(name) for name in ("amd64", "i386", "arm64", "mips64el")] == [
            *("x86_64", "i386", "aarch64", "mips64el")
        ]
        assert list(ARCHITECTURES)[:2] == ["x86_64", "aarch64"]
        monkeypatch.setattr("platform.machine", lambda: "mips64")
        with pytest.raises(UsageError, match="building a kernel for mips64 is not supported yet"):
            architecture()
