# SPDX-License-Identifier: GPL-2.0-or-later
"""A model of LoadPin: which superblock is pinned, and the result of a load.

It follows Documentation/admin-guide/LSM/LoadPin.rst, and the requirements of the area.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass, field

from guests.outcome import EACCES, EINVAL, EPERM, EPROTO, OK, Expected
from suites.walks.walk import Prediction


@dataclass(frozen=True)
class VerityTable:
    """A dm-verity target."""

    disk: int
    """The disk below, whose root digest it has: 2 is /dev/vdc."""
    lenient: bool = False
    """Whether it lets corrupt data pass."""


@dataclass(eq=False)
class Device:
    """A block device."""

    source: str
    """Its path as it is written in a test: a string, or the name of a variable."""
    filesystem: str = "squashfs"
    always_read_only: bool = True
    set_read_only: bool = False
    """By BLKROSET."""
    table: VerityTable | None = None
    below: Device | None = None
    """The device that it is above."""
    claims: bool = True
    """Whether nothing else can use the device below: a loop device shares it."""

    @property
    def name(self) -> str:
        """The kernel's name for it, as it is written in a test."""
        path = self.source.removeprefix('"/dev/')
        return f'"{path}' if path != self.source else f'{path}.removeprefix("/dev/")'

    @property
    def read_only(self) -> bool:
        return self.always_read_only or self.set_read_only


@dataclass(eq=False)
class Superblock:
    """A mounted file system."""

    device: Device | None = None
    lower: Superblock | None = None
    """The file system below an overlay, which lives as long as the overlay does."""

    @property
    def is_read_only(self) -> bool:
        """Whether its device is: a file system without a device counts as writable."""
        return self.device is not None and self.device.read_only


class Gone(enum.Enum):
    """In place of a pinned superblock that has ended while LoadPin enforced."""

    GONE = 0


class End(enum.Enum):
    """What the end of a superblock means to LoadPin."""

    OF_ANOTHER = 0
    REFUSING = 1
    """Of the pinned one, while LoadPin enforces: it is logged, and permanent."""
    RESET = 2
    """Of the pinned one, while LoadPin does not enforce: the next load pins."""


@dataclass(frozen=True)
class LoadVerdict:
    """What LoadPin makes of a load."""

    allowed: bool
    what: str
    """The verdict in the log, such as `denied`; empty if nothing is logged."""
    promise: str

    @property
    def pins(self) -> bool:
        return self.what == "pinned"


ListResult = tuple[Prediction, LoadVerdict | None]
"""The outcome of setting a list of digests, and the verdict on its file if that was read."""


@dataclass(eq=False)
class PinModel:
    """The state of LoadPin."""

    enforcing: bool
    excluded: Collection[str] = ()
    """The kinds that loadpin.exclude= names."""
    closed: bool = False
    """Whether the sysctl rejects every value unless the pinned device is writable, as it does since Linux 7.0."""
    pin: Superblock | Gone | None = None
    writable: bool = False
    """Whether the device was writable when its file system was pinned."""
    digests: frozenset[int] = field(default_factory=frozenset)
    """The disks whose root digests are trusted."""
    latched: bool = False
    """Whether a list of digests has failed, after which no other is accepted."""

    # Loads

    def load(self, kind: str, origin: Superblock | None) -> LoadVerdict:
        """Judge a load.  `origin`: the superblock of its file; None if its content comes from memory."""
        if self.excludes(kind, origin):
            promise = "loadpin.exclude" if origin is not None else "loadpin.exclude-old-api"
            return LoadVerdict(True, "pinning-excluded", promise)
        if origin is None:
            return self.from_memory()
        if self.pin is None:
            self.set_pin(origin)
            return LoadVerdict(True, "pinned", "loadpin.pin")
        if self.is_pinned(origin):
            return LoadVerdict(True, "", "loadpin.same-superblock")
        if self.pin is not Gone.GONE and self.trusts(origin):
            return LoadVerdict(True, "", "loadpin.verity-trusted")
        return self.from_elsewhere(origin)

    def excludes(self, kind: str, _: Superblock | None) -> bool:
        return kind in self.excluded

    def from_memory(self) -> LoadVerdict:
        what = "old-api-denied" if self.enforcing else "old-api-pinning-ignored"
        return LoadVerdict(not self.enforcing, what, "loadpin.old-api")

    def set_pin(self, origin: Superblock) -> None:
        self.pin, self.writable = origin, not origin.is_read_only

    def is_pinned(self, origin: Superblock) -> bool:
        return origin is self.pin

    def from_elsewhere(self, origin: Superblock) -> LoadVerdict:
        what = "denied" if self.enforcing else "pinning-ignored"
        return LoadVerdict(not self.enforcing, what, self._promise_about(origin))

    def _promise_about(self, origin: Superblock) -> str:
        """The promise from which it follows that this superblock is another one."""
        if self.pin is Gone.GONE and not self.enforcing:
            return "loadpin.umount-ignored"
        if self.pin is Gone.GONE:
            return "loadpin.verity-umount" if self.trusts(origin) else "loadpin.umount"
        device = origin.device
        if device is None:
            return "loadpin.verity-deviceless" if self.digests and self.enforcing else "loadpin.superblock"
        if device.table is not None:
            listed = device.table.disk in self.digests
            return "loadpin.verity-mode" if listed else "loadpin.verity-untrusted"
        if device.below is not None:
            return "loadpin.verity-above" if device.below.table is not None else "loadpin.superblock"
        return "loadpin.deny" if self.enforcing else "loadpin.ignore"

    # Trust

    def trusts(self, origin: Superblock) -> bool:
        """Whether the list has the digest of the device."""
        table = origin.device.table if origin.device is not None else None
        return table is not None and not table.lenient and table.disk in self.digests

    def set_digests(self, origin: Superblock, listed: Collection[int] | str) -> ListResult:
        """Set a list of trusted digests, which is in a file of `origin`.  A promise: the list is not as it asks."""
        if self.latched:
            return Prediction(EPERM, "loadpin.verity-latch"), None
        if self.digests:
            return Prediction(EPERM, "loadpin.verity-once"), None
        judgement = self.load("security-policy", origin)
        if not judgement.allowed:
            self.latched = True
            return Prediction(EPERM, judgement.promise), judgement
        if isinstance(listed, str):
            self.latched = True
            return Prediction(EPROTO, listed), judgement
        self.digests = frozenset(listed)
        return Prediction(OK, "loadpin.verity-list"), judgement

    # The end of a superblock

    def ended(self, superblock: Superblock) -> End:
        if not self.is_pinned(superblock):
            return End.OF_ANOTHER
        if self.enforcing:
            self.pin = Gone.GONE
            return End.REFUSING
        self.pin = None
        return End.RESET

    # kernel.loadpin.enforce

    def write_enforce(self, value: int, *, root: bool = True) -> Prediction:
        """Write to the sysctl, which changes if it accepts the value."""
        if not root:
            return Prediction(EACCES, "loadpin.sysctl")
        expected, promise = self.judge_value(value)
        if expected == OK:
            self.enforcing = value == 1
        return Prediction(expected, promise)

    def judge_value(self, value: int) -> tuple[Expected, str]:
        if value not in (0, 1):
            return EINVAL, "loadpin.sysctl-values"
        if self.can_switch_off():
            return OK, "loadpin.sysctl-writable"
        if self.closed:
            return EINVAL, "loadpin.sysctl-closed"
        promise = "loadpin.sysctl-before" if self.pin is None else "loadpin.sysctl-read-only"
        return (OK if value else EINVAL), promise

    def can_switch_off(self) -> bool:
        return self.pin is not None and self.writable
