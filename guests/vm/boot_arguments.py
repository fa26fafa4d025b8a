# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel arguments of a boot: those that are built in, and those that a kernel's config makes necessary.

On x86, the built-in command line precedes the arguments of a boot (arch/x86/kernel/setup.c, setup_arch()), so that
these win, where the last one counts.
"""

from __future__ import annotations

import re

from kconfigs.architectures import ARCHITECTURES
from kconfigs.kconfig import Config
from kconfigs.kernel import Kernel

_LOG_BUF_SHIFT = 17
"""Kconfig's default, 128 KiB: the messages of a boot, and of a test."""
_CHANNEL_PORT = re.compile(r"\bttyS1\b|\b0x2f8\b")
"""The second serial port in an argument such as console=, earlyprintk= or earlycon=."""

DISABLED_ENTRIES = {"X86_X32_DISABLED": "syscall.x32=y", "IA32_EMULATION_DEFAULT_DISABLED": "ia32_emulation=1"}
"""Options that disable a system call entry by default, and the kernel arguments that enable it again, so that
promises about it can be tested.  The first option is Debian's (its patch "x86: Make x32 syscall support conditional
on a kernel parameter"), the second is upstream's (in v6.7)."""


def builtin_arguments(config: Config) -> str:
    """What the kernel puts before the arguments of a boot; elsewhere than on x86, CONFIG_CMDLINE replaces them."""
    return config.string("CMDLINE") if config.builtin("CMDLINE_BOOL") else ""


def uses_channel_port(argument: str) -> bool:
    """Whether the kernel would write to the serial port over which host and agent talk where there is no virtio."""
    return _CHANNEL_PORT.search(argument) is not None


def command_line_size(kernel: Kernel) -> int:
    """Bytes of the kernel's command line; some architectures have an option for it."""
    option = kernel.config["COMMAND_LINE_SIZE"]
    return int(option) if option.isdecimal() else ARCHITECTURES[kernel.arch].command_line_size


def needed_arguments(config: Config, *, virtio: bool) -> tuple[str, ...]:
    """The arguments without which this kernel would not show its console and its log, or not start the agent.

    First come those that enable its system call entries.
    """
    arguments = [argument for option, argument in DISABLED_ENTRIES.items() if config.enabled(option)]
    ports = 1 if virtio else 2
    if (registered := numeric_option(config, "SERIAL_8250_RUNTIME_UARTS")) is not None and registered < ports:
        # As in Android's kernels: without a registered port, there is no console (univ8250_console_init()).
        arguments.append(f"8250.nr_uarts={ports}")
    if (shift := numeric_option(config, "LOG_BUF_SHIFT")) is not None and shift < _LOG_BUF_SHIFT:
        # A smaller one is ignored, so a larger built-in buffer never shrinks (log_buf_len_update()).
        arguments.append(f"log_buf_len={1 << _LOG_BUF_SHIFT}")
    if any(word.startswith("rdinit=") for word in builtin_arguments(config).split()):
        arguments.append("rdinit=/init")
    return tuple(arguments)


def numeric_option(config: Config, name: str) -> int | None:
    """The value of an option that is a number; None if it is not set."""
    value = config[name]
    return int(value) if re.fullmatch(r"[0-9]{1,9}", value) else None
