# SPDX-License-Identifier: GPL-2.0-or-later
"""What a walk mounts and unmounts, in the model and in the guest."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar

from hypothesis import strategies as st

from suites.loadpin.support.loadpin_lines import skip_where_others_refuse
from suites.loadpin.support.pin_model import Device, End, LoadVerdict, PinModel, Superblock
from suites.loadpin.support.storage_model import FIRST, OpenFile, Place, Storage
from suites.loadpin.support.walk_boots import WalkBoot
from suites.walks.walk import Walk, action, beginning

LoggedLoad = tuple[LoadVerdict, str]
"""The verdict on a load, and LoadPin's line about it as it is written in a test."""
MOST_MOUNTS = 9
INSIDE = "inside"
"""The task in a mount namespace of its own."""


def mountable(walk: StorageWalk) -> list[tuple[str, str]]:
    """Devices that can be mounted, and the task that does it."""
    if not walk.has_room():
        return []
    devices = walk.devices
    free = [name for name, device in devices.items() if walk.storage.can_mount(device, devices.values())]
    return [(task, name) for task in walk.tasks for name in free if walk.free_directory(task, name)]


def filesystems(walk: StorageWalk) -> list[str]:
    """Tasks that can mount a tmpfs, which gets its files from /pinned."""
    has_pinned = walk.has_room() and (FIRST, "/pinned") in walk.storage.mounts and walk.guest_has("TMPFS")
    return ["root"] if has_pinned and walk.free_directory("root", "tmpfs") else []


def mounted(walk: StorageWalk) -> list[tuple[str, str]]:
    """All mounts, each with the task that sees it, and its directory."""
    return [(task, where) for task, namespace in walk.tasks.items() for _, where in walk.storage.places_in(namespace)]


def bindable(walk: StorageWalk) -> list[tuple[str, str]]:
    return [(task, where) for task, where in mounted(walk) if walk.has_room() and walk.free_directory(task, "bound")]


def layers(walk: StorageWalk) -> list[tuple[str, str]]:
    """Mounts over which there can be an overlay."""
    if not walk.guest_has("OVERLAY_FS") or not walk.has_room():
        return []
    found = [(task, where) for task, where in mounted(walk) if walk.free_directory(task, "overlay")]
    return [each for each in found if walk.superblock(*each).lower is None]


def removable(walk: StorageWalk) -> list[tuple[str, str, bool]]:
    """Mounts that may be removed, and whether lazily: the busy ones only so, and the pinned one more often."""
    found = []
    for task, where in mounted(walk):
        place = walk.place(task, where)
        if walk.may_end(places=[place]):
            more = 5 if walk.superblock(task, where) is walk.pins.pin else 1
            found += [(task, where, bool(walk.storage.users_of(place)))] * more
    return found


def openable(walk: StorageWalk) -> list[tuple[str, str]]:
    """Mounts of which a file can be opened: at most one, and not by a task whose children would inherit it."""
    return [] if walk.storage.files or INSIDE in walk.tasks else mounted(walk)


def closable(walk: StorageWalk) -> list[str]:
    return [name for name in walk.storage.files if walk.may_end(files=[name])]


def can_part(walk: StorageWalk) -> list[bool]:
    return [True] if INSIDE not in walk.tasks and not walk.storage.files else []


def can_end(walk: StorageWalk) -> list[bool]:
    return [True] if INSIDE in walk.tasks and walk.may_end(places=walk.storage.places_in(INSIDE)) else []


