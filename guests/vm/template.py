# SPDX-License-Identifier: GPL-2.0-or-later
"""Templates: the saved states of booted guests, from which clones start in a fraction of the time of a boot.

A template is a directory of the cache:

    ram           the guest's memory, sparse
    state         the state of its devices, in QEMU's migration format
    boot.log      the kernel's log
    console.log   the console's output
    meta.json     its parameters, checksums, and the kernel's taint

Its key covers everything that it depends on.  Its files are verified before its first use in a process.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from guests.errors import BootError, QemuError
from guests.log import splats, taint
from guests.log.kernel_log import parse, read_raw
from guests.vm import acceleration, device_state
from guests.vm.boot import Booted, booted, compose
from guests.vm.cache_checksums import DamagedError
from guests.vm.processors import check_brought_up
from guests.vm.qemu_command import VirtualMachine, clone_command, memory_options
from guests.vm.qemu_process import Qemu
from kconfigs.cache import Cache

FORMAT = 7
_SAVE_DEADLINE_S = 60.0


@dataclass(frozen=True)
class Template:
    """The saved state of a booted machine."""

    machine: VirtualMachine
    directory: Path
    key: str

    @property
    def boot_log(self) -> str:
        """The kernel's log up to the agent's first answer, in the format of /dev/kmsg."""
        return (self.directory / "boot.log").read_text(encoding="utf-8")

    @property
    def console(self) -> str:
        return (self.directory / "console.log").read_text(encoding="utf-8")

    @property
    def saved_s(self) -> float:
        """The number of seconds that it took to save the devices' state."""
        return float(json.loads((self.directory / "meta.json").read_text(encoding="utf-8"))["saved_s"])

    @property
    def taint(self) -> int | None:
        """The kernel's taint after the boot; None if the kernel does not report it."""
        found = json.loads((self.directory / "meta.json").read_text(encoding="utf-8"))["taint"]
        return None if found is None else int(found)

    def start_clone(self, console: int) -> Qemu:
        """Start a QEMU that loads the saved state, and then waits, stopped, for `cont`.

        `console` is a descriptor for the output of the guest's console.  This does not wait for QEMU: all commands
        are in its monitor's socket before it runs.
        """
        state = os.open(self.directory / "state", os.O_RDONLY | os.O_CLOEXEC)
        try:
            qemu = Qemu(
                [
                    *clone_command(compose(self.machine)),
                    *memory_options(self.directory / "ram", self.machine.memory_mib, shared=False),
                    *("-S", "-incoming", "defer"),
                    # Of a guest that has crashed, keep what it was, until the test has been reported.
                    "-no-shutdown",
                    *self.machine.options,
                ],
                console=f"file,id=console,path=/proc/self/fd/{console},append=on",
                pass_fds=[console, state],
            )
            try:
                device_state.send_load(qemu, self.machine.qemu, state)
            except BaseException as error:
                qemu.kill()
                if isinstance(error, OSError):
                    raise QemuError(f"a clone's QEMU does not accept commands: {error}") from error
                raise
        finally:
            os.close(state)
        return qemu


def get(
    machine: VirtualMachine,
    identity: dict[str, str],
    store: Cache,
    *,
    cold: bool = False,
    timer: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
) -> Template:
    """The template of a machine, which is booted if there is none in the cache, or if `cold`.

    `identity` identifies the contents of the paths in `machine`: the digests of kernel, initramfs and disks.  `timer`
    is around a boot in this process.
    """

    def make(path: Path) -> None:
        with timer():
            _make(machine, identity, path)

    key = template_key(machine, identity)
    if cold:
        store.discard("templates", key)
    directory = store.get("templates", key, make, check)
    return Template(machine, directory, key)


def template_key(machine: VirtualMachine, identity: dict[str, str]) -> str:
    """A digest of everything that a template depends on."""
    command = compose(machine)
    ingredients = {
        "format": FORMAT,
        # Paths are included although only the files' contents matter: a moved file costs just one boot.
        "command": [*command, *machine.options],
        "identity": identity,
        "memory": machine.memory_mib,
        "qemu": asdict(machine.qemu),
        # `-cpu host` is this host's processor with the features that KVM offers; on another one, the state cannot be
        # loaded, or the guest executes an instruction that does not exist.
        "host": acceleration.host_identity() if machine.kvm else None,
    }
    return hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()[:32]


def _make(machine: VirtualMachine, identity: dict[str, str], directory: Path) -> None:
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
                raise BootError("the kernel does not stop logging after it has booted", console=guest.console.text())
            check_brought_up(log, machine.cpus, guest.console.text())
            _check_undisturbed(guest, machine, log)
            (directory / "boot.log").write_text(log, encoding="utf-8")
            tainted = taint.read(guest.channel)
            start = time.perf_counter()
            device_state.save(
                guest.qemu,
                machine.qemu,
                state,
                time.monotonic() + _SAVE_DEADLINE_S,
                idle=not machine.architecture.saves_interrupts,
            )
            saved_s = time.perf_counter() - start
            (directory / "console.log").write_text(guest.console.text(), encoding="utf-8")
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
    (directory / "meta.json").write_text(json.dumps(meta, indent=1, default=str), encoding="utf-8")


def _check_undisturbed(guest: Booted, machine: VirtualMachine, log: str) -> None:
    """BootError if the kernel has complained that something took too long, because the host did not let it run.

    The complaint would be in the log of every clone of the template.
    """
    lines = [*guest.console.text().splitlines(), *(record.text for record in parse(log))]
    found = splats.first(lines, lambda line: not splats.is_about_time(line))
    if not found:
        return
    if excuse := guest.host_time.excuse(machine.stall_limits.of(found)) or guest.qemu.pause():
        raise BootError(
            f"the kernel logged {found!r} while it booted; but {excuse}",
            hint="run the test again, on a machine that is not suspended and less busy",
            console=guest.console.text(),
        )


def _copy_sparse(source: int, target: Path) -> None:
    """Copy a memory file and its holes.  A full disk is detected here, instead of by a bus error in QEMU."""
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
    """The ranges of a sparse file that contain data, or all of it if its file system does not know them."""
    end = 0
    while end < size:
        start = end
        try:
            start = os.lseek(file, start, os.SEEK_DATA)
            end = os.lseek(file, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:  # no data after this offset
                return
            end = size
        yield start, end


def _checksum(path: Path) -> str:
    """Size and CRC of a file's content.  This detects accidental changes, not malicious ones."""
    crc = 0
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        for start, end in _extents(file.fileno(), size):
            file.seek(start)
            left = end - start
            while left > 0:
                data = file.read(min(1 << 22, left))
                # Ignore zeros: depending on the file system, they may or may not be a hole.
                if data.count(0) != len(data):
                    crc = zlib.crc32(data, zlib.crc32(str(file.tell() - len(data)).encode(), crc))
                left -= len(data)
    return f"{size}:{crc:08x}"


def check(directory: Path) -> None:
    """Raise DamagedError unless the files are unchanged since they were saved."""
    try:
        meta = json.loads((directory / "meta.json").read_text(encoding="utf-8"))
        wanted = meta["sums"]
        found = {name: _checksum(directory / name) for name in ("ram", "state")}
    except (OSError, ValueError, KeyError) as error:
        raise DamagedError(f"the template in {directory} is unreadable: {error}") from error
    if wanted != found:
        raise DamagedError(f"the template in {directory} has changed since it was saved")
