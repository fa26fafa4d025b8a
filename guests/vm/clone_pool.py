# SPDX-License-Identifier: GPL-2.0-or-later
"""The pool: the templates of this run, and clones that are started in advance.

While a test runs, the QEMU for the next test starts and loads its template's state, so that the next test only has to
resume the guest.
"""

from __future__ import annotations

import contextlib
import time
from functools import partial
from pathlib import Path

from common.stopwatch import UNRECORDED, Stopwatch
from guests.errors import BootError
from guests.guest import Guest
from guests.vm import acceleration, boot_verdict, template
from guests.vm.acceleration import Acceleration
from guests.vm.boot import booted
from guests.vm.boot_arguments import builtin_arguments, command_line_size, needed_arguments
from guests.vm.boot_request import DEFAULT_BOOT, Boot
from guests.vm.bootable import check_bootable
from guests.vm.failed_boots import FailedBoots
from guests.vm.initramfs import initramfs
from guests.vm.kernel_modules import virtio_modules
from guests.vm.machine_options import DEFAULT_MACHINE, MachineOptions, boot_timeout_s, memory_mib
from guests.vm.qemu_command import VirtualMachine
from guests.vm.qemu_program import QemuProgram, find_qemu, inspect
from guests.vm.stall_limits import stall_limits
from guests.vm.template import Template
from guests.vm.templates_in_use import TemplatesInUse
from kconfigs.architectures import machine
from kconfigs.cache import Cache
from kconfigs.kernel import Kernel

SPARES = 2
"""Maximum number of clones that wait for a test, of any template."""


