# SPDX-License-Identifier: GPL-2.0-or-later
"""Images and configurations that somebody made to harm us: refused, or read no further than a real one goes."""

from __future__ import annotations

import contextlib
import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs import input_limits
from kconfigs.cache import Cache
from kconfigs.image import banner_release, embedded_config, inspect
from kconfigs.image_config import find_config, read_config
from kconfigs.kconfig import Config
from kconform import main
from suites.harness import hostile_files as hostile
from suites.harness.hostile_files import MIB, packed
from suites.harness.kconfigs.fake_kernels import CONFIG, RELEASE, bzimage, resolved

FORMATS = ["gzip", "xz", "lzma", "bzip2", "zstd", "lz4", "lzop"]


def with_payload(payload: bytes) -> bytes:
    """An x86 image with that payload."""
    content = bytearray(bzimage()[:1024])
    body = payload + bytes(4)
    body += bytes(-len(body) % 16)
    struct.pack_into("<I", content, 0x1F4, len(body) // 16)
    struct.pack_into("<II", content, 0x248, 0, len(payload) + 4)
    return bytes(content) + body


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    def written(content: bytes) -> Path:
        path = tmp_path / "bzImage"
        path.write_bytes(content)
        return path

    return written


Write = Callable[[bytes], Path]


class TestImage:
    @pytest.mark.parametrize("packing", FORMATS)
    def test_every_format_is_read(self, write: Write, packing: str) -> None:
        """Otherwise a bomb would be refused for another reason."""
        kernel = b"Linux version 6.12.7-x (us)\0" + bytes(3 * MIB) + b"IKCFG_ST" + gzip.compress(CONFIG.encode())
        image = inspect(write(with_payload(packed(packing, kernel))))
        assert banner_release(image) == "6.12.7-x"
        assert embedded_config(image) == Config.parse(CONFIG)

    @pytest.mark.parametrize("packing", FORMATS)
    def test_a_bomb_is_refused(self, write: Write, packing: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(input_limits, "UNPACKED_IMAGE", 16 * MIB)
        # A decompressor that stops after the first stream needs one that is large by itself.
        bomb = packed(packing, bytes(17 * MIB)) if packing in {"xz", "bzip2"} else hostile.zeros(packing, 17)
        image = inspect(write(with_payload(bomb)))
        for look in (embedded_config, banner_release):
            with pytest.raises(UsageError, match="unpacks to more than 16 MiB, which no kernel does") as caught:
                look(image)
            assert caught.value.hint

    def test_a_bomb_is_refused_with_a_config_beside_it(
        self, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(input_limits, "UNPACKED_IMAGE", 16 * MIB)
        image = inspect(write(with_payload(hostile.zeros("gzip", 17))))
        (tmp_path / "mine").write_text(CONFIG)
        with pytest.raises(UsageError, match="unpacks to more than 16 MiB"):
            find_config(image, RELEASE, tmp_path / "mine")

    @pytest.mark.parametrize("size", [3, 5 * 1024], ids=["3-MiB", "5-GiB"])
    def test_a_config_inside_is_bounded(self, write: Write, size: int) -> None:
        """At the size of a real one it is read, although it is zeros."""
        kernel = b"IKCFG_ST" + hostile.zeros("gzip", size)
        image = inspect(write(with_payload(gzip.compress(kernel))))
        if size == 3:
            assert embedded_config(image) == Config({})
        else:
            with pytest.raises(UsageError, match=r"the configuration inside .* is larger than 4 MiB"):
                embedded_config(image)

    @pytest.mark.parametrize("packing", ["gzip", "zstd"])
    def test_a_gibibyte_takes_little_memory(self, write: Write, packing: str) -> None:
        done = hostile.run_in_little_memory("build", write(with_payload(hostile.zeros(packing, 1025))))
        assert (done.returncode, done.stdout) == (4, "")
        assert "unpacks to more than 1 GiB, which no kernel does" in done.stderr

    def test_a_huge_file_is_refused(self, tmp_path: Path) -> None:
        path = hostile.sparse(tmp_path / "bzImage", 1 << 40, bzimage())
        done = hostile.run_in_little_memory("build", path)
        assert done.returncode == 4
        assert "is larger than 256 MiB, which no kernel image is" in done.stderr

    @pytest.mark.parametrize("kind", ["fifo", "device"])
    def test_what_is_no_file_is_refused(self, tmp_path: Path, kind: str) -> None:
        path = hostile.not_a_file(tmp_path / "bzImage", kind)
        with pytest.raises(UsageError, match="cannot be read: Not a regular file"):
            resolved(str(path), cache=Cache(tmp_path / "cache"))

    @pytest.mark.parametrize(
        "release",
        ["x" * 65, "6.12\x1b[31m", "6.12\u202e".encode().decode("latin-1"), "6." + "9" * 5000],
        ids=["long", "escape", "no-ascii", "long-number"],
    )
    def test_a_release_that_no_kernel_can_have_is_refused(self, write: Write, release: str) -> None:
        content = bytearray(bzimage()[:1024]) + bytes(8192)
        banner = release.encode("latin-1") + b" (us)\0"
        content[0x300 : 0x300 + len(banner)] = banner
        with pytest.raises(UsageError, match="its header has no valid release"):
            inspect(write(bytes(content)))

    def test_offsets_that_lead_outside_find_nothing(self, write: Write) -> None:
        """Or damage, if what they lead to begins like a kernel."""
        for offset, length in ((0xFFFFFFFF, 0xFFFFFFFF), (0, 0), (0, 3), (1 << 20, 1)):
            content = bytearray(bzimage(config=CONFIG))
            struct.pack_into("<II", content, 0x248, offset, length)
            image = inspect(write(bytes(content)))
            with contextlib.suppress(UsageError):
                assert embedded_config(image) is None
                assert banner_release(image) == ""

    def test_a_cut_executable_is_refused(self, write: Write) -> None:
        head = bytearray(0x86)
        head[:2], head[0x80:0x84] = b"MZ", b"PE\0\0"
        struct.pack_into("<I", head, 0x3C, 0x80)
        for end in (0x84, 0x85):
            with pytest.raises(UsageError, match="is not a kernel image"):
                inspect(write(bytes(head[:end])))


class TestConfig:
    @pytest.fixture
    def named(self, tmp_path: Path) -> Path:
        (tmp_path / "bzImage").write_bytes(bzimage())
        return tmp_path / "mine"

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"CONFIG_A=y\n" * (100 * MIB // 11), "is larger than 4 MiB, which no kernel configuration is"),
            (b"CONFIG_A=" + b"y" * (10 * MIB), "is larger than 4 MiB"),
            (hostile.zeros("gzip", 1024), "is larger than 4 MiB"),
            (gzip.compress(CONFIG.encode())[:-9], "cannot be read: it ends in the middle"),
            (b"CONFIG_A=y\n\0CONFIG_B=y\n", "there is a NUL in it"),
            (b"", "is not a kernel configuration"),
            (b'CONFIG_LOCALVERSION="$(shell touch evil)"\n', "a build would run a part of CONFIG_LOCALVERSION"),
            (b'CONFIG_A="`touch evil`"\n', "a build would run a part of CONFIG_A"),
            (b'CONFIG_A="\x1b[31m$x"\n', r"\x1b[31m$x"),
        ],
        ids=["100-MB", "10-MB-line", "bomb", "half", "nul", "empty", "make", "shell", "escape"],
    )  # fmt: skip
    def test_it_is_refused(
        self, named: Path, content: bytes, message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        named.write_bytes(content)
        image = named.with_name("bzImage")
        assert main(["build", str(image), "--kernel-config", str(named)]) == 4
        said = capsys.readouterr()
        assert message in said.err
        assert "hint: " in said.err
        assert "\x1b" not in said.err
        assert said.out == ""
        assert sorted(path.name for path in named.parent.iterdir()) == ["bzImage", "mine"]

    @pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
    def test_what_is_no_file_is_refused(self, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "bzImage").write_bytes(bzimage())
        path = hostile.not_a_file(tmp_path / "mine", kind)
        with pytest.raises(UsageError, match="cannot be read: "):
            read_config(path)
        assert main(["build", str(tmp_path / "bzImage"), "--kernel-config", str(path)]) == 4
        if kind != "folder":
            assert main(["check", str(path), "--profile=debian"]) == 4
        assert "hint: " in capsys.readouterr().err

    def test_a_huge_one_takes_little_memory(self, tmp_path: Path) -> None:
        path = hostile.sparse(tmp_path / "mine", 1 << 40, CONFIG.encode())
        done = hostile.run_in_little_memory("check", path, "--profile=debian")
        assert done.returncode == 4
        assert "is larger than 4 MiB" in done.stderr

    def test_a_huge_one_beside_an_image_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "bzImage").write_bytes(bzimage())
        hostile.sparse(tmp_path / ".config", 1 << 40)
        with pytest.raises(UsageError, match=r"\.config is larger than 4 MiB"):
            find_config(inspect(tmp_path / "bzImage"), RELEASE)

    @pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r"])
    def test_a_comment_goes_on_where_kconfig_says(self, separator: str) -> None:
        """Otherwise a config could say one thing to us and another to Kbuild."""
        assert Config.parse(f"# CONFIG_A is not set{separator}CONFIG_A=y\nCONFIG_B=y\r\n") == Config({"B": "y"})

    def test_only_what_begins_a_line_is_an_option(self) -> None:
        assert Config.parse(" CONFIG_A=y\nCONFIG_\u00e4=y\nCONFIG_B=y \n") == Config({"B": "y"})

    def test_control_characters_in_a_value_are_spelled_out(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "config").write_bytes(b'CONFIG_SECCOMP=y\nCONFIG_LSM="\x1b]0;evil\x07::error::\r"\n')
        main(["check", str(tmp_path / "config"), "--profile=debian"])
        said = capsys.readouterr()
        assert "CONFIG_LSM" in said.out + said.err
        assert not {"\x1b", "\x07", "\r"} & set(said.out + said.err)
