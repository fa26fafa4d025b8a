# SPDX-License-Identifier: GPL-2.0-or-later
"""A boot ends with an agent that answers, or with an error that states how far it got; a script replaces QEMU."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guests.errors import BootError, QemuError
from guests.protocol import wire
from guests.protocol.channel import Channel
from guests.protocol.wire import Frame, Op
from guests.vm import boot
from guests.vm import console as console_module
from guests.vm.boot import booted
from guests.vm.console import Console, ConsoleFile, Problem, clean
from suites.harness.guests import fakes

SOON = 0.05
"""A deadline in seconds that should pass."""


@pytest.fixture
def ends() -> Iterator[tuple[Console, socket.socket]]:
    """A console, and the guest's end of it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Console(ours), theirs


def later() -> float:
    return time.monotonic() + fakes.DEADLINE_S


def described(problem: Problem | None) -> str | None:
    return problem.text if problem else None


class TestConsole:
    def test_ready_ends_the_wait(self, ends: tuple[Console, socket.socket]) -> None:
        console, guest = ends
        guest.sendall(b"[    0.1] Linux\r\nkconform: agent: ready\r\nmore")
        assert described(console.follow(later())) is None

    @pytest.mark.parametrize(
        ("printed", "trouble"),
        [
            pytest.param(
                b"Kernel panic - not syncing: No working init found.  Try\r\n---[ end\r\n",
                "the kernel panicked: Kernel panic - not syncing: No working init found.  Try",
                id="panic",
            ),
            pytest.param(
                b"kconform: agent: no channel to the host: errno 2\n",
                "the agent gave up: kconform: agent: no channel to the host: errno 2",
                id="agents-error",
            ),
            pytest.param(b"Linux\n", "QEMU has ended", id="end-after-some-lines"),
            pytest.param(b"", "QEMU has ended", id="end-at-once"),
            pytest.param(b"Kernel panic - not syncing: half a li", "QEMU has ended", id="end-within-a-line"),
        ],
    )
    def test_problems_are_described(self, ends: tuple[Console, socket.socket], printed: bytes, trouble: str) -> None:
        console, guest = ends
        guest.sendall(printed)
        guest.close()
        assert described(console.follow(later())) == trouble
        assert console.text() == printed.decode().replace("\r", "")

    def test_messages_are_found_in_any_pieces(self, ends: tuple[Console, socket.socket]) -> None:
        """The first piece ends in the middle of the agent's message."""
        console, guest = ends
        guest.sendall(b"kconform: agent: rea")
        assert described(console.follow(time.monotonic() + SOON)) is not None
        guest.sendall(b"dy\r\n")
        assert described(console.follow(later())) is None

    def test_the_agents_error_is_read_to_the_end_of_its_line(self, ends: tuple[Console, socket.socket]) -> None:
        console, guest = ends
        guest.sendall(b"kconform: agent: no")
        trouble = described(console.follow(time.monotonic() + SOON))
        assert trouble == "the agent never became ready; the console's last line is 'kconform: agent: no'"
        guest.sendall(b" eventfd: errno 38\r\n")
        guest.close()
        assert described(console.follow(later())) == "the agent gave up: kconform: agent: no eventfd: errno 38"

    def test_silence_is_distinguished_from_a_boot_that_hung(self, ends: tuple[Console, socket.socket]) -> None:
        console, guest = ends
        guest.sendall(b"\r\n \r\n")
        assert described(console.follow(time.monotonic() + SOON)) == "the kernel printed nothing at all"
        guest.sendall(b"[ 1.0] random: crng init done\r\n\r\n")
        assert described(console.follow(time.monotonic() + SOON)) == (
            "the agent never became ready; the console's last line is '[ 1.0] random: crng init done'"
        )

    def test_bytes_that_are_not_text_are_accepted(self, ends: tuple[Console, socket.socket]) -> None:
        console, guest = ends
        guest.sendall(b"\xff\xfe\x80garbage\xc3\nkconform: agent: ready\n")
        assert described(console.follow(later())) is None
        assert "garbage" in console.text()

    def test_a_flood_ends_the_boot_and_is_not_kept(
        self, ends: tuple[Console, socket.socket], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(console_module, "FLOOD", 1 << 20)
        console, guest = ends

        def flood() -> None:
            with contextlib.suppress(OSError):
                while True:
                    guest.sendall(b"\x1b]0;again and again\x07\n" * 100)

        printing = threading.Thread(target=flood)
        printing.start()
        try:
            trouble = described(console.follow(later()))
        finally:
            guest.shutdown(socket.SHUT_RDWR)
            printing.join()
        assert trouble == "the kernel printed 1048576 characters before the agent was ready"
        assert len(console.text()) < 4 * console_module.FLOOD
        assert "characters omitted" in console.text()
        assert "\x1b" not in console.text()

    def test_quoted_lines_are_printable(self, ends: tuple[Console, socket.socket]) -> None:
        console, guest = ends
        guest.sendall(b"Kernel panic - not syncing: \x1b[2J\x1b]0;x\x07\x00\n")
        guest.close()
        assert (
            described(console.follow(later())) == r"the kernel panicked: Kernel panic - not syncing: \x1b]0;x\x07\x00"
        )

    def test_the_firmwares_escape_sequences_are_removed(self) -> None:
        assert clean("\x1bc\x1b[?7l\x1b[2J\x1b[0mSeaBIOS\r\n\x1b[=3hnext\r\n") == "SeaBIOS\nnext\n"


class TestConsoleFile:
    """The console of a clone, which QEMU appends to a file."""

    def test_the_text_is_available_after_close(self) -> None:
        console = ConsoleFile()
        os.write(console.descriptor, b"one\r\n\x1b[2Jtwo \x07\r\n")
        assert console.text() == "one\ntwo \\x07\n"
        os.write(console.descriptor, b"three \xff\n")
        console.close()
        console.close()
        assert console.text() == "one\ntwo \\x07\nthree \ufffd\n"

    def test_a_flood_is_kept_in_part_with_a_notice(self) -> None:
        console = ConsoleFile()
        writing = os.open(f"/proc/self/fd/{console.descriptor}", os.O_WRONLY | os.O_APPEND)
        try:
            for number in range(30):
                os.write(writing, f"{number:09}\n".encode() * 100_000)
                console.trim()
                assert os.fstat(console.descriptor).st_size < 1 << 20
            os.write(writing, b"the end\n")
            text = console.text()
        finally:
            os.close(writing)
            console.close()
        assert text.startswith("000000000\n")
        assert text.endswith("000000029\nthe end\n")
        assert len(text) < 5 * console_module.KEPT
        (notice,) = [line for line in text.splitlines() if line.startswith("[...")]
        assert re.fullmatch(r"\[\.\.\. \d{8} characters omitted \.\.\.\]", notice)


Playing = Callable[[str], Path]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Playing]:
    """Have virtme-run compose a command for this script instead of QEMU."""

    def put(body: str) -> Path:
        qemu = fakes.program(tmp_path / "qemu-system-x86_64", fakes.QEMU + body)
        virtme_run = fakes.fake_virtme_run(tmp_path / "virtme-run", qemu)
        monkeypatch.setattr(boot, "virtme_run_program", lambda: str(virtme_run))
        return qemu

    boot.compose.cache_clear()
    yield put
    boot.compose.cache_clear()


