# SPDX-License-Identifier: GPL-2.0-or-later
"""The structure of the project: dependencies between packages, licences, and the length of files."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

from common import git
from suites.harness.checkout import ROOT

PACKAGES = {"common", "kconfigs", "guests", "reports", "suites", "conftest"}

#  a package     may import
ARROWS = {
    "common": {"common"},
    "kconfigs": {"kconfigs", "common"},
    "guests": {"guests", "kconfigs", "common"},
    "reports": {"reports", "common"},
    "suites": {"suites", "guests", "kconfigs", "reports", "common"},
}
SCENARIOS = ("boot", "ptrace", "yama", "loadpin", "seccomp")
"""Suites that test kernels; except for the wiring in a conftest.py, they may only import guests."""

LONGEST = 300
"""Maximum number of lines of a module.  A longer one has two purposes."""

SOURCES = {".py", ".c", ".h", ".S", ".js"}

LICENCE = "SPDX-License-Identifier: GPL-2.0-or-later"
NO_COMMENTS = {
    *(".md", ".json", ".txt", ".gitignore", "LICENSE"),
    # Of packaging/debian.
    *("changelog", "copyright", "format", "README.source"),
}
"""Names and suffixes of files that cannot contain the licence."""


def tracked() -> list[Path]:
    """The project's files: those that git tracks or would add."""
    shown = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=git.environment(),
    )
    if shown.returncode:
        pytest.skip(f"this is not a git repository: {shown.stderr.strip()}")
    return [ROOT / line for line in shown.stdout.splitlines() if (ROOT / line).is_file()]


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Modules that a file imports anywhere, including those under TYPE_CHECKING."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # A relative import refers to its own package: one dot is the directory of the file.
            assert node.level <= len(path.relative_to(ROOT).parts) - 1, f"{path}:{node.lineno}"
            base = node.module or "" if node.level == 0 else path.relative_to(ROOT).parts[0]
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return found


def packages_known(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)} & PACKAGES


@pytest.mark.parametrize("package", ARROWS)
def test_imports_go_one_way(package: str) -> None:
    files = modules(package)
    assert files
    wrong = {
        str(path.relative_to(ROOT)): sorted(packages_known(path) - ARROWS[package])
        for path in files
        if packages_known(path) - ARROWS[package]
    }
    assert wrong == {}


#  a room of guests/ may know
GUEST_ROOMS = {
    "protocol": set[str](),
    "syscalls": {"protocol"},
    "log": {"protocol"},
    "vm": {"protocol", "syscalls", "log"},
    "target": {"protocol", "log", "vm"},
    "host": {"vm"},
    "live": set(),
    "reproducer": {"protocol", "syscalls", "vm"},
}
BELOW_ROOMS = {
    "abi",
    "abis",
    "call_registers",
    "errors",
    "outcome",
    "uapi",
    "bpf",
    "call_arguments",
    "guest_text",
    "sysctl_path",
}
"""Modules on top of guests/ that any room may know."""
ABOVE_ROOMS = {
    "vm": {"guest"},
    "target": {"guest", "session"},
    "live": {"guest"},
    "reproducer": {"guest", "session", "task"},
}
"""And those that one room may know: the pools hand out guests, and a reproducer is made by running a test again."""


@pytest.mark.parametrize("room", GUEST_ROOMS)
def test_rooms_of_guests_know_no_more_than_they_need(room: str) -> None:
    may_know = {room} | GUEST_ROOMS[room] | BELOW_ROOMS | ABOVE_ROOMS.get(room, set())
    wrong = {
        str(path.relative_to(ROOT)): sorted(unknown)
        for path in modules(f"guests/{room}")
        if (unknown := {name.split(".")[1] for name in imports(path) if name.startswith("guests.")} - may_know)
    }
    assert modules(f"guests/{room}")
    assert wrong == {}


def test_every_room_of_guests_is_listed() -> None:
    assert {path.parent.name for path in (ROOT / "guests").glob("*/*.py")} == set(GUEST_ROOMS)


SHARED_NAMES = {"__init__", "__main__", "commands", "conftest", "errors", "plugin"}
"""Names of modules that have the same meaning in every package."""


def test_no_two_modules_have_the_same_name() -> None:
    """Tests do not count, because they are named after the modules that they test."""
    by_name: dict[str, list[str]] = {}
    for package in ARROWS:
        for path in modules(package):
            if path.stem not in SHARED_NAMES and not path.stem.startswith("test_"):
                by_name.setdefault(path.stem, []).append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in by_name.items() if len(paths) > 1} == {}


def test_no_two_classes_have_the_same_name() -> None:
    """A name says what it is without its module.  Classes of tests do not count: no other module uses them."""
    by_name: dict[str, list[str]] = {}
    for package in ARROWS:
        for path in modules(package):
            if path.stem.startswith("test_"):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    by_name.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in by_name.items() if len(paths) > 1} == {}


