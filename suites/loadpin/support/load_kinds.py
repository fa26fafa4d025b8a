# SPDX-License-Identifier: GPL-2.0-or-later
"""The kinds of load: what root does, the error if LoadPin refuses, and what proves that the load succeeded.

The kernel consults LoadPin wherever it reads a file for its own use (grep kernel_read_file) or accepts data without a
file (grep security_kernel_load_data): finit_module(), kexec_file_load() for image and initramfs, firmware, IMA's
policy, and LoadPin's own list of digests; init_module(), kexec_load(), and firmware that a program passes in sysfs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from guests.guest import Guest
from guests.outcome import ENOENT, EPERM, OK, Expected, Outcome
from guests.syscalls.kernel_loads import IMA_POLICY
from guests.task import Task
from guests.vm.kernel_modules import read_module
from suites.loadpin.support.disks_and_log import (
    FIRMWARE,
    MODULE,
    PINNED,
    POLICY,
    line,
    line_without_file,
    modules,
    needs,
)

OFFSET, LENGTH = 9, 11
"""The part of a firmware file that is requested."""


@dataclass(frozen=True)
class FileLoad:
    """A kind of load from a file."""

    id: str
    name: str
    """LoadPin's name for it."""
    file: str
    """The name of the file to load, in the directory that it is loaded from."""
    load: Callable[[Task, str], Outcome]
    """Loads it, by a task, from a directory."""
    check_and_unload: Callable[[Guest, Task], None]
    """Checks that it really was loaded, and unloads it."""
    refused: Expected = EPERM
    """The error that the task gets if LoadPin refuses."""
    marks: tuple[pytest.MarkDecorator, ...] = ()
    by_kernel_thread: bool = False
    own_promise: str = ""
    """The promise that is about this kind alone."""

    def about(self, promise: str) -> str:
        """The promise that a load of this kind is about, where the other kinds are about `promise`."""
        return self.own_promise or promise

    def line(self, what: str, directory: str, task: Task) -> str:
        """LoadPin's log line about it."""
        if self.by_kernel_thread:
            return f'{self.name} {what} obj="{directory}/{self.file}" by a kernel thread'
        return line(self.name, what, f"{directory}/{self.file}", task)


def _load_module(root: Task, directory: str) -> Outcome:
    return root.load_module(f"{directory}/{MODULE}.ko")


def _check_module(_: Guest, root: Task) -> None:
    assert root.unload_module(MODULE) == OK


def _load_image(root: Task, directory: str) -> Outcome:
    return root.load_kernel(f"{directory}/image")


def _load_initramfs(root: Task, directory: str) -> Outcome:
    """Load the initramfs; its image comes from the pinned disk, where it is allowed."""
    return root.load_kernel(f"{PINNED}/image", f"{directory}/initramfs")


def _check_kernel(_: Guest, root: Task) -> None:
    assert root.kernel_is_loaded()
    assert root.unload_kernel() == OK
    assert not root.kernel_is_loaded()


def _load_firmware(root: Task, directory: str) -> Outcome:
    return root.request_firmware(directory, "firmware")


def _check_firmware(_: Guest, root: Task) -> None:
    assert root.firmware_content() == FIRMWARE


def _load_firmware_part(root: Task, directory: str) -> Outcome:
    return root.request_partial_firmware(directory, "firmware", offset=OFFSET, length=LENGTH)


def _check_firmware_part(_: Guest, root: Task) -> None:
    assert root.partial_firmware_content() == FIRMWARE[OFFSET : OFFSET + LENGTH]


def _load_policy(root: Task, directory: str) -> Outcome:
    return root.load_policy(f"{directory}/policy")


def _check_policy(guest: Guest, root: Task) -> None:
    """Check that IMA has the policy, which cannot be unloaded.  If IMA cannot show it, its log has to do."""
    if guest.kernel.config.enabled("IMA_READ_POLICY"):
        assert POLICY.strip() in root.content(IMA_POLICY)
    else:
        guest.wait_for_log("ima: policy update completed")


