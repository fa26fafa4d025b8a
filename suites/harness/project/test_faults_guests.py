# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults of kernels, agents, QEMUs, the cache and the host: the verdict, the evidence, and that the run goes on.

docs/faults.md is the table of all faults, and names these tests.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from guests.errors import StartError
from guests.guest import Guest
from kconfigs.kernel import Kernel
from suites.harness.checkout import ROOT
from suites.harness.project.separate_run import SeparateRun, kernel_options

SAMPLES = "suites/harness/project/samples"
TALK = "suites/yama/test_talk.py"


@dataclass(frozen=True)
class Wanted:
    """What a test with a fault results in."""

    outcome: str
    reason: str = ""
    """A regular expression."""
    evidence: tuple[str, str] = ("transcript", "")
    """The title of a piece of evidence, and what it contains."""


FAULTS = {
    "panic": Wanted("fail", "went down during .*: Kernel panic - not syncing: sysrq", ("console", "sysrq triggered")),
    "reboot": Wanted("fail", "went down during .*: it printed no reason", ("console", "sysrq: Resetting")),
    "invalid_opcode": Wanted("fail", r"complained: invalid opcode: 0000 \[#1\]", ("kernel log", "modify_ldt")),
    "null_dereference": Wanted("fail", "complained: BUG: kernel NULL pointer", ("kernel log", "modify_ldt")),
    "warning": Wanted("fail", "complained: WARNING: CPU", ("kernel log", "modify_ldt")),
    "double_fault": Wanted("fail", "went down during .*: .*PANIC: double fault", ("console", "double fault")),
    "hung_task": Wanted("fail", "complained: INFO: task victim.* blocked for more than", ("kernel log", "msleep")),
    "soft_lockup": Wanted("fail", "went down during .*: watchdog: BUG: soft lockup", ("console", "modify_ldt")),
    "hang": Wanted("fail", "the kernel has hung since victim.*modify_ldt", ("process tree", "victim")),
    "agent_ends": Wanted("fail", "Kernel panic - not syncing: Attempted to kill init!", ("console", "kill init")),
    "agent_is_killed": Wanted("pass"),
    "agent_is_stopped": Wanted("fail", "the kernel has hung since", ("transcript", "SEIZE")),
    "agent_does_not_read": Wanted("fail", "the kernel has hung since order", ("transcript", "SEIZE")),
    "task_takes_all_memory": Wanted("pass"),
    "agent_takes_all_memory": Wanted("fail", "went down during .*deadlocked on memory", ("console", "Out of memory")),
    "clock_jumps": Wanted("pass"),
    "log_flood": Wanted("error", "lines of the kernel's log were overwritten", ("kernel log", "xxxx")),
    "console_flood": Wanted("pass", "", ("console", r"\\x1b\]0;title")),
    "qemu_SIGKILL": Wanted("error", "QEMU ended during .*: QEMU was killed by SIGKILL", ("process tree", "task")),
    "qemu_SIGTERM": Wanted("error", "QEMU ended during .*terminating on signal 15", ("process tree", "task")),
    "qemu_SIGSEGV": Wanted("error", "QEMU ended during .*: QEMU was killed by SIGSEGV", ("process tree", "task")),
    "qemu_SIGSTOP": Wanted("error", "no longer answers; but QEMU was stopped by a signal", ("process tree", "task")),
}


def start(kernel: Kernel, folder: Path, *arguments: str, **options: Any) -> SeparateRun:
    """Run tests on a kernel."""
    chosen = kernel_options(kernel, folder)
    return SeparateRun(folder, "-c", str(ROOT / "pyproject.toml"), *chosen, *arguments, **options)


