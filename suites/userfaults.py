# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls that wait in the middle, because userfaultfd(2) withholds a page from them, or the end of a fork."""

from __future__ import annotations

from guests.call_arguments import InOut
from guests.guest import Guest
from guests.outcome import Outcome
from guests.syscalls.seccomp import Poll
from guests.task import Task
from guests.uapi import MADV_DONTNEED, MAP_ANONYMOUS, MAP_PRIVATE, O_NONBLOCK, PROT_READ, PROT_WRITE

EVENT_FORK = 1 << 1
"""A feature: forks are reported."""
_API, _UFFDIO_API = 0xAA, 0xC018AA3F
_MISSING, _UFFDIO_REGISTER, _UFFDIO_COPY = 1, 0xC020AA00, 0xC028AA03
_USER_MODE_ONLY = 1
"""include/uapi/linux/userfaultfd.h; the last one since 5.11."""


def enable(task: Task, descriptor: int, features: int = 0) -> Outcome:
    """UFFDIO_API: agree with the kernel on the version, and on these features."""
    return _ioctl(task, descriptor, _UFFDIO_API, _API, features, 0)


def register(task: Task, descriptor: int, address: int, size: int) -> Outcome:
    """UFFDIO_REGISTER: withhold the pages of a range of memory that are missing."""
    return _ioctl(task, descriptor, _UFFDIO_REGISTER, address, size, _MISSING, 0)


class WithheldPage:
    """A page, at `address`, for which a call waits.  Nothing has been read from it or written to it yet."""

    def __init__(self, guest: Guest, task: Task) -> None:
        # Otherwise a user may withhold a page from a program only, and not from the kernel.
        guest.set_sysctl("vm.unprivileged_userfaultfd", 1)
        descriptor = task.call("userfaultfd", 0).result()
        enable(task, descriptor).result()
        self._size = guest.hello.page_size
        self.address = _new_page(task, self._size)
        register(task, descriptor, self.address, self._size).result()
        self._keeper = guest.root("keeper of the page")
        self._descriptor = self._keeper.pidfd_getfd(task, descriptor).result()

    def release(self, content: bytes = b"") -> None:
        """From now on, the page is there, and has this content, followed by zeros."""
        page = _new_page(self._keeper, self._size)
        # A page of zeros exists once it has been written to.
        self._keeper.copy(page, self._keeper.store(content + b"\0"), len(content) + 1).result()
        _ioctl(self._keeper, self._descriptor, _UFFDIO_COPY, self.address, page, self._size, 0, 0).result()

    def withhold_again(self, task: Task) -> None:
        """After its release, remove the page; `task` is a thread of its process that does not wait for it."""
        task.call("madvise", self.address, self._size, MADV_DONTNEED).result()


class WaitingFork:
    """A task's next fork, which waits when it has copied the memory, until somebody kills the task."""

    def __init__(self, guest: Guest, task: Task) -> None:
        self._guest = guest
        # Only who has CAP_SYS_PTRACE may ask for forks (fs/userfaultfd.c, userfaultfd_api()).
        self._keeper = guest.root("keeper of the fork")
        descriptor = task.call("userfaultfd", O_NONBLOCK | _USER_MODE_ONLY).result()
        self._descriptor = self._keeper.pidfd_getfd(task, descriptor).result()
        enable(self._keeper, self._descriptor, EVENT_FORK).result()
        size = guest.hello.page_size
        register(self._keeper, self._descriptor, _new_page(task, size), size).result()

    def wait_until_it_waits(self) -> None:
        self._guest.wait_until(
            lambda: self._keeper.poll(self._descriptor) == Poll.IN, "the fork to have copied the memory"
        )


def _new_page(task: Task, size: int) -> int:
    return task.call("mmap", 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0).result()


def _ioctl(task: Task, descriptor: int, request: int, *fields: int) -> Outcome:
    argument = InOut(task.abi.pack(f"{len(fields)}Q", *fields))
    return task.call("ioctl", descriptor, request, argument, shown=f"userfaultfd_ioctl({request:#x})")
