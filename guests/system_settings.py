# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest in which the system's sysctl settings (--sysctl) have been made, as systemd-sysctl makes them at boot."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.text import printable
from guests.outcome import OK
from kconfigs.sysctl_effects import KEYS_OF_PROFILES
from kconfigs.sysctl_settings import Setting, SysctlSettings

if TYPE_CHECKING:
    from guests.guest import Guest

TREES = ("kernel/", "fs/", "user/")
"""What is set: the limits and rights of processes.  A system's settings for memory, network and devices are meant for
its machine, and a guest may not survive them."""
INITIALLY = "initially"

LONGEST = 4096
"""Bytes of a value: a page, of which the kernel takes no more (proc_sys_call_handler() and proc_dostring())."""


def to_make(settings: SysctlSettings | None) -> list[Setting]:
    """What is set in a guest, in this order.  A glob sets only what a profile may ask about."""
    if settings is None:
        return []
    made = [one for one in settings.explicit() if one.key.startswith(TREES) and ".." not in one.key.split("/")]
    known = {one.key for one in made}
    by_glob = (settings.of(key) for key in KEYS_OF_PROFILES if key not in known)
    return [*made, *filter(None, by_glob)]


@dataclass(frozen=True)
class ConfiguredGuest:
    """A guest after the settings; without any, one that has only booted."""

    guest: Guest
    made: tuple[tuple[Setting, str], ...] = ()
    """The settings, and why one had no effect; empty if it had."""

    @classmethod
    def of(cls, guest: Guest, settings: SysctlSettings | None) -> ConfiguredGuest:
        """Make the settings.  What the kernel does not have, or refuses, leaves the guest as it was."""
        return cls(guest, tuple((one, _make(guest, one)) for one in to_make(settings)))

    def origin(self, name: str) -> str:
        """Where the value of a sysctl comes from, for a message: `by FILE:LINE`, or `initially`."""
        places = [one.where for one, failure in self.made if one.name == name and not failure]
        return f"by {places[-1]}" if places else INITIALLY

    def report(self) -> Iterator[str]:
        """A line for each setting, for the evidence of a test."""
        for setting, failure in self.made:
            yield f"{setting}: {failure or 'done'}"


def sentence(names: Sequence[str], settings: SysctlSettings) -> str:
    """The options that ask for the settings, and those of them that a profile may ask about, for a report."""
    options = " ".join(f"--sysctl={shlex.quote(name)}" for name in names)
    decisive = [f"{one.name}={one.value}" for one in map(settings.of, KEYS_OF_PROFILES) if one is not None]
    return printable(f"{options} ({', '.join(decisive) or 'nothing for a profile'})")


def _make(guest: Guest, setting: Setting) -> str:
    path = f"/proc/sys/{setting.key}"
    if not setting.key.isprintable() or len(setting.value) >= LONGEST:
        return "no sysctl has such a name, or so long a value"
    if not guest.exists(path):
        return "this kernel has no such sysctl"
    written = guest.write_file(path, f"{setting.value}\n")
    return "" if written == OK else f"refused: {written!r}"