@dataclass(frozen=True)
class Finished:
    run: SeparateRun
    by_name: dict[str, dict[str, Any]]

    @staticmethod
    def of(run: SeparateRun) -> Finished:
        """Wait for the run, and check that it has left nothing."""
        run.wait()
        run.wait_until_gone()
        assert run.left_behind() == []
        assert "INTERNALERROR" not in run.said()
        results = run.results()["results"]
        # The ids end with the kernel's name, its flavor, and the name of the act: KERNEL/shipped-after-panic.
        names = {result["nodeid"]: result["nodeid"].rstrip("]").rpartition("/shipped-")[2] for result in results}
        return Finished(run, {names[result["nodeid"]]: result for result in results})

    def check(self, name: str, wanted: Wanted) -> None:
        result = self.by_name[name]
        if result["outcome"] == "skip":
            pytest.skip(result["reason"])
        if "QEMU waited" in result["reason"]:
            pytest.skip(f"this machine is too busy: {result['reason']}")
        assert result["outcome"] == wanted.outcome, result
        assert re.search(wanted.reason, result["reason"])
        title, content = wanted.evidence
        text = (self.run.report / result["evidence"][title]).read_text()
        assert re.search(content, text)
        assert "\x1b" not in text
        after = self.by_name[f"after-{name}"]
        assert after["outcome"] == "pass", after


def test_a_fault_has_its_verdict_and_evidence_and_the_next_test_a_new_guest(
    kernel: Kernel, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """All faults in one run, so that it is made once and not by each worker."""
    with start(kernel, tmp_path, f"{SAMPLES}/faults.py", "-n", "0") as run:
        found = Finished.of(run)
    assert {name.removeprefix("after-") for name in found.by_name} == set(FAULTS)
    for name, wanted in FAULTS.items():
        with subtests.test(name):
            found.check(name, wanted)


ENDLESS = {
    "talk": ("transcript", r"talker\[\d+\].getppid"),
    "stubborn": ("where the test was", "stubborn"),
    "host_program": ("where the test was", "in host_program"),
}


def test_a_test_that_never_ends_is_an_error_and_the_run_goes_on(
    kernel: Kernel, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    with start(kernel, tmp_path, f"{SAMPLES}/never_ends.py", "-n", "0", "--test-timeout=0.5") as run:
        found = Finished.of(run)
    for name, evidence in ENDLESS.items():
        with subtests.test(name):
            found.check(name, Wanted("error", "the test did not end within", evidence))


def boots(run: SeparateRun) -> bool:
    """Whether a kernel is being booted: the QEMU of a clone needs no kernel."""
    for process in run.members():
        with contextlib.suppress(psutil.Error):
            if process.name().startswith("qemu") and "-kernel" in process.cmdline():
                return True
    return False


def one_test(kernel: Kernel, folder: Path, cache: Path) -> SeparateRun:
    """Run one test with this cache, and check that it passes."""
    options = ("-n", "0", "--accel=tcg", "-k", "daemon_of_another_user")
    with start(kernel, folder, TALK, *options, env={"KCONFORM_CACHE": str(cache)}) as run:
        assert run.wait() == 0, run.said()
    return run


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "terminated"])
def test_a_run_that_ends_during_a_boot_leaves_nothing_unfinished(
    kernel: Kernel, tmp_path: Path, number: signal.Signals
) -> None:
    """Neither a QEMU nor a template; the next run removes what a killed one could not."""
    cache = tmp_path / "cache"
    options = ("-n", "0", "--accel=tcg")
    with start(kernel, tmp_path, TALK, *options, env={"KCONFORM_CACHE": str(cache)}) as run:
        run.wait_while_running(lambda: boots(run), "the boot")
        run.process.send_signal(number)
        assert run.wait() == (2 if number is signal.SIGTERM else -number), run.said()
        run.wait_until_gone()
    assert len(list(cache.glob("*/.*.tmp"))) == (0 if number is signal.SIGTERM else 1)
    one_test(kernel, tmp_path, cache)
    assert list(cache.glob("*/.*.tmp")) == []


