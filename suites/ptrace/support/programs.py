# SPDX-License-Identifier: GPL-2.0-or-later
"""Executable files in the guest's /tmp, which is a tmpfs: set-uid, with capabilities, unreadable, scripts, dynamic.

Each runs the program that every task runs, so that the task that executes it waits for orders again.
"""

from __future__ import annotations

import struct

import pytest

from guests.guest import Guest
from guests.outcome import Outcome
from guests.syscalls.base import Pending
from guests.task import Task
from guests.uapi import Cap
from suites.elf_files import ElfLayout, ProgramHeader

FOLDER = "/tmp"  # noqa: S108 - the guest's
ENVIRONMENT = "ENVIRONMENT=1"
"""What they find in their environment."""
_PT_LOAD, _PT_INTERP, _PF_X, _PF_R = 1, 3, 1, 4
AT_ADDRESS = 0x60000000
"""Where a program of our own lies: away from an interpreter, and from the memory that tasks share."""
# fmt: off
_WAITING = {
    # again: mov $__NR_pause, %eax; syscall; jmp again
    "x86_64": ("pause", "b8 22 00 00 00  0f 05  eb f7"),
    # again: mov $__NR_pause, %eax; int $0x80; jmp again
    "i386": ("pause", "b8 1d 00 00 00  cd 80  eb f7"),
    # again: mov r7, #__NR_pause; svc #0; b again
    "arm": ("pause", "1d 70 a0 e3  00 00 00 ef  fc ff ff ea"),
    # again: mov x0, #0, and so to x3; mov x8, #__NR_ppoll; svc #0; b again
    "aarch64": ("ppoll", "00 00 80 d2  01 00 80 d2  02 00 80 d2  03 00 80 d2  28 09 80 d2  01 00 00 d4  fa ff ff 17"),
    # again: li a0, 0, and so to a3; li a7, __NR_ppoll; ecall; j again
    "riscv64": ("ppoll", "01 45  81 45  01 46  81 46  93 08 90 04  73 00 00 00  c5 bf"),
    # again: li 0, __NR_pause; sc; b again
    "ppc64le": ("pause", "1d 00 00 38  02 00 00 44  f8 ff ff 4b"),
    # again: xgr %r2, %r2, and so to %r5; lghi %r1, __NR_ppoll; svc 0; j again
    "s390x": ("ppoll", "b9 82 00 22  b9 82 00 33  b9 82 00 44  b9 82 00 55  a7 19 01 2e  0a 00  a7 f4 ff f5"),
}
# fmt: on
"""By architecture, code that waits for signals, again and again: the call, and the instructions."""
_CAPABILITIES = "<5I"
_REVISION_2, _EFFECTIVE = 0x02000000, 1
"""struct vfs_cap_data (include/uapi/linux/capability.h), which is little-endian everywhere."""


