# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user asks of the guests of a run, and what a kernel needs by itself: memory, processors, time to boot."""

from __future__ import annotations

import argparse
import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from kconfigs.architectures import ARCHITECTURES
from kconfigs.image import memory_to_start
from kconfigs.kconfig import Config
from kconfigs.kernel import Kernel

MEMORY_MIB = 128
"""Enough for any kernel of up to 64 MiB without the options below."""
_BESIDE_THE_KERNEL_MIB = 64
"""What user space and the page allocator get, beside what the kernel itself needs to start."""
MOST_MEMORY_MIB = 1 << 20
MOST_CPUS = 64
MOST_ARGUMENTS = 1024
"""Bytes of --append: half of the command line, so that the arguments of each test still fit."""

BOOT_TIMEOUT_S = 120.0
"""A boot takes 3 to 6 seconds on a fast host; this leaves time for a slow and busy one."""

MEMORY_FACTORS: Mapping[str, int] = MappingProxyType(
    {
        "KMSAN": 8,  # two shadow pages for each page, and more at boot (Documentation/dev-tools/kmsan.rst)
        "KASAN": 2,  # an eighth for the shadow, and freed objects in quarantine (Documentation/dev-tools/kasan.rst)
        "DEBUG_KMEMLEAK": 2,  # an object for each allocation (mm/kmemleak.c)
        "PAGE_OWNER": 2,  # a stack for each page (mm/page_owner.c)
        "PROVE_LOCKING": 2,  # static tables of lockdep (kernel/locking/lockdep_internals.h)
    }
)
"""By how much each of these options multiplies the memory that a guest needs; the largest factor counts."""

SLOW_OPTIONS = ("KMSAN", "KASAN", "KCSAN", "PROVE_LOCKING", "DEBUG_KMEMLEAK", "GCOV_PROFILE_ALL", "UBSAN")
"""With one of these, a boot may take SLOW_FACTOR times as long."""
SLOW_FACTOR = 4.0


@dataclass(frozen=True)
class MachineOptions:
    """What the user asks of all guests of a run.  The defaults are what is fastest."""

    memory_mib: int | None = None
    """None: what the kernel needs."""
    cpus: int = 1
    arguments: tuple[str, ...] = ()
    """Kernel arguments, before those that a test requests."""
    qemu: tuple[str, ...] = ()
    """Arguments for QEMU, after those of kconform."""
    boot_timeout_s: float | None = None
    """None: what the kernel needs."""

    def sentence(self) -> str:
        """What differs from the defaults, as the options that ask for it; empty if nothing does."""
        parts = []
        if self.memory_mib is not None:
            parts.append(f"--memory={self.memory_mib}")
        if self.cpus != 1:
            parts.append(f"--cpus={self.cpus}")
        if self.arguments:
            parts.append(f"--append={shlex.quote(shlex.join(self.arguments))}")
        if self.qemu:
            parts.append(f"--qemu-opts={shlex.quote(shlex.join(self.qemu))}")
        return " ".join(parts)


DEFAULT_MACHINE = MachineOptions()


def memory_mib(kernel: Kernel) -> int:
    """What a guest with this kernel needs."""
    size = max(MEMORY_MIB, _BESIDE_THE_KERNEL_MIB + math.ceil(memory_to_start(kernel.image) / (1 << 20)))
    size *= max((factor for name, factor in MEMORY_FACTORS.items() if kernel.config.enabled(name)), default=1)
    architecture = ARCHITECTURES[kernel.arch]
    unit = architecture.memory_unit_mib
    return -(-(size + architecture.rewritten_mib) // unit) * unit


def boot_timeout_s(config: Config) -> float:
    """Seconds that a boot of this kernel may take."""
    return BOOT_TIMEOUT_S * (SLOW_FACTOR if any(map(config.enabled, SLOW_OPTIONS)) else 1.0)


# The options of a run


def parse_memory(text: str) -> int:
    """The value of --memory in MiB: a number, which may end in M or G."""
    found = re.fullmatch(r"(\d{1,9})([MG]?)", text, re.ASCII | re.IGNORECASE)
    mib = int(found[1]) * (1024 if found[2].upper() == "G" else 1) if found else 0
    if not 32 <= mib <= MOST_MEMORY_MIB:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size from 32M to 1024G, such as 512, 512M or 2G")
    return mib


def parse_boot_timeout(text: str) -> float:
    """The value of --boot-timeout in seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def parse_cpus(text: str) -> int:
    """The value of --cpus."""
    if not re.fullmatch(r"\d{1,3}", text, re.ASCII) or not 1 <= int(text) <= MOST_CPUS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processors from 1 to {MOST_CPUS}")
    return int(text)


def parse_arguments(text: str) -> list[str]:
    """The value of --append: kernel arguments, separated by spaces."""
    if not text.isascii() or not text.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} has characters that are not printable ASCII")
    words = text.split()
    if "--" in words:
        raise argparse.ArgumentTypeError("what follows `--` is for init, which is kconform's agent")
    if len(text) > MOST_ARGUMENTS:
        raise argparse.ArgumentTypeError(f"{len(text)} bytes are too many; at most {MOST_ARGUMENTS} are possible")
    return words


def parse_qemu_arguments(text: str) -> list[str]:
    """The value of --qemu-opts: arguments for QEMU, quoted as for a shell."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not quoted as for a shell: {error}") from error
    if any("\0" in word for word in words):
        raise argparse.ArgumentTypeError(f"{text!r} contains a NUL")
    return words
