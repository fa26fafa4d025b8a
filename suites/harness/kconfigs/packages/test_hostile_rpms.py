# SPDX-License-Identifier: GPL-2.0-or-later
"""RPM packages whose author means harm are refused, and leave nothing behind."""

from __future__ import annotations

import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs import input_limits
from kconfigs.cache import Cache
from suites.harness import hostile_files as hostile
from suites.harness.hostile_files import MIB, packed
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.fake_kernels import CONFIG, RELEASE
from suites.harness.kconfigs.packages.fake_packages import IMAGE, LAST, MODULES, WITH_MODULES, cpio, cpio_of, rpm

Refused = Callable[[str, bytes], UsageError]
VMLINUZ = cpio(f"./{MODULES}/vmlinuz", IMAGE) + cpio(f"./{MODULES}/config", CONFIG.encode())


def with_files(*files: bytes, packing: str = "gzip") -> bytes:
    """A package with a kernel and these files."""
    return rpm(packed(packing, VMLINUZ + b"".join(files) + LAST))


def test_a_package_of_these_tools_is_a_kernel(tmp_path: Path) -> None:
    """Otherwise all that follows would be refused for another reason."""
    path = tmp_path / "k.rpm"
    for packing in ("gzip", "xz", "lzma", "bzip2", "zstd"):
        path.write_bytes(with_files(cpio(f"./{MODULES}/a.ko", packing.encode()), packing=packing))
        kernel = fakes.resolved(str(path), cache=Cache(tmp_path / "cache")).kernel()
        assert kernel.modules is not None
        assert (kernel.modules / "a.ko").read_bytes() == packing.encode()


def test_a_payload_need_not_be_packed(tmp_path: Path) -> None:
    path = tmp_path / "k.rpm"
    path.write_bytes(rpm(cpio_of(WITH_MODULES)))
    assert fakes.resolved(str(path), cache=Cache(tmp_path / "cache")).kernel().release == RELEASE


@pytest.mark.parametrize(
    "name", [f"./{MODULES}/../../../../evil", "../evil", "/boot/vmlinuz-evil", "/etc/passwd", "./.."]
)
def test_a_path_that_leads_outside_is_refused(refused: Refused, name: str) -> None:
    assert "it has the path" in refused("k.rpm", with_files(cpio(name, b"evil"))).message


def test_links_devices_and_pipes_are_not_made(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    content = with_files(
        cpio(f"./{MODULES}/sym", str(outside).encode(), mode=0o120777),
        cpio(f"./{MODULES}/sym/evil", b"below a link"),
        cpio(f"./{MODULES}/hard", links=2),
        cpio(f"./{MODULES}/device", mode=0o20666),
        cpio(f"./{MODULES}/disk", mode=0o60666),
        cpio(f"./{MODULES}/pipe", mode=0o10666),
    )
    (tmp_path / "k.rpm").write_bytes(content)
    kernel = fakes.resolved(str(tmp_path / "k.rpm"), cache=Cache(tmp_path / "cache")).kernel()
    assert kernel.modules is not None
    made = [one.relative_to(kernel.modules).as_posix() for one in kernel.modules.rglob("*") if not one.is_dir()]
    assert made == ["sym/evil"]
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it ends in the middle of its header"),
        (b"hello " * 100, "it does not begin as an .rpm file does"),
        (rpm(b"", kind=1), "it has the sources of a package"),
        (rpm(b"", lies={"size": 0xFFFFFFFF}), "a header claims to have"),
        (rpm(b"", lies={"count": 0xFFFFFFFF}), "a header claims to have"),
        (rpm(b"", lies={"size": 1000}), "it ends in the middle of its header"),
        (rpm(b"", lies={"count": 2}), "is missing"),
        (rpm(b"", name="../../evil"), "its name is '../../evil'"),
        (rpm(b"", version="\x1b[31m"), r"its version is "),
        (rpm(b"", version="9" * 5000), r"its version is "),
        (rpm(b"", release="1 2"), "its release is '1 2'"),
        (rpm(b"", arch=""), "its architecture is missing"),
        (with_files()[:-40], "it ends in the middle"),
        (rpm(packed("gzip", b"no archive" * 20)), "a header of its cpio archive is invalid"),
        (rpm(packed("gzip", VMLINUZ)), "its cpio archive ends in the middle"),
        (rpm(packed("gzip", VMLINUZ.replace(b"070701", b"07070X") + LAST)), "its cpio archive is invalid"),
        (with_files(cpio(f"./{MODULES}/a.ko", size=0xFFFFFFFF)), "its cpio archive ends in the middle"),
        (with_files(cpio("./usr/share/doc", size=0xFFFFFFFF)), "its cpio archive ends in the middle"),
        (with_files(cpio("./a", name_size=0)), "a name in it claims to have 0 bytes"),
        (with_files(cpio("./a", name_size=0xFFFFFFFF)), "a name in it claims to have 4294967295 bytes"),
        (with_files(cpio(f"./{MODULES}/a", b"file"), cpio(f"./{MODULES}/a/b", b"below")), "no file can be called"),
        (with_files(cpio(f"./{MODULES}/{'x' * 300}", b"long")), "no file can be called"),
        (with_files(cpio(f"./{MODULES}/a\0b.ko", b"nul")), "embedded null byte"),
    ],
    ids=[
        "empty", "text", "sources", "huge-store", "huge-index", "longer-than-it-is", "a-lie-about-the-fields",
        "name", "escape", "long-number", "blank", "no-architecture", "cut", "no-archive", "no-end", "unknown-cpio",
        "huge-file", "huge-and-not-wanted", "no-name", "huge-name", "below-a-file", "long-name", "nul",
    ],
)  # fmt: skip
def test_a_package_that_makes_no_sense_is_refused(refused: Refused, content: bytes, message: str) -> None:
    error = refused("k.rpm", content)
    assert "is not an RPM package, or is damaged (" in error.message
    assert message in error.message


@pytest.mark.parametrize("packing", ["gzip", "xz", "bzip2", "zstd"])
def test_a_bomb_is_refused(refused: Refused, packing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_limits, "PACKAGE", 64 * MIB)
    beginning = VMLINUZ + cpio("./usr/share/zeros", size=80 * MIB)
    content = rpm(packed(packing, beginning) + hostile.zeros(packing, 70))
    assert "unpacks to more than 64 MiB" in refused("k.rpm", content).message


def test_more_files_than_a_kernel_has_are_refused(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_limits, "PACKAGE_FILES", 20)
    content = with_files(*(cpio(f"./{number}") for number in range(20)))
    assert "more than 20 files" in refused("k.rpm", content).message


def test_xz_gets_no_more_memory_than_a_kernel_needs(refused: Refused) -> None:
    big = lzma.LZMACompressor(filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 200 << 20}])
    assert "Memory usage limit exceeded" in refused("k.rpm", rpm(big.compress(VMLINUZ + LAST) + big.flush())).message


def test_a_bomb_of_a_gigabyte_takes_little_memory(tmp_path: Path) -> None:
    content = rpm(packed("gzip", VMLINUZ + cpio("./usr/share/x", size=0xFFFFFFFF)) + hostile.zeros("gzip", 1024))
    (tmp_path / "k.rpm").write_bytes(content)
    done = hostile.run_in_little_memory("build", tmp_path / "k.rpm")
    assert (done.returncode, done.stdout) == (4, "")
    assert "is not an RPM package, or is damaged" in done.stderr


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = hostile.not_a_file(tmp_path / "k.rpm", kind)
    with pytest.raises(UsageError, match="cannot be read: "):
        fakes.resolved(str(path), cache=Cache(tmp_path / "cache"))
