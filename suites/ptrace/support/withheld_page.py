# SPDX-License-Identifier: GPL-2.0-or-later
"""A page of a task's memory that userfaultfd(2) withholds: a call that uses it waits in the middle."""

from __future__ import annotations

from guests.call_arguments import InOut
from guests.guest import Guest
from guests.task import Task
from guests.uapi import MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE

_API, _UFFDIO_API = 0xAA, 0xC018AA3F
_MISSING, _UFFDIO_REGISTER, _UFFDIO_COPY = 1, 0xC020AA00, 0xC028AA03
"""include/uapi/linux/userfaultfd.h."""


class WithheldPage:
    """The page, at `address`.  Nothing has been read from it or written to it yet."""

    def __init__(self, guest: Guest, task: Task) -> None:
        # Otherwise a user may withhold a page from a program only, and not from the kernel.
        guest.set_sysctl("vm.unprivileged_userfaultfd", 1)
        descriptor = task.call("userfaultfd", 0).result()
        self._ioctl(task, descriptor, _UFFDIO_API, _API, 0, 0)
        protection, flags = PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS
        self._size = guest.hello.page_size
        self.address = task.call("mmap", 0, self._size, protection, flags, -1, 0).result()
        self._ioctl(task, descriptor, _UFFDIO_REGISTER, self.address, self._size, _MISSING, 0)
        self._keeper = guest.root("keeper of the page")
        self._descriptor = self._keeper.pidfd_getfd(task, descriptor).result()

    def release(self, content: bytes = b"") -> None:
        """From now on, the page is there, and has this content, followed by zeros."""
        protection, flags = PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS
        page = self._keeper.call("mmap", 0, self._size, protection, flags, -1, 0).result()
        # A page of zeros exists once it has been written to.
        self._keeper.copy(page, self._keeper.store(content + b"\0"), len(content) + 1).result()
        self._ioctl(self._keeper, self._descriptor, _UFFDIO_COPY, self.address, page, self._size, 0, 0)

    @staticmethod
    def _ioctl(task: Task, descriptor: int, request: int, *fields: int) -> None:
        argument = InOut(task.abi.pack(f"{len(fields)}Q", *fields))
        task.call("ioctl", descriptor, request, argument, shown=f"userfaultfd_ioctl({request:#x})").result()
