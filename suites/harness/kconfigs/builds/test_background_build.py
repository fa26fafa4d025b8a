# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels that are built beside a run: real processes, and a Makefile that plays Kbuild."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from common.errors import KconformError, UsageError
from kconfigs.build import background_build
from kconfigs.build.background_build import BuildOrder
from kconfigs.build.build_progress import BuildState
from kconfigs.build.status_file import StatusFile, birth, is_running, read_status
from kconfigs.resolve import resolve
from kconfigs.spec import parse
from suites.harness.checkout import ROOT
from suites.harness.kconfigs import fake_kernels as fakes

pytestmark = [
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="the fake kernel is for x86-64"),
    pytest.mark.usefixtures("cache_root"),
]


@pytest.fixture
def status(tmp_path: Path) -> Path:
    return tmp_path / "run" / "status.json"


def order(tree: Path) -> BuildOrder:
    return BuildOrder(resolve(parse(str(tree))), "full")


def children(pid: int) -> list[int]:
    """All descendants of a process."""
    found: list[int] = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, listed.read_text().split()):
            found += [child, *children(child)]
    return found


def test_a_build_can_be_waited_for(tree: Path, status: Path) -> None:
    seen: list[BuildState] = []
    with background_build.start(order(tree), status) as builder:
        # All options survive the fake Kconfig, so the real fragments will do.
        background_build.wait(status, seen.append)
        assert builder.wait() == 0
    assert seen[-1].phase == "done"
    found = read_status(status)
    assert (found.state.what, found.pid, found.error) == ("linux-6.12.7/full", builder.pid, None)
    assert "linux-6.12.7/full" in status.with_suffix(".log").read_text()


def test_the_error_is_raised_in_the_process_that_waits(tree: Path, status: Path) -> None:
    (tree / "broken-source").write_text("")
    with background_build.start(order(tree), status), pytest.raises(UsageError) as caught:
        background_build.wait(status)
    assert "expected semicolon" in caught.value.message
    assert "the whole output is in" in caught.value.hint


def test_a_tree_that_has_gone_is_an_error_too(tree: Path, status: Path) -> None:
    asked = order(tree)
    shutil.rmtree(tree)
    with background_build.start(asked, status), pytest.raises(KconformError, match="ended: FileNotFoundError"):
        background_build.wait(status)


def test_an_error_keeps_its_kind_and_its_hint(status: Path) -> None:
    status.parent.mkdir()
    StatusFile(status).failed(KconformError("disk full", hint="buy one"))
    with pytest.raises(KconformError, match="disk full") as caught:
        background_build.wait(status)
    assert (type(caught.value), caught.value.hint) == (KconformError, "buy one")


def test_a_builder_that_dies_without_a_report_is_noticed(tree: Path, status: Path, endless: Path) -> None:
    with background_build.start(order(tree), status) as builder:
        fakes.until(endless.exists)
        family = children(builder.pid)
        assert len(family) >= 2
        builder.kill()
        with status.with_suffix(".log").open("a") as log:
            log.write("".join(f"line {number}\n" for number in range(20)) + "\x1b[31mFatal\n\n")
        with pytest.raises(KconformError, match="died while compiling") as caught:
            background_build.wait(status)
        fakes.until(lambda: not [pid for pid in family if is_running(pid, birth(pid))])
    assert caught.value.message.endswith(
        "its last output:\n" + "".join(f"    line {number}\n" for number in range(13, 20)) + r"    \x1b[31mFatal"
    )


@pytest.mark.parametrize("output", ["", "\n", None], ids=["empty", "blank", "gone"])
def test_a_builder_that_dies_without_a_word(status: Path, output: str | None) -> None:
    status.parent.mkdir()
    dead = subprocess.Popen(["true"])
    dead.wait()
    StatusFile(status, dead.pid).begin("a kernel")
    if output is not None:
        status.with_suffix(".log").write_text(output)
    said = "it printed nothing" if output is not None else "its output cannot be read: No such file"
    with pytest.raises(KconformError, match=f"the build of a kernel died while .*; {said}"):
        background_build.wait(status)


def test_a_file_where_the_run_was_started_is_no_module_of_the_builder(
    tree: Path, status: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = order(tree)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name in ("pickle", "filelock", "common"):
        Path(f"{name}.py").write_text("raise SystemExit('not this one')\n")
    with background_build.start(asked, status) as builder:
        background_build.wait(status)
        assert builder.wait() == 0


def test_sigterm_ends_the_compilers_too(tree: Path, status: Path, endless: Path, cache_root: Path) -> None:
    with background_build.start(order(tree), status) as builder:
        fakes.until(endless.exists)
        family = children(builder.pid)
        builder.terminate()
        assert builder.wait(30) == 2
    fakes.until(lambda: not [pid for pid in family if is_running(pid, birth(pid))])
    assert list(cache_root.glob("kernels/*")) == []
    with pytest.raises(KconformError, match="ended: KeyboardInterrupt"):
        background_build.wait(status)


def test_it_dies_with_the_run(tree: Path, status: Path, endless: Path) -> None:
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from kconfigs.build.background_build import BuildOrder, start\n"
        "from kconfigs.resolve import resolve\n"
        "from kconfigs.spec import parse\n"
        "start(BuildOrder(resolve(parse(sys.argv[1])), 'full'), Path(sys.argv[2]))\n"
        "time.sleep(600)\n"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", script, str(tree), str(status)], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    fakes.until(endless.exists)
    builder = json.loads(status.read_text())
    family = [builder["pid"], *children(builder["pid"])]
    run.kill()
    run.wait()
    fakes.until(lambda: not [pid for pid in family if is_running(pid, birth(pid))])


def test_a_status_file_is_never_half_written(status: Path) -> None:
    status.parent.mkdir()
    writer = StatusFile(status, interval=0.0)
    writer.update(BuildState("waiting"))
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            writer.update(BuildState("compiling", "k" * (number % 5000), number, number))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(300):
            read_status(status)
    finally:
        stop.set()
        thread.join()
    assert [file.name for file in status.parent.iterdir()] == ["status.json"]


def test_a_missing_status_file_is_an_error(status: Path) -> None:
    with pytest.raises(KconformError, match="is not the status of a kernel build"):
        background_build.wait(status)


def test_a_reused_pid_is_not_the_builder(status: Path) -> None:
    status.parent.mkdir()
    StatusFile(status).update(BuildState("compiling", "k"))
    record = json.loads(status.read_text())
    status.write_text(json.dumps(record | {"birth": record["birth"] - 1}))
    with pytest.raises(KconformError, match="died while compiling"):
        background_build.wait(status)
