# SPDX-License-Identifier: GPL-2.0-or-later
"""packaging/debian agrees with what it repeats: versions, dependencies, exit statuses, and the command's help."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from debian.changelog import Changelog
from debian.deb822 import Deb822

from common.project_files import version
from guests.host.dependencies import list_dependencies
from guests.host.packages import FAMILIES
from reports.judgement.exit_status import MEANING
from suites.harness.checkout import ROOT
from suites.hosts import debian_source

PACKAGING = ROOT / debian_source.PACKAGING
ESSENTIAL = {"libc-bin", "tar", "util-linux"}
"""Packages that every installation of Debian has (policy 3.8), and on which none depends without a version."""
OTHER_NAMES = {"pyseccomp": "python3-seccomp", "python-debian": "python3-debian", "virtme-ng": "virtme-ng"}
"""The packages of Python distributions that are not called python3-NAME."""


@pytest.fixture(scope="module")
def control() -> dict[str, dict[str, list[str]]]:
    """Each paragraph by its package, `source` for the first: the packages in each field."""
    text = (PACKAGING / "control").read_text()
    paragraphs = list(Deb822.iter_paragraphs(text.splitlines(keepends=True), use_apt_pkg=False))
    return {
        paragraph.get("Package", "source"): {name: relations(value) for name, value in paragraph.items()}
        for paragraph in paragraphs
    }


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def relations(field: str) -> list[str]:
    return [" ".join(part.split()) for part in field.split(",") if part.strip()]


def packages(*, required: bool) -> set[str]:
    """Debian's packages of what the doctor looks for."""
    names = [one.name for one in list_dependencies("x86_64") if one.required is required]
    return set(FAMILIES[0].packages_for(names))


def python_dependencies(project: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The name and the oldest version of each."""
    for line in [*project["project"]["dependencies"], *project["build-system"]["requires"]]:
        name, oldest = line.split(">=")
        yield name, oldest


class TestVersions:
    def test_the_changelog_begins_with_the_projects_version(self) -> None:
        assert debian_source.version((PACKAGING / "changelog").read_text()) == version()

    def test_the_changelog_is_well_formed(self) -> None:
        found = Changelog((PACKAGING / "changelog").read_text(), strict=True)
        assert {block.package for block in found} == {"kconform"}
        assert {block.author for block in found} == {Deb822((PACKAGING / "control").read_text())["Maintainer"]}

    def test_pytest_is_as_new_as_the_project_demands(
        self, control: dict[str, dict[str, list[str]]], project: dict[str, Any]
    ) -> None:
        oldest = dict(python_dependencies(project))["pytest"]
        assert f"python3-pytest (>= {oldest})" in control["source"]["Build-Depends"]
        # That is why older releases of Debian cannot have it.
        assert f"pytest {oldest}" in (ROOT / "docs/install.md").read_text()


class TestDependencies:
    def test_what_the_doctor_requires_is_installed_along(self, control: dict[str, dict[str, list[str]]]) -> None:
        """Otherwise a run would install it, or tell a user without privileges to do that."""
        depends = {one for one in control["kconform"]["Depends"] if not one.startswith("${")}
        assert depends == packages(required=True) - ESSENTIAL

    def test_what_it_does_not_require_is_recommended_or_suggested(
        self, control: dict[str, dict[str, list[str]]]
    ) -> None:
        weaker = control["kconform"]["Recommends"] + control["kconform"]["Suggests"]
        assert set(weaker) == packages(required=False) - packages(required=True) - ESSENTIAL

    def test_a_build_has_all_python_dependencies(
        self, control: dict[str, dict[str, list[str]]], project: dict[str, Any]
    ) -> None:
        """dh_python3 looks up in installed packages what the binary package depends on."""
        there = {relation.partition(" ")[0] for relation in control["source"]["Build-Depends"]}
        wanted = {name for name, _ in python_dependencies(project)} - {debian_source.COMPONENT}
        assert {OTHER_NAMES.get(name, f"python3-{name}") for name in wanted} <= there

    def test_the_others_are_named_in_the_overrides(self) -> None:
        lines = (PACKAGING / "py3dist-overrides").read_text().splitlines()
        assert [line for line in lines if not line.startswith("#")] == [
            "pyseccomp python3-seccomp",
            debian_source.COMPONENT,
        ]

    def test_the_installed_part_of_the_component_is_enough(self, tmp_path: Path) -> None:
        """The project imports nothing else of system_calls."""
        spec = find_spec("system_calls")
        assert spec is not None
        assert spec.origin is not None
        source = Path(spec.origin).parent
        lines = [
            line.split()
            for line in (PACKAGING / "kconform.install").read_text().splitlines()
            if not line.startswith("#")
        ]
        for pattern, target in lines:
            inside = pattern.removeprefix("system-calls/system_calls/")
            folder = tmp_path / target.removeprefix("usr/lib/python3/dist-packages/kconform/project/")
            folder.mkdir(parents=True, exist_ok=True)
            for path in source.rglob("*.py"):
                if fnmatch.fnmatchcase(str(path.relative_to(source)), inside):
                    shutil.copy(path, folder)
        program = "import system_calls; from guests.uapi import names; print(system_calls.__file__, len(names()))"
        environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        where, number = done.stdout.split()
        assert Path(where).is_relative_to(tmp_path)
        assert int(number) > 300


@pytest.fixture(scope="module")
def help_text() -> str:
    """What help2man gets, from this checkout."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = ["sh", str(PACKAGING / "help-for-man-page"), "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


class TestManPage:
    @pytest.mark.parametrize("heading", ["Options", "Commands", "Options of a run"])
    def test_headings_are_as_help2man_knows_them(self, help_text: str, heading: str) -> None:
        assert f"\n{heading}:\n" in help_text

    def test_it_has_the_commands_and_a_runs_own_options(self, help_text: str) -> None:
        assert re.search(r"^    doctor +report what", help_text, re.MULTILINE)
        assert re.search(r"^  --kernel=SPEC\s", help_text, re.MULTILINE)
        assert "--maxprocesses" not in help_text

    def test_its_exit_statuses_are_those_of_a_run(self) -> None:
        page = (PACKAGING / "kconform.h2m").read_text()
        rows = re.findall(r"^\.B (\d)\n(.+)$", page.partition("[EXIT STATUS]")[2], re.MULTILINE)
        assert {int(status): meaning for status, meaning in rows} == MEANING


class TestPolicy:
    def test_autopkgtest_runs_the_talk_on_the_archives_cloud_kernel(self) -> None:
        tests = Deb822((PACKAGING / "tests/control").read_text())
        script = PACKAGING / "tests" / tests["Tests"]
        assert os.access(script, os.X_OK)
        assert " -k talk --kernel=deb:linux-image-cloud-amd64 " in script.read_text()

    def test_each_override_has_a_reason(self) -> None:
        lines = (PACKAGING / "kconform.lintian-overrides").read_text().splitlines()[1:]
        for before, line in zip(["", *lines], lines, strict=False):
            assert not line or line.startswith("#") or before.startswith("#"), line
