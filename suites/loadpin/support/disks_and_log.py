# SPDX-License-Identifier: GPL-2.0-or-later
"""The environment of LoadPin's tests: four disks with the same files, the boots, and a reader of LoadPin's log lines.

/dev/vda   squashfs, read-only: the disk that gets pinned, mounted at /pinned
/dev/vdb   ext2, writable: another disk
/dev/vdc   squashfs with a hash tree: the verified device that the list on /dev/vda trusts
/dev/vdd   the same with another salt and therefore another root digest, which no list trusts
"""

from __future__ import annotations

import re
import struct

import pytest

from guests.guest import Guest
from guests.outcome import ENOEXEC, Outcome
from guests.task import Task
from guests.uapi import MS_RDONLY
from guests.vm.disk_images import DiskPlan
from suites.lockdown_and_signing import signatures_enforced

MODULE = "test_module"
MODULES = ((MODULE, "TEST_LKM"), ("test_firmware", "TEST_FIRMWARE"))
FIRMWARE = b"firmware as a driver wants it"
POLICY = b"dont_measure fsmagic=0x9fa0\n"
KINDS = ("kernel-module", "kexec-image", "kexec-initramfs", "firmware", "security-policy", "x509-certificate")
SYSCTL = "kernel.loadpin.enforce"
DM_VERITY = "/sys/kernel/security/loadpin/dm-verity"
ENGAGED = "load pinning engaged."
NO_DEVICE = "mnt_sb lacks block device, treating as: writable"
UNMOUNTED = "umount pinned fs: refusing further loads"


def kernel_image() -> bytes:
    """The smallest kernel image that kexec accepts, on x86-64 and on arm64: two headers in different places, no code.

    They are in Documentation/arch/x86/boot.rst and Documentation/arch/arm64/booting.rst.
    """
    image = bytearray(2 * 512 + 4096)
    struct.pack_into("<Q", image, 0x10, 1 << 16)  # image_size
    image[0x38:0x3C] = b"ARM\x64"
    image[0x1F1] = 1  # setup_sects
    image[0x1FE:0x200] = b"\x55\xaa"  # boot_flag
    image[0x200:0x206] = b"\xeb\x6aHdrS"  # the header's end, and its magic
    struct.pack_into("<H", image, 0x206, 0x20F)  # version
    image[0x211] = 1  # loadflags: LOADED_HIGH
    struct.pack_into("<I", image, 0x230, 1 << 21)  # kernel_alignment
    image[0x234] = 1  # relocatable_kernel
    struct.pack_into("<H", image, 0x236, 0x7F)  # xloadflags: 64-bit, above 4G, five-level paging
    struct.pack_into("<I", image, 0x238, 2047)  # cmdline_size
    struct.pack_into("<Q", image, 0x258, 1 << 24)  # pref_address
    struct.pack_into("<I", image, 0x260, 1 << 16)  # init_size
    return bytes(image)


FILES = (
    ("image", kernel_image()),
    ("initramfs", b"an archive, if anybody looked\n"),
    ("firmware", FIRMWARE),
    ("policy", POLICY),
    ("junk", b"nothing that anybody could load\n" * 64),
)

TRUSTED = DiskPlan("squashfs", MODULES, FILES, read_only=True, salt="00" * 32)
UNTRUSTED = DiskPlan("squashfs", MODULES, FILES, read_only=True, salt="11" * 32)
READ_ONLY = DiskPlan("squashfs", MODULES, FILES, read_only=True, trusts=(TRUSTED,))
WRITABLE = DiskPlan("ext2", MODULES, FILES)
DISKS = (READ_ONLY, WRITABLE, TRUSTED, UNTRUSTED)
PINNED, OTHER, TMP, VERIFIED = "/pinned", "/other", "/tmp", "/verified"  # noqa: S108 - a mount point of the guest


def boot(*arguments: str) -> pytest.MarkDecorator:
    return pytest.mark.boot(*arguments, disks=DISKS)


ENFORCING = boot("loadpin.enforce=1")
NOT_ENFORCING = boot("loadpin.enforce=0")

