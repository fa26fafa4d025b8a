# SPDX-License-Identifier: GPL-2.0-or-later
"""From a planted fault to a program in C; and the command that runs such programs in guests."""

from __future__ import annotations

from pathlib import Path

import pytest

from kconfigs.kernel import Kernel
from reports.judgement.exit_status import HELD, WRONG_USE
from reports.model.evidence import file_name
from suites import reproduce_command
from suites.harness.checkout import ROOT
from suites.harness.project.separate_run import SeparateRun, kernel_options
from suites.reproducers import BOOT, SOURCE, TRIAL

FAULT = "yama_ptrace_access_check:0"
"""Yama's check allows everything."""


@pytest.mark.needs("SECURITY_YAMA", "SYSCTL", "X86_64")
def test_a_fault_becomes_a_program(kernel: Kernel, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It ends with 1 on the kernel with the fault, where it names the call, and with 0 on the one without."""
    if not (kernel.image.parent / "System.map").is_file():
        pytest.skip("needs a kernel that was built here: the fault is planted at an address of its System.map")
    arguments = (
        "-p",
        "suites.harness.project.samples.planted_fault",
        "suites/yama/test_talk.py",
        "-k",
        "crash_handler",
    )
    options = kernel_options(kernel, tmp_path)
    environment = {"KCONFORM_FAULT": FAULT}
    with SeparateRun(tmp_path, "-c", str(ROOT / "pyproject.toml"), *arguments, *options, env=environment) as run:
        assert run.wait() == 1, run.said()
        (result,) = run.results()["results"]
    program = run.report / result["evidence"][SOURCE]
    printed = (run.report / result["evidence"][TRIAL]).read_text()
    assert "ptrace, PTRACE_ATTACH, browser->tid, 0, 0): 0 instead of EPERM\n" in printed
    assert printed.endswith("exit status 1: the kernel breaks its promise\n")
    assert program.name == "reproducer.c"
    capsys.readouterr()
    assert reproduce_command.main([str(program)]) == HELD
    assert "the promise is kept" in capsys.readouterr().out


class TestWrongUse:
    @pytest.fixture(autouse=True)
    def _said(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def _refused(self, *arguments: str) -> str:
        assert reproduce_command.main(arguments) == WRONG_USE
        return self._capsys.readouterr().err

    def test_a_folder_without_a_program(self, tmp_path: Path) -> None:
        assert "has no reproducer.c" in self._refused(str(tmp_path))

    def test_a_program_outside_a_report(self, tmp_path: Path) -> None:
        (tmp_path / "reproducer.c").write_text("int main(void) { return 0; }\n", encoding="utf-8")
        said = self._refused(str(tmp_path / "reproducer.c"))
        assert "is not in a report" in said
        assert "--kernel" in said

    def test_a_boot_that_cannot_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "reproducer.c").write_text("", encoding="utf-8")
        (tmp_path / file_name(BOOT)).write_text("[", encoding="utf-8")
        assert "does not describe a boot" in self._refused(str(tmp_path / "reproducer.c"), "--kernel=running")
