# SPDX-License-Identifier: GPL-2.0-or-later
"""A boot ends with an agent that answers, or with an error that states how far it got; a script replaces QEMU."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from guests.errors import BootError, QemuError, UsageError
from guests.protocol import wire
from guests.protocol.channel import Channel
from guests.protocol.wire import Frame, Op
from guests.vm import boot
from guests.vm.boot import booted
from suites.harness.guests import fakes
from suites.harness.guests.vm.fake_boots import Playing

READY = "console('kconform: agent: ready\\r\\n')\n"


class TestBoot:
    def test_a_boot_succeeds_when_the_agent_answers(self, play: Playing, tmp_path: Path) -> None:
        play(f"console('Linux\\r\\n')\n{READY}agent({fakes.hello_frame()!r})\nwait()\n")
        with booted(fakes.machine(tmp_path)) as guest:
            assert guest.hello.release == "6.12.7"
            assert guest.console.text().startswith("Linux\n")
            process = guest.qemu.process
        assert process.returncode is not None, "QEMU ends with the context"

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            pytest.param("sys.exit('no such machine')", "QEMU exited with 1: no such machine", id="qemu-refuses"),
            pytest.param(
                "console('Linux\\n'); os.kill(os.getpid(), signal.SIGABRT)",
                "QEMU was killed by SIGABRT",
                id="qemu-aborts",
            ),
            pytest.param(
                "console('Linux\\nKernel panic - not syncing: VFS: no root\\n'); sys.exit(0)",
                "the kernel panicked: Kernel panic - not syncing: VFS: no root",
                id="panic",
            ),
            pytest.param(
                "console('kconform: agent: no eventfd: errno 38\\n'); sys.exit(0)",
                "the agent gave up: kconform: agent: no eventfd: errno 38",
                id="agents-error",
            ),
        ],
    )
    def test_a_failed_boot_states_the_reason(self, play: Playing, tmp_path: Path, body: str, said: str) -> None:
        play(body)
        with pytest.raises(BootError) as caught, booted(fakes.machine(tmp_path)):
            pytest.fail("it cannot have booted")
        assert caught.value.message == f"the kernel did not boot: {said}"
        assert caught.value.exit_status == 3

    def test_options_that_qemu_refuses_are_wrong_use(self, play: Playing, tmp_path: Path) -> None:
        play("sys.exit('-nonsense: invalid option' if '-nonsense' in sys.argv else 'no such machine')")
        refused = replace(fakes.machine(tmp_path), options=("-nonsense",))
        with pytest.raises(UsageError, match="does not accept --qemu-opts=-nonsense: ") as caught, booted(refused):
            pytest.fail("it cannot have booted")
        assert caught.value.exit_status == 4
        assert "-nonsense: invalid option" in caught.value.message

    @pytest.mark.parametrize(
        "body", ["console('Linux\\n'); sys.exit(1)", "os.kill(os.getpid(), signal.SIGKILL)"], ids=["later", "killed"]
    )
    def test_another_end_of_qemu_is_not_blamed_on_the_options(self, play: Playing, tmp_path: Path, body: str) -> None:
        play(body)
        with pytest.raises(BootError), booted(replace(fakes.machine(tmp_path), options=("-name", "x"))):
            pytest.fail("it cannot have booted")

    def test_a_boot_has_a_deadline(self, play: Playing, tmp_path: Path) -> None:
        play("wait()\n")
        with pytest.raises(BootError) as caught, booted(fakes.machine(tmp_path), deadline_s=fakes.SOON_S):
            pytest.fail("it cannot have booted")
        assert caught.value.message == "the kernel did not boot: the kernel printed nothing at all"

    @pytest.mark.parametrize("end", ["wait()", "sys.exit(0)"], ids=["silent", "gone"])
    def test_an_agent_that_is_ready_but_does_not_answer_is_reported(
        self, play: Playing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
    ) -> None:
        """The remaining deadline is reduced to zero to shorten the test."""

        class Impatient(Channel):
            def request(self, op: Op, slot: int = 0, body: bytes = b"", deadline: float = 0) -> Frame:
                return super().request(op, slot, body, fakes.SOON_S if end == "wait()" else deadline)

        monkeypatch.setattr(boot, "Channel", Impatient)
        play(f"{READY}{end}\n")
        with pytest.raises(BootError, match="its agent does not answer through the channel") as caught:  # noqa: SIM117
            with booted(fakes.machine(tmp_path)):
                pytest.fail("it cannot have answered")
        assert caught.value.evidence["console"].startswith("kconform: agent: ready")

    @pytest.mark.parametrize(
        ("sent", "said"),
        [
            (b"no frame at all, for sure", "checksum"),
            (Frame(Op.POKE, 0, 1).encode(), "but its answer is to 5"),
            (Frame(Op.HELLO, 0, 1, b"short").encode(), "has 5 bytes instead of"),
        ],
        ids=["no-frame", "another-answer", "short"],
    )
    def test_an_agent_that_sends_invalid_data_is_reported(
        self, play: Playing, tmp_path: Path, sent: bytes, said: str
    ) -> None:
        play(f"console('Linux\\r\\n')\n{READY}agent({sent!r})\nwait()\n")
        with pytest.raises(BootError, match=f"does not answer correctly .*{said}") as caught:  # noqa: SIM117
            with booted(fakes.machine(tmp_path)):
                pytest.fail("the boot succeeded")
        assert caught.value.evidence["console"].startswith("Linux\n")

    def test_an_agent_of_another_version_is_reported(self, play: Playing, tmp_path: Path) -> None:
        play(f"{READY}agent({fakes.hello_frame(99)!r})\nwait()\n")
        with pytest.raises(BootError, match=f"speaks version 99 of the protocol instead of {wire.VERSION}"):  # noqa: SIM117
            with booted(fakes.machine(tmp_path)):
                pytest.fail("the boot succeeded")

    def test_the_error_shows_the_consoles_last_lines(self, play: Playing, tmp_path: Path) -> None:
        play("console(''.join(f'line {i}\\r\\n' for i in range(30)))\n")
        with pytest.raises(BootError) as caught, booted(fakes.machine(tmp_path)):
            pytest.fail("it cannot have booted")
        shown = [line for line in str(caught.value).splitlines() if line.startswith("  | ")]
        assert shown == [f"  | line {i}" for i in range(18, 30)]
        assert caught.value.evidence["console"].splitlines()[0] == "line 0"

    def test_a_missing_qemu_that_virtme_run_chose_is_reported(self, play: Playing, tmp_path: Path) -> None:
        play("").unlink()
        with pytest.raises(BootError, match="qemu-system-x86_64"), booted(fakes.machine(tmp_path)):
            pytest.fail("it cannot have started")

    def test_without_setpriv_nothing_is_started(
        self, play: Playing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        play("wait()")
        boot.compose(fakes.machine(tmp_path))
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(QemuError, match="setpriv is not installed") as caught, booted(fakes.machine(tmp_path)):
            pytest.fail("it cannot have started")
        assert "doctor" in caught.value.hint


class TestComposing:
    @pytest.mark.parametrize(
        ("says", "told"),
        [("cannot find qemu", "cannot find qemu"), ("", "exit status 1")],
        ids=["with-a-reason", "without"],
    )
    def test_a_virtme_run_that_fails_is_quoted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, told: str
    ) -> None:
        failing = fakes.quitter(tmp_path / "virtme-run", 1, says)
        monkeypatch.setattr(boot, "virtme_run_program", lambda: str(failing))
        boot.compose.cache_clear()
        with pytest.raises(QemuError, match=f"could not compose a command: {told}") as caught:
            boot.compose(fakes.machine(tmp_path))
        assert "is QEMU installed?" in caught.value.hint

    def test_virtme_run_does_not_read_the_users_configuration(self, play: Playing, tmp_path: Path) -> None:
        """A user's virtme-ng.conf would override kconform's options."""
        play("")
        fakes.program(
            tmp_path / "virtme-run",
            "import os\nprint('/bin/qemu', '-append', os.environ['HOME'] + '|' + os.environ['XDG_CONFIG_HOME'])\n",
        )
        shown = boot.compose(fakes.machine(tmp_path))
        home, config = next(word for word in shown if "|" in word).split()[0].split("|")
        assert home == config
        assert not Path(home).exists(), "the temporary HOME is removed"
        assert home != str(Path.home())

    def test_paths_may_be_of_any_bytes(self, play: Playing, tmp_path: Path) -> None:
        """As a Latin-1 directory for the cache, which Linux permits."""
        play("")
        fakes.program(
            tmp_path / "virtme-run",
            "import os, sys\nimage = sys.argv[sys.argv.index('--kimg') + 1]\n"
            "sys.stdout.buffer.write(b'/bin/qemu -kernel \\'' + os.fsencode(image) + b'\\'\\n')\n",
        )
        machine = fakes.machine(tmp_path / os.fsdecode(b"caf\xe9"))
        assert str(machine.image) in boot.compose(machine)

    def test_a_missing_virtme_run_is_reported(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
        monkeypatch.setenv("PATH", str(tmp_path))
        boot.virtme_run_program.cache_clear()
        with pytest.raises(QemuError, match="virtme-run is not installed"):
            boot.virtme_run_program()
        fakes.quitter(tmp_path / "virtme-run", 0)
        assert boot.virtme_run_program() == str(tmp_path / "virtme-run")
        boot.virtme_run_program.cache_clear()
