# SPDX-License-Identifier: GPL-2.0-or-later
"""The doctor on simulated hosts: what it reports, and its exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from guests.host import dependencies
from guests.vm import acceleration, initramfs, qemu_program
from kconform import main
from suites.harness.checkout import ROOT
from suites.harness.guests import fakes
from suites.harness.guests.host.fake_host import CC, FakeHost


class TestReport:
    def test_it_reports_what_is_installed(self, host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
        host.apt()
        assert main(["doctor"]) == 0
        output = capsys.readouterr().out
        for words in ("QEMU          7.2.22", "gcc 1.2.3", f"in {host.cache}", "nothing is missing"):
            assert words in output

    def test_it_reports_what_is_missing_and_why_it_is_needed(
        self, host: FakeHost, capsys: pytest.CaptureFixture[str]
    ) -> None:
        host.apt()
        host.lack("bison")
        assert main(["doctor"]) == 4
        output = capsys.readouterr().out
        assert "MISSING        builds Kconfig's parser" in output
        assert "run: apt-get update && apt-get install" in output
        assert not host.logged, "the report installs nothing"

    @pytest.mark.parametrize(
        ("apt", "words"), [(True, "every source"), (False, "`source` and `deb:PACKAGE` need apt")]
    )
    def test_it_reports_which_kernels_can_be_tested(
        self, host: FakeHost, capsys: pytest.CaptureFixture[str], apt: bool, words: str
    ) -> None:
        host.distribution("fedora-42")
        if apt:
            host.program("apt-get")
            host.program("apt-cache")
        main(["doctor"])
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("kernels")]
        assert words in line

    def test_red_hats_qemu_is_sufficient(self, host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
        host.distribution("centos-10")
        host.lack(dependencies.list_dependencies()[0].name)
        assert main(["doctor"]) == 4
        libexec = Path(qemu_program.OTHER_PATHS[0])
        libexec.parent.mkdir()
        libexec.write_text("#!/bin/sh\necho 'QEMU emulator version 9.1.0 (qemu-kvm-9.1.0-1.el10)'\n")
        libexec.chmod(0o755)
        capsys.readouterr()
        assert main(["doctor"]) == 0
        output = capsys.readouterr().out
        assert f"QEMU          9.1.0 (qemu-kvm-9.1.0-1.el10), {libexec}; without 9p" in output

    @fakes.x86_only
    def test_a_compiler_without_32_bit_programs_is_reported(
        self, host: FakeHost, capsys: pytest.CaptureFixture[str]
    ) -> None:
        host.program("gcc", f'case " $* " in *" -m32 "*) exit 1 ;; esac\n{CC}')
        initramfs.compiles.cache_clear()
        assert main(["doctor"]) == 0
        initramfs.compiles.cache_clear()
        assert (
            "; without 32-bit programs (gcc cannot compile for i386): tests of 32-bit tasks are skipped"
            in capsys.readouterr().out
        )

    @pytest.mark.usefixtures("host")
    def test_an_unwritable_cache_is_reported(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KCONFORM_CACHE", "/proc/kconform")
        assert main(["doctor"]) == 4
        output = capsys.readouterr().out
        assert (
            "the cache directory /proc/kconform is not writable: No such file or directory\n"
            "  hint: set KCONFORM_CACHE" in output
        )
        assert "nothing is missing" not in output

    def test_without_a_compiler_its_headers_are_missing_too(
        self, host: FakeHost, capsys: pytest.CaptureFixture[str]
    ) -> None:
        host.lack("cc")
        assert main(["doctor"]) == 4
        assert capsys.readouterr().out.count("MISSING") == 4

    @pytest.mark.parametrize(
        ("remembered", "words"),
        [
            pytest.param(None, "not been tried yet", id="not-tried"),
            pytest.param({"kvm": True, "why": "a guest answered"}, "kvm: a guest answered", id="proved"),
            pytest.param({"kvm": False, "why": "it hung"}, "tcg: it hung", id="refuted"),
            pytest.param({"kvm": True, "identity": "elsewhere"}, "not been tried yet", id="proved-on-another-host"),
        ],
    )
    def test_it_reports_what_is_known_about_acceleration(
        self,
        host: FakeHost,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        remembered: dict[str, object] | None,
        words: str,
    ) -> None:
        monkeypatch.setattr(acceleration, "device_problem", lambda: None)
        if remembered is not None:
            host.cache.mkdir()
            memory = {"identity": acceleration.machine_identity()} | remembered
            (host.cache / "acceleration.json").write_text(json.dumps(memory))
        main(["doctor"])
        assert words in capsys.readouterr().out


def test_wrong_use_has_its_own_exit_status() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--nonsense"])
    assert ended.value.code == 4


def test_the_doctor_avoids_slow_imports() -> None:
    """It runs before each test run, and must work although dependencies are missing."""
    code = "import sys; before = set(sys.modules); import kconform; kconform.parser('doctor');"
    code += "print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    packages = {name.partition(".")[0] for name in done.stdout.split()}
    assert "guests" in packages
    assert not packages & {"debian", "kconfiglib", "pexpect", "psutil", "pytest", "rich", "virtme"}
