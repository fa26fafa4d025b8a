# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels in .deb files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs.cache import Cache
from kconfigs.kconfig import Config
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.debian.fake_apt import CLOUD
from suites.harness.kconfigs.fake_kernels import PACKAGE

pytestmark = pytest.mark.usefixtures("_x86_64")


class TestDebFile:
    def test_it_becomes_a_kernel(self, tmp_path: Path) -> None:
        path = fakes.kernel_deb(tmp_path / "k.deb")
        kernel = fakes.resolved(str(path), cache=Cache(tmp_path / "cache")).kernel()
        assert (kernel.id, kernel.release) == ("debian-6.12.7-fake/shipped", fakes.RELEASE)

    def test_a_package_for_all_architectures_is_refused(self, tmp_path: Path) -> None:
        path = fakes.kernel_deb(tmp_path / "k.deb", "linux-source-6.12", Architecture="all")
        with pytest.raises(UsageError, match="holds no kernel: it is for all architectures"):
            fakes.resolved(str(path), cache=Cache(tmp_path / "cache"))

    def test_a_package_of_another_program_is_refused(self, tmp_path: Path) -> None:
        path = fakes.deb(tmp_path / "b.deb", {"Package": "bash", "Version": "5.2-1"}, {"./bin/bash": b""})
        with pytest.raises(UsageError, match="holds no kernel"):
            fakes.resolved(str(path), cache=Cache(tmp_path / "cache")).kernel()

    def test_a_package_from_anyone_else_is_named_deb(self, tmp_path: Path) -> None:
        path = fakes.kernel_deb(tmp_path / "k.deb", "linux-image-6.12.7", Maintainer="Me <me@home>")
        assert fakes.resolved(str(path), cache=Cache(tmp_path / "cache")).source.name == "deb-6.12.7"

    def test_newer_packages_keep_the_kernel_with_its_modules(self, tmp_path: Path) -> None:
        base = f"./usr/lib/modules/{fakes.RELEASE}"
        files = {f"{base}/vmlinuz": fakes.bzimage(), f"{base}/config": fakes.CONFIG.encode(), f"{base}/a.ko": b"m"}
        path = fakes.deb(tmp_path / "k.deb", {"Package": "linux-binary-6.12.7-fake"}, files)
        kernel = fakes.resolved(str(path), cache=Cache(tmp_path / "cache")).kernel()
        assert kernel.config == Config.parse(fakes.CONFIG)
        assert kernel.modules is not None

    def test_a_package_without_a_kernel_names_its_dependencies(self, tmp_path: Path) -> None:
        path = fakes.deb(tmp_path / "k.deb", {"Package": CLOUD, "Depends": f"{PACKAGE} (= 1)"}, {"./etc/a": b""})
        with pytest.raises(UsageError, match="holds no kernel") as caught:
            fakes.resolved(str(path), cache=Cache(tmp_path / "cache")).kernel()
        assert PACKAGE in caught.value.hint

    @pytest.mark.parametrize(
        ("name", "spoil"),
        [
            pytest.param("nothing", lambda _: b"", id="empty"),
            pytest.param("text", lambda _: b"hello " * 100, id="no-archive"),
            pytest.param("head", lambda data: data[:200], id="cut-in-the-head"),
            pytest.param("tail", lambda data: data[:-300], id="cut-in-the-data"),
        ],
    )
    def test_a_damaged_package_is_reported(self, tmp_path: Path, name: str, spoil: Callable[[bytes], bytes]) -> None:
        path = fakes.kernel_deb(tmp_path / f"{name}.deb")
        path.write_bytes(spoil(path.read_bytes()))
        with pytest.raises(UsageError, match="is not a Debian package, or is damaged") as caught:
            fakes.resolved(str(path), cache=Cache(tmp_path / "cache")).kernel()
        assert caught.value.exit_status == 4
        assert Cache(tmp_path / "cache").entries() == []
