# SPDX-License-Identifier: GPL-2.0-or-later
"""A model of what is mounted: devices, superblocks, mounts in several namespaces, and open files, which keep them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from suites.loadpin.support.pin_model import Device, Superblock

Place = tuple[str, str]
"""A mount: its namespace, and the directory."""
FIRST = "first"
"""The mount namespace of init."""


@dataclass(eq=False)
class OpenFile:
    """A descriptor for the file `junk` of a mount."""

    superblock: Superblock
    place: Place | None
    """None if its mount is detached."""


class Storage:
    """All mounts of a guest, and what keeps superblocks alive."""

    def __init__(self) -> None:
        self.mounts: dict[Place, Superblock] = {}
        self.files: dict[str, OpenFile] = {}
        self.living: list[Superblock] = []

    # Mounts

    def mount(self, place: Place, device: Device | None, lower: Superblock | None = None) -> Superblock:
        """Mount a device: another mount of its superblock if it has one.  Without a device, the superblock is new."""
        found = self.superblock_of(device) if device is not None else None
        return self._mount(place, found or Superblock(device, lower))

    def bind(self, place: Place, source: Place) -> None:
        self._mount(place, self.mounts[source])

    def _mount(self, place: Place, superblock: Superblock) -> Superblock:
        self.mounts[place] = superblock
        if superblock not in self.living:
            self.living.append(superblock)
        return superblock

    def superblock_of(self, device: Device) -> Superblock | None:
        return next((each for each in self.living if each.device is device), None)

    def unshare(self, namespace: str) -> None:
        """A new mount namespace, with copies of all mounts of the first one."""
        copies = {(namespace, where): each for (first, where), each in self.mounts.items() if first == FIRST}
        self.mounts.update(copies)

    def places_in(self, namespace: str) -> list[Place]:
        return sorted(place for place in self.mounts if place[0] == namespace)

    def users_of(self, place: Place) -> list[str]:
        """The open files that keep a mount busy."""
        return [name for name, file in self.files.items() if file.place == place]

    def free_directory(self, namespace: str, label: str) -> str | None:
        """A directory for another mount of something; None if it has two already."""
        return next((name for name in (f"/{label}", f"/{label}2") if (namespace, name) not in self.mounts), None)

    # Ends

    def would_end(self, places: Collection[Place] = (), files: Collection[str] = ()) -> list[Superblock]:
        """The superblocks that end without these mounts and these open files."""
        kept = [each for place, each in self.mounts.items() if place not in places]
        kept += [file.superblock for name, file in self.files.items() if name not in files]
        for each in kept:
            if each.lower is not None and each.lower not in kept:
                kept.append(each.lower)
        return [each for each in self.living if each not in kept]

    def remove(self, places: Collection[Place] = (), files: Collection[str] = ()) -> list[Superblock]:
        """Remove mounts and open files, and return the superblocks that end thereby."""
        ended = self.would_end(places, files)
        for place in places:
            del self.mounts[place]
            for name in self.users_of(place):
                self.files[name].place = None
        for name in files:
            del self.files[name]
        self.living = [each for each in self.living if each not in ended]
        return ended

    # Claims

    def can_mount(self, device: Device, others: Iterable[Device]) -> bool:
        """Whether a device is not claimed by another one."""
        return not any(each.below is device and each.claims for each in others)