def flip_a_bit(path: Path) -> None:
    """In the middle of the file's data."""
    with path.open("r+b") as file:
        start = os.lseek(file.fileno(), path.stat().st_size // 2, os.SEEK_DATA)
        byte = os.pread(file.fileno(), 1, start)[0]
        os.pwrite(file.fileno(), bytes([byte ^ 1]), start)


def test_a_damaged_template_is_made_again(kernel: Kernel, tmp_path: Path) -> None:
    """A kernel whose memory has a flipped bit is another kernel."""
    cache = tmp_path / "cache"
    one_test(kernel, tmp_path, cache)
    (template,) = (path for path in (cache / "templates").iterdir() if path.is_dir())
    for name in ("ram", "state"):
        flip_a_bit(template / name)
        damaged = (template / name).stat().st_mtime_ns
        one_test(kernel, tmp_path, cache)
        assert (template / name).stat().st_mtime_ns != damaged, f"{name} is the damaged file"


@pytest.mark.parametrize("content", [b"", b"QEVM\0\0\0\3", os.urandom(4096)], ids=["empty", "cut", "random"])
def test_a_state_that_qemu_cannot_load_is_an_error_with_evidence(
    guest: Guest, tmp_path: Path, content: bytes
) -> None:
    """As that of another QEMU whose version line and size are the same."""
    damaged = tmp_path / "template"
    damaged.mkdir()
    for path in guest.template.directory.iterdir():
        (damaged / path.name).symlink_to(path)
    (damaged / "state").unlink()
    (damaged / "state").write_bytes(content)
    other = Guest(guest.kernel, replace(guest.template, directory=damaged))
    with contextlib.closing(other), pytest.raises(StartError, match="did not start: QEMU") as caught:
        other.resume()
    assert "Linux version" in caught.value.evidence["console of the boot"]


def on_a_full_disk(folder: Path, size: str) -> list[str]:
    """A command that runs another one where a small file system is at `folder`: in a mount namespace of its own."""
    folder.mkdir()
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    mounted = [*namespace, "sh", "-c", f'mount -t tmpfs -o size={size} none {folder} && exec "$@"', "sh"]
    tried = subprocess.run([*mounted, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"needs a mount namespace: {tried.stderr.strip()}")
    return mounted


def test_a_full_disk_under_the_cache_is_an_error(kernel: Kernel, tmp_path: Path) -> None:
    """There is room for the agent, and not for a template."""
    prefix = on_a_full_disk(tmp_path / "cache", "8M")
    env = {"KCONFORM_CACHE": str(tmp_path / "cache")}
    with start(kernel, tmp_path, TALK, "-n", "0", "--accel=tcg", prefix=prefix, env=env) as run:
        assert run.wait() == 3, run.said()
        run.wait_until_gone()
    outcomes = {(result["outcome"], result["reason"].partition(":")[0]) for result in run.results()["results"]}
    assert outcomes - {("skip", "for a kernel without CONFIG_SECURITY_YAMA")} == {("error", "the disk is full")}


def test_a_full_disk_under_the_temporary_files_is_refused(kernel: Kernel, tmp_path: Path) -> None:
    prefix = on_a_full_disk(tmp_path / "full", "4k")
    env = {"TMPDIR": str(tmp_path / "full")}
    with start(kernel, tmp_path, TALK, "-n", "0", prefix=prefix, env=env) as run:
        assert run.wait() == 4, run.said()
    assert "there is no room for temporary files" in run.said()
    assert "Traceback" not in run.said()


def test_a_disk_that_fills_up_under_a_guest_breaks_no_promise(kernel: Kernel, tmp_path: Path) -> None:
    """QEMU pauses a guest whose write it cannot store; to the guest's agent, that looks like a kernel that hangs."""
    prefix = on_a_full_disk(tmp_path / "full", "20M")
    # Not captured: pytest would write to the full disk.
    options = ("-n", "0", "-s", f"{SAMPLES}/full_disk.py")
    with start(kernel, tmp_path, *options, prefix=prefix, env={"TMPDIR": str(tmp_path / "full")}) as run:
        status = run.wait()
        run.wait_until_gone()
    (result,) = run.results()["results"]
    if result["outcome"] == "skip":
        pytest.skip(result["reason"])
    assert (status, result["outcome"]) == (3, "error"), run.said()
    assert "QEMU has paused the guest: an image on this machine" in result["reason"]


@pytest.mark.parametrize("limit", [24, 28])
def test_a_limit_of_open_files_breaks_no_promise(kernel: Kernel, tmp_path: Path, limit: int) -> None:
    with start(kernel, tmp_path, TALK, "-n", "0", prefix=["prlimit", f"--nofile={limit}"]) as run:
        status = run.wait()
        run.wait_until_gone()
    assert status in (0, 3, 4), run.said()
    if status == 3:
        assert run.results()["run"]["counts"]["fail"] == 0
        assert "Too many open files" in run.said()
