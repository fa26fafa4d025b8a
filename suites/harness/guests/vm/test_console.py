# SPDX-License-Identifier: GPL-2.0-or-later
"""The console of a boot: what ends the wait for the agent, and what is kept of the text."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from guests.vm import console as console_module
from guests.vm.console import Console, ConsoleFile, Problem, clean
from suites.harness.guests import fakes


@pytest.fixture
def ends() -> Iterator[tuple[Console, socket.socket]]:
    """A console, and the guest's end of it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Console(ours), theirs


def described(problem: Problem | None) -> str | None:
    return problem.text if problem else None


class TestConsole:
    def test_ready_ends_the_wait(self, ends: tuple[Console, socket.socket]) -> None:
        console, guest = ends
        guest.sendall(b"[    0.1] Linux\r\nkconform: agent: ready\r\nmore")
        assert described(console.follow(fakes.later())) is None

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
        assert described(console.follow(fakes.later())) == trouble
        assert console.text() == printed.decode().replace("\r", "")

    def test_messages_are_found_in_any_pieces(self, ends: tuple[Console, socket.socket]) -> None:
        """The first piece ends in the middle of the agent's message."""
        console, guest = ends
        guest.sendall(b"kconform: agent: rea")
        assert described(console.follow(time.monotonic() + fakes.SOON_S)) is not None
        guest.sendall(b"dy\r\n")
        assert described(console.follow(fakes.later())) is None

    def test_the_agents_error_is_read_to_the_end_of_its_line(self, ends: tuple[Console, socket.socket]) -> None:
        console, guest = ends
        guest.sendall(b"kconform: agent: no")
        trouble = described(console.follow(time.monotonic() + fakes.SOON_S))
        assert trouble == "the agent never became ready; the console's last line is 'kconform: agent: no'"
        guest.sendall(b" eventfd: errno 38\r\n")
        guest.close()
        assert described(console.follow(fakes.later())) == "the agent gave up: kconform: agent: no eventfd: errno 38"

    def test_silence_is_distinguished_from_a_boot_that_hung(self, ends: tuple[Console, socket.socket]) -> None:
        console, guest = ends
        guest.sendall(b"\r\n \r\n")
        assert described(console.follow(time.monotonic() + fakes.SOON_S)) == "the kernel printed nothing at all"
        guest.sendall(b"[ 1.0] random: crng init done\r\n\r\n")
        assert described(console.follow(time.monotonic() + fakes.SOON_S)) == (
            "the agent never became ready; the console's last line is '[ 1.0] random: crng init done'"
        )

    def test_bytes_that_are_not_text_are_accepted(self, ends: tuple[Console, socket.socket]) -> None:
        console, guest = ends
        guest.sendall(b"\xff\xfe\x80garbage\xc3\nkconform: agent: ready\n")
        assert described(console.follow(fakes.later())) is None
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
            trouble = described(console.follow(fakes.later()))
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
            described(console.follow(fakes.later()))
            == r"the kernel panicked: Kernel panic - not syncing: \x1b]0;x\x07\x00"
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
        assert len(text) < 5 * console_module.CONSOLE_CHARACTERS
        (notice,) = [line for line in text.splitlines() if line.startswith("[...")]
        assert re.fullmatch(r"\[\.\.\. \d{8} characters omitted \.\.\.\]", notice)
