# SPDX-License-Identifier: GPL-2.0-or-later
"""Which tests prove which promise, as pytest collects them, with what their docstrings say.

`collect()` runs pytest in a process of its own, with this module as a plugin that leaves out the kernels: every test
is there, with all its cases, and nothing is downloaded, built or booted.
"""

from __future__ import annotations

import inspect
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from common import project_files
from common.errors import KconformError
from kconfigs.plugin import LOOKED_UP
from reports.judgement.promise_coverage import KERNEL_AREAS
from reports.run.requirement_marker import function_of, requirements_of


class ProvingTest(msgspec.Struct, frozen=True):
    """A test function, and those of its cases that are about one promise."""

    name: str
    """`suites/yama/test_talk.py::test_gdb`."""
    docstring: str
    """The first paragraph, on one line; empty if there is none."""
    cases: int

    @property
    def file(self) -> str:
        """Its file below suites/: `yama/test_talk.py`."""
        return self.name.partition("::")[0].removeprefix("suites/")


Tests = dict[str, list[ProvingTest]]
"""By promise, in the order of the files."""


def collect() -> Tests:
    """The tests of all areas.  KconformError if pytest cannot collect them."""
    with tempfile.TemporaryDirectory(prefix="kconform-site-") as folder:
        path = Path(folder) / "tests.json"
        # Not `pytest_command` itself, which would look like a hook of this plugin.
        command = project_files.pytest_command("-q", "--collect-only", "-p", "no:cacheprovider", "-p", __name__)
        command += [f"--proving-tests={path}", *(f"suites/{area}" for area in KERNEL_AREAS)]
        done = subprocess.run(
            command, cwd=project_files.ROOT, capture_output=True, text=True, encoding="utf-8", check=False
        )
        if done.returncode or not path.exists():
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise KconformError(
                f"pytest could not collect the tests: {said[-1] if said else f'it ended with {done.returncode}'}",
                hint="run it alone: pytest --collect-only",
            )
        return msgspec.json.decode(path.read_bytes(), type=Tests)


def grouped(items: Iterable[pytest.Item]) -> Tests:
    """The test functions of collected tests, under the promises that their markers name."""
    cases: dict[str, dict[str, tuple[str, int]]] = {}
    for item in items:
        for promise in requirements_of(item):
            name, of_promise = function_of(item), cases.setdefault(promise, {})
            docstring, count = of_promise.get(name) or (_docstring(item), 0)
            of_promise[name] = (docstring, count + 1)
    return {
        promise: [ProvingTest(name, docstring, count) for name, (docstring, count) in of_promise.items()]
        for promise, of_promise in cases.items()
    }


def _docstring(item: pytest.Item) -> str:
    written = inspect.getdoc(getattr(item, "function", None)) or ""
    return " ".join(written.partition("\n\n")[0].split())


# The plugin


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--proving-tests", type=Path, help="write the promises and their tests to this file")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Without a kernel, pytest keeps one item of each test and of each other case."""
    config.stash[LOOKED_UP] = []


def pytest_collection_finish(session: pytest.Session) -> None:
    path = session.config.getoption("--proving-tests")
    if path is not None and not session.testsfailed:
        path.write_bytes(msgspec.json.encode(grouped(session.items)))