class Programs:
    """Creates files as root, and has tasks execute them."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._root = guest.root("owner of programs")
        self._made = 0

    def create(self, *, mode: int = 0o755, uid: int = 0, gid: int = 0, caps: Cap = Cap.NONE, folder: str = "") -> str:
        """A copy of the tasks' program that belongs to `uid` and `gid`, has this mode and, if any, capabilities."""
        path = self._new_path(folder or FOLDER)
        self._root.copy_file(self._guest.program, path)
        return self._finish(path, mode, uid, gid, caps)

    def create_dynamic(self, interpreter: str, *, mode: int = 0o755) -> str:
        """A program that its ELF interpreter runs, which is to be one of these files."""
        path = self._new_path(FOLDER)
        name = interpreter.encode() + b"\0"
        like, layout = self._like()
        size = layout.head_size(2)
        interp = ProgramHeader(_PT_INTERP, _PF_R, size, AT_ADDRESS + size, len(name), 1)
        load = ProgramHeader(_PT_LOAD, _PF_R, 0, AT_ADDRESS, size + len(name), 4096)
        self._guest.upload(path, layout.head(like, AT_ADDRESS, [interp, load]) + name)
        return self._finish(path, mode, 0, 0, Cap.NONE)

    def create_waiting(self) -> str:
        """A program that does nothing but wait for signals.  It is no task: nobody can give it orders."""
        if self._guest.arch not in _WAITING:
            pytest.skip(f"needs code that waits, and there is none for {self._guest.arch}")
        path, code = self._new_path(FOLDER), bytes.fromhex(_WAITING[self._guest.arch][1])
        like, layout = self._like()
        size = layout.head_size(1)
        load = ProgramHeader(_PT_LOAD, _PF_R | _PF_X, 0, AT_ADDRESS, size + len(code), 4096)
        self._guest.upload(path, layout.head(like, AT_ADDRESS + size, [load]) + code)
        return self._finish(path, 0o755, 0, 0, Cap.NONE)

    def create_script(self, task: Task, interpreter: str, *, mode: int = 0o755) -> str:
        """A script for one task, to be executed in /tmp: the interpreter finds the task's number in its name."""
        path = f"{FOLDER}/{task.slot}"
        self._guest.upload(path, f"#!{interpreter} task\n".encode())
        return self._finish(path, mode, 0, 0, Cap.NONE)

    def _like(self) -> tuple[bytes, ElfLayout]:
        """A program for this machine, and the layout of its headers."""
        program = self._guest.read_bytes(self._guest.program, beginning=True)
        return program, ElfLayout(program)

    def _new_path(self, folder: str) -> str:
        self._made += 1
        return f"{folder}/program-{self._root.tid}-{self._made}"

    def _finish(self, path: str, mode: int, uid: int, gid: int, caps: Cap) -> str:
        # chown() clears the set-uid bit and the capabilities, so it comes first.
        self._root.chown(path, uid, gid).result()
        if caps:
            give_capabilities(self._root, path, caps).result()
        self._root.chmod(path, mode).result()
        return path


def give_capabilities(task: Task, path: str, caps: Cap, *, inheritable: Cap = Cap.NONE) -> Outcome:
    """Set a file's permitted capabilities, which become effective at once, and its inheritable ones."""
    low, high = (int(caps) & 0xFFFFFFFF, int(inheritable) & 0xFFFFFFFF), (int(caps) >> 32, int(inheritable) >> 32)
    content = struct.pack(_CAPABILITIES, _REVISION_2 | _EFFECTIVE, *low, *high)
    shown = f'give_capabilities("{path}", {caps.name})'
    return task.call("setxattr", path, "security.capability", content, len(content), 0, shown=shown)


def begin_execute(task: Task, path: str) -> Pending:
    """Start an execve() of one of these files, which a tracer may have to resume."""
    return task.begin_execute(_found(task, path), task.store_words(ENVIRONMENT))


def execute(task: Task, path: str) -> Outcome:
    """execve() one of these files: the other threads end, and the task goes on in it."""
    return task.execute(_found(task, path), task.store_words(ENVIRONMENT))


def _found(task: Task, path: str) -> str:
    """The path by which a task executes one of these files, after a change to their directory if it needs that."""
    name = path.rpartition("/")[2]
    if name != str(task.slot):
        return path
    task.call("chdir", FOLDER).result()
    return name


def wait_until_it_waits(task: Task, execution: Pending) -> None:
    """Wait for a task to execute the program of `create_waiting`, or for its execve() to fail."""
    path = f"/proc/{task.pid}/syscall"
    guest, nr = task.guest, task.number(_WAITING[task.abi.name][0])
    guest.wait_until(lambda: execution.finished() or guest.read_file(path).startswith(f"{nr} "), f"{task} to wait")


def stored_arguments(task: Task, path: str, slot: int) -> tuple[int, int]:
    """The addresses of the arguments and the environment with which the program becomes the task of a slot."""
    return task.agent_arguments(path, slot=slot), task.store_words(ENVIRONMENT)
