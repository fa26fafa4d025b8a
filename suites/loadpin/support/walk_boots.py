# SPDX-License-Identifier: GPL-2.0-or-later
"""How the guests of LoadPin's walks boot, and the promises from which the predictions follow."""

from __future__ import annotations

from dataclasses import dataclass

from suites.loadpin.support.disks_and_log import EXT2


@dataclass(frozen=True)
class WalkBoot:
    """How the guests of a walk boot."""

    name: str
    enforcing: bool
    excluded: tuple[str, ...] = ()
    verity: bool = False
    """Whether the walk has verity devices and lists of digests."""

    @property
    def arguments(self) -> tuple[str, ...]:
        excluded = (f"loadpin.exclude={','.join(self.excluded)}",) if self.excluded else ()
        return (f"loadpin.enforce={int(self.enforcing)}", *excluded)

    @property
    def needed(self) -> tuple[str, ...]:
        return NEEDED + OF_VERITY * self.verity

    @property
    def promises(self) -> tuple[str, ...]:
        return PROMISES + OF_EXCLUSION * bool(self.excluded) + OF_TRUST * self.verity

    @property
    def marks(self) -> tuple[str, ...]:
        """The marks of a test that is made from a walk."""
        needed = ", ".join(f'"{each}"' for each in self.needed)
        arguments = ", ".join(f'"{each}"' for each in self.arguments)
        return (f"needs({needed})", f"boot({arguments}, disks=DISKS)")


NEEDED = (
    *("SECURITY_LOADPIN", "VIRTIO_BLK", "SQUASHFS", EXT2, "SYSCTL"),
    *("MODULES", "TEST_LKM", "TEST_FIRMWARE", "FW_LOADER"),
)
OF_VERITY = ("SECURITY_LOADPIN_VERITY", "DM_VERITY")

PROMISES = (
    *("loadpin.pin", "loadpin.device", "loadpin.same-superblock", "loadpin.superblock", "loadpin.deny"),
    *("loadpin.ignore", "loadpin.old-api", "loadpin.partial-firmware"),
    *("loadpin.umount", "loadpin.umount-ignored", "loadpin.umount-last", "loadpin.umount-reset"),
    *("loadpin.sysctl", "loadpin.sysctl-values", "loadpin.sysctl-writable"),
)
"""Of all walks."""
OF_EXCLUSION = ("loadpin.exclude", "loadpin.exclude-old-api")
OF_TRUST = (
    *("loadpin.verity-above", "loadpin.verity-deviceless", "loadpin.verity-grammar", "loadpin.verity-header"),
    *("loadpin.verity-latch", "loadpin.verity-root-digest"),
    *("loadpin.verity-list", "loadpin.verity-mode", "loadpin.verity-once", "loadpin.verity-trusted"),
    *("loadpin.verity-umount", "loadpin.verity-untrusted"),
)
SWITCHED_ON = ("loadpin.sysctl-before", "loadpin.sysctl-read-only")
CLOSED = ("loadpin.sysctl-closed",)
"""What the sysctl accepts unless the pinned device is writable: until Linux 6.19, and since 7.0."""

BOOTS = (
    WalkBoot("enforcing", enforcing=True),
    WalkBoot("not-enforcing", enforcing=False),
    WalkBoot("excluding", enforcing=True, excluded=("firmware", "kexec-image")),
    WalkBoot("trusting", enforcing=True, verity=True),
)
