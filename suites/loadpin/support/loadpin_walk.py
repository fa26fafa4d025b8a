# SPDX-License-Identifier: GPL-2.0-or-later
"""Walks through the model of LoadPin and a guest: loads from everywhere, of all kinds, and what LoadPin logs."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from hypothesis.stateful import invariant

from guests.call_plan import Plan, run_together
from guests.outcome import EINVAL, ENOEXEC, EPERM, OK, Expected, Outcome
from guests.protocol.wire import State
from guests.uapi import AT_FDCWD, O_RDONLY
from suites.loadpin.support import load_kinds
from suites.loadpin.support.device_walk import DeviceWalk
from suites.loadpin.support.load_kinds import FileLoad, MemoryLoad
from suites.loadpin.support.pin_model import LoadVerdict, PinModel
from suites.loadpin.support.storage_walk import LoggedLoad, mounted
from suites.loadpin.support.walk_boots import WalkBoot
from suites.walks.walk import Prediction, action

KIND = "kernel-module"
"""The kind of load of the files `junk`, which are no modules: LoadPin is asked before that is noticed."""
PROBES = 5
"""The number of these loads that fit into one plan."""
FILE_LOADS = ("MODULE_FILE", "KEXEC_IMAGE", "KEXEC_INITRAMFS", "FIRMWARE_WHOLE", "FIRMWARE_PART", "IMA_POLICY_FILE")
MEMORY_LOADS = ("INIT_MODULE", "KEXEC_LOAD")
LISTS: Mapping[str, tuple[str, frozenset[int] | str]] = {
    #  name       its text in a test                              the disks that it trusts, or why it is not accepted
    "good": ("GOOD", frozenset({2})),
    "other": ('f"{HEADER}\\n{verity_of(guest, 3).root_digest}\\n"', frozenset({3})),
    "both": ('GOOD + f"{verity_of(guest, 3).root_digest}\\n"', frozenset({2, 3})),
    "no header": ('"{digest}\\n"', "loadpin.verity-header"),
    "no digit": ('GOOD + f"{verity_of(guest, 3).root_digest}\\nzz\\n"', "loadpin.verity-grammar"),
}


def kinds(walk: LoadPinWalk, names: Sequence[str]) -> list[str]:
    """The kinds of load that this kernel has."""
    config = walk.guest.kernel.config
    needed = {
        name: [need for mark in walk.kinds[name].marks if mark.name == "needs" for need in mark.args]
        for name in names
    }
    refused = {"KEXEC_FILE"} if config.enabled("KEXEC_SIG_FORCE") else set()
    return [
        name
        for name in names
        if all(config.meets(need) for need in needed[name]) and refused.isdisjoint(needed[name])
    ]


def of_root(walk: LoadPinWalk) -> list[str]:
    """The directories of root's mounts."""
    return [where for task, where in mounted(walk) if task == "root"]


def loads(walk: LoadPinWalk) -> list[tuple[str, str, str]]:
    """Kinds of load from a file, the directories that they may come from, and the tasks that may ask for them.

    The kernel looks for firmware where its init does, whoever asks for it.
    """
    found: list[tuple[str, str, str]] = []
    for name in kinds(walk, FILE_LOADS):
        needs_driver = walk.kinds[name].name == "firmware" and not walk.has_driver
        needs_image = name == "KEXEC_INITRAMFS" and "/pinned" not in of_root(walk)
        if not needs_driver and not needs_image:
            tasks = list(walk.tasks) if name == "FIRMWARE_WHOLE" else ["root"]
            found += itertools.product([name], of_root(walk), tasks)
    return found


def driver_places(walk: LoadPinWalk) -> list[str]:
    """Directories with the module that requests firmware, if it is not loaded yet; "" stands for memory."""
    return [] if walk.has_driver else of_root(walk) + [""] * (not walk.pins.enforcing) * 2


def able_to_enter_by_int80(walk: LoadPinWalk) -> list[bool]:
    config = walk.guest.kernel.config
    return [True] if config.meets("KEXEC") and config.enabled("IA32_EMULATION") else []


def descriptors(walk: LoadPinWalk) -> list[str]:
    """Open files that have a path, which LoadPin can log, or that are on the pinned superblock, and not logged."""
    files = walk.storage.files
    return [name for name, file in files.items() if file.place is not None or file.superblock is walk.pins.pin]


def values(walk: LoadPinWalk) -> tuple[int, ...]:
    """Values for kernel.loadpin.enforce, the one that it does not have more often if it can be switched."""
    return (0, 0, 0, 1, 1, 2, -1) + (int(not walk.pins.enforcing),) * (7 if walk.pins.can_switch_off() else 0)


def lists(walk: LoadPinWalk) -> list[tuple[str, str]]:
    """Lists of digests, and the directories where they are: one is on the disk at /pinned, others on a tmpfs."""
    found = [("", where) for where in of_root(walk) if where == "/pinned"] * 3
    found += [(name, where) for where in of_root(walk) if "tmpfs" in where for name in LISTS]
    return found if walk.boot.verity else []


