# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules of LoadPin that are wrong on purpose, as those mutants of suites/loadpin/mutants.toml with the same ids."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from guests.outcome import EINVAL, OK, Expected
from suites.loadpin.support.pin_model import Device, End, Gone, ListResult, LoadVerdict, PinModel, Superblock
from suites.walks.walk import Prediction

RULES: dict[str, tuple[type[PinModel], str]] = {}
"""The rules, and the name of a boot that shows them."""


def wrong(name: str, boot: str = "enforcing") -> Callable[[type[PinModel]], type[PinModel]]:
    def register(cls: type[PinModel]) -> type[PinModel]:
        RULES[name] = (cls, boot)
        return cls

    return register


ALLOWED = LoadVerdict(True, "", "loadpin.same-superblock")


# The pin


@wrong("pin-only-while-enforcing", "not-enforcing")
class OnlyWhileEnforcing(PinModel):
    def set_pin(self, origin: Superblock) -> None:
        if self.enforcing:
            super().set_pin(origin)


@wrong("pin-only-to-read-only")
class OnlyToReadOnly(PinModel):
    def set_pin(self, origin: Superblock) -> None:
        if origin.is_read_only:
            super().set_pin(origin)


@wrong("pin-moves-while-not-enforcing", "not-enforcing")
class Moves(PinModel):
    def from_elsewhere(self, origin: Superblock) -> LoadVerdict:
        judgement = super().from_elsewhere(origin)
        if not self.enforcing and self.pin is not Gone.GONE:
            self.pin = origin
        return judgement


@wrong("pin-moves-to-the-trusted", "trusting")
class MovesToTheTrusted(PinModel):
    def trusts(self, origin: Superblock) -> bool:
        if trusted := super().trusts(origin):
            self.pin = origin
        return trusted


@wrong("device-missing-is-read-only")
class MissingIsReadOnly(PinModel):
    def set_pin(self, origin: Superblock) -> None:
        super().set_pin(origin)
        self.writable = self.writable and origin.device is not None


@wrong("device-set-read-only-is-writable")
class SetReadOnlyIsWritable(PinModel):
    def set_pin(self, origin: Superblock) -> None:
        super().set_pin(origin)
        self.writable = origin.device is None or not origin.device.always_read_only


# What counts as the pinned superblock


@wrong("superblock-by-its-device")
class ByItsDevice(PinModel):
    def is_pinned(self, origin: Superblock) -> bool:
        return isinstance(self.pin, Superblock) and origin.device is self.pin.device


@wrong("superblock-below-an-overlay")
class BelowAnOverlay(PinModel):
    def is_pinned(self, origin: Superblock) -> bool:
        return (origin.lower or origin) is self.pin


# Verdicts


@wrong("deny-nothing")
class DenyNothing(PinModel):
    def from_elsewhere(self, origin: Superblock) -> LoadVerdict:
        return replace(super().from_elsewhere(origin), allowed=True)


@wrong("deny-is-silent")
class DenySilently(PinModel):
    def from_elsewhere(self, origin: Superblock) -> LoadVerdict:
        judgement = super().from_elsewhere(origin)
        return replace(judgement, what="") if self.enforcing else judgement


@wrong("ignore-denies", "not-enforcing")
class IgnoreDenies(PinModel):
    def from_elsewhere(self, origin: Superblock) -> LoadVerdict:
        return replace(super().from_elsewhere(origin), allowed=False)


@wrong("old-api-open-before-a-pin")
class OldApiBeforeAPin(PinModel):
    def from_memory(self) -> LoadVerdict:
        return super().from_memory() if self.pin is not None else ALLOWED


@wrong("old-api-open-after-the-unmount")
class OldApiAfterTheUnmount(PinModel):
    def from_memory(self) -> LoadVerdict:
        return super().from_memory() if self.pin is not Gone.GONE else ALLOWED


@wrong("old-api-upside-down")
class OldApiUpsideDown(PinModel):
    def from_memory(self) -> LoadVerdict:
        judgement = super().from_memory()
        return replace(judgement, allowed=not judgement.allowed)


# The unmount


@wrong("umount-unnoticed")
class Unnoticed(PinModel):
    def ended(self, _: Superblock) -> End:
        return End.OF_ANOTHER


@wrong("umount-of-any")
class OfAny(PinModel):
    def ended(self, superblock: Superblock) -> End:
        self.pin, actual = superblock if isinstance(self.pin, Superblock) else self.pin, self.pin
        found = super().ended(superblock)
        if found is End.OF_ANOTHER:
            self.pin = actual
        return found


@wrong("umount-forgives")
class Forgives(PinModel):
    def ended(self, superblock: Superblock) -> End:
        found = super().ended(superblock)
        if found is End.REFUSING:
            self.pin = None
        return found


