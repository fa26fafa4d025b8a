# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages of a kernel's source whose author means harm."""

from __future__ import annotations

import errno
import os
import tarfile
from pathlib import Path

import pytest

from common.errors import KconformError
from kconfigs import input_limits
from kconfigs.debian import deb_package
from suites.harness import hostile_files as hostile
from suites.harness.hostile_files import MIB, member, packed, tar
from suites.harness.kconfigs import fake_kernels as fakes


class TestSource:
    def source(self, path: Path, tarball: bytes, name: str = "linux-source-6.12.tar.gz") -> Path:
        return fakes.deb(
            path, {"Package": "linux-source-6.12", "Architecture": "all"}, {f"./usr/src/{name}": tarball}
        )

    def test_a_tarball_that_never_ends_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(input_limits, "SOURCE", 8 * MIB)
        head = packed("gzip", member("linux/zeros", size=1 << 30)[:512])
        path = self.source(tmp_path / "s.deb", head + hostile.zeros("gzip", 16))
        with pytest.raises(KconformError, match="does not unpack: more than 8388608 bytes") as caught:
            deb_package.unpack_source(path, tmp_path / "tree")
        assert caught.value.hint

    def test_a_name_of_a_gigabyte_gets_no_memory(self, tmp_path: Path) -> None:
        head = member("././@LongLink", type=tarfile.GNUTYPE_LONGNAME, size=1 << 30)[:512]
        path = self.source(tmp_path / "s.deb", packed("gzip", head) + hostile.zeros("gzip", 16))
        with pytest.raises(KconformError, match="does not unpack: tar: ") as caught:
            deb_package.unpack_source(path, tmp_path / "tree")
        assert "exhausted" in str(caught.value)

    @pytest.mark.parametrize("name", ["linux/../../evil", "linux/../../../evil", "/linux/../../evil"])
    def test_nothing_leads_outside(self, tmp_path: Path, name: str) -> None:
        members = [
            member("linux/Makefile", b"ok"),
            member("linux/out", type=tarfile.SYMTYPE, linkname=str(tmp_path)),
            member("linux/out/evil", b"evil"),
            member(name, b"evil"),
        ]
        path = self.source(tmp_path / "s.deb", packed("gzip", tar(*members)))
        (tmp_path / "deep").mkdir()
        with pytest.raises(KconformError, match="does not unpack: tar: "):
            deb_package.unpack_source(path, tmp_path / "deep" / "tree")
        assert [one for one in tmp_path.rglob("evil") if "tree" not in one.parts] == []

    def test_a_pipe_in_it_is_refused(self, tmp_path: Path) -> None:
        path = self.source(tmp_path / "s.deb", packed("gzip", tar(member("linux/pipe", type=tarfile.FIFOTYPE))))
        with pytest.raises(KconformError, match="pipe in it is a device or a pipe"):
            deb_package.unpack_source(path, tmp_path / "tree")

    def test_a_disk_that_is_full_ends_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """tar complains of each file that it cannot write, and there are more than a pipe takes."""
        program = tmp_path / "bin" / "tar"
        program.parent.mkdir()
        program.write_text(
            "#!/bin/sh\n"
            "for file in $(seq 3000); do echo 'tar: linux/a: Cannot write: No space left on device' >&2; done\n"
            "cat >/dev/null\nexit 2\n"
        )
        program.chmod(0o755)
        path = self.source(tmp_path / "s.deb", packed("gzip", tar(member("linux/a", bytes(4 * MIB)))))
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        with pytest.raises(OSError, match="No space left on device") as caught:
            deb_package.unpack_source(path, tmp_path / "tree")
        assert caught.value.errno == errno.ENOSPC
