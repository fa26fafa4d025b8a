# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a kernel can be booted as a guest, as far as its config tells."""

from __future__ import annotations

from guests.errors import UsageError
from guests.vm.boot_arguments import builtin_arguments, command_line_size, numeric_option, uses_channel_port
from guests.vm.kernel_modules import virtio_modules
from kconfigs.architectures import ARCHITECTURES
from kconfigs.builtin_command_line import FIXED_COMMAND_LINE
from kconfigs.kconfig import Config
from kconfigs.kernel import Kernel

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


def check_bootable(kernel: Kernel) -> None:
    """UsageError if the kernel lacks options that the agent needs, or ignores its command line; it names the options.

    A kernel that ignores the parameters of a test would be accused of what it was never asked for.
    """
    required = required_options(kernel.arch)
    missing = [f"CONFIG_{name} ({why})" for name, why in required.items() if not kernel.config.builtin(name)]
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
    if found := _obstacles(kernel.config, virtio=virtio):
        raise UsageError(
            f"{kernel.id} cannot be tested because of {', '.join(found)}",
            hint="build it without this; what a boot needs is given to it as arguments",
        )


def _command_line_problem(config: Config, size: int) -> str:
    """Why a kernel would not see the parameters that tests boot with; empty if it does."""
    for name in FIXED_COMMAND_LINE:
        if config.enabled(name):
            return f"CONFIG_{name} makes it ignore the parameters that tests boot with"
    built_in = builtin_arguments(config)
    if "--" in built_in.split():
        return "after the -- in CONFIG_CMDLINE, the parameters that tests boot with are init's"
    if len(built_in) > size // 2:
        return (
            f"CONFIG_CMDLINE has {len(built_in)} bytes, which leaves too few for the parameters that tests boot with"
        )
    return ""


def _obstacles(config: Config, *, virtio: bool) -> list[str]:
    """Why the kernel cannot be tested, whatever its arguments are: a phrase for each option that is in the way."""
    words = builtin_arguments(config).split()
    found = []
    if config.builtin("INITRAMFS_FORCE"):
        found.append("CONFIG_INITRAMFS_FORCE (the kernel ignores the initramfs with the agent: do_populate_rootfs())")
    if not virtio:
        found += [
            f"CONFIG_CMDLINE ({word} writes to the port of the channel, and there is no virtio console)"
            for word in words
            if uses_channel_port(word)
        ]
        if (most := numeric_option(config, "SERIAL_8250_NR_UARTS")) is not None and most < 2:
            found.append(
                f"CONFIG_SERIAL_8250_NR_UARTS={most} (the channel needs a second serial port, or else"
                " CONFIG_VIRTIO_PCI and CONFIG_VIRTIO_CONSOLE)"
            )
    return found
