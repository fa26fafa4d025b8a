# SPDX-License-Identifier: GPL-2.0-or-later
"""Provides the guests of a run with --target, in place of the pool of clones, and says which tests need more."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from guests.target.target_connection import TargetConnection
from guests.target.target_guest import TargetGuest
from guests.vm.boot_request import DEFAULT_BOOT, Boot
from guests.vm.initramfs import agent
from kconfigs.cache import Cache
from kconfigs.kernel import Kernel
from kconfigs.sources import TargetSource

AUDIT = ("AUDIT", "AUDITSYSCALL")


class TargetPool:
    """One machine, on which one guest at a time can be."""

    def __init__(self, source: TargetSource, store: Cache) -> None:
        self._connection = TargetConnection(source, agent(source.arch, store))
        self._audited = source.facts.audited

    def take(self, kernel: Kernel, boot: Boot = DEFAULT_BOOT) -> TargetGuest:
        """A guest whose agent has answered, and which the caller must close.  `boot` is what the machine has."""
        del boot
        return TargetGuest(kernel, self._connection).started()

    def close(self) -> None:
        self._connection.close()

    def unmet(self, kernel: Kernel, boot: Boot | None, options: Collection[str], fixtures: Collection[str]) -> str:
        """Why a test cannot run on the machine; empty if it can.

        `options` are those that it needs, `fixtures` the names of those that it takes.
        """
        if boot is not None and (lacking := _lacking(boot, kernel.arguments)):
            return f"needs a boot of its own, {lacking}"
        if found := next((why for name, why in NOT_THERE.items() if name in fixtures), ""):
            return found
        if self._audited and not set(AUDIT).isdisjoint(options):
            return "needs the audit records in the kernel's log, and a daemon of the machine takes them"
        return ""


NOT_THERE = {
    "guest_supply": "needs many freshly booted guests",
    "boot_splat": "needs a boot of its own, to see what the kernel complains of meanwhile",
    "required_by_profile": "needs a kernel that has only booted: the machine's own settings have been made already",
}
"""Fixtures that a machine that somebody else booted cannot offer, and what they stand for."""


def _lacking(boot: Boot, arguments: Sequence[str]) -> str:
    if missing := [one for one in boot.arguments if one not in arguments]:
        return f"with {' '.join(missing)}"
    if boot.disks:
        return "with disks"
    if boot.programs:
        return f"with the programs {', '.join(boot.programs)} of this host"
    return f"on an emulated processor with {', '.join(boot.processor)}" if boot.processor else ""
