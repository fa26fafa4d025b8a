# SPDX-License-Identifier: GPL-2.0-or-later
"""The documents are correct (commands, options, links, tables), and the files that set up a machine agree."""

from __future__ import annotations

import argparse
import configparser
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import kconform
from common import git
from guests.host.packages import FAMILIES
from kconfigs.flavors import FLAVORS
from reports.judgement.exit_status import MEANING
from suites.bisection.bisect_command import parser_of_names
from suites.coverage.__main__ import _parser as coverage_parser
from suites.harness.checkout import ROOT
from suites.harness.kconfigs import fake_kernels as fakes
from suites.hosts.__main__ import parser as hosts_parser
from suites.hosts.container import parser as container_parser
from suites.hosts.debian_package import parser as debian_package_parser
from suites.mutation.mutants_options import parser as mutants_parser
from suites.soak.__main__ import _parser as soak_parser
from suites.sweep.__main__ import _parser as sweep_parser
from suites.website.__main__ import _parser as site_parser

PARSERS = (
    parser_of_names,
    coverage_parser,
    mutants_parser,
    hosts_parser,
    container_parser,
    debian_package_parser,
    soak_parser,
    sweep_parser,
    site_parser,
)
"""Those of commands that parse their own arguments."""

DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
EXAMPLE = ROOT / "docs" / "add-a-scenario.md"
OURS = ("conftest.py", "common", "guests", "kconfigs", "reports")

FOREIGN_OPTIONS = {
    "-e",
    "--notest",
    "-y",
    "-O",
    "-nostdlib",
    "-static",
    "--pdeathsig",
    "--check",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-m32",
    "-t",
    "-R",
} | {word.partition("=")[0] for family in FAMILIES for word in family.manager.install if word.startswith("-")}
"""Options of tox, package managers, Python, ruff, the C compiler, ssh and makedumpfile, which are not checked."""
CONTAINER_OPTIONS = {
    *(
        "--cap-drop",
        "--device",
        "--file",
        "--group-add",
        "--network",
        "--read-only",
        "--rm",
        "--security-opt",
        "--tag",
    ),
    *("--tmpfs", "--user", "--userns", "--volume", "-u"),
    *("--no-deps", "--wheel-dir", "-g"),
}
"""Options of podman, docker, pip, id and stat, around the container."""
PRIVATE = ("/work/", "/tmp/w/", "/root/")  # noqa: S108 - words to look for
"""Paths that only exist on one machine, and must not be in the repository."""

documents = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def code_of(document: Path) -> str:
    """All code of a document: fenced blocks, and text in backquotes."""
    text = document.read_text()
    fenced = "\n".join(block for _, block in fences(document))
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return "\n".join([fenced, *re.findall(r"`([^`\n]+)`", prose)])


def fences(document: Path) -> Iterator[tuple[str, str]]:
    """Each fenced block: its language and its text."""
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL):
        yield match[1], match[2]


@pytest.fixture(scope="module")
def tox() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini")
    return parser


