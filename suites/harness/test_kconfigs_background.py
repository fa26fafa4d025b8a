# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels built beside a run, and the command line: real processes, and a Makefile that plays Kbuild."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from common.errors import KconformError, UsageError
from kconfigs import background, flavors, kbuild
from kconfigs.__main__ import main
from kconfigs.candidates import candidates
from kconfigs.fragments import parse_fragment
from kconfigs.matrix import Wanted
from kconfigs.progress import State, StatusFile, birth, is_running
from suites.harness import kconfigs_fakes as fakes

ROOT = Path(background.__file__).parent.parent

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the fake kernel is an x86 one")


@pytest.fixture(autouse=True)
def cache_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KCONFORM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return fakes.tree(tmp_path / "linux")


@pytest.fixture
def status(tmp_path: Path) -> Path:
    return tmp_path / "run" / "status.json"


@pytest.fixture
def endless(path: Path, tmp_path: Path) -> Iterator[Path]:
    """A tree whose compilation never ends, and the file that says that it has begun."""
    (path / "endless").write_text("")
    yield tmp_path / "begun"
    assert not _sleepers(tmp_path), "a compiler was left behind"


def _sleepers(tmp_path: Path) -> list[int]:
    """What still runs of the endless compilation."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            # The shell of the recipe names the tree; its child only sleeps.
            if str(tmp_path).encode() in (process / "cmdline").read_bytes() and int(process.name) != os.getpid():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """All descendants of a process."""
    found: list[int] = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, listed.read_text().split()):
            found += [child, *children(child)]
    return found


class TestBackground:
    def test_another_process_may_wait_for_it(self, path: Path, status: Path) -> None:
        seen: list[State] = []
        with background.start(str(path), "full", status) as builder:
            # All options survive the fake Kconfig, so the real fragments will do.
            background.wait(status, seen.append)
            assert builder.wait() == 0
        assert seen[-1].phase == "done"
        state, record = background.read(status)
        assert (state.what, record["pid"], record["error"]) == ("linux-6.12.7/full", builder.pid, None)
        assert "linux-6.12.7/full" in status.with_suffix(".log").read_text()

    def test_its_error_is_raised_where_it_is_waited_for(self, path: Path, status: Path) -> None:
        (path / "broken-source").write_text("")
        with background.start(str(path), "full", status), pytest.raises(UsageError) as caught:
            background.wait(status)
        assert "expected semicolon" in caught.value.message
        assert "the whole output is in" in caught.value.hint

    def test_a_spec_that_is_none_is_an_error_too(self, tmp_path: Path, status: Path) -> None:
        spec = str(tmp_path / "nowhere")
        with background.start(spec, None, status), pytest.raises(UsageError, match="no kernel at"):
            background.wait(status)

    def test_an_error_of_ours_stays_ours(self, status: Path) -> None:
        status.parent.mkdir()
        StatusFile(status).failed(KconformError("disk full", hint="buy one"))
        with pytest.raises(KconformError, match="disk full") as caught:
            background.wait(status)
        assert (type(caught.value), caught.value.hint) == (KconformError, "buy one")

    def test_a_builder_that_dies_without_a_word_is_noticed(self, path: Path, status: Path, endless: Path) -> None:
        with background.start(str(path), "full", status) as builder:
            until(endless.exists)
            family = children(builder.pid)
            assert len(family) >= 2
            builder.kill()
            with pytest.raises(KconformError, match="died while compiling") as caught:
                background.wait(status)
            until(lambda: not [pid for pid in family if is_running(pid, birth(pid))])
        assert "status.log" in caught.value.hint

    def test_told_to_end_it_takes_everything_with_it(
        self, path: Path, status: Path, endless: Path, cache_root: Path
    ) -> None:
        with background.start(str(path), "full", status) as builder:
            until(endless.exists)
            family = children(builder.pid)
            builder.terminate()
            assert builder.wait(30) == 2
        until(lambda: not [pid for pid in family if is_running(pid, birth(pid))])
        assert list(cache_root.glob("kernels/*")) == []
        with pytest.raises(KconformError, match="ended: KeyboardInterrupt"):
            background.wait(status)

    def test_it_dies_with_the_run(self, path: Path, status: Path, endless: Path) -> None:
        script = "import sys,time\nfrom pathlib import Path\nfrom kconfigs import background\n"
        script += "background.start(sys.argv[1], 'full', Path(sys.argv[2]))\ntime.sleep(600)\n"
        run = subprocess.Popen(
            [sys.executable, "-c", script, str(path), str(status)], env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        until(endless.exists)
        builder = background.read(status)[1]
        family = [builder["pid"], *children(builder["pid"])]
        run.kill()
        run.wait()
        until(lambda: not [pid for pid in family if is_running(pid, birth(pid))])

    def test_a_status_file_is_never_half_written(self, status: Path) -> None:
        status.parent.mkdir()
        writer = StatusFile(status, interval=0.0)
        writer.update(State("waiting"))
        stop = threading.Event()

        def write() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                writer.update(State("compiling", "k" * (number % 5000), number, number))

        thread = threading.Thread(target=write)
        thread.start()
        try:
            for _ in range(300):
                background.read(status)
        finally:
            stop.set()
            thread.join()
        assert [file.name for file in status.parent.iterdir()] == ["status.json"]

    def test_no_status_is_an_error(self, status: Path) -> None:
        with pytest.raises(KconformError, match="tells of no kernel build"):
            background.wait(status)

    def test_a_pid_that_was_given_out_again_is_not_the_builder(self, status: Path) -> None:
        status.parent.mkdir()
        StatusFile(status).update(State("compiling", "k"))
        record = json.loads(status.read_text())
        status.write_text(json.dumps(record | {"birth": record["birth"] - 1}))
        with pytest.raises(KconformError, match="died while compiling"):
            background.wait(status)


class TestCandidates:
    """The kernels of a run."""

    def test_what_is_built_is_not_begun_again(self, path: Path, tmp_path: Path) -> None:
        folders = [tmp_path / "first", tmp_path / "second"]
        runs = [candidates([Wanted(str(path))], folder) for folder in folders]
        for [candidate] in runs:
            candidate.begin()
            assert candidate.kernel().id == "linux-6.12.7/full"
            candidate.abandon()
        assert [[file.name for file in folder.glob("*.json")] for folder in folders] == [
            ["linux-6.12.7+full.json"],
            [],
        ]
        assert runs[0][0].kernel().digest == runs[1][0].kernel().digest

    def test_two_trees_of_one_name_are_two_kernels(self, path: Path, tmp_path: Path) -> None:
        other = tmp_path / "other" / path.name
        shutil.copytree(path, other)
        specs = [str(path), str(other), f"{path}/../{path.name}"]
        found = candidates([Wanted(spec, ("full", "full")) for spec in specs], tmp_path)
        assert [candidate.id for candidate in found] == ["linux-6.12.7/full", "linux-6.12.7-2/full"]
        assert [candidate.kernel().id for candidate in found] == ["linux-6.12.7/full", "linux-6.12.7-2/full"]
        assert found[1].kernel().spec == str(other)

    def test_a_build_is_named_from_its_first_moment(self, path: Path, tmp_path: Path, endless: Path) -> None:
        [candidate] = candidates([Wanted(str(path))], tmp_path)
        candidate.begin()
        assert background.read(tmp_path / "linux-6.12.7+full.json")[0].what == "linux-6.12.7/full"
        until(endless.exists)
        candidate.abandon()

    def test_a_builder_belongs_to_the_process_that_outlives_all_workers(
        self, path: Path, tmp_path: Path, endless: Path
    ) -> None:
        """One worker has the only test; another, with none, ends long before the kernel is built."""
        test = "suites/yama/test_absent.py::test_not_built"
        command = [*(sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-n", "2", "-p", "no:cacheprovider")]
        command += [test, f"--kernel={path}", f"--report-dir={tmp_path / 'report'}"]
        with (tmp_path / "log").open("wb") as log:
            run = subprocess.Popen(
                command, cwd=ROOT, stdout=log, stderr=log, env={**os.environ, "TMPDIR": str(tmp_path)}
            )
        until(lambda: endless.exists() or run.poll() is not None)
        [status] = tmp_path.glob("kconform-builds-*/*.json")
        assert psutil.Process(background.read(status)[1]["pid"]).ppid() == run.pid
        run.terminate()
        run.wait(60)
        until(lambda: not _sleepers(tmp_path))

    def test_a_kernel_that_is_none_is_told_in_a_sentence(self, tmp_path: Path) -> None:
        """Not by the way through our code to it, once for each test."""
        image = {f"./boot/vmlinuz-{fakes.RELEASE}": fakes.bzimage()}
        package = fakes.deb(tmp_path / "k.deb", {"Package": "linux-image-6.12.7-fake"}, image)
        command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-q", "-p", "no:cacheprovider"]
        command += ["suites/yama/test_talk.py", f"--kernel={package}", f"--report-dir={tmp_path / 'report'}"]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert run.returncode == 4
        assert "has no configuration beside it, and none inside (CONFIG_IKCONFIG)\n  hint: give it with" in run.stdout
        assert "conftest.py" not in run.stdout


@pytest.fixture
def _restore_sigterm() -> Iterator[None]:
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.usefixtures("_restore_sigterm")
class TestCommandLine:
    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(kbuild, "toolchain", lambda: "gcc (fake) 1")
        fragment = parse_fragment("small.config", "CONFIG_MODULES=y  # why not\n")
        monkeypatch.setattr(flavors, "fragment", lambda _: fragment)

    def test_build_prints_id_and_image_of_each_flavor(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["build", str(path), "--flavor", "full", "--flavor", "no-yama"]) == 0
        lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
        assert [line[0] for line in lines] == ["linux-6.12.7/full", "linux-6.12.7/no-yama"]
        assert all(Path(line[1]).is_file() for line in lines)

    def test_wrong_use_ends_with_4_and_no_traceback(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["build", "/nonexistent"]) == 4
        error = capsys.readouterr().err
        assert error.startswith("kconform: error: there is no kernel at /nonexistent\n  hint: ")
        assert "Traceback" not in error

    @pytest.mark.parametrize("words", [[], ["nosuch"], ["build"], ["build", "x", "--nosuch"]])
    def test_a_command_line_that_is_none_ends_with_4(self, words: list[str]) -> None:
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 4

    def test_flavors_are_listed(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["flavors"]) == 0
        assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(flavors.FLAVORS)

    def test_a_flavor_is_printed_with_its_reasons(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["fragment", "full"]) == 0
        assert "# why not (small.config:1)" in capsys.readouterr().out
        assert main(["fragment", "nosuch"]) == 4

    def test_the_cache_is_listed_and_cleared(
        self, path: Path, cache_root: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        main(["build", str(path)])
        capsys.readouterr()
        assert main(["cache", "list"]) == 0
        assert "kernels/linux-6.12.7-full-" in capsys.readouterr().out
        assert main(["cache", "clear", "kernels"]) == 0
        assert "removed 1 entries" in capsys.readouterr().out
        assert list(cache_root.glob("kernels/*")) == []


def test_a_line_reaches_the_terminal_while_pytest_keeps_what_a_test_prints(tmp_path: Path) -> None:
    """Whoever waits for a build, in the first test's setup, would otherwise see nothing for minutes."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "conftest.py").write_text(
        "from kconfigs.narrator import to_terminal\n"
        "def pytest_sessionstart(session):\n"
        "    session.config.say = to_terminal(session.config.pluginmanager.get_plugin('terminalreporter'))\n"
    )
    (tmp_path / "test_it.py").write_text("def test_it(request):\n    print('kept')\n    request.config.say('told')\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_it.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    lines = run.stdout.splitlines()
    assert lines.index("test_it.py ") < lines.index("told")
    assert "kept" not in run.stdout
