# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages of Arch and Alpine Linux, and plain tar archives, whose author means harm."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs import input_limits
from kconfigs.cache import Cache
from suites.harness import hostile_files as hostile
from suites.harness.hostile_files import MIB, member, packed, tar
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.packages.fake_packages import (
    ALPINE_INFO,
    ARCH_INFO,
    INSTALLED,
    MODULES,
    apk,
    pax,
    pkginfo,
    tar_of,
)

Refused = Callable[[str, bytes], UsageError]
KERNEL = tar_of(INSTALLED)[:-1024]
KINDS = ["k.pkg.tar.gz", "k.apk", "k.tar.gz"]
INFO = {"k.pkg.tar.gz": member(".PKGINFO", ARCH_INFO), "k.apk": member(".PKGINFO", ALPINE_INFO), "k.tar.gz": b""}


def with_files(kind: str, *files: bytes) -> bytes:
    """A package with a kernel and these files."""
    return packed("gzip", INFO[kind] + KERNEL + tar(*files))


@pytest.mark.parametrize("kind", KINDS)
class TestEveryKind:
    def test_a_package_of_these_tools_is_a_kernel(self, tmp_path: Path, kind: str) -> None:
        """Otherwise all that follows would be refused for another reason."""
        (tmp_path / kind).write_bytes(with_files(kind, pax(mtime="1.5"), member(f"{MODULES}/a.ko", b"module")))
        kernel = fakes.resolved(str(tmp_path / kind), cache=Cache(tmp_path / "cache")).kernel()
        assert kernel.modules is not None

    @pytest.mark.parametrize(
        "name", [f"{MODULES}/../../../../../evil", "../evil", "/boot/vmlinuz-evil", "/etc/passwd"]
    )
    def test_a_path_that_leads_outside_is_refused(self, refused: Refused, kind: str, name: str) -> None:
        assert "it has the path" in refused(kind, with_files(kind, member(name, b"evil"))).message

    def test_nor_one_in_an_extended_header(self, refused: Refused, kind: str) -> None:
        evil = [pax(path=f"{MODULES}/../../../evil"), member(f"{MODULES}/a.ko", b"evil")]
        assert "it has the path" in refused(kind, with_files(kind, *evil)).message

    def test_links_devices_and_pipes_are_not_made(self, tmp_path: Path, kind: str) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        content = with_files(
            kind,
            member(f"{MODULES}/sym", type=tarfile.SYMTYPE, linkname=str(outside)),
            member(f"{MODULES}/sym/evil", b"below a link"),
            pax(linkpath="/etc/passwd"),
            member(f"{MODULES}/hard", type=tarfile.LNKTYPE, linkname="x"),
            member(f"{MODULES}/device", type=tarfile.CHRTYPE, devmajor=1, devminor=5),
            member(f"{MODULES}/pipe", type=tarfile.FIFOTYPE),
        )
        (tmp_path / kind).write_bytes(content)
        kernel = fakes.resolved(str(tmp_path / kind), cache=Cache(tmp_path / "cache")).kernel()
        assert kernel.modules is not None
        made = [one.relative_to(kernel.modules).as_posix() for one in kernel.modules.rglob("*") if not one.is_dir()]
        assert made == ["sym/evil"]
        assert list(outside.iterdir()) == []

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            ([member(f"{MODULES}/a.ko", size=input_limits.PACKAGE + 1)], "claims to have 4294967297 bytes"),
            ([pax(size=str(1 << 60)), member(f"{MODULES}/a.ko")], f"claims to have {1 << 60} bytes"),
            ([pax(size="-512"), member(f"{MODULES}/a.ko")], "claims to have -512 bytes"),
            ([member(f"{MODULES}/a.ko", size=5000)], "unexpected end of data"),
            ([b"garbage " * 64], "a header is invalid"),
            ([member("PaxHeaders/x", type=tarfile.XHDTYPE, size=2 << 30)], "a header claims to have"),
            ([member("././@LongLink", type=tarfile.GNUTYPE_LONGNAME, size=2 << 30)], "a header claims to have"),
            ([member("g", type=tarfile.XGLTYPE)], "unknown type b'g'"),
            ([member("a", type=tarfile.GNUTYPE_SPARSE)], "unknown type b'S'"),
            ([pax(GNU__sparse__map="0,1"), member("a", b"x")], "a file is sparse"),
            ([pax(GNU__sparse__size="9"), member("a", b"x")], "a file is sparse"),
            ([pax(GNU__sparse__major="1", GNU__sparse__minor="0"), member("a", b"9\n" * 999)], "a file is sparse"),
            ([pax(mtime="1"), *[pax(mtime="1")] * 2000, member("a")], "recursion"),
            ([member("././@LongLink", b"a", type=tarfile.GNUTYPE_LONGNAME)] * 2000, "recursion"),
        ],
        ids=[
            "huge", "huge-by-pax", "negative-by-pax", "longer-than-it-is", "garbage", "huge-pax", "huge-name",
            "global-pax", "sparse", "sparse-0.1", "sparse-0.0", "sparse-1.0", "many-pax", "many-names",
        ],
    )  # fmt: skip
    def test_an_archive_that_makes_no_sense_is_refused(
        self, refused: Refused, kind: str, files: list[bytes], message: str
    ) -> None:
        assert message in refused(kind, with_files(kind, *files)).message

    def test_a_bomb_is_refused(self, refused: Refused, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(input_limits, "PACKAGE", 64 * MIB)
        beginning = INFO[kind] + KERNEL + member("usr/share/zeros", size=63 * MIB)
        content = packed("gzip", beginning) + hostile.zeros("gzip", 70)
        assert "unpacks to more than 64 MiB" in refused(kind, content).message

    def test_a_cut_package_is_damaged(self, refused: Refused, kind: str) -> None:
        assert "it ends in the middle" in refused(kind, with_files(kind)[:-20]).message

    def test_more_files_than_a_kernel_has_are_refused(
        self, refused: Refused, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(input_limits, "PACKAGE_FILES", 20)
        assert "more than 20 files" in refused(kind, with_files(kind, *(member(str(n)) for n in range(20)))).message


def test_an_archive_that_is_not_packed_is_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sparse file costs nothing, and each of its members is small."""
    monkeypatch.setattr(input_limits, "PACKAGE", 64 * MIB)
    path = tmp_path / "k.tar"
    with path.open("wb") as file:
        for number in range(3):
            file.write(member(f"{number}", size=63 * MIB))
            file.seek(63 * MIB, 1)
    with pytest.raises(UsageError, match="unpacks to more than 64 MiB"):
        fakes.resolved(str(path), cache=Cache(tmp_path / "cache")).kernel()


def test_a_map_of_sparse_pieces_takes_little_memory(tmp_path: Path) -> None:
    """A gigabyte of numbers, each of which would be an item of a list."""
    beginning = pax(GNU__sparse__major="1", GNU__sparse__minor="0") + member("a", size=1 << 30)[:512] + b"999999999\n"
    numbers = packed("zstd", b"1\n" * (MIB // 2)) * 1024
    (tmp_path / "k.tar.zst").write_bytes(packed("zstd", KERNEL + beginning) + numbers)
    done = hostile.run_in_little_memory("build", tmp_path / "k.tar.zst")
    assert done.returncode == 4
    assert "a file is sparse" in done.stderr


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (b"", "pkgname is missing"),
        (pkginfo(pkgname="../evil", pkgver="1-1", arch="x86_64"), "pkgname is '../evil'"),
        (pkginfo(pkgname="linux", pkgver="9" * 5000, arch="x86_64"), "pkgver is "),
        (pkginfo(pkgname="linux", pkgver="1-1", arch="\x1b[31m"), "arch is "),
        (b"x" * (input_limits.CONTROL + 1), "its .PKGINFO has 1048577 bytes"),
    ],
    ids=["empty", "name", "long-number", "escape", "huge"],
)
@pytest.mark.parametrize("name", ["k.pkg.tar.gz", "k.apk"])
def test_fields_that_make_no_sense_are_refused(refused: Refused, name: str, info: bytes, message: str) -> None:
    assert message in refused(name, apk(info=info)).message


@pytest.mark.parametrize("name", ["k.pkg.tar.gz", "k.apk"])
def test_what_does_not_begin_with_pkginfo_is_no_package(refused: Refused, name: str) -> None:
    files = [member(str(number)) for number in range(20)]
    assert "it does not begin with .PKGINFO" in refused(name, packed("gzip", tar(*files))).message


def test_a_package_of_apk_tools_3_is_named(refused: Refused) -> None:
    assert "it has the format of apk-tools 3" in refused("k.apk", b"ADBd" + bytes(100)).message


def test_the_source_of_a_kernel_is_no_kernel(refused: Refused) -> None:
    """kernel.org's archives begin with a header for all files, which git writes."""
    content = packed("xz", tar(member("pax_global_header", b"", type=tarfile.XGLTYPE), member("linux-6.12/Kconfig")))
    assert "unpack it, and name the folder" in refused("linux-6.12.tar.xz", content).hint
