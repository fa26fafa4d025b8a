# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls that make the kernel load something: modules, kexec images, firmware, an IMA policy."""

from __future__ import annotations

import struct

from guests.outcome import Outcome, returned
from guests.protocol import wire
from guests.protocol.wire import State
from guests.syscalls.filesystem import FilesystemCalls
from guests.uapi import (
    AT_FDCWD,
    MAP_ANONYMOUS,
    MAP_PRIVATE,
    O_CLOEXEC,
    O_CREAT,
    O_RDONLY,
    O_RDWR,
    O_TRUNC,
    PROT_READ,
    PROT_WRITE,
    KexecFile,
)

FIRMWARE_PATH = "/sys/module/firmware_class/parameters/path"
TEST_FIRMWARE = "/sys/devices/virtual/misc/test_firmware"
IMA_POLICY = "/sys/kernel/security/ima/policy"
KEXEC_LOADED = "/sys/kernel/kexec_loaded"

_COMMAND_LINE = b"console=ttyS0\0"
_SMALL = wire.SLOT_DATA_SIZE // 2
"""Bytes that a call's arguments may have, beside what a test has stored in the task's memory."""
_CONTENT = "/tmp/content-for-memory"  # noqa: S108 (in a guest)
_SEGMENT = 4096
"""Bytes of a segment for kexec_load(), which gets a page of its own."""
_SEGMENTS_BEGIN = 0x2000000
"""32 MiB after the beginning of the memory, which every guest has."""
_DEVICE_TREE = struct.pack(">10I", 0xD00DFEED, _SEGMENT, 56, 72, 40, 17, 16, 0, 0, 16)
"""An empty device tree (scripts/dtc/libfdt/fdt.c, fdt_check_header()): riscv64 loads nothing without one."""


