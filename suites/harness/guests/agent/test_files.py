# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that init reads and writes for a test."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from guests.errors import SetupFailed
from guests.outcome import ENOENT, error, returned
from guests.protocol import wire
from suites.harness.guests.fakes import HostSession


class TestFiles:
    def test_init_reads_and_writes_files(self, host: HostSession, tmp_path: Path) -> None:
        path = str(tmp_path / "file")
        assert not host.exists(path)
        assert host.write_file(path, "text", create=True, mode=0o600) == returned(4)
        assert host.exists(path)
        assert host.read_file(path) == "text"
        assert Path(path).stat().st_mode & 0o777 == 0o600
        assert host.write_file(path, b"TE") == returned(2)
        assert host.read_bytes(path) == b"TExt"
        assert host.write_file(path, b"") == returned(0)

    def test_a_directory_exists_although_it_cannot_be_read(self, host: HostSession, tmp_path: Path) -> None:
        assert host.exists(str(tmp_path))
        assert not host.exists(str(tmp_path / "none"))
        assert not host.exists(str(tmp_path / "none" / "."))

    def test_a_write_that_fails_is_an_outcome(self, host: HostSession, tmp_path: Path) -> None:
        assert host.write_file(str(tmp_path / "none"), "text") == ENOENT
        assert host.write_file(str(tmp_path), "text") == error(errno.EISDIR)
        assert host.transcript[-1].endswith(f"init writes b'text' to {tmp_path} -> EISDIR")

    def test_a_read_that_fails_ends_the_test(self, host: HostSession, tmp_path: Path) -> None:
        with pytest.raises(SetupFailed, match=r"read_file\(.*/none\) -> ENOENT"):
            host.read_file(str(tmp_path / "none"))

    def test_a_file_that_is_too_long_is_an_error(self, host: HostSession, tmp_path: Path) -> None:
        longest = wire.BODY_MAX - wire.RESULT.size - 1
        content = (bytes(range(251)) * (longest // 251 + 1))[:longest]
        (tmp_path / "fits").write_bytes(content)
        (tmp_path / "longer").write_bytes(content + b"x")
        assert host.read_bytes(str(tmp_path / "fits")) == content
        with pytest.raises(SetupFailed, match="longer than a frame"):
            host.read_bytes(str(tmp_path / "longer"))
        assert host.read_bytes(str(tmp_path / "longer"), beginning=True) == content + b"x"

    @pytest.mark.parametrize("size", [0, 1, wire.BODY_MAX - 4096, 3 * wire.BODY_MAX + 7])
    def test_a_file_of_any_length_can_be_uploaded(self, host: HostSession, tmp_path: Path, size: int) -> None:
        content = bytes(range(251)) * (size // 251 + 1)
        host.upload(str(tmp_path / "file"), content[:size], mode=0o700)
        assert (tmp_path / "file").read_bytes() == content[:size]
        assert (tmp_path / "file").stat().st_mode & 0o777 == 0o700

    def test_an_upload_to_a_full_device_fails(self, host: HostSession) -> None:
        if not os.access("/dev/full", os.W_OK):
            pytest.skip("this host has no /dev/full")
        with pytest.raises(SetupFailed):
            host.upload("/dev/full", b"x")
