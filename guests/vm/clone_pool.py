# SPDX-License-Identifier: GPL-2.0-or-later
"""The pool: the templates of this run, and clones that are started in advance.

While a test runs, the QEMU for the next test starts and loads its template's state, so that the next test only has to
resume the guest.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common.stopwatch import UNRECORDED, Stopwatch
from guests.errors import BootError, UsageError
from guests.guest import Guest
from guests.vm import acceleration, boot_verdict, hidden_channel, template
from guests.vm.acceleration import Acceleration
from guests.vm.boot import booted
from guests.vm.disk_images import DiskPlan
from guests.vm.failed_boots import FailedBoots
from guests.vm.initramfs import initramfs
from guests.vm.kernel_modules import virtio_modules
from guests.vm.machine_options import DEFAULT_MACHINE, MachineOptions, boot_timeout_s, memory_mib
from guests.vm.qemu_command import VirtualMachine
from guests.vm.qemu_program import QemuProgram, find_qemu, inspect
from guests.vm.template import Template
from guests.vm.templates_in_use import TemplatesInUse
from kconfigs.architectures import ARCHITECTURES, machine
from kconfigs.builtin_command_line import FIXED_COMMAND_LINE
from kconfigs.cache import Cache
from kconfigs.kconfig import Config
from kconfigs.kernel import Kernel

SPARES = 2
"""Maximum number of clones that wait for a test, of any template."""

REQUIRED_OPTIONS = {
    "BLK_DEV_INITRD": "the agent is in an initramfs",
    "BINFMT_ELF": "the agent is an ELF program",
    "DEVTMPFS": "the agent opens its channel in /dev",
    "PROC_FS": "the agent reads /proc",
    "PRINTK": "the kernel's complaints are in its log",
    "SYSFS": "the agent finds its channel in /sys",
    "SHMEM": "the tasks share memory with the agent",
    "MEMFD_CREATE": "the tasks share memory with the agent",
    "FUTEX": "the tasks wait for orders",
    "EVENTFD": "the tasks notify the agent",
}
"""Options that a kernel must have built in to be tested, and the purpose of each."""


def required_options(arch: str) -> dict[str, str]:
    """The same for an architecture, with its console's."""
    return {**REQUIRED_OPTIONS, ARCHITECTURES[arch].console_option: "the boot is monitored on the console"}


@dataclass(frozen=True)
class Boot:
    """The boot that a test requests."""

    arguments: tuple[str, ...] = ()
    """Arguments for the kernel command line."""
    disks: tuple[DiskPlan, ...] = ()
    programs: tuple[str, ...] = ()
    """Names of programs of the host to provide in /bin."""
    processor: tuple[str, ...] = ()
    """Properties of an emulated processor, as QEMU's -cpu takes them.  A real one, under KVM, keeps its own."""


DEFAULT_BOOT = Boot()


def check_bootable(kernel: Kernel) -> None:
    """UsageError if the kernel lacks options that the agent needs, or ignores its command line; it names the options.

    A kernel that ignores the parameters of a test would be accused of what it was never asked for.
    """
    wanted = required_options(kernel.arch)
    missing = [f"CONFIG_{name} ({why})" for name, why in wanted.items() if not kernel.config.builtin(name)]
    if missing:
        raise UsageError(
            f"{kernel.id} cannot be tested: it lacks {', '.join(missing)}",
            hint="build it with one of kconform's flavors, or enable these options",
        )
    architecture = ARCHITECTURES[kernel.arch]
    virtio = virtio_modules(kernel) is not None
    if not virtio and not architecture.second_port:
        raise UsageError(
            f"{kernel.id} cannot be tested: the channel needs a virtio console, because QEMU's machine for"
            f" {kernel.arch} has no second serial port",
            hint=f"enable CONFIG_{architecture.virtio_option} and CONFIG_VIRTIO_CONSOLE; with LoadPin, built in",
        )
    if problem := _command_line_problem(kernel.config, command_line_size(kernel)):
        raise UsageError(
            f"{kernel.id} cannot be tested: {problem}",
            hint="change the option: CONFIG_CMDLINE is put in front of a test's own parameters",
        )
    if found := hidden_channel.obstacles(kernel.config, virtio=virtio):
        raise UsageError(
            f"{kernel.id} cannot be tested because of {', '.join(found)}",
            hint="build it without this; what a boot needs is given to it as arguments",
        )


def _command_line_problem(config: Config, size: int) -> str:
    """Why a kernel would not see the parameters that tests boot with; empty if it does."""
    for name in FIXED_COMMAND_LINE:
        if config.enabled(name):
            return f"CONFIG_{name} makes it ignore the parameters that tests boot with"
    built_in = hidden_channel.builtin_arguments(config)
    if "--" in built_in.split():
        return "after the -- in CONFIG_CMDLINE, the parameters that tests boot with are init's"
    if len(built_in) > size // 2:
        return (
            f"CONFIG_CMDLINE has {len(built_in)} bytes, which leaves too few for the parameters that tests boot with"
        )
    return ""


def command_line_size(kernel: Kernel) -> int:
    """Bytes of the kernel's command line; some architectures have an option for it."""
    option = kernel.config["COMMAND_LINE_SIZE"]
    return int(option) if option.isdecimal() else ARCHITECTURES[kernel.arch].command_line_size


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
        spare = self._spares.get((kernel.digest, boot))
        if spare is not None:
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
        modules = virtio_modules(kernel)
        needed = hidden_channel.needed_arguments(kernel.config, virtio=modules is not None)
        return VirtualMachine(
            image=kernel.image,
            initramfs=initramfs(kernel.arch, self._store, boot.programs, list((modules or {}).values())),
            arguments=(*entry_parameters(kernel.config), *needed, *self._options.arguments, *boot.arguments),
            disks=tuple(plan.make(kernel, self._store) for plan in boot.disks),
            memory_mib=self._options.memory_mib or memory_mib(kernel),
            kvm=kvm,
            virtio=modules is not None,
            qemu=self.qemu(kernel.arch),
            arch=kernel.arch,
            command_line_size=command_line_size(kernel),
            builtin_arguments=hidden_channel.builtin_arguments(kernel.config),
            cpus=self._options.cpus,
            processor=boot.processor,
            options=self._options.qemu,
            boot_timeout_s=self._options.boot_timeout_s or boot_timeout_s(kernel.config),
        )


def _newer(file: Path, moment: float) -> bool:
    """Whether a file was written after a moment (of time.time())."""
    return file.exists() and file.stat().st_mtime > moment


DISABLED_ENTRIES = {"X86_X32_DISABLED": "syscall.x32=y", "IA32_EMULATION_DEFAULT_DISABLED": "ia32_emulation=1"}
"""Options that disable a system call entry by default, and the kernel arguments that enable it again, so that
promises about it can be tested.  The first option is Debian's (its patch "x86: Make x32 syscall support conditional
on a kernel parameter"), the second is upstream's (in v6.7)."""


def entry_parameters(config: Config) -> tuple[str, ...]:
    """The kernel arguments that enable all system call entries of a kernel with this configuration."""
    return tuple(argument for option, argument in DISABLED_ENTRIES.items() if config.enabled(option))