def test_scenarios_import_guests_and_no_reports() -> None:
    wrong = {
        str(path.relative_to(ROOT)): sorted(packages_known(path) - {"guests", "suites"})
        for area in SCENARIOS
        for path in modules(f"suites/{area}")
        if path.name != "conftest.py" and packages_known(path) - {"guests", "suites"}
    }
    assert wrong == {}


@pytest.mark.parametrize("area", SCENARIOS)
def test_areas_do_not_import_one_another(area: str) -> None:
    """What several of them need is directly in suites/, or in the walks and races."""
    shared = {path.stem for path in (ROOT / "suites").glob("*.py")} | {"walks", "races"}
    wrong = {
        str(path.relative_to(ROOT)): sorted(unknown)
        for path in modules(f"suites/{area}")
        if (unknown := {name.split(".")[1] for name in imports(path) if name.startswith("suites.")} - shared - {area})
    }
    assert modules(f"suites/{area}")
    assert wrong == {}


REPORTS = {
    "model": {"model"},
    "judgement": {"judgement", "model"},
    "formats": {"formats", "judgement", "model"},
    "run": {"run", "formats", "judgement", "model"},
    "tools": {"tools", "formats", "judgement", "model"},
    "history": {"history", "formats", "judgement", "model"},
}
"""The subpackages of reports/, and which of them each may import."""


@pytest.mark.parametrize("room", REPORTS)
def test_imports_between_the_subpackages_of_reports_go_one_way(room: str) -> None:
    files = modules(f"reports/{room}")
    assert files
    for path in files:
        known = {name.split(".")[1] for name in imports(path) if name.startswith("reports.")}
        assert known <= REPORTS[room], path


def test_no_script_of_the_page_is_too_long() -> None:
    scripts = {path.name: len(path.read_text().splitlines()) for path in (ROOT / "reports/templates").glob("*.js")}
    assert scripts
    assert {name: lines for name, lines in scripts.items() if lines > LONGEST} == {}


def test_the_hooks_of_reports_are_in_one_file() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in modules("reports")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("pytest_")
    }
    assert found == {"reports/run/plugin.py"}


def test_no_module_imports_virtme_ng() -> None:
    """It is under GPL-2.0, so kconform uses it as a program, and not as a library."""
    everything = [ROOT / "conftest.py", *(path for package in ARROWS for path in modules(package))]
    assert [path for path in everything if any(name.split(".")[0] == "virtme" for name in imports(path))] == []


def test_every_source_file_states_its_licence() -> None:
    """The first two lines contain it; the project's licence covers files that cannot have comments."""
    silent = [
        str(path.relative_to(ROOT))
        for path in tracked()
        if path.suffix not in NO_COMMENTS
        and path.name not in NO_COMMENTS
        and not any(LICENCE in line for line in path.read_text(errors="replace").splitlines()[:2])
    ]
    assert silent == []


def test_no_module_is_too_long() -> None:
    """This covers Python, C, assembly and JavaScript."""
    sources = [path for path in tracked() if path.suffix in SOURCES]
    assert {path.suffix for path in sources} == SOURCES
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


def files_in_the_locales_encoding(source: str) -> list[int]:
    """The lines with calls that read or write text without saying in which encoding."""
    found = []
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        given = {keyword.arg for keyword in call.keywords}
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        mode = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else ""
        is_text = (
            (name in {"read_text", "write_text"} and len(call.args) == (name == "write_text"))
            or (name == "open" and mode in {"r", "w", "a", "x"})
            or (name in {"run", "Popen"} and "text" in given)
        )
        if is_text and "encoding" not in given:
            found.append(call.lineno)
    return found


@pytest.mark.parametrize(
    ("call", "depends"),
    [
        ("path.read_text()", True),
        ("path.read_text(encoding='utf-8')", False),
        ("path.write_text(text)", True),
        ("path.open('a')", True),
        ("path.open('rb')", False),
        ("subprocess.run(command, text=True)", True),
        ("kconfig.read_text(path)", False),
    ],
)
def test_such_calls_are_recognised(call: str, depends: bool) -> None:
    assert files_in_the_locales_encoding(call) == ([1] if depends else [])


def test_no_file_depends_on_the_locale() -> None:
    """A cache, a report or a log that one user has written must be readable for another."""
    own_names = {"guests/syscalls/kernel_loads.py"}  # a task's write_text is a call in the guest
    packages = ("common", "guests", "kconfigs", "reports")
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for package in packages
        for path in sorted((ROOT / package).rglob("*.py"))
        if str(path.relative_to(ROOT)) not in own_names
        for line in files_in_the_locales_encoding(path.read_text(encoding="utf-8"))
    ]
    assert found == []
