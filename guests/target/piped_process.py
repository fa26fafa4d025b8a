# SPDX-License-Identifier: GPL-2.0-or-later
"""A process of this host that is written to and read from by pipes, such as ssh."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import IO, cast


class PipedProcess(subprocess.Popen[bytes]):
    """In a session of its own, so that Ctrl-C leaves its end to whoever has started it."""

    def __init__(self, command: Sequence[str], errors: int | IO[bytes]) -> None:
        super().__init__(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
        self.input, self.output = cast(IO[bytes], self.stdin), cast(IO[bytes], self.stdout)
