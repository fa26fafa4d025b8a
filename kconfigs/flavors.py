# SPDX-License-Identifier: GPL-2.0-or-later
"""The flavors that a kernel is built in: each a name for a stack of fragments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from common.errors import UsageError
from kconfigs.fragments import Fragment, Option, Version, load_fragment, merge

DEFAULT = "full"

_FULL = ("base", "yama", "loadpin", "verity", "seccomp")


@dataclass(frozen=True)
class Flavor:
    """Fragments in the order in which they are laid over one another."""

    name: str
    sentence: str
    fragments: tuple[str, ...]
    objects: int
    """Object files of a 6.12 build: the first estimate for a progress line, replaced by what was counted."""
    on_own_config: bool = False
    """The fragments are laid over a config of the user's, and not over allnoconfig."""

    def asked(self, version: Version | None = None) -> dict[str, Option]:
        """What it asks of a kernel of that version; of any, without one."""
        return merge((fragment(name) for name in self.fragments), version)


_TABLE = (
    Flavor("full", "Everything that the suites test.", _FULL, 1003),
    Flavor("loadpin-enforce", "LoadPin enforces by configuration.", (*_FULL, "loadpin-enforce"), 1003),
    Flavor("no-yama", "Without Yama.", (*_FULL, "no-yama"), 1002),
    Flavor("no-loadpin", "Without LoadPin.", (*_FULL, "no-loadpin"), 1001),
    Flavor("no-seccomp-filter", "Strict mode only, hence no network.", (*_FULL, "no-seccomp-filter"), 900),
    Flavor(
        "no-seccomp",
        "No seccomp at all, hence no network.",
        (*_FULL, "no-seccomp-filter", "no-seccomp"),
        900,
    ),
    Flavor("no-modules", "Without loadable modules.", (*_FULL, "no-modules"), 990),
    Flavor(
        "hardened",
        "Memory and stack initialised, no KASLR: runs repeat. Native calls only.",
        (*_FULL, "hardened"),
        1003,
    ),
    Flavor("sanitizers", "KASAN, lockdep, RCU and sleep checks.", (*_FULL, "sanitizers"), 1063),
    Flavor(
        "mine", "A tree's own .config, with no more than a guest needs to boot.", ("guest",), 3000, on_own_config=True
    ),
)

FLAVORS: Mapping[str, Flavor] = MappingProxyType({flavor.name: flavor for flavor in _TABLE})


def flavor(name: str | None) -> Flavor:
    """The flavor of that name, or the default.  UsageError names those there are."""
    try:
        return FLAVORS[name or DEFAULT]
    except KeyError:
        raise UsageError(f"no flavor {name!r}", hint=f"there is {', '.join(FLAVORS)}") from None


@cache
def fragment(name: str) -> Fragment:
    return load_fragment(Path(__file__).with_name(f"{name}.config"))