class KernelReadCalls(FilesystemCalls):
    """Loads by the kernel, for which the task needs CAP_SYS_MODULE, CAP_SYS_BOOT or CAP_SYS_ADMIN."""

    # Modules

    def load_module(self, path: str, parameters: str = "", flags: int = 0) -> Outcome:
        """finit_module() with a file."""
        fd = self.open(path, O_RDONLY | O_CLOEXEC).result()
        done = self.finit_module(fd, parameters, flags, shown=f'load_module("{path}")')
        self.close(fd)
        return done

    def finit_module(self, fd: int, parameters: str = "", flags: int = 0, *, shown: str = "") -> Outcome:
        return self.call("finit_module", fd, parameters, flags, shown=shown)

    def init_module(self, content: bytes) -> Outcome:
        """init_module(): the content comes from memory, and the kernel sees no file."""
        shown = f"init_module({len(content)} bytes)"
        if len(content) <= _SMALL:
            return self.call("init_module", content, len(content), "", shown=shown)
        address = self._copied_to_memory(content)
        done = self.call("init_module", address, len(content), "", shown=shown)
        self.call("munmap", address, len(content)).result()
        return done

    def _copied_to_memory(self, content: bytes) -> int:
        """The address of private memory with this content, for what does not fit into the memory for arguments."""
        flags = MAP_PRIVATE | MAP_ANONYMOUS
        address = self.call("mmap", None, len(content), PROT_READ | PROT_WRITE, flags, -1, 0).result()
        fd = self.open(_CONTENT, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600).result()
        for piece in (content[place : place + _SMALL] for place in range(0, len(content), _SMALL)):
            self.call("write", fd, piece, len(piece)).require(returned(len(piece)))
        self.call("lseek", fd, 0, 0).result()
        self.call("read", fd, address, len(content)).require(returned(len(content)))
        self.close(fd).result()
        self.call("unlinkat", AT_FDCWD, _CONTENT, 0).result()
        return address

    def unload_module(self, name: str) -> Outcome:
        return self.call("delete_module", name, 0, shown=f'unload_module("{name}")')

    # Kernels to reboot into

    def load_kernel(self, kernel: str, initramfs: str | None = None, flags: KexecFile = KexecFile.NONE) -> Outcome:
        """kexec_file_load() of an image, with or without an initramfs."""
        image = self.open(kernel, O_RDONLY | O_CLOEXEC).result()
        initrd = -1 if initramfs is None else self.open(initramfs, O_RDONLY | O_CLOEXEC).result()
        if initramfs is None:
            flags |= KexecFile.NO_INITRAMFS
        shown = f'load_kernel("{kernel}"' + (f', "{initramfs}")' if initramfs else ")")
        done = self.kexec_file_load(image, initrd, flags, shown=shown)
        self.close(image)
        if initramfs is not None:
            self.close(initrd)
        return done

    def kexec_file_load(self, kernel: int, initramfs: int, flags: int = 0, *, shown: str = "") -> Outcome:
        return self.call("kexec_file_load", kernel, initramfs, len(_COMMAND_LINE), _COMMAND_LINE, flags, shown=shown)

    def unload_kernel(self) -> Outcome:
        return self.call("kexec_file_load", -1, -1, 0, None, KexecFile.UNLOAD, shown="unload_kernel()")

    def kexec_load(self, *, segments: int = 1, flags: int = 0) -> Outcome:
        """kexec_load() of pages from memory: the kernel sees no file.  With no segments, it unloads."""
        content = self.store(_DEVICE_TREE.ljust(_SEGMENT, b"\0")) if segments else 0
        start, size = self.abi.memory_begins + _SEGMENTS_BEGIN, self.hello().page_size
        laid = b"".join(self.abi.words(content, _SEGMENT, start + number * size, size) for number in range(segments))
        shown = f"kexec_load({segments} segments)"
        return self.call("kexec_load", start, segments, laid or None, flags, shown=shown)

    def kernel_is_loaded(self) -> bool:
        """Whether an image is loaded."""
        return self.content(KEXEC_LOADED) == b"1\n"

    # Firmware, requested by the module test_firmware as by a driver

    def request_firmware(self, directory: str, name: str) -> Outcome:
        """request_firmware(), which searches this directory first."""
        self.write_text(FIRMWARE_PATH, directory).result()
        return self.write_text(f"{TEST_FIRMWARE}/trigger_request", name)

    def firmware_content(self) -> bytes:
        """The result of the last request."""
        return self.content("/dev/test_firmware")

    def request_partial_firmware(self, directory: str, name: str, *, offset: int, length: int) -> Outcome:
        """request_partial_firmware_into_buf(): the outcome is the driver's result, 0 or an error."""
        settings = {"config_partial": 1, "config_buf_size": length, "config_file_offset": offset}
        return self._request_into_buffer(directory, name, settings, "request_partial_firmware")

    def request_firmware_into_buffer(self, directory: str, name: str, *, length: int) -> Outcome:
        """request_firmware_into_buf(), with a buffer of this length: the outcome is the driver's result."""
        return self._request_into_buffer(directory, name, {"config_buf_size": length}, "request_firmware_into_buffer")

    def _request_into_buffer(self, directory: str, name: str, own: dict[str, int], what: str) -> Outcome:
        self.write_text(FIRMWARE_PATH, directory).result()
        settings = {"reset": 1, "config_name": name, "config_num_requests": 1, "config_into_buf": 1, **own}
        for setting, value in settings.items():
            self.write_text(f"{TEST_FIRMWARE}/{setting}", f"{value}").result()
        self.write_text(f"{TEST_FIRMWARE}/trigger_batched_requests", "1").result()
        result = int(self.content(f"{TEST_FIRMWARE}/test_result"))
        return Outcome(State.RETURNED, result, f'{self}.{what}("{directory}", "{name}")')

    def partial_firmware_content(self) -> bytes:
        """The result of the last request into a buffer, for a part or for the whole."""
        return self.content(f"{TEST_FIRMWARE}/read_firmware")

    # Policy

    def load_policy(self, path: str) -> Outcome:
        """Have IMA read its policy from a file, by writing its name to the interface that also accepts rules."""
        return self.write_text(IMA_POLICY, path)