def hello(version: int = wire.VERSION) -> bytes:
    body = wire.HELLO.pack(version, 4096, 0, 0, b"6.12.7", b"x86_64")
    return Frame(Op.HELLO, 0, 1, body).encode()


READY = "console('kconform: agent: ready\\r\\n')\n"


class TestBoot:
    def test_a_boot_succeeds_when_the_agent_answers(self, play: Playing, tmp_path: Path) -> None:
        play(f"console('Linux\\r\\n')\n{READY}agent({hello()!r})\nwait()\n")
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

    def test_a_boot_has_a_deadline(self, play: Playing, tmp_path: Path) -> None:
        play("wait()\n")
        with pytest.raises(BootError) as caught, booted(fakes.machine(tmp_path), deadline_s=SOON):
            pytest.fail("it cannot have booted")
        assert caught.value.message == "the kernel did not boot: the kernel printed nothing at all"

    @pytest.mark.parametrize("end", ["wait()", "sys.exit(0)"], ids=["silent", "gone"])
    def test_an_agent_that_is_ready_but_does_not_answer_is_reported(
        self, play: Playing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
    ) -> None:
        """The remaining deadline is reduced to zero to shorten the test."""

        class Impatient(Channel):
            def request(self, op: Op, slot: int = 0, body: bytes = b"", deadline: float = 0) -> Frame:
                return super().request(op, slot, body, SOON if end == "wait()" else deadline)

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
        play(f"{READY}agent({hello(99)!r})\nwait()\n")
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

    def test_a_missing_virtme_run_is_reported(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
        monkeypatch.setenv("PATH", str(tmp_path))
        boot.virtme_run_program.cache_clear()
        with pytest.raises(QemuError, match="virtme-run is not installed"):
            boot.virtme_run_program()
        fakes.quitter(tmp_path / "virtme-run", 0)
        assert boot.virtme_run_program() == str(tmp_path / "virtme-run")
        boot.virtme_run_program.cache_clear()