@pytest.fixture(scope="module")
def known_options() -> set[str]:
    """Every option of pytest with kconform's plugins, and of kconform's commands."""
    command = [sys.executable, "-m", "pytest", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", done.stdout))
    for parser in (kconform.parser(), *(made() for made in PARSERS)):
        found.update(options_of(parser))
    return found


def options_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from options_of(command)


def commands_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, ...]]:
    """The commands of a program, such as `cache list`, as words."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield (name,)
                yield from ((name, *further) for further in commands_of(command))


class TestDocuments:
    @documents
    def test_the_targets_of_links_exist(self, document: Path) -> None:
        for target in re.findall(r"\]\(([^)]+)\)", document.read_text()):
            if "://" not in target:
                assert (document.parent / target.partition("#")[0]).exists(), target

    @documents
    def test_environments_of_tox_exist(self, document: Path, tox: configparser.ConfigParser) -> None:
        for names in re.findall(r"tox -e ([\w,-]+)", code_of(document)):
            for name in names.split(","):
                assert f"testenv:{name}" in tox or name == tox["tox"]["env_list"], name

    @documents
    def test_options_exist(self, document: Path, known_options: set[str]) -> None:
        used = set(re.findall(r"(?<![\w/$'-])--?[a-zA-Z][\w-]*", code_of(document)))
        assert used - FOREIGN_OPTIONS - CONTAINER_OPTIONS <= known_options

    @documents
    def test_commands_exist(self, document: Path) -> None:
        known = set(commands_of(kconform.parser()))
        for arguments in re.findall(r"\./kconform((?: [a-z][\w-]*)+)", code_of(document)):
            words = tuple(arguments.split())
            assert any(words[: len(command)] == command for command in known), words

    @documents
    def test_files_that_are_named_exist(self, document: Path) -> None:
        made = {"suites/yama/test_family.py"}
        named = set(re.findall(r"(?<![\w/.])(?:guests|kconfigs|reports|suites)/[\w/]+\.\w+", code_of(document)))
        missing = {name for name in named - made if not (ROOT / name).exists()}
        # The documents show reports and a failed test that are not in the repository.
        assert not {name for name in missing if not name.startswith(("reports/out/", "suites/yama/test_wrong"))}

    @documents
    def test_variables_are_read_somewhere(self, document: Path) -> None:
        sources = "".join(
            path.read_text() for name in (*OURS, "suites") for path in sorted(ROOT.glob(f"{name}*/**/*.py"))
        )
        for name in set(re.findall(r"KCONFORM_\w+", code_of(document))):
            assert name in sources

    def test_the_readme_shows_the_two_commands_first(self) -> None:
        assert next(fences(ROOT / "README.md"))[1].startswith("apt-get install -y tox && tox ")
        assert "\ntox -e tests " in next(fences(ROOT / "README.md"))[1]

    def test_the_readme_names_every_flavor(self) -> None:
        assert set(FLAVORS) <= set(re.findall(r"`([\w-]+)`", (ROOT / "README.md").read_text()))

    @pytest.mark.parametrize("document", [ROOT / "README.md", ROOT / "docs" / "gate-a-ci.md"], ids=lambda p: p.name)
    def test_all_exit_statuses_are_documented(self, document: Path) -> None:
        rows = re.findall(r"^\| (\d) \|", document.read_text(), re.MULTILINE)
        assert [int(row) for row in rows] == sorted(MEANING)


class TestExample:
    """The complete example of how to add a scenario."""

    @pytest.fixture
    def project(self, tmp_path: Path) -> Path:
        """The project with only the example's promise and test."""
        blocks = dict(reversed([*fences(EXAMPLE)]))
        for name in OURS:
            (tmp_path / name).symlink_to(ROOT / name)
        shutil.copy(ROOT / "pyproject.toml", tmp_path)
        suite = tmp_path / "suites" / "yama"
        suite.mkdir(parents=True)
        modules = (
            "applicable_tests",
            "initial_settings",
            "live_guests",
            "named_tests",
            "reproducers",
            "taken_guests",
        )
        for name in (*(f"{module}.py" for module in modules), "coverage", "races", "walks"):
            (tmp_path / "suites" / name).symlink_to(ROOT / "suites" / name)
        (suite / "requirements.toml").write_text(blocks["toml"])
        (suite / "test_family.py").write_text(blocks["python"])
        return tmp_path

    @pytest.mark.skipif(platform.machine() != "x86_64", reason="the fake kernel is for x86-64")
    def test_it_is_collected_and_proves_its_promise(self, project: Path) -> None:
        image = project / "bzImage"
        image.write_bytes(fakes.bzimage())
        (project / "bzImage.config").write_text(fakes.CONFIG)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--requirements", f"--kernel={image}"]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
        assert "requirements: 1, gaps: 0" in done.stdout, done.stdout + done.stderr
        assert "suites/yama/test_family.py::test_grandparent_and_grandchild" in done.stdout

    @pytest.mark.parametrize("gate", [["check"], ["format", "--check"]], ids=["lint", "layout"])
    def test_it_passes_the_gates(self, project: Path, gate: list[str]) -> None:
        ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or shutil.which("ruff")
        if ruff is None:
            pytest.skip("needs ruff")
        done = subprocess.run(
            [ruff, *gate, "--no-cache", "suites"], cwd=project, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


class TestSetUp:
    def test_tox_passes_its_arguments_to_pytest(self, tox: configparser.ConfigParser) -> None:
        main = tox["testenv"]
        assert tox["tox"]["env_list"] == "main"
        last = "pytest -c pyproject.toml -n auto --maxprocesses=8 {posargs}"
        assert main["commands"].endswith(last)
        assert tox["testenv:tests"]["commands"].endswith(last)

    def test_the_doctor_installs_before_pytest_runs(self, tox: configparser.ConfigParser) -> None:
        assert tox["testenv"]["commands_pre"] == "python kconform.py doctor --install --yes --for-run {posargs}"
        assert "commands_pre" not in tox["testenv:tests"]

    def test_versions_are_in_one_place(self, tox: configparser.ConfigParser) -> None:
        assert not [name for name in tox.sections() if "deps" in tox[name]]

    def test_the_script_of_ci_runs_the_tests(self) -> None:
        script = ROOT / ".ci" / "run"
        subprocess.run(["bash", "-n", str(script)], check=True)
        assert script.stat().st_mode & 0o111
        assert "tox -e tests" in script.read_text()
        assert "set -eu" in script.read_text()

    def test_hooks_run_what_ci_runs(self, tox: configparser.ConfigParser) -> None:
        assert "entry: tox -q -e quick\n" in (ROOT / ".pre-commit-config.yaml").read_text()
        assert tox["gates"]["commands"].split("\n") == ["", "ruff check", "ruff format --check", "mypy"]
        for name in ("tests", "quick"):
            assert "{[gates]commands}" in tox[f"testenv:{name}"]["commands"]

    def test_no_file_names_a_path_of_one_machine(self) -> None:
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=False, env=git.environment())
        if done.returncode:
            pytest.skip("needs git's list of the files")
        found = []
        for name in filter(None, done.stdout.split("\0")):
            path = ROOT / name
            if path == Path(__file__) or not path.is_file():
                continue
            text = path.read_text(errors="replace")
            found += [f"{name}: {word}" for word in PRIVATE if word in text]
        assert not found


def test_every_dependency_has_an_oldest_version() -> None:
    """Without a minimum version, `tox -e oldest` would install the very first release."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [project["project"]["dependencies"], *project["dependency-groups"].values()]
    # A group may include another.
    every = [line for group in groups for line in group if isinstance(line, str)]
    assert [line for line in every if ">=" not in line] == []
