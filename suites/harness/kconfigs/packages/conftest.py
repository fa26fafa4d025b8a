# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for tests of packages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs.cache import Cache
from kconfigs.kernel import Kernel
from suites.harness.kconfigs import fake_kernels as fakes

Packages = Callable[..., Kernel]


@pytest.fixture(autouse=True)
def _x86_64(monkeypatch: pytest.MonkeyPatch) -> None:
    """The packages are for this architecture, whatever that of the host is."""
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


@pytest.fixture
def kernel_of(tmp_path: Path) -> Packages:
    """The kernel in package files of these names, which are given together."""

    def of(**files: bytes) -> Kernel:
        paths = []
        for name, content in files.items():
            paths.append(tmp_path / name.replace("__", ".").replace("_", "-"))
            paths[-1].write_bytes(content)
        return fakes.resolved(",".join(map(str, paths)), cache=Cache(tmp_path / "cache")).kernel()

    return of


@pytest.fixture
def refused(tmp_path: Path) -> Callable[[str, bytes], UsageError]:
    """The error that a package of that name ends in; nothing is left of it."""

    def of(name: str, content: bytes) -> UsageError:
        path = tmp_path / "in" / name
        path.parent.mkdir()
        path.write_bytes(content)
        with pytest.raises(UsageError) as caught:
            fakes.resolved(str(path), cache=Cache(tmp_path / "cache")).kernel()
        assert caught.value.exit_status == 4
        assert caught.value.hint
        assert "\n" not in caught.value.message
        left = [one for one in tmp_path.rglob("*") if one != path and not one.is_dir() and ".locks" not in one.parts]
        assert left == []
        return caught.value

    return of
