# SPDX-License-Identifier: GPL-2.0-or-later
"""Templates: a boot's state when its agent has answered, from which clones start in a fraction of the time.

A template is a directory of the cache:

    ram           the guest's memory, sparse
    state         the state of its devices, as QEMU migrates it
    boot.log      what the kernel had logged
    console.log   what it had printed
    meta.json     what it was made of, checksums, and the kernel's taint

It is keyed by everything that went into it, and looked through before its first use in a process.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from guests.errors import BootError, KconformError, QemuError
from guests.log import taint
from guests.log.kernel_log import read_raw
from guests.vm import acceleration, migration
from guests.vm.boot import booted, compose
from guests.vm.qemu_command import Machine, clone_command, memory_options
from guests.vm.qemu_process import Qemu
from kconfigs.cache import Cache

FORMAT = 6
_SAVE_DEADLINE_S = 60.0


class DamagedError(KconformError):
    """A template is not what it was when it was saved."""


@dataclass(frozen=True)
class Template:
    """A saved boot of a machine."""

    machine: Machine
    directory: Path
    key: str

    @property
    def boot_log(self) -> str:
        """The kernel's log up to the agent's first answer, as /dev/kmsg has it."""
        return (self.directory / "boot.log").read_text()

    @property
    def console(self) -> str:
        return (self.directory / "console.log").read_text()

    @property
    def saved_s(self) -> float:
        """Seconds that the saving of the devices' state took."""
        return float(json.loads((self.directory / "meta.json").read_text())["saved_s"])

    @property
    def taint(self) -> int | None:
        """The kernel's, after the boot; None where it cannot be read."""
        found = json.loads((self.directory / "meta.json").read_text())["taint"]
        return None if found is None else int(found)

    def start_clone(self, console: int) -> Qemu:
        """Start a QEMU that takes on the saved state, and then waits, stopped, for `cont`.

        `console` is a descriptor that its console is written to.  Nothing is awaited: what QEMU has to be told
        lies in its monitor's socket before it runs.
        """
        state = os.open(self.directory / "state", os.O_RDONLY | os.O_CLOEXEC)
        try:
            qemu = Qemu(
                [
                    *clone_command(compose(self.machine)),
                    *memory_options(self.directory / "ram", self.machine.memory_mib, shared=False),
                    *("-S", "-incoming", "defer"),
                ],
                console=f"file,id=console,path=/proc/self/fd/{console},append=on",
                pass_fds=[console, state],
            )
            try:
                migration.send_load(qemu, self.machine.qemu, state)
            except BaseException as error:
                qemu.kill()
                if isinstance(error, OSError):
                    raise QemuError(f"a clone's QEMU does not take commands: {error}") from error
                raise
        finally:
            os.close(state)
        return qemu


def get(machine: Machine, identity: dict[str, str], store: Cache, *, cold: bool = False) -> Template:
    """The template of a machine, made by booting it if there is none (or if it is to be `cold`).

    `identity` names what the paths in `machine` stand for: the digests of kernel, initramfs and disks.
    """
    key = template_key(machine, identity)
    if cold:
        store.discard("templates", key)
    directory = store.get("templates", key, lambda path: _make(machine, identity, path), check)
    return Template(machine, directory, key)


def template_key(machine: Machine, identity: dict[str, str]) -> str:
    """A key over everything that a template depends on: no two that differ in anything share one."""
    command = compose(machine)
    ingredients = {
        "format": FORMAT,
        # With the paths as they are: where a file lies is no part of what it is, but a move costs one boot only.
        "command": command,
        "identity": identity,
        "memory": machine.memory_mib,
        "qemu": asdict(machine.qemu),
        # `-cpu host` is this processor, and what KVM offers of it; on another one such a state cannot be loaded, or
        # the guest dies of an instruction that is not there.
        "host": acceleration.host_identity() if machine.kvm else None,
    }
    return hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()[:32]


def _make(machine: Machine, identity: dict[str, str], directory: Path) -> None:
    state = os.open(directory / "state", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        ram = os.memfd_create("guest-ram")
    except BaseException:
        os.close(state)
        raise
    try:
        os.ftruncate(ram, machine.memory_mib << 20)
        memory = memory_options(Path(f"/proc/self/fd/{ram}"), machine.memory_mib, shared=True)
        with booted(machine, extra=memory, pass_fds=[ram, state]) as guest:
            log, complete = read_raw(guest.channel)
            if not complete:
                raise BootError("the kernel logs without end after it has booted", console=guest.console.text())
            (directory / "boot.log").write_text(log)
            tainted = taint.read(guest.channel)
            start = time.perf_counter()
            migration.save(guest.qemu, machine.qemu, state, time.monotonic() + _SAVE_DEADLINE_S)
            saved_s = time.perf_counter() - start
            (directory / "console.log").write_text(guest.console.text())
        _copy_sparse(ram, directory / "ram")
    finally:
        os.close(state)
        os.close(ram)
    meta = {
        "format": FORMAT,
        "machine": asdict(machine),
        "identity": identity,
        "saved_s": saved_s,
        "taint": tainted,
        "sums": {name: _checksum(directory / name) for name in ("ram", "state")},
    }
    (directory / "meta.json").write_text(json.dumps(meta, indent=1, default=str))


def _copy_sparse(source: int, target: Path) -> None:
    """Copy a memory file, holes as holes.  A full disk is found here, as an error and not as a bus error in QEMU."""
    size = os.fstat(source).st_size
    with target.open("wb") as out:
        out.truncate(size)
        for start, end in _extents(source, size):
            offset = start
            while offset < end:
                data = os.pread(source, min(1 << 22, end - offset), offset)
                offset += os.pwrite(out.fileno(), data, offset)
        # Keep it writable: QEMU opens it O_RDWR even for a private mapping.
        os.fsync(out.fileno())


def _extents(file: int, size: int) -> Iterator[tuple[int, int]]:
    """The parts of a sparse file that hold data."""
    end = 0
    with contextlib.suppress(OSError):  # ENXIO: no data after this offset
        while end < size:
            start = os.lseek(file, end, os.SEEK_DATA)
            end = os.lseek(file, start, os.SEEK_HOLE)
            yield start, end


def _checksum(path: Path) -> str:
    """Size and CRC of what a file holds.  Against accidents, not against an enemy."""
    crc = 0
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        for start, end in _extents(file.fileno(), size):
            file.seek(start)
            left = end - start
            while left > 0:
                data = file.read(min(1 << 22, left))
                # Zeros carry no information and may or may not be a hole, depending on the file system.
                if data.count(0) != len(data):
                    crc = zlib.crc32(data, zlib.crc32(str(file.tell() - len(data)).encode(), crc))
                left -= len(data)
    return f"{size}:{crc:08x}"


def check(directory: Path) -> None:
    """Raise DamagedError unless the files are those that were saved."""
    try:
        meta = json.loads((directory / "meta.json").read_text())
        wanted = meta["sums"]
        found = {name: _checksum(directory / name) for name in ("ram", "state")}
    except (OSError, ValueError, KeyError) as error:
        raise DamagedError(f"the template in {directory} is unreadable: {error}") from error
    if wanted != found:
        raise DamagedError(f"the template in {directory} has changed since it was saved")
