# SPDX-License-Identifier: GPL-2.0-or-later
"""The stable: templates of this run's machines, and the clones that wait to be taken out.

One clone too many is always about to be ready: while a test runs, the next one's QEMU starts and takes on its
template's state, so that the next test finds a guest that only has to be told to go on.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

from guests.errors import BootError, KconformError, UsageError
from guests.guest import Guest
from guests.vm import acceleration, template
from guests.vm.acceleration import Acceleration
from guests.vm.boot import DEADLINE_S, booted
from guests.vm.disk_images import DiskPlan
from guests.vm.initramfs import initramfs
from guests.vm.kernel_modules import virtio_modules
from guests.vm.qemu_command import Machine
from guests.vm.qemu_program import QemuProgram, find_qemu, inspect
from guests.vm.template import Template
from kconfigs.cache import Cache
from kconfigs.kconfig import Config
from kconfigs.kernel import Kernel

MEMORY_MIB = 128
SPARES = 2
"""Clones kept waiting, of different templates too."""

REQUIRED_OPTIONS = {
    "BLK_DEV_INITRD": "the agent lies in an initramfs",
    "BINFMT_ELF": "the agent is an ELF program",
    "DEVTMPFS": "the agent opens its channel in /dev",
    "PROC_FS": "the agent reads /proc",
    "SYSFS": "the agent finds its channel in /sys",
    "SHMEM": "the tasks share memory with the agent",
    "MEMFD_CREATE": "the tasks share memory with the agent",
    "FUTEX": "the tasks wait for orders",
    "EVENTFD": "the tasks say that they are done",
    "SERIAL_8250_CONSOLE": "the boot is followed on the console",
}
"""What a kernel must have built in for us to boot it, and what for."""


@dataclass(frozen=True)
class Boot:
    """How a test wants its kernel booted."""

    arguments: tuple[str, ...] = ()
    """Of the kernel command line."""
    disks: tuple[DiskPlan, ...] = ()
    programs: tuple[str, ...] = ()
    """Programs of the host that are there in /bin, by name."""


DEFAULT_BOOT = Boot()


def check_bootable(kernel: Kernel) -> None:
    """UsageError names the options without which our agent cannot live on a kernel."""
    missing = [f"CONFIG_{name} ({why})" for name, why in REQUIRED_OPTIONS.items() if not kernel.config.builtin(name)]
    if missing:
        raise UsageError(
            f"{kernel.id} cannot be booted by us: it lacks {', '.join(missing)}",
            hint="build it with one of our flavors, or enable what is missing",
        )


class Pool:
    """Hands out guests.  One for each process."""

    def __init__(
        self, store: Cache, *, mode: str = "auto", cold: bool = False, probe: bool = False, qemu: str | None = None
    ) -> None:
        """mode: as for `acceleration.decide`; probe: determine again what is remembered of it.

        cold: boot each machine anew.  qemu: the program to run, if not the system's.
        """
        self._store = store
        self._mode = mode
        self._cold = cold
        self._probe = probe
        self._qemu = qemu
        self._acceleration: Acceleration | None = None
        self._templates: dict[tuple[str, Boot], Template] = {}
        self._failed: dict[tuple[str, Boot], KconformError] = {}
        self._spares: dict[tuple[str, Boot], Guest] = {}
        self._unprepared: dict[tuple[str, Boot], Exception] = {}
        """Why there is no spare clone, to be told to whoever takes it."""
        self._started = time.time()

    def qemu(self, arch: str) -> QemuProgram:
        """The QEMU that runs guests of this architecture."""
        return inspect(find_qemu(arch, self._qemu))

    def acceleration(self, kernel: Kernel) -> Acceleration:
        """KVM or TCG, found out with this kernel if it is not known yet."""
        if self._acceleration is None:
            check_bootable(kernel)

            def boot(kvm: bool, deadline_s: float | None) -> None:
                with booted(self._machine(kernel, DEFAULT_BOOT, kvm), deadline_s=deadline_s or DEADLINE_S):
                    pass

            memory = self._store.root / "acceleration.json"
            identity = acceleration.machine_identity(self.qemu(kernel.arch))
            with self._store.lock("acceleration", waiting="waiting for another process that tries KVM"):
                # Another process of this run may just have asked again.
                again = self._probe and not _newer(memory, self._started)
                self._acceleration = acceleration.decide(self._mode, boot, memory, identity=identity, again=again)
        return self._acceleration

    def take(self, kernel: Kernel, boot: Boot = DEFAULT_BOOT) -> Guest:
        """A guest whose agent has answered.  The caller closes it."""
        key = (kernel.digest, boot)
        if error := self._unprepared.pop(key, None):
            raise error.with_traceback(None)
        guest = self._spares.pop(key, None) or self._clone(kernel, boot)
        try:
            guest.resume()
        except BaseException:
            guest.close()
            raise
        return guest

    def prepare(self, kernel: Kernel, boot: Boot = DEFAULT_BOOT) -> None:
        """Have a clone ready soon, if its template is at hand: only time is lost if nobody wants it.

        If that fails, it is the error of whoever takes that clone, and not of the caller.
        """
        key = (kernel.digest, boot)
        if key not in self._templates or key in self._spares:
            return
        try:
            while len(self._spares) >= SPARES:
                self._spares.pop(next(iter(self._spares))).close()
            self._spares[key] = self._clone(kernel, boot)
        except Exception as error:
            self._unprepared[key] = error

    def wait_for_spare(self, kernel: Kernel, boot: Boot = DEFAULT_BOOT) -> None:
        """Wait until the spare clone has taken on its state (the benchmark wants to know what is left then)."""
        spare = self._spares.get((kernel.digest, boot))
        if spare is not None:
            spare.wait_until_loaded()

    def template(self, kernel: Kernel, boot: Boot = DEFAULT_BOOT) -> Template:
        """The template of a boot, from the cache, or made now.

        A boot that failed is tried once more, for it may have been the host's fault, and then never again: its error
        is raised at once for whoever asks after that.
        """
        key = (kernel.digest, boot)
        if key in self._failed:
            raise self._failed[key].with_traceback(None)
        if key not in self._templates:
            try:
                self._templates[key] = self._make_template(kernel, boot)
            except KconformError as error:
                self._failed[key] = error
                raise
        return self._templates[key]

    def _make_template(self, kernel: Kernel, boot: Boot) -> Template:
        check_bootable(kernel)
        machine = self._machine(kernel, boot, self.acceleration(kernel).kvm)
        # Initramfs and disks carry their content's digest in their path.
        identity = {"kernel": kernel.digest}
        try:
            return template.get(machine, identity, self._store, cold=self._cold)
        except BootError:
            return template.get(machine, identity, self._store, cold=self._cold)

    def close(self) -> None:
        """End the spare clones, all of them.  Raises nothing: what is left of one ends with this process."""
        while self._spares:
            with contextlib.suppress(Exception):
                self._spares.popitem()[1].close()

    def _clone(self, kernel: Kernel, boot: Boot) -> Guest:
        return Guest(kernel, self.template(kernel, boot))

    def _machine(self, kernel: Kernel, boot: Boot, kvm: bool) -> Machine:
        modules = virtio_modules(kernel)
        return Machine(
            image=kernel.image,
            initramfs=initramfs(kernel.arch, self._store, boot.programs, list((modules or {}).values())),
            arguments=(*entry_parameters(kernel.config), *boot.arguments),
            disks=tuple(plan.make(kernel, self._store) for plan in boot.disks),
            memory_mib=MEMORY_MIB,
            kvm=kvm,
            virtio=modules is not None,
            qemu=self.qemu(kernel.arch),
            arch=kernel.arch,
        )


def _newer(file: Path, moment: float) -> bool:
    """Whether a file was written after a moment (of time.time())."""
    return file.exists() and file.stat().st_mtime > moment


DISABLED_ENTRIES = {"X86_X32_DISABLED": "syscall.x32=y", "IA32_EMULATION_DEFAULT_DISABLED": "ia32_emulation=1"}
"""Options that close a way into the kernel which it has, and what opens it again: what is promised for calls that
enter there could not be tested.  The first is Debian's (its patch "x86: Make x32 syscall support conditional on a
kernel parameter"), the second came with 6.7."""


def entry_parameters(config: Config) -> tuple[str, ...]:
    """What a kernel of this configuration is told, so that all its system call entries can be tested."""
    return tuple(argument for option, argument in DISABLED_ENTRIES.items() if config.enabled(option))
