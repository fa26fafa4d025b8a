# SPDX-License-Identifier: GPL-2.0-or-later
"""What is built and not in force: a module that is left out breaks one promise, and other tests tell why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from kconfigs.kconfig import Config
from kconfigs.kernel import Kernel
from suites.harness.checkout import ROOT
from suites.harness.project.separate_run import SeparateRun, kernel_options
from suites.unstarted_lsms import left_out

LISTED = 'CONFIG_LSM="lockdown,yama"\n'
CMDLINE = 'CONFIG_CMDLINE_BOOL=y\nCONFIG_CMDLINE="quiet lsm=loadpin"\n'


@pytest.mark.parametrize(
    ("config", "arguments", "reason"),
    [
        pytest.param(LISTED, (), "", id="listed"),
        pytest.param('CONFIG_LSM="loadpin"\n', (), "CONFIG_LSM='loadpin' leaves it out", id="not-listed"),
        pytest.param('CONFIG_LSM=""\n', (), "CONFIG_LSM='' leaves it out", id="nothing-listed"),
        pytest.param('CONFIG_LSM="yamaha"\n', (), "CONFIG_LSM='yamaha' leaves it out", id="similar-name"),
        pytest.param("", (), "", id="before-5.1"),
        pytest.param(LISTED, ("lsm=bpf",), "lsm=bpf on the command line leaves it out", id="argument"),
        pytest.param(LISTED, ("lsm=bpf", "lsm=yama"), "", id="last-argument"),
        pytest.param('CONFIG_LSM="bpf"\n', ("lsm=bpf,yama",), "", id="argument-names-it"),
        pytest.param(LISTED + CMDLINE, (), "lsm=loadpin on the command line leaves it out", id="built-in"),
        pytest.param(LISTED + CMDLINE, ("lsm=yama",), "", id="after-the-built-in"),
        pytest.param(
            LISTED + CMDLINE + "CONFIG_CMDLINE_OVERRIDE=y\n",
            ("lsm=yama",),
            "lsm=loadpin on the command line leaves it out",
            id="overridden",
        ),
        pytest.param(LISTED + 'CONFIG_X86=y\nCONFIG_CMDLINE="lsm=loadpin"\n', (), "", id="no-built-in"),
        pytest.param(LISTED, ("security=selinux",), "", id="only-for-major-modules"),
    ],
)
def test_what_leaves_a_module_out(config: str, arguments: tuple[str, ...], reason: str) -> None:
    assert left_out("yama", Config.parse(config), arguments) == reason


def test_one_promise_is_broken(kernel: Kernel, tmp_path: Path) -> None:
    if not kernel.config.builtin("SECURITY_YAMA"):
        pytest.skip("needs CONFIG_SECURITY_YAMA")
    arguments = ("-c", str(ROOT / "pyproject.toml"), "suites/yama/test_absent.py", "--append=lsm=capability")
    with SeparateRun(tmp_path, *arguments, *kernel_options(kernel, tmp_path)) as run:
        assert run.wait() == 1, run.said()
        results = run.results()["results"]
    (broken,) = [result for result in results if result["outcome"] not in ("pass", "skip")]
    assert broken["outcome"] == "fail"
    assert broken["requirements"] == ["yama.started"]
    reason = "lsm=capability on the command line leaves it out"
    assert broken["reason"].startswith(f"Yama is built in, but not started: {reason}")
    skipped = [result for result in results if result["reason"] == f"needs yama started: {reason}"]
    assert {result["outcome"] for result in skipped} == {"skip"}
    assert any("yama.active" in result["requirements"] for result in skipped)


@pytest.mark.parametrize("arguments", [(), ("--append=audit=0",)], ids=["not-turned-off", "turned-off"])
def test_what_an_argument_turns_off_is_skipped(kernel: Kernel, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Otherwise, the tests would wait for records that cannot come, and blame the kernel.

    A test that boots with that argument itself is about it, and runs.
    """
    if not kernel.config.builtin("AUDIT"):
        pytest.skip("needs CONFIG_AUDIT")
    tests = ("suites/seccomp/test_logging.py", "suites/seccomp/test_sysctls.py", "-k", "switched_off or are_recorded")
    options = ("-c", str(ROOT / "pyproject.toml"), *tests, *arguments, *kernel_options(kernel, tmp_path))
    with SeparateRun(tmp_path, *options) as run:
        assert run.wait() == 0, run.said()
        results = {result["requirements"][0]: result for result in run.results()["results"]}
    assert results["seccomp.log-audit-off"]["outcome"] == "pass"
    other = results["seccomp.log-config-change"]
    assert other["outcome"] == ("skip" if arguments else "pass")
    assert other["reason"] == ("needs CONFIG_AUDIT, which audit=0 turns off" if arguments else "")
