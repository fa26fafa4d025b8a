# SPDX-License-Identifier: GPL-2.0-or-later
"""A task of a guest without a kernel that decides about loads by a model of LoadPin."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

from guests.abis import X86_64
from guests.outcome import EINVAL, ENOENT, ENOEXEC, EPERM, OK, Expected, Outcome, exited
from guests.protocol.wire import State
from guests.syscalls.block_devices import DmTarget
from guests.uapi import Clone
from suites.loadpin.support.disks_and_log import DM_VERITY, FIRMWARE, POLICY, line, line_without_file
from suites.loadpin.support.load_kinds import LENGTH, OFFSET
from suites.loadpin.support.loadpin_lines import ENFORCE
from suites.loadpin.support.pin_model import Device, Superblock, VerityTable
from suites.loadpin.support.storage_model import FIRST, OpenFile

if TYPE_CHECKING:
    from suites.harness.walks.fake_loadpin import FakeLoadPinGuest


class FakeLoader:
    """What a walk uses of guests.task.Task."""

    abi = X86_64

    def __init__(self, guest: FakeLoadPinGuest, name: str, number: int, *, apart: bool = False) -> None:
        self.guest, self.name, self.tid, self.pid, self.slot = guest, name, number, number, number
        self.namespace = name if apart else FIRST

    def __repr__(self) -> str:
        return f"{self.name}[{self.tid}]"

    def outcome(self, expected: Expected, what: str) -> Outcome:
        return Outcome(expected.state, expected.low, f"{self}.{what}")

    def nothing(self, *_: object, **__: object) -> Outcome:
        return self.outcome(OK, "nothing()")

    mkdir = copy_file = reap = suspend_dm = resume_dm = unload_module = nothing

    def call(self, name: str, *arguments: Any, shown: str = "") -> Outcome:
        if name != "ioctl":
            return self.nothing()
        (file,) = struct.unpack("<I", arguments[2])
        path = self.guest.opened[file]
        prediction, judgement = self.guest.pins.set_digests(self._superblock(path), self.guest.listed(path))
        if judgement is not None:
            self.guest.note(judgement, line("security-policy", judgement.what, path, self))  # type: ignore[arg-type]
        return self.outcome(prediction.expected, shown)

    # Tasks

    def spawn(self, name: str, *, flags: Clone) -> FakeLoader:
        assert flags == Clone.NEWNS
        self.guest.storage.unshare(name)
        return self.guest.new_task(name, apart=True)

    def exit(self) -> Outcome:
        self.guest.end(self.guest.storage.remove(places=self.guest.storage.places_in(self.namespace)))
        return self.outcome(exited(0), "exit()")

    # Files and mounts

    def _superblock(self, path: str) -> Superblock:
        return self.guest.storage.mounts[self.namespace, path.rpartition("/")[0]]

    def mount(self, source: str, where: str, _: str, __: int = 0, data: str = "") -> Outcome:
        place = (self.namespace, where)
        lower = re.match("lowerdir=(.*):", data)
        below = self.guest.storage.mounts[self.namespace, lower[1]] if lower else None
        self.guest.storage.mount(place, self.guest.devices.get(source), below)
        return self.outcome(OK, f"mount({source})")

    def bind_mount(self, source: str, where: str) -> Outcome:
        self.guest.storage.bind((self.namespace, where), (self.namespace, source))
        return self.outcome(OK, f"bind_mount({source})")

    def umount(self, where: str, _: int = 0) -> Outcome:
        self.guest.end(self.guest.storage.remove(places=[(self.namespace, where)]))
        return self.outcome(OK, f"umount({where})")

    def open(self, path: str) -> Outcome:
        number = len(self.guest.opened) + 3
        self.guest.opened[number] = path
        if path.endswith("/junk"):
            superblock, place = self._superblock(path), (self.namespace, path.removesuffix("/junk"))
            self.guest.storage.files[str(number)] = OpenFile(superblock, place)
        assert path == DM_VERITY or self._superblock(path)
        return Outcome(State.RETURNED, number, f"{self}.open({path})")

    def close(self, file: int) -> Outcome:
        if str(file) in self.guest.storage.files:
            self.guest.end(self.guest.storage.remove(files=[str(file)]))
        return self.outcome(OK, f"close({file})")

    def content(self, _: str) -> bytes:
        return POLICY

    def write_text(self, path: str, text: str) -> Outcome:
        assert path == ENFORCE
        prediction = self.guest.pins.write_enforce(int(text), root=self.name == "root")
        return self.outcome(prediction.expected, f"write_text({text})")

    # Devices

    def set_read_only(self, device: str, read_only: bool) -> Outcome:
        self.guest.devices[device].set_read_only = read_only
        return self.outcome(OK, f"set_read_only({read_only})")

    def attach_loop(self, below: str, *, read_only: bool) -> str:
        return self.guest.new_device("loop", Device("", below=self.guest.devices[below], always_read_only=read_only))

    def create_mapped(self, name: str, table: DmTarget) -> str:
        path = self.guest.new_device("dm-", Device("", below=self.guest.devices[table.parameters.split()[0]]))
        self.guest.mapped[name] = path
        self.load_table(name, table)
        return path

    def load_table(self, name: str, table: DmTarget) -> Outcome:
        device, *options = table.parameters.split()
        if table.kind == "verity":
            disk = "abcd".index(device[-1])
            self.guest.devices[self.guest.mapped[name]].table = VerityTable(disk, lenient=bool(options))
        return self.outcome(OK, f"load_table({name})")

    # Loads

    def _load(self, kind: str, path: str, allowed: Expected = OK, refused: Expected = EPERM, by: str = "") -> Outcome:
        return self._load_from(kind, path, self._superblock(path), allowed, refused, by)

    def _load_from(
        self,
        kind: str,
        path: str,
        superblock: Superblock,
        allowed: Expected = OK,
        refused: Expected = EPERM,
        by: str = "",
    ) -> Outcome:
        judgement = self.guest.pins.load(kind, superblock)
        text = by and f'{kind} {judgement.what} obj="{path}" {by}'
        self.guest.note(judgement, text or line(kind, judgement.what, path, self))  # type: ignore[arg-type]
        return self.outcome(allowed if judgement.allowed else refused, f"load({path})")

    def load_module(self, path: str) -> Outcome:
        return self._load("kernel-module", path, ENOEXEC if path.endswith("/junk") else OK)

    def finit_module(self, file: int) -> Outcome:
        opened = self.guest.storage.files[str(file)]
        return self._load_from("kernel-module", self.guest.opened[file], opened.superblock, ENOEXEC)

    def load_kernel(self, image: str, initramfs: str | None = None) -> Outcome:
        done = self._load("kexec-image", image)
        if initramfs is not None and done == OK:
            done = self._load("kexec-initramfs", initramfs)
        self.guest.kernel_loaded = done == OK
        return done

    def unload_kernel(self) -> Outcome:
        self.guest.kernel_loaded = False
        return self.outcome(OK, "unload_kernel()")

    def request_firmware(self, directory: str, name: str) -> Outcome:
        superblock = self.guest.storage.mounts[FIRST, directory]
        return self._load_from("firmware", f"{directory}/{name}", superblock, refused=ENOENT)

    def request_partial_firmware(self, directory: str, name: str, **_: int) -> Outcome:
        by = 'pid=7 cmdline=""'
        return self._load("firmware", f"{directory}/{name}", refused=ENOENT, by=by)

    def load_policy(self, path: str) -> Outcome:
        return self._load("security-policy", path)

    def _load_from_memory(self, kind: str) -> Outcome:
        judgement = self.guest.pins.load(kind, None)
        self.guest.note(judgement, line_without_file(kind, judgement.what, self))  # type: ignore[arg-type]
        return self.outcome(OK if judgement.allowed else EPERM, f"load({kind})")

    def init_module(self, _: bytes) -> Outcome:
        return self._load_from_memory("kernel-module")

    def call32(self, name: str, *_: object) -> Outcome:
        done = self._load_from_memory("kexec-image")
        return self.outcome(EINVAL, name) if done == OK else done

    def kexec_load(self, *, segments: int = 1) -> Outcome:
        done = self._load_from_memory("kexec-image")
        self.guest.kernel_loaded = done == OK and segments > 0
        return done

    def kernel_is_loaded(self) -> bool:
        return self.guest.kernel_loaded

    def firmware_content(self) -> bytes:
        return FIRMWARE

    def partial_firmware_content(self) -> bytes:
        return FIRMWARE[OFFSET : OFFSET + LENGTH]
