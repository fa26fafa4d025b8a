# SPDX-License-Identifier: GPL-2.0-or-later
"""Clones of a template: how QEMU loads its state."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from guests.errors import QemuError
from guests.guest import Guest
from guests.vm import template
from guests.vm.qemu_process import Qemu
from guests.vm.qemu_program import QemuProgram
from suites.harness.guests import fakes


class TestClone:
    @pytest.mark.parametrize(
        ("program", "uri"),
        [(fakes.OLD_QEMU, r"fd:(\d+)"), (fakes.NEW_QEMU, r"file:/proc/self/fd/(\d+)")],
        ids=["7.2", "11.0"],
    )
    def test_all_commands_are_sent_before_it_runs(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: QemuProgram, uri: str
    ) -> None:
        """QEMU inherits a descriptor of the state, and maps the memory copy-on-write; nothing waits for QEMU."""
        script = fakes.program(
            tmp_path / "qemu",
            fakes.QEMU + "import json\n"
            "told = os.fdopen(fds['qmp'])\n"
            "commands = [json.loads(told.readline()) for _ in range(3)]\n"
            "uri = commands[2]['arguments']['uri']\n"
            f"state = os.read(int(re.fullmatch({uri!r}, uri)[1]), 100).decode()\n"
            "agent(json.dumps([sys.argv, [one['execute'] for one in commands], state]).encode() + b'\\n')\n",
        )
        folder = tmp_path / "a folder, with a comma"
        folder.mkdir()
        monkeypatch.setattr(template, "compose", lambda _: (str(script), "-m", "4M"))
        (folder / "state").write_text("saved")
        made = template.Template(replace(fakes.machine(folder), memory_mib=4, qemu=program), folder, "key")
        console = os.memfd_create("console")
        clone = made.start_clone(console)
        try:
            argv, commands, state = json.loads(clone.agent.makefile().readline())
        finally:
            clone.kill()
            os.close(console)
        assert commands == ["qmp_capabilities", "migrate-set-capabilities", "migrate-incoming"]
        assert state == "saved"
        assert argv[1:3] == ["-m", "4M"]
        escaped = str(folder).replace(",", ",,")
        assert f"memory-backend-file,id=ram,size=4M,mem-path={escaped}/ram,share=off" in argv
        assert argv[argv.index("-S") : argv.index("-S") + 3] == ["-S", "-incoming", "defer"]

    @pytest.mark.parametrize("error", [BrokenPipeError(), QemuError("refused"), KeyboardInterrupt()], ids=repr)
    def test_a_clone_that_accepts_no_commands_is_killed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
    ) -> None:
        """Neither its process nor any descriptor is left, including those of the guest."""
        script = fakes.program(tmp_path / "qemu", fakes.QEMU + "wait()\n")
        monkeypatch.setattr(template, "compose", lambda _: (str(script),))
        (tmp_path / "state").write_text("saved")
        made = template.Template(replace(fakes.machine(tmp_path), memory_mib=4), tmp_path, "key")
        started = []

        def fail(qemu: Qemu, *_: object) -> None:
            started.append(qemu.process)
            raise error

        monkeypatch.setattr("guests.vm.device_state.send_load", fail)
        before = fakes.open_descriptors()
        with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else QemuError):
            Guest(fakes.kernel(tmp_path), made)
        (process,) = started
        assert process.returncode is not None
        assert fakes.open_descriptors() == before

    def test_a_template_without_its_state_has_no_clones(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(template, "compose", lambda _: ("qemu",))
        before = fakes.open_descriptors()
        with pytest.raises(FileNotFoundError):
            Guest(fakes.kernel(tmp_path), template.Template(fakes.machine(tmp_path), tmp_path, "key"))
        assert fakes.open_descriptors() == before
