# SPDX-License-Identifier: GPL-2.0-or-later
"""The wheel: what is in it, that it is reproducible, and that the command works from it in any folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from common import project_files
from suites.harness.kconfigs import fake_kernels as fakes

ROOT = project_files.ROOT
OF_CHECKOUTS = ("suites/harness/", "suites/bench/", "suites/hosts/", "suites/website/")
PACKAGES = ("common", "guests", "kconfigs", "reports", "suites")
FILES = ("conftest.py", "kconform.py", "kconform.toml", "pyproject.toml")


def build(folder: Path) -> Path:
    [made] = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return Path(made)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what pip would install from the wheel."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def kconform(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command of an installation, run in a folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "kconform", *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


class TestContent:
    def test_two_builds_have_the_same_bytes(self, wheel: Path, tmp_path: Path) -> None:
        assert build(tmp_path).read_bytes() == wheel.read_bytes()

    def test_everything_is_in_one_package(self, wheel: Path) -> None:
        names = zipfile.ZipFile(wheel).namelist()
        assert {name.split("/")[0].partition("-")[0] for name in names} == {"kconform"}

    def test_it_has_the_project_and_no_more(self, wheel: Path) -> None:
        listed = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", *PACKAGES, *FILES],
            capture_output=True,
            text=True,
            check=True,
        )
        expected = {name for name in listed.stdout.splitlines() if not name.startswith(OF_CHECKOUTS)}
        prefix = "kconform/project/"
        found = {name.removeprefix(prefix) for name in zipfile.ZipFile(wheel).namelist() if name.startswith(prefix)}
        assert found == {name for name in expected if (ROOT / name).exists()}

    def test_the_licence_travels_along(self, wheel: Path) -> None:
        names = zipfile.ZipFile(wheel).namelist()
        assert [name for name in names if name.endswith("/licenses/LICENSE")]


class TestCommand:
    def test_it_says_its_version(self, site: Path, tmp_path: Path) -> None:
        assert kconform(site, tmp_path, "--version").stdout == f"kconform {project_files.version()}\n"

    def test_commands_that_need_a_checkout_are_not_offered(self, site: Path, tmp_path: Path) -> None:
        offered = kconform(site, tmp_path, "--help").stdout
        assert "\n    sweep " in offered
        assert "\n    hosts " not in offered

    @pytest.mark.parametrize("names", [(), ("yama",), ("suites/yama/test_talk.py",)], ids=["all", "area", "file"])
    def test_tests_are_found_from_any_folder(self, site: Path, tmp_path: Path, names: tuple[str, ...]) -> None:
        image = tmp_path / "bzImage"
        image.write_bytes(fakes.bzimage())
        (tmp_path / "bzImage.config").write_text(fakes.CONFIG)
        found = kconform(
            site, tmp_path, *names, f"--kernel={image.name}", "--collect-only", "-q", "-n0", "-k", "talk"
        )
        assert found.returncode == 0, found.stdout + found.stderr
        tests = [line for line in found.stdout.splitlines() if "::" in line]
        assert {test.split("/")[1] for test in tests} == ({"yama"} if names else {"yama", "loadpin", "seccomp"})
        assert sorted(path.name for path in tmp_path.iterdir()) == ["bzImage", "bzImage.config"]

    def test_a_kernel_tree_is_what_is_tested_in_it(self, site: Path, tmp_path: Path) -> None:
        tree = fakes.tree(tmp_path / "linux")
        found = kconform(site, tree, "yama", "--collect-only", "-q", "-n0", "-k", "talk")
        assert found.returncode == 0, found.stdout + found.stderr
        assert "[linux" in found.stdout

    def test_what_is_neither_a_command_nor_an_area(self, site: Path, tmp_path: Path) -> None:
        said = kconform(site, tmp_path, "yamma")
        assert said.returncode == 4
        assert "'yamma' is neither a command nor one of the areas boot, loadpin, ptrace, seccomp, yama" in said.stderr
        assert "did you mean 'yama' or" in said.stderr