needs = pytest.mark.needs
EXT2 = "EXT2_FS or EXT4_USE_FOR_EXT2"
"""ext4 also mounts as ext2, which it does on ChromeOS."""
loadpin = needs("SECURITY_LOADPIN", "VIRTIO_BLK", "SQUASHFS", EXT2)
"""What the tests need for all of the disks."""
modules = needs("MODULES", "TEST_LKM", "TEST_FIRMWARE")
verity = needs("SECURITY_LOADPIN_VERITY", "DM_VERITY")


class LogReader:
    """Reads LoadPin's log lines, from the time of its creation on."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._seen = len(lines(guest.log()))

    def new_lines(self, kind: str = "") -> list[str]:
        """LoadPin's lines since the last call, without the prefix `LoadPin: `; only those that begin with `kind`."""
        new = lines(self._guest.log())[self._seen :]
        self._seen += len(new)
        return [line for line in new if line.startswith(kind)]

    def last(self) -> str:
        """The last of LoadPin's lines since the last call; empty if there was none."""
        return "".join(self.new_lines()[-1:])


def lines(log: list[str]) -> list[str]:
    """LoadPin's lines in a log.  The pid of a kernel thread, which has no command line, is left out."""
    logged = [line.removeprefix("LoadPin: ") for line in log if line.startswith("LoadPin: ")]
    return [re.sub(r'pid=\d+ cmdline=""$', "by a kernel thread", line) for line in logged]


def boot_lines(log: list[str]) -> list[str]:
    """LoadPin's lines in the log of a boot, but for those about firmware without a file.

    A built-in driver may look for firmware before there are any files.  With FW_LOADER_USER_HELPER, the kernel then
    asks LoadPin about the fallback in sysfs.
    """
    return [line for line in lines(log) if not re.match(r"firmware \S+ obj=<unknown> ", line)]


def line(kind: str, what: str, path: str, task: Task) -> str:
    """LoadPin's line about a file that the kernel read for this task."""
    return f'{kind} {what} obj="{path}" pid={task.pid} cmdline="{task.name}"'


def line_without_file(kind: str, what: str, task: Task) -> str:
    return f'{kind} {what} obj=<unknown> pid={task.pid} cmdline="{task.name}"'


def device_line(guest: Guest, disk: str, state: str) -> str:
    """LoadPin's line about a disk.  Its major number is allocated dynamically, and so read from the guest."""
    return f"{disk} ({guest.read_file(f'/sys/class/block/{disk}/dev').strip()}): {state}"


def root_before_pin(guest: Guest, *, other: bool = True) -> Task:
    """root, with the disk to be pinned at /pinned and the other disk at /other; nothing is pinned yet."""
    root = guest.root()
    root.mount("/dev/vda", PINNED, "squashfs", MS_RDONLY).result()
    if other:
        mount_other(root)
    return root


def mount_other(root: Task) -> None:
    root.mount("/dev/vdb", OTHER, "ext2", MS_RDONLY).result()


def probe(guest: Guest, task: Task, directory: str) -> Outcome:
    """Load the junk file there, the cheapest load in every flavor.  ENOEXEC means that LoadPin has allowed it."""
    return probe_file(guest, task, f"{directory}/junk")


def probe_file(guest: Guest, task: Task, path: str) -> Outcome:
    return task.load_module(path) if probe_kind(guest) == "kernel-module" else task.load_kernel(path)


def probe_kind(guest: Guest) -> str:
    """LoadPin's name for the kind of load that `probe` makes.  It is one that the kernel rejects for its contents."""
    config = guest.kernel.config
    if config.enabled("MODULES") and not signatures_enforced(guest):
        return "kernel-module"
    if config.enabled("KEXEC_FILE") and not config.enabled("KEXEC_SIG_FORCE"):
        return "kexec-image"
    pytest.skip("needs CONFIG_MODULES without signatures, or CONFIG_KEXEC_FILE without CONFIG_KEXEC_SIG_FORCE")


def root_after_pin(guest: Guest, *, other: bool = True) -> Task:
    """root, with the read-only disk pinned and the other disk mounted."""
    root = root_before_pin(guest, other=other)
    probe(guest, root, PINNED).require(ENOEXEC)
    return root


def copy_files(root: Task, target: str) -> None:
    """Copy the files of the disk at /pinned, byte for byte."""
    names = [name for name, _ in FILES] + [f"{module}.ko" for module, _ in MODULES]
    for name in names:
        if root.guest.exists(f"{PINNED}/{name}"):
            root.copy_file(f"{PINNED}/{name}", f"{target}/{name}")
