# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls for files and mounts."""

from __future__ import annotations

from guests.call_arguments import Out
from guests.outcome import Outcome, returned
from guests.syscalls.base import SyscallGroup
from guests.uapi import AT_FDCWD, MS_BIND, O_CREAT, O_RDONLY, O_TRUNC, O_WRONLY, STATX_MODE


class FilesystemCalls(SyscallGroup):
    """Operations on files and mounts."""

    def open(self, path: str, flags: int = O_RDONLY, mode: int = 0o600) -> Outcome:
        return self.call("openat", AT_FDCWD, path, self.abi.flags_of_open(flags), mode, shown=f'open("{path}")')

    def close(self, fd: int) -> Outcome:
        return self.call("close", fd)

    def read(self, fd: int, length: int = 4096) -> Outcome:
        return self.call("read", fd, Out(length), length, shown=f"read({fd}, {length})")

    def write(self, fd: int, content: bytes) -> Outcome:
        return self.call("write", fd, content, len(content))

    def pipe(self) -> tuple[int, int]:
        """Create a pipe, and return its read end and write end."""
        reading, writing = self.abi.unpack("ii", self.call("pipe2", Out(8), 0).read())
        return reading, writing

    def read_text(self, path: str, length: int = 4096) -> Outcome:
        """Open, read once, and close: the outcome of the first call that fails, or of the read."""
        opened = self.open(path)
        if opened.errno:
            return opened
        done = self.read(opened.value, length)
        self.close(opened.value)
        return done

    def content(self, path: str, length: int = 4096) -> bytes:
        """The beginning of a file.  Reading it must succeed."""
        done = self.read_text(path, length)
        return done.read()[: done.value]

    def write_text(self, path: str, text: str, *, create: bool = False) -> Outcome:
        """Open for writing, write once, and close: the outcome of the first call that fails, or of the write."""
        opened = self.open(path, O_WRONLY | (O_CREAT | O_TRUNC if create else 0))
        if opened.errno:
            return opened
        done = self.write(opened.value, text.encode())
        self.close(opened.value)
        return done

    def mkdir(self, path: str) -> Outcome:
        return self.call("mkdirat", AT_FDCWD, path, 0o755, shown=f'mkdir("{path}")')

    def chmod(self, path: str, mode: int) -> Outcome:
        return self.call("fchmodat", AT_FDCWD, path, mode, shown=f'chmod("{path}", {mode:#o})')

    def chown(self, path: str, uid: int, gid: int) -> Outcome:
        return self.call("fchownat", AT_FDCWD, path, uid, gid, 0, shown=f'chown("{path}", {uid}, {gid})')

    def access_file(self, path: str, mode: int = 0) -> Outcome:
        return self.call("faccessat", AT_FDCWD, path, mode, shown=f'access("{path}", {mode})')

    def mount(self, source: str, target: str, kind: str, flags: int = 0, data: str = "") -> Outcome:
        """Create the directory, and mount on it."""
        self.mkdir(target)
        return self.call("mount", source, target, kind, flags, data, shown=f'mount("{source}", "{target}", {kind})')

    def bind_mount(self, source: str, target: str) -> Outcome:
        self.mkdir(target)
        return self.call("mount", source, target, None, MS_BIND, None, shown=f'bind_mount("{source}", "{target}")')

    def umount(self, target: str, flags: int = 0) -> Outcome:
        return self.call("umount2", target, flags, shown=f'umount("{target}")')

    def copy_file(self, source: str, target: str) -> None:
        """Copy a file inside the guest.  Must succeed."""
        into = self.open(target, O_WRONLY | O_CREAT | O_TRUNC, 0o755).result()
        out_of = self.open(source).result()
        while self.call("sendfile", into, out_of, None, 1 << 20).result():
            pass
        self.close(into)
        self.close(out_of)

    def mode(self, path: str) -> int:
        """The permission bits of the file at a path."""
        # struct statx: stx_mode is at byte 28 (include/uapi/linux/stat.h).
        result = self.call("statx", AT_FDCWD, path, 0, STATX_MODE, Out(256), shown=f'mode("{path}")').read()
        return int(self.abi.unpack_from("H", result, 28)[0]) & 0o7777

    def memfd(self, content: bytes) -> int:
        """A memfd that is only open for reading: the kernel does not load a file that is open for writing."""
        writable = self.call("memfd_create", "memfd", 0).result()
        self.write(writable, content).require(returned(len(content)))
        fd = self.open(f"/proc/self/fd/{writable}").result()
        self.close(writable)
        return fd
