# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernels can be tested: the architectures, and the oldest Linux."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from common.errors import UsageError
from common.text import did_you_mean, printable
from common.versions import Version, dotted

OLDEST: Version = (5, 10)
"""The oldest Linux that has been tested with good results: the agent needs system calls that older ones lack."""


@dataclass(frozen=True)
class Architecture:
    """An architecture: its names, how Kbuild makes a kernel for it, and what QEMU's machine for it has.

    What calls look like on it is in guests/abis.py.
    """

    name: str
    """What QEMU and virtme-ng call it: `uname -m`, unless `machine` is different."""
    debian: str
    """In packages of Debian and Ubuntu."""
    gnu: str
    """What the names of GNU's cross compilers begin with, without the hyphen."""
    srcarch: str
    """Its folder in the kernel's arch/, which is Kbuild's ARCH too."""
    target: str
    """make's target for a bootable image."""
    image: str
    """Where Kbuild puts that image, relative to the object directory."""
    console: str
    """The device of the first serial port of QEMU's machine."""
    console_option: str
    """The option of the kernel that makes this port a console."""
    second_port: str
    """The device of a second serial port, for kernels without a virtio console; empty if the machine has none."""
    command_line_size: int
    """Bytes of the kernel's command line, including NUL (COMMAND_LINE_SIZE in asm/setup.h); it is cut there."""
    emulated_cpu: str
    """The processor of an emulated guest, as virtme-run chooses it."""
    memory_unit_mib: int = 1
    """The memory of QEMU's machine is a multiple of this."""
    rewritten_mib: int = 0
    """The end of the memory, which the kernel must not use: QEMU writes there at each start, of a clone too."""
    separate_sockets: bool = False
    """Whether a kernel may find only one processor of each socket."""
    machine_properties: str = ""
    """Properties of QEMU's machine, as `-machine` takes them."""
    oldest: Version = OLDEST
    """The oldest Linux that can be tested."""
    arguments: tuple[str, ...] = ()
    """Kernel arguments for every boot."""
    kbuild: str = ""
    """Kbuild's ARCH, if that is not the name of the folder."""
    machine: str = ""
    """`uname -m`, if that is not its name."""
    aliases: tuple[str, ...] = ()
    """Other names for it: in packages of distributions without Debian's names, and `uname -m` on some processors."""
    virtio_bus: str = "pci"
    """How QEMU's names of its virtio devices end."""
    virtio_option: str = "VIRTIO_PCI"
    """The option of the kernel for such devices."""
    virtio_module: str = "virtio_pci"
    """The module, if that is one."""
    saves_interrupts: bool = True
    """Whether QEMU, when it saves the state of an emulated guest, saves the interrupts that are pending, too."""
    has_cmpxchg16b: bool = False
    """Whether its emulated processor has this instruction, which some versions of QEMU emulate incorrectly."""

    @property
    def kbuild_arch(self) -> str:
        """Kbuild's ARCH."""
        return self.kbuild or self.srcarch


# On a busy host, a guest may wait for a processor.  An x86 kernel would then consider its clock unstable during a
# test, and switch to a worse one (clocksource_watchdog()), or see too few ticks during boot, and panic
# (timer_irq_works()).
_STEADY_CLOCK = ("tsc=reliable", "no_timer_check")

