# SPDX-License-Identifier: GPL-2.0-or-later
"""The devices above others of a walk, in the model and in the guest."""

from __future__ import annotations

from collections.abc import Mapping

from guests.outcome import EIO
from suites.loadpin.support.pin_model import Device, VerityTable
from suites.loadpin.support.storage_walk import StorageWalk
from suites.walks.walk import Prediction, action

TABLES: Mapping[str, tuple[VerityTable, str]] = {
    #  name       its table                          the verity options
    "verified": (VerityTable(2), ""),
    "unlisted": (VerityTable(3), ""),
    "lenient": (VerityTable(2, lenient=True), ', "ignore_corruption"'),
}


def backing_disks(walk: DeviceWalk) -> list[str]:
    has_loop = walk.guest_has("BLK_DEV_LOOP")
    return [name for name in ("pinned", "other") if has_loop and f"loop_{name}" not in walk.devices]


def tables(walk: DeviceWalk) -> list[str]:
    """Verity devices that can be created: nothing else uses the disk below."""
    if not walk.boot.verity:
        return []
    return [name for name, (table, _) in TABLES.items() if name not in walk.devices and walk.is_free(table.disk)]


def without_a_mount(walk: DeviceWalk) -> list[str]:
    """Verity devices above which there can be another device."""
    if "above" in walk.devices or not walk.guest_has("BLK_DEV_DM"):
        return []
    return [
        name
        for name, device in walk.devices.items()
        if device.table is not None and device.table.disk == 2 and walk.storage.superblock_of(device) is None
    ]


def replaceable(walk: DeviceWalk) -> list[str]:
    """Verity devices that can get another digest."""
    return [name for name in ("verified",) if name in walk.devices and walk.is_free(3)]


def verity_boots(walk: DeviceWalk) -> list[bool]:
    return [True] if walk.boot.verity and walk.is_free(3) else []


class DeviceWalk(StorageWalk):
    """Loop devices, verity devices with and without a listed digest, and devices above them."""

    def is_free(self, disk: int) -> bool:
        """Whether no mount uses a disk directly."""
        return self.storage.superblock_of(self.disks[disk]) is None

    @action(1, disk=backing_disks)
    def attach_loop(self, disk: str) -> None:
        below = self.devices[disk]
        self.do(f"loop_{disk} = root.attach_loop({below.source}, read_only=True)")
        self.devices[f"loop_{disk}"] = Device(f"loop_{disk}", below.filesystem, below=below, claims=False)

    @action(3, name=tables)
    def map_verity(self, name: str) -> None:
        table, options = TABLES[name]
        below = self.disks[table.disk]
        target = f"verity_of(guest, {table.disk}).target({below.source}{options})"
        self.do(f'{name} = root.create_mapped("{name}", {target})')
        self.devices[name] = Device(name, table=table, below=below)

    @action(1, _=verity_boots)
    def map_false_verity(self, _: bool) -> None:
        """A device that claims the digest of another one cannot be read."""
        self.compare("read_false_device(guest, root)", Prediction(EIO, "loadpin.verity-root-digest"))

    @action(1, below=without_a_mount)
    def map_linear(self, below: str) -> None:
        self.do(f'above = map_linear(guest, root, "above", {below})')
        self.devices["above"] = Device("above", below=self.devices[below])

    @action(1, name=replaceable)
    def replace_table(self, name: str) -> None:
        """The device gets the digest of another disk, which has the same data."""
        disk = self.disks[3]
        self.do(f'replace_table(root, "{name}", verity_of(guest, 3).target({disk.source}))')
        self.devices[name].table = VerityTable(3)
        self.devices[name].below = disk