class StorageWalk(Walk):
    """File systems with and without a device that are mounted, unmounted, and kept by open files and namespaces."""

    imports: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("DISKS", "LogReader", "ENGAGED", "NO_DEVICE"), "suites.loadpin.support.disks_and_log"),
        **dict.fromkeys(("UNMOUNTED", "copy_files", "device_line"), "suites.loadpin.support.disks_and_log"),
        **dict.fromkeys(("line", "line_without_file", "probe"), "suites.loadpin.support.disks_and_log"),
        **dict.fromkeys(("set_digests", "verity_of"), "suites.loadpin.support.verified_devices"),
        **dict.fromkeys(("GOOD", "HEADER", "write_list"), "suites.loadpin.support.digest_lists"),
        **dict.fromkeys(("ENFORCE", "end", "lines_of_the_end"), "suites.loadpin.support.loadpin_lines"),
        **dict.fromkeys(("lines_of_the_new_pin", "map_linear"), "suites.loadpin.support.loadpin_lines"),
        **dict.fromkeys(
            ("read_false_device", "replace_table", "spawn_apart"), "suites.loadpin.support.loadpin_lines"
        ),
        **dict.fromkeys(("MNT_DETACH", "MS_RDONLY"), "guests.uapi"),
        **dict.fromkeys(("EIO", "ENOENT", "ENOEXEC", "EPROTO"), "guests.outcome"),
    }
    boot: ClassVar[WalkBoot]
    pins: PinModel

    def __init__(self) -> None:
        super().__init__()
        self.storage = Storage()
        self.tasks: dict[str, str] = {"root": FIRST}
        """The tasks, and their mount namespaces."""
        self.devices = {
            "pinned": Device('"/dev/vda"'),
            "other": Device('"/dev/vdb"', "ext2", always_read_only=False),
            "raw": Device('"/dev/vdc"'),
        }
        """All devices that can be mounted, by the names of their mounts' directories."""
        self.disks = {2: self.devices["raw"], 3: Device('"/dev/vdd"')}
        """Those that verity devices are above."""

    # Helpers

    def guest_has(self, option: str) -> bool:
        return bool(self.guest.kernel.config.enabled(option))

    def has_room(self) -> bool:
        return len(self.storage.mounts) < MOST_MOUNTS

    def place(self, task: str, where: str) -> Place:
        return self.tasks[task], where

    def superblock(self, task: str, where: str) -> Superblock:
        return self.storage.mounts[self.place(task, where)]

    def free_directory(self, task: str, label: str) -> str | None:
        return self.storage.free_directory(self.tasks[task], label)

    def may_end(self, places: Collection[Place] = (), files: Collection[str] = ()) -> bool:
        """Whether these may go: if the pin is reset thereby, another mount must be there that the next load pins."""
        ended = self.storage.would_end(places, files)
        others = [place for place in self.storage.places_in(FIRST) if place not in places]
        return self.pins.enforcing or self.pins.pin not in ended or bool(others)

    # Steps

    @beginning(more=st.lists(st.sampled_from(["other", "tmpfs", "read-only"]), max_size=3, unique=True))
    def begin(self, more: list[str]) -> None:
        with self.harness_errors_stop():
            skip_where_others_refuse(self.guest)
        self.do("log = LogReader(guest)")
        self.do("root = guest.root()")
        self.mount(("root", "pinned"))
        for name in more:
            if name == "other":
                self.mount(("root", "other"))
            elif name == "read-only":
                self.set_read_only(True)
            elif filesystems(self):
                self.mount_tmpfs("root")

    def _new_directory(self, task: str, name: str) -> str:
        """A directory to mount on, which the choices of the steps have found to be free."""
        found = self.free_directory(task, name)
        if found is None:
            raise ValueError(f"{task} has no free directory for {name}")
        return found

    @action(4, device=mountable)
    def mount(self, device: tuple[str, str]) -> None:
        task, name = device
        where, found = self._new_directory(task, name), self.devices[name]
        self.do(f'{task}.mount({found.source}, "{where}", "{found.filesystem}", MS_RDONLY).result()')
        self.storage.mount(self.place(task, where), found)

    @action(1, task=filesystems)
    def mount_tmpfs(self, task: str) -> None:
        where = self._new_directory(task, "tmpfs")
        self.do(f'{task}.mount("tmpfs", "{where}", "tmpfs").result()')
        self.do(f'copy_files({task}, "{where}")')
        self.storage.mount(self.place(task, where), None)

    @action(1, layer=layers)
    def mount_overlay(self, layer: tuple[str, str]) -> None:
        task, below = layer
        where = self._new_directory(task, "overlay")
        self.do(f'{task}.mkdir("/empty")')
        options = f'"lowerdir={below}:/empty"'
        self.do(f'{task}.mount("overlay", "{where}", "overlay", MS_RDONLY, {options}).result()')
        self.storage.mount(self.place(task, where), None, self.superblock(task, below))

    @action(1, source=bindable)
    def bind(self, source: tuple[str, str]) -> None:
        task, below = source
        where = self._new_directory(task, "bound")
        self.do(f'{task}.bind_mount("{below}", "{where}").result()')
        self.storage.bind(self.place(task, where), self.place(task, below))

    @action(2, place=removable)
    def umount(self, place: tuple[str, str, bool]) -> None:
        task, where, lazily = place
        self.do(f'{task}.umount("{where}"{", MNT_DETACH" if lazily else ""}).result()')
        self._remove(places=[self.place(task, where)])

    @action(1, place=openable)
    def open_file(self, place: tuple[str, str]) -> None:
        task, where = place
        self.do(f'file = {task}.open("{where}/junk").result()')
        self.storage.files["file"] = OpenFile(self.superblock(task, where), self.place(task, where))

    @action(1, file=closable)
    def close_file(self, file: str) -> None:
        self.do(f"root.close({file}).result()")
        self._remove(files=[file])

    @action(1, _=can_part)
    def unshare(self, _: bool) -> None:
        self.do(f'{INSIDE} = spawn_apart(root, "{INSIDE}")')
        self.tasks[INSIDE] = INSIDE
        self.storage.unshare(INSIDE)

    @action(1, _=can_end)
    def end_the_namespace(self, _: bool) -> None:
        self.do(f"end(root, {INSIDE})")
        del self.tasks[INSIDE]
        self._remove(places=self.storage.places_in(INSIDE))

    @action(1, read_only=lambda _: (True, False))
    def set_read_only(self, read_only: bool) -> None:
        self.do(f'root.set_read_only("/dev/vdb", {read_only}).result()')
        self.devices["other"].set_read_only = read_only

    # Ends

    def _remove(self, places: Collection[Place] = (), files: Collection[str] = ()) -> None:
        for ended in self.storage.remove(places, files):
            match self.pins.ended(ended):
                case End.REFUSING:
                    self.compare_value(
                        "lines_of_the_end(guest, log)",
                        self.value("[UNMOUNTED]"),
                        "loadpin.umount",
                        written="[UNMOUNTED]",
                    )
                case End.RESET:
                    self._pin_anew()

    def _pin_anew(self) -> None:
        """The end of the pinned superblock is not logged, so a load has to show that it has taken place."""
        namespace, where = self.storage.places_in(FIRST)[0]
        judgement = self.pins.load("kernel-module", self.storage.mounts[namespace, where])
        source = f'line("kernel-module", "{judgement.what}", "{where}/junk", root)'
        written = self.written((judgement, source))
        call, deadline_s = f'lines_of_the_new_pin(guest, log, root, "{where}")', ""
        if self.context.found:
            # While a difference is shrunk, each attempt would wait for the whole deadline.
            deadline_s = ", deadline_s=2.0"
        self.lines.append(f"assert {call} == {written}")
        seen, expected = self.value(f"{call[:-1]}{deadline_s})"), self.value(written)
        if seen != expected:
            self.differs(f"LoadPin logged {seen!r}, expected {expected!r}", "loadpin.umount-reset")

    # The log

    def written(self, *judged: LoggedLoad) -> str:
        """LoadPin's lines about loads, as a test has them."""
        found: list[str] = []
        for judgement, source in judged:
            if judgement.pins:
                found += self._about_the_device()
            if judgement.what:
                found.append(source)
        return f"[{', '.join(found)}]"

    def _about_the_device(self) -> list[str]:
        """The lines about the device of the file system that is pinned."""
        device = self.pins.pin.device if isinstance(self.pins.pin, Superblock) else None
        if device is None:
            return ["NO_DEVICE"]
        if self.pins.writable:
            return [f'device_line(guest, {device.name}, "writable")']
        return [f'device_line(guest, {device.name}, "read-only")', "ENGAGED"]
