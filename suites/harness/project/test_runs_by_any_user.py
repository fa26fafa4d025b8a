# SPDX-License-Identifier: GPL-2.0-or-later
"""For any user, on any host: a run works, or it ends with one sentence and exit status 4 before any test.

Each test starts a real run in a process of its own.  Tests that need another user or a mount namespace are skipped
unless they are run as root.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from kconfigs.kernel import Kernel
from suites.harness.checkout import ROOT
from suites.harness.kconfigs import fake_kernels as fakes

NOBODY = 54321
"""A user and a group that are not in /etc/passwd and /etc/group."""
TALK = "suites/yama/test_talk.py"
DEADLINE_S = 240.0

PLAIN: Mapping[str, str] = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TERM": "dumb"}
"""A minimal locale, in which Python reads and writes ASCII, and a minimal terminal."""
KEPT = ("PATH", "HOME", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "XDG_CACHE_HOME", "KCONFORM_CACHE")


class Host:
    """How to run kconform's commands: the user, the environment and the file systems."""

    def __init__(self, public: Path) -> None:
        self.public = public
        """A directory that every user may write to."""
        self.environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        self._mounts: list[str] = []
        self._prefix: list[str] = []

    def nobody(self) -> None:
        """Run as a user without a name and a home directory."""
        _need_root()
        self._reachable()
        ids = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        self._prefix = ["setpriv", *ids, *self._prefix]
        for name in ("HOME", "XDG_CACHE_HOME", "KCONFORM_CACHE"):
            self.environment.pop(name, None)
        # pytest uses the same temporary directory for all users without a name.
        self.environment["TMPDIR"] = str(self.public)

    def container(self) -> None:
        """Run without privileges, in a user namespace without mappings."""
        if subprocess.run(["unshare", "--user", "true"], capture_output=True, check=False).returncode:
            pytest.skip("this host permits no user namespaces")
        self._prefix += ["unshare", "--user"]

    def closed_umask(self, mask: str = "077") -> None:
        self._prefix += ["sh", "-c", f'umask {mask} && exec "$@"', "sh"]

    def read_only(self, *paths: Path) -> None:
        _need_root()
        for path in paths:
            where = shlex.quote(str(path))
            self._mounts.append(f"mount --rbind {where} {where} && mount -o remount,bind,ro {where}")

    def own_cache(self) -> None:
        self.environment["XDG_CACHE_HOME"] = str(self.public / "cache")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*self._prefix, sys.executable, *arguments]
        if self._mounts:
            # cd is necessary because the working directory is not on the new mount.
            script = " && ".join([*self._mounts, f"cd {shlex.quote(str(ROOT))}", 'exec "$@"'])
            command = ["unshare", "--mount", "--propagation=private", "sh", "-c", script, "sh", *command]
        return subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=DEADLINE_S,
            check=False,
        )

    def pytest(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "pytest", "-c", str(ROOT / "pyproject.toml"), *arguments)

    def _reachable(self) -> None:
        """Make this Python and this checkout, which may be in a private home directory, accessible to all users."""
        needed = {ROOT, *(Path(path).resolve() for path in (sys.prefix, sys.base_prefix))}
        # From the outside inwards: tox makes its directory private, and the home directory may be private too.
        for number, closed in enumerate(sorted({parent for path in needed for parent in _closed(path)})):
            scratch = self.public / f"open-{number}"
            scratch.mkdir()
            self._mounts.append(f"mount -t tmpfs -o mode=755 none {scratch}")
            for path in _outermost(path for path in needed if path.is_relative_to(closed)):
                there = shlex.quote(str(scratch / path.relative_to(closed)))
                self._mounts.append(f"mkdir -p {there} && mount --bind {shlex.quote(str(path))} {there}")
            self._mounts.append(f"mount --rbind {scratch} {shlex.quote(str(closed))}")


def _closed(path: Path) -> list[Path]:
    """The parent directories that other users may not enter."""
    return [parent for parent in [path, *path.parents] if not parent.stat().st_mode & 0o001]


def _outermost(paths: Iterable[Path]) -> list[Path]:
    """The paths that are not below another one of them."""
    every = sorted(paths)
    return [path for path in every if not any(other in path.parents for other in every)]


def _need_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user or to mount")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("root may not create a mount namespace here")


@pytest.fixture
def public() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="kconform-who-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def host(public: Path) -> Host:
    return Host(public)


# Runs that work


def nobody(host: Host) -> None:
    host.nobody()
    host.own_cache()


def nobody_in_a_container(host: Host) -> None:
    nobody(host)
    host.container()


def nobody_with_a_closed_umask(host: Host) -> None:
    nobody(host)
    host.closed_umask()


def an_empty_environment(host: Host) -> None:
    host.environment = {"PATH": host.environment["PATH"], "KCONFORM_CACHE": str(host.public)}


def a_plain_terminal(host: Host) -> None:
    host.environment |= PLAIN


def a_home_that_is_the_root(host: Host) -> None:
    host.environment |= {"HOME": "/", "KCONFORM_CACHE": str(host.public)}


