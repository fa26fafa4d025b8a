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
def _machine(_x86_64: None) -> None: ...


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

    return lambda name, content: fakes.refusal(tmp_path, name, content)
