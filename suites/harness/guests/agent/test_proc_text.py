# SPDX-License-Identifier: GPL-2.0-or-later
"""The agent's parser of /proc, compiled as a program of this host."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from guests.vm.initramfs import AGENT


@pytest.fixture(scope="session")
def pending_signals(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[int]]:
    """The agent's parser of /proc/PID/status: returns the pending signals."""
    folder = tmp_path_factory.mktemp("proc-text")
    (folder / "pending.c").write_text(
        '#include <stdio.h>\n#include "proc_text.h"\n'
        "int main(int argc, char **argv)\n{\nfor (int i = 1; argc == 2 && i <= 64; i++)\n"
        'if (status_has_pending(argv[1], i))\nprintf("%d\\n", i);\nreturn 0;\n}\n'
    )
    program = folder / "pending"
    sources = [folder / "pending.c", AGENT / "proc_text.c", AGENT / "text.c"]
    subprocess.run(["cc", "-Wall", "-Werror", f"-I{AGENT}", "-o", program, *sources], check=True)

    def read(status: str) -> list[int]:
        told = subprocess.run([program, status], capture_output=True, text=True, check=True).stdout
        return [int(line) for line in told.split()]

    return read


class TestPendingSignals:
    """A dying thread has SIGKILL pending, which /proc shows in a set of hexadecimal digits (fs/proc/array.c)."""

    STATUS = "Name:\tevil\nState:\tS (sleeping)\nThreads:\t2\nSigPnd:\t{:016x}\nShdPnd:\tffffffffffffffff\n"

    @pytest.mark.parametrize("digit", range(16), ids="{:x}".format)
    def test_each_digit_of_the_set_is_read(self, pending_signals: Callable[[str], list[int]], digit: int) -> None:
        """SIGKILL is the lowest bit of the third digit from the end."""
        wanted = [9 + bit for bit in range(4) if digit >> bit & 1]
        assert pending_signals(self.STATUS.format(digit << 8)) == wanted

    @pytest.mark.parametrize("signals", [0x0123456789ABCDEF, 0xFEDCBA9876543210, 2**64 - 1], ids=hex)
    def test_all_the_digits_of_the_set_are_read(
        self, pending_signals: Callable[[str], list[int]], signals: int
    ) -> None:
        assert pending_signals(self.STATUS.format(signals)) == [i for i in range(1, 65) if signals >> (i - 1) & 1]

    def test_a_truncated_set_counts_as_full(self, pending_signals: Callable[[str], list[int]]) -> None:
        """The agent must not assume that such a thread survives."""
        status = self.STATUS.format(0)
        for end in (status.index("SigPnd"), status.index("ShdPnd") - 2):
            assert pending_signals(status[:end]) == list(range(1, 65))
