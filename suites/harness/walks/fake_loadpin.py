# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest without a kernel for walks through LoadPin's model, whose rules a test can make wrong on purpose."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

from guests.outcome import EIO, Outcome
from guests.syscalls.block_devices import DmTarget
from suites.harness.walks.fake_loader import FakeLoader
from suites.loadpin.support.disks_and_log import ENGAGED, NO_DEVICE, UNMOUNTED
from suites.loadpin.support.load_kinds import INIT_MODULE
from suites.loadpin.support.loadpin_walk import LoadPinWalk
from suites.loadpin.support.pin_model import Device, End, LoadVerdict, PinModel, Superblock
from suites.loadpin.support.storage_model import Storage
from suites.loadpin.support.walk_boots import WalkBoot

ABSENT = {"MODULE_SIG", "MODULE_SIG_FORCE", "KEXEC_SIG_FORCE", "SECURITY_LOCKDOWN_LSM", "FW_LOADER_USER_HELPER"}
"""Options that the kernel does not have."""


class FakeConfig:
    """What a walk uses of kconfigs.kconfig.Config."""

    def enabled(self, name: str) -> bool:
        return name not in ABSENT

    meets = enabled

    def __getitem__(self, _: str) -> str:
        return "m"


class FakeVerity:
    """What a walk uses of a disk's hash tree."""

    data_blocks, block_size = 1, 4096

    def __init__(self, disk: int) -> None:
        self.root_digest = f"digest of {disk}"

    def target(self, device: str, *options: str) -> DmTarget:
        return DmTarget(8, "verity", " ".join((device, *options)))


class FakeLoadPinGuest:
    """What a walk uses of guests.guest.Guest."""

    def __init__(self, boot: WalkBoot, model: type[PinModel] = PinModel, *, closed: bool = False) -> None:
        self.pins = model(boot.enforcing, boot.excluded, closed)
        self.storage = Storage()
        self.devices = {f"/dev/vd{letter}": Device("", always_read_only=letter != "b") for letter in "abcd"}
        self.names = {device: path.removeprefix("/dev/") for path, device in self.devices.items()}
        self.mapped: dict[str, str] = {}
        """The paths of mapped devices."""
        self.opened: dict[int, str] = {}
        """The paths of descriptors."""
        self.files: dict[str, str] = {}
        self.lines: list[str] = []
        self.kernel_loaded = False
        self.number = 40
        self.kernel = SimpleNamespace(version=(6, 12), config=FakeConfig())
        disks = [SimpleNamespace(verity=FakeVerity(disk)) for disk in range(4)]
        self.template = SimpleNamespace(machine=SimpleNamespace(disks=disks))

    # Tasks and devices

    def root(self) -> FakeLoader:
        return self.new_task("root")

    def spawn(self, name: str) -> FakeLoader:
        return self.new_task(name)

    def new_task(self, name: str, *, apart: bool = False) -> FakeLoader:
        self.number += 1
        return FakeLoader(self, name, self.number, apart=apart)

    def new_device(self, kind: str, device: Device) -> str:
        path = f"/dev/{kind}{sum(name.startswith(kind) for name in self.names.values())}"
        self.devices[path] = device
        self.names[device] = path.removeprefix("/dev/")
        return path

    # Files

    def exists(self, _: str) -> bool:
        return False

    def upload(self, path: str, content: bytes) -> None:
        self.files[path] = content.decode()

    def listed(self, path: str) -> list[int] | str:
        """The disks that a list of digests names, or the promise that says why it is not accepted."""
        text = self.files.get(path, "# digest of 2")
        if not text.startswith("#"):
            return "loadpin.verity-header"
        disks = [int(disk) for disk in re.findall("digest of ([0-9])", text)]
        return "loadpin.verity-grammar" if text.endswith("zz\n") else disks

    def read_file(self, path: str) -> str:
        """The numbers of a device."""
        return f"1:{len(path)}"

    def sysctl(self, _: str) -> str:
        return str(int(self.pins.enforcing))

    # The log

    def log(self) -> list[str]:
        return list(self.lines)

    def note(self, judgement: LoadVerdict, text: str) -> None:
        """Log a load."""
        if judgement.pins:
            device = self.pins.pin.device if isinstance(self.pins.pin, Superblock) else None
            about = NO_DEVICE
            if device is not None:
                name, state = self.names[device], "writable" if self.pins.writable else "read-only"
                about = f"{name} ({self.read_file(f'/sys/class/block/{name}/dev')}): {state}"
            self.lines += [f"LoadPin: {about}", *([] if self.pins.writable else [f"LoadPin: {ENGAGED}"])]
        if judgement.what:
            self.lines.append(f"LoadPin: {text}")

    def end(self, superblocks: list[Superblock]) -> None:
        for each in superblocks:
            if self.pins.ended(each) is End.REFUSING:
                self.lines.append(f"LoadPin: {UNMOUNTED}")

    def wait_until(self, condition: Callable[[], bool], *_: object) -> None:
        condition()

    def wait_for_log(self, _: str) -> None:
        """Nothing happens later."""


class FakeLoadPinWalk(LoadPinWalk):
    """A walk through such a guest, whose loads need neither plans nor modules."""

    def __init__(self) -> None:
        super().__init__()
        self.names["read_module"] = lambda *_: b""
        self.names["read_false_device"] = lambda _, root: root.outcome(EIO, "read()")
        self.names["INIT_MODULE"] = replace(INIT_MODULE, load=lambda _, root: root.init_module(b""))

    def probe_all(self, places: list[tuple[str, str]]) -> list[Outcome]:
        return [self.names[task].load_module(f"{where}/junk") for task, where in places]


def fake_walk(boot: WalkBoot, *, closed: bool = False) -> type[FakeLoadPinWalk]:
    return type("FakeLoadPinWalk", (FakeLoadPinWalk,), {"boot": boot, "marks": boot.marks, "closed": closed})