class Pool:
    """Provides guests.  There is one pool in each process."""

    def __init__(
        self,
        store: Cache,
        *,
        mode: str = "auto",
        cold: bool = False,
        probe: bool = False,
        qemu: str | None = None,
        options: MachineOptions = DEFAULT_MACHINE,
        shared: Path | None = None,
        watch: Stopwatch = UNRECORDED,
    ) -> None:
        """mode: as for `acceleration.decide`; probe: ignore its remembered result.

        cold: do not use templates from the cache.  qemu: the program to run instead of the system's.
        options: what the user asks of all guests.
        shared: a directory in which the processes of a run tell each other which boots failed.
        """
        self._store = store
        self._mode = mode
        self._cold = cold
        self._probe = probe
        self._watch = watch
        self._qemu = qemu
        self._options = options
        self._acceleration: Acceleration | None = None
        self._templates = TemplatesInUse(store)
        self._failures = FailedBoots(shared)
        self._spares: dict[tuple[str, Boot], Guest] = {}
        self._unprepared: dict[tuple[str, Boot], Exception] = {}
        """Errors in starting spare clones, which `take` raises."""
        self._started = time.time()

    def qemu(self, arch: str) -> QemuProgram:
        """The QEMU that runs guests of this architecture."""
        return inspect(find_qemu(arch, self._qemu))

    def acceleration(self, kernel: Kernel) -> Acceleration:
        """KVM or TCG; determined with this kernel if it is not known yet."""
        if kernel.arch != machine():
            return acceleration.emulated(kernel.arch, self._mode)
        if self._acceleration is None:
            check_bootable(kernel)

            def boot(kvm: bool, deadline_s: float | None) -> None:
                virtual = self._machine(kernel, DEFAULT_BOOT, kvm)
                with self._watch.timed(kernel.id, "probe"), booted(virtual, deadline_s=deadline_s):
                    pass

            memory = self._store.root / "acceleration.json"
            identity = acceleration.machine_identity(self.qemu(kernel.arch))
            lock = self._store.lock("acceleration", waiting="waiting for another process that tests KVM")
            with self._watch.timed(kernel.id, "wait"), lock:
                # Another process of this run may have just determined it again.
                again = self._probe and not _newer(memory, self._started)
                try:
                    self._acceleration = acceleration.decide(self._mode, boot, memory, identity=identity, again=again)
                except BootError as error:
                    if self._mode == "kvm":
                        raise
                    # This kernel cannot show whether KVM works; its template reports why it does not boot.
                    return Acceleration(False, f"KVM was not tried: {error.message}")
        return self._acceleration

    def take(self, kernel: Kernel, boot: Boot = DEFAULT_BOOT) -> Guest:
        """A guest whose agent has answered, and which the caller must close."""
        key = (kernel.digest, boot)
        if error := self._unprepared.pop(key, None):
            raise error.with_traceback(None)
        return (self._spares.pop(key, None) or self._clone(kernel, boot)).started()

    def prepare(self, kernel: Kernel, boot: Boot = DEFAULT_BOOT) -> None:
        """Start a spare clone, if its template is available.

        If that fails, `take` raises the error when the clone is requested.
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
        """Wait until the spare clone has loaded its state (the benchmark measures what remains after that)."""
        if (spare := self._spares.get((kernel.digest, boot))) is not None:
            spare.wait_until_loaded()

    def template(self, kernel: Kernel, boot: Boot = DEFAULT_BOOT) -> Template:
        """The template of a boot, from the cache or newly created.

        A failed boot is tried once more, because the failure may have been the host's fault.  After a second failure,
        every later call raises the same error immediately, in all processes of the run; and if it is the boot without
        arguments that fails, so does every other boot of the kernel.
        BootCrashed, once in a run, if the kernel crashes.
        """
        key = (kernel.digest, boot)
        if key not in self._templates:
            failures = self._failures.of(kernel.digest, boot, whole_kernel=boot == DEFAULT_BOOT)
            with self._watch.timed(kernel.id, "wait"), failures:
                self._templates.add(key, self._make_template(kernel, boot))
        return self._templates[key]

    def _make_template(self, kernel: Kernel, boot: Boot) -> Template:
        check_bootable(kernel)
        virtual = self._machine(kernel, boot, self.acceleration(kernel).kvm)
        timer = partial(self._watch.timed, kernel.id, "boot")
        # The paths of initramfs and disks include the digests of their contents.
        identity = {"kernel": kernel.digest}
        try:
            return template.get(virtual, identity, self._store, cold=self._cold, timer=timer)
        except BootError:
            if boot != DEFAULT_BOOT:
                self.template(kernel, DEFAULT_BOOT)  # if that fails as well, it is not for this boot's arguments
        try:
            return template.get(virtual, identity, self._store, cold=self._cold, timer=timer)
        except BootError as error:
            raise boot_verdict.of(error, kernel, virtual, self._store) from error

    def close(self) -> None:
        """End all spare clones.  Raises nothing: anything that remains of one ends with this process."""
        while self._spares:
            with contextlib.suppress(Exception):
                self._spares.popitem()[1].close()

    def _clone(self, kernel: Kernel, boot: Boot) -> Guest:
        return Guest(kernel, self.template(kernel, boot))

    def _machine(self, kernel: Kernel, boot: Boot, kvm: bool) -> VirtualMachine:
        arguments = (*self._options.arguments, *boot.arguments)
        modules = virtio_modules(kernel, arguments)
        needed = needed_arguments(kernel.config, virtio=modules is not None)
        return VirtualMachine(
            image=kernel.image,
            initramfs=initramfs(kernel.arch, self._store, boot.programs, list((modules or {}).values())),
            arguments=(*needed, *arguments),
            disks=tuple(plan.make(kernel, self._store) for plan in boot.disks),
            memory_mib=self._options.memory_mib or memory_mib(kernel),
            kvm=kvm,
            virtio=modules is not None,
            qemu=self.qemu(kernel.arch),
            arch=kernel.arch,
            command_line_size=command_line_size(kernel),
            builtin_arguments=builtin_arguments(kernel.config),
            cpus=self._options.cpus,
            processor=boot.processor,
            options=self._options.qemu,
            stall_limits=stall_limits(kernel.config, arguments),
            boot_timeout_s=self._options.boot_timeout_s or boot_timeout_s(kernel.config),
        )


def _newer(file: Path, moment: float) -> bool:
    """Whether a file was written after a moment (of time.time())."""
    return file.exists() and file.stat().st_mtime > moment