def a_read_only_checkout(host: Host) -> None:
    host.read_only(ROOT)


@pytest.mark.parametrize(
    "on",
    [
        nobody,
        nobody_in_a_container,
        nobody_with_a_closed_umask,
        an_empty_environment,
        a_plain_terminal,
        a_home_that_is_the_root,
        a_read_only_checkout,
    ],
    ids=lambda on: on.__name__,
)
def test_the_tests_are_found(host: Host, on: Callable[[Host], None]) -> None:
    """The kernel is an image, which needs neither apt nor a guest."""
    image = host.public / "image"
    image.write_bytes(fakes.bzimage(config=fakes.CONFIG))
    on(host)
    done = host.pytest("--collect-only", "-q", "suites/yama", f"--kernel={image}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tests collected" in done.stdout
    assert not done.stderr


def test_the_doctor_runs_as_nobody(host: Host) -> None:
    nobody_with_a_closed_umask(host)
    host.environment |= PLAIN
    done = host.run("-m", "kconform", "doctor")
    assert "Traceback" not in done.stderr
    assert f"in {host.public / 'cache' / 'kconform'}" in done.stdout


def test_nobody_runs_tests_from_a_read_only_checkout(host: Host, kernel: Kernel) -> None:
    """With guests, a minimal locale and a restrictive umask, a run produces a complete report."""
    nobody_with_a_closed_umask(host)
    host.read_only(ROOT)
    host.environment |= PLAIN
    image, config, report = (host.public / name for name in ("image", "config", "report"))
    shutil.copyfile(kernel.image, image)
    config.write_text(kernel.config.render())
    for path in (image, config):
        path.chmod(0o644)
    options = [f"--kernel={image}", f"--kernel-config={config}", f"--report-dir={report}"]
    done = host.pytest("-n", "1", TALK, "-k", "secret_with_yama", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 held, 0 broken, 0 not applicable, 0 errors" in done.stdout
    assert (report / "results.json").stat().st_uid == NOBODY


# Runs that end with one sentence


def without_assertions(host: Host) -> None:
    host.environment["PYTHONOPTIMIZE"] = "1"


def without_docstrings_too(host: Host) -> None:
    host.environment["PYTHONOPTIMIZE"] = "2"


def nobody_without_a_cache(host: Host) -> None:
    host.nobody()


def another_users_temporary_directory(host: Host) -> None:
    _need_root()
    host.environment |= {"TMPDIR": str(host.public), "LOGNAME": "somebody"}
    (host.public / "pytest-of-somebody").mkdir()
    os.chown(host.public / "pytest-of-somebody", NOBODY, NOBODY)


def no_temporary_directory(host: Host) -> None:
    host.read_only(*(Path(path) for path in ("/tmp", "/var/tmp", "/usr/tmp") if Path(path).exists()), ROOT)  # noqa: S108


def a_report_that_cannot_be_written(host: Host) -> None:
    host.own_cache()
    host.read_only(ROOT)


def nobody_with_a_umask_of_all(host: Host) -> None:
    nobody(host)
    host.closed_umask("777")


REFUSED = [
    (without_assertions, "python -O leaves out the assertions"),
    (without_docstrings_too, "python -O leaves out the assertions"),
    (nobody_without_a_cache, "there is no place for the cache: HOME is not set"),
    (another_users_temporary_directory, "the run cannot begin: The temporary directory"),
    (no_temporary_directory, "there is no place for temporary files"),
    (a_report_that_cannot_be_written, "no report can be written there"),
    (nobody_with_a_umask_of_all, "no report can be written there"),
]


@pytest.mark.parametrize(("on", "sentence"), REFUSED, ids=[on.__name__ for on, _ in REFUSED])
def test_a_run_that_is_impossible_is_rejected_with_one_message(
    host: Host, on: Callable[[Host], None], sentence: str
) -> None:
    image = host.public / "image"
    image.write_bytes(fakes.bzimage(config=fakes.CONFIG))
    on(host)
    report = [] if on is a_report_that_cannot_be_written else [f"--report-dir={host.public / 'report'}"]
    done = host.pytest("-n", "2", TALK, f"--kernel={image}", *report)
    output = done.stdout + done.stderr
    assert done.returncode == 4, output
    assert done.stderr.count(sentence) == 1
    assert "hint: " in done.stderr
    assert "Traceback" not in output
    assert "INTERNALERROR" not in output
    assert "passed" not in done.stdout
    assert "ERROR" not in done.stdout, "no test is reported"


def test_a_umask_of_all_is_reported_in_one_sentence(host: Host) -> None:
    """Before the place of a report is looked at."""
    nobody_with_a_umask_of_all(host)
    done = host.pytest("--collect-only", TALK)
    assert done.returncode == 4, done.stdout + done.stderr
    assert done.stderr.startswith("ERROR: the run cannot begin: [Errno 13] Permission denied: ")
    assert "umask" in done.stderr
    assert "INTERNALERROR" not in done.stderr