KEXEC_FILE = needs("KEXEC_FILE", "X86_64 or ARM64")
"""Where kexec accepts the image that the disks have."""
_FIRMWARE = needs("FW_LOADER", "TEST_FIRMWARE")
_PART = "loadpin.partial-firmware"

# fmt: off
MODULE_FILE = FileLoad(
    "module", "kernel-module", f"{MODULE}.ko", _load_module, _check_module, marks=(modules,))
KEXEC_IMAGE = FileLoad(
    "kexec-image", "kexec-image", "image", _load_image, _check_kernel, marks=(KEXEC_FILE,))
KEXEC_INITRAMFS = FileLoad(
    "kexec-initramfs", "kexec-initramfs", "initramfs", _load_initramfs, _check_kernel, marks=(KEXEC_FILE,))
FIRMWARE_WHOLE = FileLoad(
    "firmware", "firmware", "firmware", _load_firmware, _check_firmware, ENOENT, marks=(_FIRMWARE,))
FIRMWARE_PART = FileLoad(
    "firmware-part", "firmware", "firmware", _load_firmware_part, _check_firmware_part, ENOENT,
    (_FIRMWARE, pytest.mark.requirement(_PART)), by_kernel_thread=True, own_promise=_PART)
IMA_POLICY_FILE = FileLoad(
    "policy", "security-policy", "policy", _load_policy, _check_policy, marks=(needs("IMA", "IMA_WRITE_POLICY"),))
# fmt: on

FILE_LOADS = (MODULE_FILE, KEXEC_IMAGE, KEXEC_INITRAMFS, FIRMWARE_WHOLE, FIRMWARE_PART, IMA_POLICY_FILE)


@dataclass(frozen=True)
class MemoryLoad:
    """A kind of load whose content comes from memory."""

    id: str
    name: str
    load: Callable[[Guest, Task], Outcome]
    check_and_unload: Callable[[Guest, Task], None]
    marks: tuple[pytest.MarkDecorator, ...] = ()

    def line(self, what: str, task: Task) -> str:
        return line_without_file(self.name, what, task)


def _init_module(guest: Guest, root: Task) -> Outcome:
    return root.init_module(read_module(guest.kernel, MODULE))


def _kexec_load(_: Guest, root: Task) -> Outcome:
    return root.kexec_load()


def _check_kexec_load(_: Guest, root: Task) -> None:
    """Unload by loading zero segments, for which the kernel consults LoadPin too."""
    assert root.kernel_is_loaded()
    assert root.kexec_load(segments=0) == OK
    assert not root.kernel_is_loaded()


INIT_MODULE = MemoryLoad("init_module", "kernel-module", _init_module, _check_module, (modules,))
KEXEC_LOAD = MemoryLoad("kexec_load", "kexec-image", _kexec_load, _check_kexec_load, (needs("KEXEC"),))
MEMORY_LOADS = (INIT_MODULE, KEXEC_LOAD)


def prepare(guest: Guest, kind: FileLoad, root: Task) -> None:
    """Load the module that requests firmware, unless it is built in, from the pinned disk, where it is allowed.

    The kernel must not ask LoadPin for the fallback in sysfs too when it finds no file (FW_LOADER_USER_HELPER).
    """
    if kind.name != "firmware":
        return
    if guest.kernel.config.enabled("MODULES"):
        root.load_module(f"{PINNED}/test_firmware.ko").result()
    if guest.kernel.config.enabled("FW_LOADER_USER_HELPER"):
        if not guest.kernel.config.enabled("SYSCTL"):
            pytest.skip("needs CONFIG_SYSCTL, to turn off the firmware fallback")
        guest.set_sysctl("kernel.firmware_config.ignore_sysfs_fallback", 1)


def offer_fallback(guest: Guest) -> None:
    """Have the kernel ask for firmware in sysfs (fallback-mechanisms.rst) whenever it finds no file."""
    guest.set_sysctl("kernel.firmware_config.ignore_sysfs_fallback", 0)
    guest.set_sysctl("kernel.firmware_config.force_sysfs_fallback", 1)
