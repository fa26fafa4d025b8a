# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls by which a task accesses another task without tracing it."""

from __future__ import annotations

from guests.abi import Abi
from guests.call_arguments import Out
from guests.outcome import Outcome
from guests.syscalls.base import SyscallGroup
from guests.uapi import AT_FDCWD, MADV_COLD, O_RDONLY

_PERF_TYPE_SOFTWARE, _PERF_COUNT_SW_DUMMY = 1, 9
_PERF_ATTR_SIZE = 128
_PERF_DISABLED, _PERF_EXCLUDE_KERNEL, _PERF_EXCLUDE_HV = 1 << 0, 1 << 5, 1 << 6
_PERF_REMOVE_ON_EXEC, _PERF_SIGTRAP = 1 << 36, 1 << 37
"""Bit-fields of struct perf_event_attr (include/uapi/linux/perf_event.h)."""


def event_attributes(abi: Abi, *, sigtrap: bool) -> bytes:
    """struct perf_event_attr of an event that counts nothing."""
    bits = _PERF_DISABLED | _PERF_EXCLUDE_KERNEL | _PERF_EXCLUDE_HV
    if sigtrap:
        bits |= _PERF_REMOVE_ON_EXEC | _PERF_SIGTRAP
    fields = (_PERF_TYPE_SOFTWARE, _PERF_ATTR_SIZE, _PERF_COUNT_SW_DUMMY, 0, 0, 0, abi.bit_fields(bits))
    return abi.pack("IIQQQQQ", *fields).ljust(_PERF_ATTR_SIZE, b"\0")


class AccessCalls(SyscallGroup):
    """Accesses to another process by its number."""

    def open_proc(self, target: SyscallGroup, file: str, flags: int = O_RDONLY) -> Outcome:
        """Open a file in the target's directory in /proc; a thread has one of its own, which is not listed there."""
        path, own = f"/proc/{target.tid}/{file}", self.abi.flags_of_open(flags)
        return self.call("openat", AT_FDCWD, path, own, 0, shown=_of(target, file))

    def read_proc(self, target: SyscallGroup, file: str) -> Outcome:
        """Open, read once, and close: the outcome of the first call that fails, or of the read."""
        opened = self.open_proc(target, file)
        if opened.errno:
            return opened
        done = self.call("read", opened.value, Out(512), 512, shown=f"read {_of(target, file)}")
        self.call("close", opened.value)
        return done

    def read_link(self, target: SyscallGroup, file: str) -> Outcome:
        """readlink() in the target's directory in /proc."""
        path = f"/proc/{target.tid}/{file}"
        return self.call("readlinkat", AT_FDCWD, path, Out(512), 512, shown=f"readlink {_of(target, file)}")

    def count_events(self, target: SyscallGroup, *, sigtrap: bool = False) -> Outcome:
        """perf_event_open() for the target, which returns a descriptor.  `sigtrap`: events send it a signal."""
        attr = event_attributes(self.abi, sigtrap=sigtrap)
        shown = f"count_events({target}{', sigtrap' if sigtrap else ''})"
        return self.call("perf_event_open", attr, target.tid, -1, -1, 0, shown=shown)

    def robust_list(self, target: SyscallGroup) -> Outcome:
        return self.call(
            "get_robust_list", target.tid, Out(self.abi.word), Out(self.abi.word), shown=f"robust_list({target})"
        )

    def advise(self, target: SyscallGroup, address: int) -> Outcome:
        """process_madvise(MADV_COLD) of a page of the target.  The caller also needs CAP_SYS_NICE."""
        pidfd = self.call("pidfd_open", target.pid, 0, shown=f"pidfd_open({target})").result()
        page = self.hello().page_size
        range_ = self.abi.words(address & -page, page)
        done = self.call("process_madvise", pidfd, range_, 1, MADV_COLD, 0, shown=f"advise({target})")
        self.call("close", pidfd)
        return done


def _of(target: SyscallGroup, file: str) -> str:
    return f'"{file}" of {target}'
