# SPDX-License-Identifier: GPL-2.0-or-later
"""A stream of a channel over two pipes, to an agent that is a process of this host, or a program that reaches one."""

from __future__ import annotations

import os

_RECEIVE_SIZE = 1 << 18


class PipeStream:
    """The end of the pipe to read from, and of the one to write to."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = reading
        self._writing = writing
        os.set_blocking(writing, False)

    def fileno(self) -> int:
        return self._reading

    def writing_fileno(self) -> int:
        return self._writing

    def send_some(self, data: memoryview) -> int:
        return os.write(self._writing, data)

    def receive_bytes(self) -> bytes:
        return os.read(self._reading, _RECEIVE_SIZE)