@wrong("umount-is-for-good", "not-enforcing")
class ForGood(PinModel):
    def ended(self, superblock: Superblock) -> End:
        found = super().ended(superblock)
        if found is End.RESET:
            self.pin = Gone.GONE
        return found


@wrong("umount-locks-the-sysctl")
class LocksTheSysctl(PinModel):
    def can_switch_off(self) -> bool:
        return super().can_switch_off() and self.pin is not Gone.GONE


@wrong("umount-spares-the-trusted", "trusting")
class SparesTheTrusted(PinModel):
    def from_elsewhere(self, origin: Superblock) -> LoadVerdict:
        return ALLOWED if self.trusts(origin) else super().from_elsewhere(origin)


# kernel.loadpin.enforce


@wrong("sysctl-open-before-a-pin")
class OpenBeforeAPin(PinModel):
    def can_switch_off(self) -> bool:
        return self.pin is None or super().can_switch_off()


@wrong("sysctl-locked-when-writable")
class LockedWhenWritable(PinModel):
    def can_switch_off(self) -> bool:
        return False


@wrong("sysctl-open-when-read-only")
class OpenWhenReadOnly(PinModel):
    def can_switch_off(self) -> bool:
        return self.pin is not None


@wrong("sysctl-up-to-2")
class UpTo2(PinModel):
    def judge_value(self, value: int) -> tuple[Expected, str]:
        return (OK, "loadpin.sysctl-values") if value == 2 else super().judge_value(value)


@wrong("sysctl-goes-by-the-last-load")
class ByTheLastLoad(PinModel):
    def load(self, kind: str, origin: Superblock | None) -> LoadVerdict:
        judgement = super().load(kind, origin)
        if origin is not None and judgement.what != "pinning-excluded":
            self.writable = not origin.is_read_only
        return judgement


# Exclusion


@wrong("exclude-only-files", "excluding")
class OnlyFiles(PinModel):
    def excludes(self, kind: str, origin: Superblock | None) -> bool:
        return origin is not None and super().excludes(kind, origin)


@wrong("exclude-only-while-pinned", "excluding")
class OnlyWhilePinned(PinModel):
    def excludes(self, kind: str, origin: Superblock | None) -> bool:
        return self.pin is not Gone.GONE and super().excludes(kind, origin)


@wrong("exclude-pins", "excluding")
class ExcludePins(PinModel):
    def excludes(self, kind: str, origin: Superblock | None) -> bool:
        if (excluded := super().excludes(kind, origin)) and origin is not None and self.pin is None:
            self.set_pin(origin)
        return excluded


# Trust


@wrong("trust-nobody", "trusting")
class TrustNobody(PinModel):
    def trusts(self, _: Superblock) -> bool:
        return False


@wrong("digest-any", "trusting")
class AnyDigest(PinModel):
    def trusts(self, origin: Superblock) -> bool:
        table = origin.device.table if origin.device is not None else None
        return bool(self.digests) and table is not None and not table.lenient


@wrong("mode-ignore-is-trusted", "trusting")
class LenientIsTrusted(PinModel):
    def trusts(self, origin: Superblock) -> bool:
        table = origin.device.table if origin.device is not None else None
        return table is not None and table.disk in self.digests


@wrong("trust-before-the-list", "trusting")
class TrustBeforeTheList(PinModel):
    def trusts(self, origin: Superblock) -> bool:
        return super().trusts(origin) or (not self.digests and origin.device is not None)


@wrong("trust-asks-for-the-mode-alone", "trusting")
class TrustAbove(PinModel):
    def trusts(self, origin: Superblock) -> bool:
        below: Device | None = origin.device.below if origin.device is not None else None
        return super().trusts(origin) or (below is not None and super().trusts(Superblock(below)))


@wrong("list-twice", "trusting")
class ListTwice(PinModel):
    def set_digests(self, origin: Superblock, listed: Collection[int] | str) -> ListResult:
        before, self.digests = self.digests, frozenset()
        found = super().set_digests(origin, listed)
        self.digests |= before
        return found


@wrong("latch-is-not-looked-at", "trusting")
class LatchNotLookedAt(PinModel):
    def set_digests(self, origin: Superblock, listed: Collection[int] | str) -> ListResult:
        self.latched = False
        return super().set_digests(origin, listed)


@wrong("header-wrong-errno", "trusting")
class HeaderErrno(PinModel):
    def set_digests(self, origin: Superblock, listed: Collection[int] | str) -> ListResult:
        prediction, judgement = super().set_digests(origin, listed)
        return (Prediction(EINVAL, "") if prediction.promise == "loadpin.verity-header" else prediction), judgement
