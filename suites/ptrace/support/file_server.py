# SPDX-License-Identifier: GPL-2.0-or-later
"""A server of a file system with one file (FUSE), which a task runs: it gets each request, and answers when told."""

from __future__ import annotations

from dataclasses import dataclass

from guests.abi import size_of
from guests.call_arguments import Out
from guests.task import Task
from guests.uapi import O_RDWR

DEVICE = "/dev/fuse"
LOOKUP, OPEN, FLUSH, INIT = 1, 14, 25, 26
_OLDEST, _MINOR = 7, 31
_REQUEST, _ANSWER = "IIQQIII4x", "IiQ"
_ATTRIBUTES = "6Q10I"
_ENTRY, _OPENED = "4Q2I", "QI4x"
_INITIALIZED = "4I2H2I32x"
"""Structures of include/uapi/linux/fuse.h."""
_FILE, _LARGEST_WRITE, _LARGEST_REQUEST = 2, 4096, 16384
_REGULAR = 0o100644
_FOREVER = 1 << 30
"""Seconds."""


@dataclass(frozen=True)
class Request:
    """A request of the kernel's."""

    kind: int
    number: int


class FileServer:
    """A mounted file system, whose root directory has what is looked up in it, for the tasks of one user."""

    def __init__(self, server: Task, directory: str, uid: int) -> None:
        self._server = server
        self._device = server.open(DEVICE, O_RDWR).result()
        options = f"fd={self._device},rootmode=40000,user_id={uid},group_id={uid}"
        server.mount("fuse", directory, "fuse", data=options).result()
        self._uid = uid
        self.answer_until(INIT)

    def receive(self) -> Request:
        """Wait for the next request."""
        done = self._server.call("read", self._device, Out(_LARGEST_REQUEST), _LARGEST_REQUEST, shown="receive()")
        _, kind, number, *_ = self._server.abi.unpack_from(_REQUEST, done.read())
        return Request(kind, number)

    def answer(self, request: Request) -> None:
        """Answer that it is done."""
        content = self._content(request.kind)
        packed = self._server.abi.pack(_ANSWER, size_of(_ANSWER) + len(content), 0, request.number) + content
        self._server.call("write", self._device, packed, len(packed), shown=f"answer({request})").result()

    def answer_until(self, kind: int) -> None:
        """Answer all requests up to one of this kind."""
        while True:
            request = self.receive()
            self.answer(request)
            if request.kind == kind:
                return

    def _content(self, kind: int) -> bytes:
        pack = self._server.abi.pack
        if kind == INIT:
            return pack(_INITIALIZED, _OLDEST, _MINOR, 0, 0, 0, 0, _LARGEST_WRITE, 1)
        if kind == LOOKUP:
            ids = (self._uid, self._uid)
            attributes = pack(_ATTRIBUTES, _FILE, 0, 0, 0, 0, 0, 0, 0, 0, _REGULAR, 1, *ids, 0, 4096, 0)
            return pack(_ENTRY, _FILE, 0, _FOREVER, _FOREVER, 0, 0) + attributes
        return pack(_OPENED, 0, 0) if kind == OPEN else b""
