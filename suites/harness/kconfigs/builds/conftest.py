# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for tests of builds: trees with a Makefile that plays Kbuild."""

from __future__ import annotations

from pathlib import Path

import pytest

from kconfigs import flavors
from kconfigs.build import toolchain
from kconfigs.kconfig import parse_fragment
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.builds.fake_builds import FRAGMENT, MakeTree


@pytest.fixture
def _small_flavors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every flavor asks for FRAGMENT only, and there is no real compiler."""
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(toolchain, "_version", lambda tool: f"{tool} (fake) 1")
    fragment = parse_fragment("small.config", FRAGMENT)
    monkeypatch.setattr(flavors, "fragment", lambda _: fragment)


@pytest.fixture
def make_tree(tmp_path: Path) -> MakeTree:
    return lambda **options: fakes.tree(tmp_path / "linux", **options)
