# SPDX-License-Identifier: GPL-2.0-or-later
"""How the settings of a kernel hide its console, its log or its channel, and the arguments that bring them back.

On x86, the built-in command line precedes the arguments of a boot (arch/x86/kernel/setup.c, setup_arch()), so that
these win, where the last one counts.
"""

from __future__ import annotations

import re

from kconfigs.kconfig import Config

_LOG_BUF_SHIFT = 17
"""Kconfig's default, 128 KiB: the messages of a boot, and of a test."""
_CHANNEL_PORT = re.compile(r"\bttyS1\b|\b0x2f8\b")
"""The second serial port in an argument such as console=, earlyprintk= or earlycon=."""


def builtin_arguments(config: Config) -> str:
    """What the kernel puts before the arguments of a boot; elsewhere than on x86, CONFIG_CMDLINE replaces them."""
    return config.string("CMDLINE") if config.builtin("CMDLINE_BOOL") else ""


def uses_channel_port(argument: str) -> bool:
    """Whether the kernel would write to the serial port over which host and agent talk where there is no virtio."""
    return _CHANNEL_PORT.search(argument) is not None


def obstacles(config: Config, *, virtio: bool) -> list[str]:
    """Why the kernel cannot be tested, whatever its arguments are: a phrase for each option that is in the way."""
    words = builtin_arguments(config).split()
    found = []
    if config.builtin("INITRAMFS_FORCE"):
        found.append("CONFIG_INITRAMFS_FORCE (the kernel ignores the initramfs with the agent: do_populate_rootfs())")
    if "--" in words:
        found.append("CONFIG_CMDLINE (after its `--`, every argument is one for init: parse_args())")
    if not virtio:
        found += [
            f"CONFIG_CMDLINE ({word} writes to the port of the channel, and there is no virtio console)"
            for word in words
            if uses_channel_port(word)
        ]
        if (most := _number(config, "SERIAL_8250_NR_UARTS")) is not None and most < 2:
            found.append(
                f"CONFIG_SERIAL_8250_NR_UARTS={most} (the channel needs a second serial port, or else"
                " CONFIG_VIRTIO_PCI and CONFIG_VIRTIO_CONSOLE)"
            )
    return found


def needed_arguments(config: Config, *, virtio: bool) -> tuple[str, ...]:
    """The arguments without which this kernel would not show its console and its log, or not start the agent."""
    arguments = []
    ports = 1 if virtio else 2
    if (registered := _number(config, "SERIAL_8250_RUNTIME_UARTS")) is not None and registered < ports:
        # As in Android's kernels: without a registered port, there is no console (univ8250_console_init()).
        arguments.append(f"8250.nr_uarts={ports}")
    if (shift := _number(config, "LOG_BUF_SHIFT")) is not None and shift < _LOG_BUF_SHIFT:
        # A smaller one is ignored, so a larger built-in buffer never shrinks (log_buf_len_update()).
        arguments.append(f"log_buf_len={1 << _LOG_BUF_SHIFT}")
    if any(word.startswith("rdinit=") for word in builtin_arguments(config).split()):
        arguments.append("rdinit=/init")
    return tuple(arguments)


def _number(config: Config, name: str) -> int | None:
    value = config[name]
    return int(value) if re.fullmatch(r"[0-9]{1,9}", value) else None