_TABLE = (
    Architecture(
        name="x86_64",
        debian="amd64",
        gnu="x86_64-linux-gnu",
        srcarch="x86",
        target="bzImage",
        image="arch/x86/boot/bzImage",
        console="ttyS0",
        console_option="SERIAL_8250_CONSOLE",
        second_port="ttyS1",
        command_line_size=2048,
        emulated_cpu="max",
        # Without ACPI, it knows those in SeaBIOS's MP table (mptable_setup()).
        separate_sockets=True,
        arguments=_STEADY_CLOCK,
        has_cmpxchg16b=True,
    ),
    Architecture(
        name="aarch64",
        debian="arm64",
        gnu="aarch64-linux-gnu",
        srcarch="arm64",
        target="Image",
        image="arch/arm64/boot/Image",
        console="ttyAMA0",
        console_option="SERIAL_AMBA_PL011_CONSOLE",
        # QEMU's machine `virt` has a second one for the secure world only (hw/arm/virt.c, before 9.1).
        second_port="",
        command_line_size=2048,
        # `max` computes pointer authentication in a cipher that takes long to emulate.
        emulated_cpu="cortex-a57",
    ),
    Architecture(
        name="riscv64",
        debian="riscv64",
        gnu="riscv64-linux-gnu",
        srcarch="riscv",
        target="Image",
        image="arch/riscv/boot/Image",
        console="ttyS0",
        console_option="SERIAL_8250_CONSOLE",
        # QEMU's machine `virt` has one.
        second_port="",
        command_line_size=1024,
        emulated_cpu="rv64",
        # Before, the result of a call that a tracer skips is another (do_trap_ecall_u()), and lines were shorter.
        oldest=(6, 12),
    ),
    Architecture(
        name="ppc64le",
        debian="ppc64el",
        gnu="powerpc64le-linux-gnu",
        srcarch="powerpc",
        target="vmlinux",
        image="vmlinux",
        console="hvc0",
        console_option="HVC_CONSOLE",
        second_port="",
        command_line_size=2048,
        emulated_cpu="power9",
        memory_unit_mib=256,
        # The device tree takes 2 MiB (QEMU's hw/ppc/spapr.c, spapr_machine_reset()), and the kernel rounds `mem=` to
        # 16 MiB (arch/powerpc/kernel/prom_init.c, early_cmdline_parse()).
        rewritten_mib=16,
    ),
    Architecture(
        name="s390x",
        debian="s390x",
        gnu="s390x-linux-gnu",
        srcarch="s390",
        target="bzImage",
        image="arch/s390/boot/bzImage",
        console="ttysclp0",
        console_option="SCLP_CONSOLE",
        # QEMU has a second SCLP console, which speaks to z/VM's line mode.
        second_port="",
        # The smallest CONFIG_COMMAND_LINE_SIZE; older kernels have no option for it.
        command_line_size=896,
        emulated_cpu="max",
        virtio_bus="ccw",
        virtio_option="S390_GUEST",
        virtio_module="virtio_ccw",
        # QEMU 7.2, hw/intc/s390_flic.c: qemu_s390_flic_vmstate has neither which interrupts are pending nor their
        # list.  If one is lost, the adapter's summary indicator stays set, and no other one follows.
        saves_interrupts=False,
    ),
    Architecture(
        name="i386",
        debian="i386",
        # Its compiler compiles for i386, too.
        gnu="x86_64-linux-gnu",
        srcarch="x86",
        target="bzImage",
        image="arch/x86/boot/bzImage",
        console="ttyS0",
        console_option="SERIAL_8250_CONSOLE",
        second_port="ttyS1",
        command_line_size=2048,
        emulated_cpu="max",
        # Without ACPI, it knows those in SeaBIOS's MP table (mptable_setup()).
        separate_sockets=True,
        arguments=_STEADY_CLOCK,
        # `x86` is the 64-bit half of the folder.
        kbuild="i386",
        machine="i686",
        # RPM has the processor's generation, as has `uname -m`; Alpine has x86.
        aliases=("i486", "i586", "x86"),
    ),
    Architecture(
        name="arm",
        debian="armhf",
        gnu="arm-linux-gnueabihf",
        srcarch="arm",
        target="zImage",
        image="arch/arm/boot/zImage",
        console="ttyAMA0",
        console_option="SERIAL_AMBA_PL011_CONSOLE",
        # As on aarch64.
        second_port="",
        command_line_size=1024,
        # virtme-run leaves the choice to QEMU's machine `virt`.
        emulated_cpu="cortex-a15",
        # Otherwise, PCI is beyond the first 4 GiB, which a kernel without ARM_LPAE cannot reach.
        machine_properties="highmem=off",
        machine="armv7l",
        # RPM's two, Arch's and Alpine's; a 64-bit processor is armv8l to a 32-bit kernel.
        aliases=("armv7hl", "armv7hnl", "armv7h", "armv7", "armv8l"),
    ),
)

ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType({one.name: one for one in _TABLE})
"""Those whose kernels can be tested, by `uname -m`."""


def machine() -> str:
    """This machine's architecture, as `uname -m` has it."""
    return platform.machine()


def architecture(name: str = "") -> Architecture:
    """That of a kernel that is built, by `uname -m`; without a name, this machine's.  UsageError if it is unknown."""
    try:
        return ARCHITECTURES[name or machine()]
    except KeyError:
        raise UsageError(
            f"building a kernel for {name or machine()} is not supported yet",
            hint="pass a kernel that is built already, or name another architecture with --arch",
        ) from None


def named_architecture(text: str) -> str:
    """An architecture's name, by any of its names: `uname -m`, Debian's, or the kernel's.  UsageError for others."""
    # arch/x86 is of two, and the first is meant, although Alpine calls the other one x86.
    for kind in ("name", "debian", "srcarch"):
        for one in _TABLE:
            if getattr(one, kind) == text:
                return one.name
    if (name := known_as(text)) in ARCHITECTURES:
        return name
    known = [one.debian for one in _TABLE]
    raise UsageError(
        f"no architecture {printable(text)}{did_you_mean(text, known)}", hint=f"architectures: {', '.join(known)}"
    )


def architecture_argument(text: str) -> str:
    """The same as a type of argparse, which prints the messages of its own errors only."""
    try:
        return named_architecture(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def from_debian(name: str) -> str:
    """`uname -m` of an architecture by Debian's name for it; an unknown one keeps its name."""
    return next((one.name for one in _TABLE if one.debian == name), name)


def known_as(name: str) -> str:
    """The name here of an architecture that `uname -m` or a package calls so; an unknown one keeps its name."""
    return next((one.name for one in _TABLE if name in (one.name, one.machine, *one.aliases)), name)


def require_testable(what: str, arch: str, version: Version) -> None:
    """UsageError for a kernel of an architecture that is not in the table, or of a version that is too old.

    An unknown version, `()`, is accepted.
    """
    if arch not in ARCHITECTURES:
        raise UsageError(
            f"{what} is a kernel for {arch}, which kconform cannot test yet",
            hint=f"pass a kernel for {' or '.join(ARCHITECTURES)}",
        )
    oldest = ARCHITECTURES[arch].oldest
    if version and version < oldest:
        of = f" on {arch}" if oldest != OLDEST else ""
        raise UsageError(
            f"{what} is Linux {dotted(version)}, and {dotted(oldest)} is the oldest that can be tested{of}"
        )
