# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole runs of pytest with the plugin: which kernels are tested, which are built, and how wrong use ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from suites.harness.checkout import ROOT
from suites.harness.kconfigs import fake_kernels as fakes

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the fake kernel is for x86-64")

RECORDING = """
from pathlib import Path
import pytest
from kconfigs.planned_kernels import Candidate

Candidate.begin = lambda self, after: Path("begun").open("a").write(self.id + "\\n")

@pytest.fixture(scope="session")
def kernel(request):
    return request.param
"""
"""A conftest.py: builds are recorded, not begun, and tests get the candidate."""


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "kconfigs.plugin", *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "KCONFORM_CACHE": str(folder / "cache"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "conftest.py").write_text(RECORDING)
    (folder / "test_it.py").write_text(
        "import pytest\n\ndef test_it(kernel): pass\n\n"
        "@pytest.mark.parametrize('what', ['filter', 'x'])\ndef test_more(kernel, what): pass\n"
    )
    return folder


class TestBuilds:
    @pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "with-workers"])
    @pytest.mark.parametrize(
        ("chosen", "begun"),
        [
            ("test_it[linux-6.12.7/no-seccomp]", ["no-seccomp"]),
            ("test_it[linux-6.12.7/no-seccomp-filter]", ["no-seccomp-filter"]),
            ("test_more[linux-6.12.7/no-seccomp-filter]", ["no-seccomp"]),
            ("test_more[linux-6.12.7/no-seccomp-filter-x]", ["no-seccomp-filter"]),
            ("test_it", ["no-seccomp", "no-seccomp-filter"]),
        ],
    )
    def test_only_kernels_that_have_a_test_are_built(
        self, project: Path, tree: Path, chosen: str, begun: list[str], workers: list[str]
    ) -> None:
        """A name alone does not tell: `no-seccomp-filter` also begins with `no-seccomp`, and may have a parameter."""
        options = [f"--kernel={tree}", "--flavor=no-seccomp", "--flavor=no-seccomp-filter"]
        done = run(project, f"test_it.py::{chosen}", *options, *workers)
        assert done.returncode == 0, done.stdout + done.stderr
        assert set((project / "begun").read_text().split()) == {f"linux-6.12.7/{flavor}" for flavor in begun}

    def test_nothing_is_built_for_a_list_of_tests(self, project: Path, tree: Path) -> None:
        done = run(project, "--collect-only", "-q", f"--kernel={tree}")
        assert "test_it.py::test_it[linux-6.12.7/full]" in done.stdout
        assert not (project / "begun").exists()

    def test_a_build_is_no_part_of_the_test_that_waits_for_it(self, tree: Path, tmp_path: Path) -> None:
        command = [*(sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-p", "no:cacheprovider")]
        command += ["suites/yama/test_absent.py::test_not_built", f"--kernel={tree}", f"--report-dir={tmp_path}/out"]
        environment = {**os.environ, "KCONFORM_CACHE": str(tmp_path / "cache")}
        subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
        report = json.loads((tmp_path / "out" / "results.json").read_text())
        assert report["kernels"][0]["preparation"]["build_s"] > 0
        assert report["results"][0]["duration_s"] < report["kernels"][0]["preparation"]["build_s"]

    def test_a_builder_belongs_to_the_process_that_outlives_all_workers(
        self, tree: Path, tmp_path: Path, endless: Path
    ) -> None:
        """One worker has the only test; another, with none, ends long before the kernel is built."""
        test = "suites/yama/test_absent.py::test_not_built"
        command = [*(sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-n", "2", "-p", "no:cacheprovider")]
        command += [test, f"--kernel={tree}", f"--report-dir={tmp_path / 'report'}"]
        environment = {**os.environ, "TMPDIR": str(tmp_path), "KCONFORM_CACHE": str(tmp_path / "cache")}
        with (tmp_path / "log").open("wb") as log:
            started = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=environment)
        fakes.until(lambda: endless.exists() or started.poll() is not None)
        [status] = tmp_path.glob("kconform-run-*/builds/*.json")
        assert psutil.Process(json.loads(status.read_text())["pid"]).ppid() == started.pid
        started.terminate()
        started.wait(60)
        fakes.until(lambda: not fakes.compilers(tmp_path))


class TestWrongUse:
    @pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "with-workers"])
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--kernel=/nowhere"], "there is no kernel at /nowhere"),
            (["--kernel="], "is a directory, but not a kernel tree"),
            (["--kernel=deb:"], "deb: names no package"),
            (["--kernel=deb:linux-image-amd64@Sid!"], "'Sid!' is not the name of a suite"),
            (["--kernel=\x1b[31m\u202e"], "there is no kernel at \\x1b[31m\\u202e"),
            (["--kernel=running", "--kernel-config=/nowhere"], "there is no configuration file /nowhere"),
            (["--kernel=running", "--modules=/nowhere"], "there is no folder /nowhere with modules"),
            (["--flavor=ful"], "no flavor 'ful'; did you mean 'full'?"),
            (["--profile=debain"], "no profile 'debain'; did you mean 'debian'"),
            (["--profile=debian", "--sysctl=/nowhere"], "/nowhere cannot be read: No such file or directory"),
            (["--profile=debian", "--sysctl=."], ".: no file here has a name that ends in .conf"),
            (["--kernel=running", "--sysctl=/etc"], "no kernel here has a profile"),
            (["--matrix=none.toml"], "none.toml: the matrix cannot be read: No such file or directory"),
            (["--matrix=a", "--kernel=b"], "so none of them can be given beside it"),
            (["--matrix=a", "--modules=b"], "so none of them can be given beside it"),
        ],
    )
    def test_it_ends_with_4_and_is_reported_once(
        self, project: Path, arguments: list[str], said: str, workers: list[str]
    ) -> None:
        done = run(project, "-p", "reports.run.plugin", *arguments, *workers)
        everything = done.stdout + done.stderr
        assert (done.returncode, everything.count(said)) == (4, 1), everything
        assert "Traceback" not in everything
        assert list(project.glob("reports/out/*")) == []

    @pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "with-workers"])
    def test_an_unusable_cache_is_reported_once_before_anything_else(self, project: Path, workers: list[str]) -> None:
        done = run(project, *workers, KCONFORM_CACHE="", XDG_CACHE_HOME="/proc")
        everything = done.stdout + done.stderr
        assert done.returncode == 4
        assert everything.count("the cache directory /proc/kconform cannot be made") == 1
        assert "collected" not in everything

    def test_a_malformed_limit_of_the_cache_is_wrong_use(self, project: Path) -> None:
        done = run(project, KCONFORM_CACHE_LIMIT="much")
        assert done.returncode == 4
        assert done.stderr.count("'much' is not a size") == 1

    def test_help_needs_neither_a_cache_nor_a_kernel(self, project: Path) -> None:
        done = run(project, "--help", "--kernel=/nowhere", KCONFORM_CACHE="", XDG_CACHE_HOME="/proc")
        assert done.returncode == 0
        assert "--matrix=FILE" in done.stdout

    def test_without_apt_tests_that_need_no_kernel_still_run(self, project: Path, tmp_path: Path) -> None:
        """The default kernels come from apt, and are looked up only if a test needs one."""
        (project / "test_it.py").write_text("def test_it(): pass\n")
        (tmp_path / "bin").mkdir()
        assert run(project, PATH=str(tmp_path / "bin")).returncode == 0
        (project / "test_more.py").write_text("def test_more(kernel): pass\n")
        done = run(project, PATH=str(tmp_path / "bin"))
        assert done.returncode == 4
        assert done.stderr.count("needs apt, which this system lacks") == 1

    @pytest.mark.usefixtures("cache_root")
    def test_a_kernel_without_a_config_is_reported_in_one_sentence(self, tmp_path: Path) -> None:
        """Each test says so, without the traceback through our code."""
        image = {f"./boot/vmlinuz-{fakes.RELEASE}": fakes.bzimage()}
        package = fakes.deb(tmp_path / "k.deb", {"Package": fakes.PACKAGE}, image)
        command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-q", "-p", "no:cacheprovider"]
        command += ["suites/yama/test_talk.py", f"--kernel={package}", f"--report-dir={tmp_path / 'report'}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 4
        assert "has no configuration, and none inside its image (CONFIG_IKCONFIG)\n  hint: name the" in done.stdout
        assert "conftest.py" not in done.stdout


def test_a_line_reaches_the_terminal_while_pytest_captures_output(tmp_path: Path) -> None:
    """While the first test's set-up waits for a build, there would otherwise be nothing to see for minutes."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "conftest.py").write_text(
        "from kconfigs.build.build_announcements import to_terminal\n"
        "def pytest_sessionstart(session):\n"
        "    session.config.show = to_terminal(session.config.pluginmanager.get_plugin('terminalreporter'))\n"
    )
    (tmp_path / "test_it.py").write_text(
        "def test_it(request):\n    print('kept')\n    request.config.show('shown')\n"
    )
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines.index("test_it.py ") < lines.index("kconform: shown")
    assert "kept" not in done.stdout