class LoadPinWalk(DeviceWalk):
    """Loads by the kernel, and attempts to switch enforcement."""

    imports: ClassVar[Mapping[str, str]] = {
        **DeviceWalk.imports,
        **dict.fromkeys((*FILE_LOADS, *MEMORY_LOADS), "suites.loadpin.support.load_kinds"),
        "read_module": "guests.vm.kernel_modules",
    }
    closed: ClassVar[bool] = False
    """Whether kernel.loadpin.enforce rejects every value unless the pinned device is writable."""
    model_type: ClassVar[type[PinModel]] = PinModel

    def __init__(self) -> None:
        super().__init__()
        self.pins = self.model_type(self.boot.enforcing, self.boot.excluded, self.closed)
        self.kinds: dict[str, Any] = {name: getattr(load_kinds, name) for name in (*FILE_LOADS, *MEMORY_LOADS)}
        self.loaded_driver = False

    @property
    def has_driver(self) -> bool:
        """Whether the module that requests firmware is loaded, or built in."""
        return self.loaded_driver or self.guest.kernel.config["TEST_FIRMWARE"] == "y"

    # Loads

    @action(5, place=mounted)
    def load_junk(self, place: tuple[str, str]) -> None:
        """Load a file that is no module, the cheapest load: it pins like any other."""
        task, where = place
        judgement = self.pins.load(KIND, self.superblock(task, where))
        self._compare_load(f'probe(guest, {task}, "{where}")', _of_junk(judgement), judgement)
        self.compare_log((judgement, _line_of_junk(judgement, task, where)))

    @action(4, load=loads)
    def load(self, load: tuple[str, str, str]) -> None:
        name, where, task = load
        kind: FileLoad = self.kinds[name]
        judged: list[LoggedLoad] = []
        if name == "KEXEC_INITRAMFS":  # its image, from the disk at /pinned, is read first
            image = self.pins.load("kexec-image", self.superblock("root", "/pinned"))
            judged.append((image, f'KEXEC_IMAGE.line("{image.what}", "/pinned", root)'))
        if all(judgement.allowed for judgement, _ in judged):
            judgement = self.pins.load(kind.name, self.superblock("root", where))
            judged.append((judgement, f'{name}.line("{judgement.what}", "{where}", {task})'))
        last, _ = judged[-1]
        self._compare_load(f'{name}.load({task}, "{where}")', OK if last.allowed else kind.refused, last, kind)
        self.compare_log(*judged, kind=kind)
        if last.allowed:
            self.do(f"{name}.check_and_unload(guest, root)", promise=kind.about(last.promise))

    @action(2, name=lambda walk: kinds(walk, MEMORY_LOADS))
    def load_from_memory(self, name: str) -> None:
        kind: MemoryLoad = self.kinds[name]
        judgement = self.pins.load(kind.name, None)
        logged = (judgement, f'{name}.line("{judgement.what}", root)')
        self._compare_load(f"{name}.load(guest, root)", OK if judgement.allowed else EPERM, judgement)
        self.compare_log(logged)
        if judgement.allowed:
            self.do(f"{name}.check_and_unload(guest, root)", promise=judgement.promise)
            if name == "KEXEC_LOAD":  # it is unloaded by a load of nothing
                self.compare_log(logged)

    @action(1, _=able_to_enter_by_int80)
    def load_by_32_bits(self, _: bool) -> None:
        """kexec_load() of a 32-bit program, which does not get beyond LoadPin: its flags name no architecture."""
        judgement = self.pins.load("kexec-image", None)
        call = 'root.call32("kexec_load", 0, 0, None, 0)'
        self._compare_load(call, EINVAL if judgement.allowed else EPERM, judgement)
        self.compare_log((judgement, f'KEXEC_LOAD.line("{judgement.what}", root)'))

    @action(2, where=driver_places)
    def load_the_driver(self, where: str) -> None:
        """Load the module that requests firmware, which stays."""
        if self.guest_has("FW_LOADER_USER_HELPER"):
            self.do('guest.set_sysctl("kernel.firmware_config.ignore_sysfs_fallback", 1)')
        judgement = self.pins.load(KIND, self.superblock("root", where) if where else None)
        path = f'"{where}/test_firmware.ko"'
        call, line = f"root.load_module({path})", f'line("{KIND}", "{judgement.what}", {path}, root)'
        if not where:
            call = 'root.init_module(read_module(guest.kernel, "test_firmware"))'
            line = f'INIT_MODULE.line("{judgement.what}", root)'
        self._compare_load(call, OK if judgement.allowed else EPERM, judgement)
        self.compare_log((judgement, line))
        self.loaded_driver = judgement.allowed

    @action(2, file=descriptors)
    def load_descriptor(self, file: str) -> None:
        """Load an open file, whose mount may be gone."""
        opened = self.storage.files[file]
        judgement = self.pins.load(KIND, opened.superblock)
        self._compare_load(f"root.finit_module({file})", _of_junk(judgement), judgement)
        where = opened.place[1] if opened.place is not None else ""
        self.compare_log((judgement, _line_of_junk(judgement, "root", where)))

    @action(3, listed=lists)
    def set_digests(self, listed: tuple[str, str]) -> None:
        name, where = listed
        path = f'"{where}/digests"'
        text, disks = LISTS[name or "good"]
        prediction, judgement = self.pins.set_digests(self.superblock("root", where), disks)
        self.compare(f"set_digests(root, {f'write_list(guest, {text}, {path})' if name else path})", prediction)
        if judgement is None:
            self.compare_log(promise=prediction.promise)
        else:
            self.compare_log((judgement, f'line("security-policy", "{judgement.what}", {path}, root)'))

    def _compare_load(self, call: str, expected: Expected, about: LoadVerdict, kind: FileLoad | None = None) -> None:
        self.compare(call, Prediction(expected, kind.about(about.promise) if kind is not None else about.promise))

    # kernel.loadpin.enforce

    @action(3, value=values, by=lambda _: ("root",) * 8 + ("user",))
    def write_enforce(self, value: int, by: str) -> None:
        if by == "user" and by not in self.names:
            self.do('user = guest.spawn("user")')
        self.compare(f'{by}.write_text(ENFORCE, "{value}")', self.pins.write_enforce(value, root=by == "root"))

    # After each step

    @invariant()
    def enforcement_is_shown(self) -> None:
        shown, expected = 'guest.sysctl("kernel.loadpin.enforce")', str(int(self.pins.enforcing))
        if self.value(shown) != expected:
            self.compare_value(shown, expected, "loadpin.sysctl")

    @invariant()
    def every_mount_is_judged(self) -> None:
        """Load from everywhere, once there is a pin: without one, such a load would pin."""
        places = mounted(self) if self.pins.pin is not None else []
        judged = [self.pins.load(KIND, self.superblock(*place)) for place in places]
        with self.harness_errors_stop():
            outcomes = self.probe_all(places)
        logged = [(each, _line_of_junk(each, *place)) for each, place in zip(judged, places, strict=True)]
        expected, seen = self.value(self.written(*logged)), self.value("log.new_lines()")
        agreed = [_of_junk(each) == outcome for each, outcome in zip(judged, outcomes, strict=True)]
        if seen == expected and all(agreed):
            return
        for place, agrees in zip(places, agreed, strict=True):
            if not agrees or all(agreed):
                self.load_junk(place)
        self.differs(f"LoadPin logged {seen!r}, expected {expected!r}", "loadpin.umount-last")

    def probe_all(self, places: list[tuple[str, str]]) -> list[Outcome]:
        """Load the file `junk` of each place, several in one round trip."""
        outcomes = []
        for task in self.tasks:
            own = [where for by, where in places if by == task]
            for start in range(0, len(own), PROBES):
                plan = Plan(self.names[task].slot)
                for where in own[start : start + PROBES]:
                    file = plan.call("openat", AT_FDCWD, f"{where}/junk", O_RDONLY, 0)
                    plan.call("finit_module", file, "", 0)
                    plan.call("close", file)
                (counts,) = run_together([(self.names[task], plan)])
                outcomes += [_outcome(next(iter(each), "")) for each in counts[1::3]]
        return outcomes

    # The log

    def compare_log(self, *judged: LoggedLoad, kind: FileLoad | None = None, promise: str = "") -> None:
        """Compare LoadPin's lines about loads with those of the model."""
        written = self.written(*judged)
        self.lines.append(f"assert log.new_lines() == {written}")
        seen, expected = self.value("log.new_lines()"), self.value(written)
        if seen == expected:
            return
        if judged:
            promise = kind.about(judged[-1][0].promise) if kind is not None else judged[-1][0].promise
        if len(expected) > 1 and seen[-1:] == expected[-1:]:
            promise = "loadpin.device"
        self.differs(f"LoadPin logged {seen!r}, expected {expected!r}", promise)


def _of_junk(judgement: LoadVerdict) -> Expected:
    return ENOEXEC if judgement.allowed else EPERM


def _line_of_junk(judgement: LoadVerdict, task: str, where: str) -> str:
    return f'line("{KIND}", "{judgement.what}", "{where}/junk", {task})'


def _outcome(name: str) -> Outcome:
    return Outcome(State.RETURNED, -getattr(errno, name, 0), "probe()")


def walk_booted(boot: WalkBoot, *, closed: bool = False) -> type[LoadPinWalk]:
    """The walks through guests that boot in this way; for `closed`, see LoadPinWalk."""
    return type("LoadPinWalk", (LoadPinWalk,), {"boot": boot, "marks": boot.marks, "closed": closed})
