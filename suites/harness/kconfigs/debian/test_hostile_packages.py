# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages whose author means harm are refused, and leave nothing behind; what is harmless in them stays unmade."""

from __future__ import annotations

import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs import input_limits
from kconfigs.cache import Cache
from kconfigs.debian import deb_package
from kconfigs.packages.package_file import read_info
from suites.harness import hostile_files as hostile
from suites.harness.hostile_files import MIB, member, packed, tar
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.debian.hostile_debs import (
    CONFIG,
    CONTROL,
    MODULES,
    SUFFIX,
    VMLINUZ,
    package,
    with_control,
    with_data,
)


def test_a_package_of_these_tools_is_a_kernel(tmp_path: Path) -> None:
    """Otherwise all that follows would be refused for another reason."""
    for packing, suffix in SUFFIX.items():
        path = tmp_path / f"{suffix}.deb"
        path.write_bytes(package(member(f"{MODULES}/a.ko", b"module"), packing=packing))
        kernel = fakes.resolved(str(path), cache=Cache(tmp_path / "cache")).kernel()
        assert kernel.modules is not None
        assert (kernel.modules / "a.ko").read_bytes() == b"module"


@pytest.mark.parametrize(
    "name",
    [
        f"{MODULES}/../../../../../evil",
        "./boot/../evil",
        "../evil",
        "/boot/vmlinuz-evil",
        "/etc/passwd",
        "./..",
    ],
)
def test_a_path_that_leads_outside_is_refused(refused: Callable[[bytes], UsageError], name: str) -> None:
    assert "it has the path" in refused(package(member(name, b"evil"))).message


def test_what_follows_two_slashes_is_not_an_absolute_path(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    path = tmp_path / "k.deb"
    path.write_bytes(package(member(f"./lib/modules/x/{outside}", b"evil")))
    deb_package.unpack_kernel(path, tmp_path / "into")
    assert not outside.exists()
    assert (tmp_path / "into/modules/x" / outside.relative_to("/")).read_bytes() == b"evil"


def test_links_devices_and_pipes_are_not_made(tmp_path: Path) -> None:
    """A file below a link is put where the link is, not where it leads."""
    outside = tmp_path / "outside"
    outside.mkdir()
    links = [
        member(f"{MODULES}/sym", type=tarfile.SYMTYPE, linkname=str(outside)),
        member(f"{MODULES}/sym/evil", b"below a link"),
        member(f"{MODULES}/hard", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
        member(f"./boot/config-{fakes.RELEASE}-2", type=tarfile.SYMTYPE, linkname="/etc/shadow"),
        member(f"{MODULES}/device", type=tarfile.CHRTYPE, devmajor=1, devminor=5),
        member(f"{MODULES}/disk", type=tarfile.BLKTYPE, devmajor=8, devminor=0),
        member(f"{MODULES}/pipe", type=tarfile.FIFOTYPE),
    ]
    path = tmp_path / "k.deb"
    path.write_bytes(package(*links))
    deb_package.unpack_kernel(path, tmp_path / "into")
    made = {
        one.relative_to(tmp_path / "into").as_posix() for one in (tmp_path / "into").rglob("*") if not one.is_dir()
    }
    assert made == {
        f"boot/vmlinuz-{fakes.RELEASE}",
        f"boot/config-{fakes.RELEASE}",
        f"modules/{fakes.RELEASE}/sym/evil",
    }
    assert list(outside.iterdir()) == []


def test_an_archive_in_the_archive_is_not_unpacked(tmp_path: Path) -> None:
    inner = tar(member(f"{MODULES}/inner.ko", b"inner"))
    path = tmp_path / "k.deb"
    path.write_bytes(package(member("./data.tar", inner), member(f"{MODULES}/data.tar", inner)))
    deb_package.unpack_kernel(path, tmp_path / "into")
    assert sorted(one.name for one in (tmp_path / "into/modules").rglob("*") if one.is_file()) == ["data.tar"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([member(f"{MODULES}/a", b"file"), member(f"{MODULES}/a/b", b"below")], "no file can be called"),
        ([member(f"{MODULES}/a/b", b"below"), member(f"{MODULES}/a", b"file")], "no file can be called"),
        ([member(f"{MODULES}/{'x' * 300}", b"long")], "no file can be called"),
        (
            [member(f"{MODULES}/a.ko", size=input_limits.PACKAGE + 1)],
            f"claims to have {input_limits.PACKAGE + 1} bytes",
        ),
        ([member("./usr/share/doc", size=1 << 60)], f"claims to have {1 << 60} bytes"),
        ([member(f"{MODULES}/a.ko", size=5000)], "unexpected end of data"),
        ([b"garbage " * 64, member(f"{MODULES}/a.ko")], "a header is invalid"),
        ([member("././@LongLink", type=tarfile.GNUTYPE_LONGNAME, size=2 << 30)], "a header claims to have"),
        ([member("././@LongLink", b"a", type=tarfile.GNUTYPE_LONGNAME)] * 2000, "recursion"),
        ([member("././@PaxHeader", type=tarfile.XHDTYPE, size=2 << 30)], "unknown type b'x'"),
        ([member(f"{MODULES}/a.ko", type=tarfile.GNUTYPE_SPARSE, size=512)], "unknown type b'S'"),
    ],
    ids=[
        "below-a-file", "file-for-a-folder", "long-name", "huge", "huge-and-not-wanted", "longer-than-it-is",
        "garbage", "huge-name", "many-names", "huge-pax-header", "sparse",
    ],
)  # fmt: skip
def test_an_archive_that_makes_no_sense_is_refused(
    refused: Callable[[bytes], UsageError], files: list[bytes], message: str
) -> None:
    assert message in refused(package(*files)).message


def test_a_negative_size_is_refused(refused: Callable[[bytes], UsageError]) -> None:
    header = bytearray(member(f"{MODULES}/a.ko"))
    header[124:136] = (-512).to_bytes(12, "big", signed=True)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    assert "a header claims to have -512 bytes" in refused(package(bytes(header))).message


@pytest.mark.parametrize(
    ("part", "size", "message"),
    [
        ("data.tar.gz", "9999999999", "it ends in the middle of data.tar.gz"),
        ("control.tar.gz", "9999999999", "it ends in the middle of control.tar.gz"),
        ("control.tar.gz", "-60", "a header of its ar archive is invalid"),
        ("control.tar.gz", "-248", "a header of its ar archive is invalid"),
        ("control.tar.gz", "1_0", "a header of its ar archive is invalid"),
        ("control.tar.gz", "", "a header of its ar archive is invalid"),
        ("control.tar.gz", "20", "a header of its ar archive is invalid"),
        ("data.tar.gz", "100", "a header of its ar archive is invalid"),
        ("data.tar.gz", "0", "a header of its ar archive is invalid"),
    ],
)
def test_an_ar_header_that_lies_is_refused(
    refused: Callable[[bytes], UsageError], part: str, size: str, message: str
) -> None:
    """A negative size leads back to the same header, again and again."""
    assert message in refused(package(sizes={part: size})).message


def test_an_ar_archive_of_many_members_is_refused(refused: Callable[[bytes], UsageError]) -> None:
    content = hostile.ar({"debian-binary": b"2.0\n"} | {f"_{number}": b"" for number in range(1000)})
    assert "more than 16 members" in refused(content).message


@pytest.mark.parametrize("packing", SUFFIX)
def test_a_bomb_is_refused(
    refused: Callable[[bytes], UsageError], packing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(input_limits, "PACKAGE", 64 * MIB)
    head = member("./usr/share/zeros", size=63 * MIB)
    data = packed(packing, tar(VMLINUZ, CONFIG)[:-1024] + head) + hostile.zeros(packing, 70)
    error = refused(with_data(data, f"data.tar.{SUFFIX[packing]}"))
    assert "unpacks to more than 64 MiB" in error.message


def test_a_bomb_after_the_end_of_the_archive_is_refused(
    refused: Callable[[bytes], UsageError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(input_limits, "PACKAGE", 64 * MIB)
    data = packed("xz", tar(VMLINUZ)) + hostile.zeros("xz", 70)
    assert "unpacks to more than 64 MiB" in refused(with_data(data, "data.tar.xz")).message


def test_more_files_than_a_kernel_has_are_refused(
    refused: Callable[[bytes], UsageError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(input_limits, "PACKAGE_FILES", 20)
    assert "more than 20 files" in refused(package(*(member(f"./{number}") for number in range(20)))).message


def test_xz_gets_no_more_memory_than_a_kernel_needs(
    refused: Callable[[bytes], UsageError],
) -> None:
    """A dictionary of a gigabyte fills as the data is unpacked."""
    big = lzma.LZMACompressor(filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 200 << 20}])
    data = big.compress(tar(VMLINUZ)) + big.flush()
    assert "Memory usage limit exceeded" in refused(with_data(data, "data.tar.xz")).message


def test_a_bomb_of_a_gigabyte_takes_little_memory(tmp_path: Path) -> None:
    """In the control archive and in the data, at the real limits, through the command."""
    control = packed("gzip", tar(member("./control", CONTROL.encode())))
    head = member("./control", size=1 << 30)[:512]
    bombs = {
        "control": with_control(packed("gzip", head) + hostile.zeros("gzip", 1024)),
        "data": hostile.ar(
            {
                "debian-binary": b"2.0\n",
                "control.tar.gz": control,
                "data.tar.gz": packed("gzip", VMLINUZ + member("./usr/share/x", size=5 << 30)[:512])
                + hostile.zeros("gzip", 1024),
            }
        ),
    }
    for name, content in bombs.items():
        (tmp_path / f"{name}.deb").write_bytes(content)
        done = hostile.run_in_little_memory("build", tmp_path / f"{name}.deb")
        assert (done.returncode, done.stdout) == (4, "")
        assert "is not a Debian package, or is damaged" in done.stderr


@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = hostile.not_a_file(tmp_path / "k.deb", kind)
    with pytest.raises(UsageError, match="cannot be read: "):
        read_info(path)
