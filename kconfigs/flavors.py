# SPDX-License-Identifier: GPL-2.0-or-later
"""Flavors: each is a name for a stack of config fragments that a kernel is built with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from common.errors import UsageError
from common.text import did_you_mean
from common.versions import Version
from kconfigs.kconfig import Fragment, Option, load_fragment, merge

DEFAULT = "full"
FRAGMENTS = Path(__file__).with_name("fragments")

_FULL = ("base", "ptrace", "yama", "loadpin", "verity", "seccomp", "allocations")

UNDER_TEST = (
    "kernel/ptrace.c",
    "kernel/seccomp.c",
    "security/yama/yama_lsm.c",
    "security/loadpin/loadpin.c",
    "drivers/md/dm-verity-loadpin.c",
)
"""The source files that the suites are about."""


@dataclass(frozen=True)
class Flavor:
    """Fragments, each of which overrules those before it."""

    name: str
    sentence: str
    fragments: tuple[str, ...]
    objects: int
    """Object files of a 6.12 build: the estimate for the first progress line; later builds use what was counted."""
    on_own_config: bool = False
    """The fragments are added to the user's own config, not to allnoconfig."""
    profiled: tuple[str, ...] = ()
    """Source files whose execution the kernel counts (CONFIG_GCOV_KERNEL)."""

    def asked(self, version: Version = (), arch: str = "") -> dict[str, Option]:
        """The options that it asks of a kernel of that version and architecture, or of any."""
        return merge((fragment(name) for name in self.fragments), version, arch)


_TABLE = (
    Flavor("full", "Everything that the suites test.", _FULL, 1003),
    Flavor("loadpin-enforce", "LoadPin enforces by configuration.", (*_FULL, "loadpin-enforce"), 1003),
    Flavor("no-yama", "Without Yama.", (*_FULL, "no-yama"), 1002),
    Flavor("no-loadpin", "Without LoadPin.", (*_FULL, "no-loadpin"), 1001),
    Flavor(
        "no-seccomp-filter", "seccomp's strict mode only, and hence no network.", (*_FULL, "no-seccomp-filter"), 900
    ),
    Flavor(
        "no-seccomp",
        "No seccomp at all, hence no network.",
        (*_FULL, "no-seccomp-filter", "no-seccomp"),
        900,
    ),
    Flavor("no-modules", "Without loadable modules.", (*_FULL, "no-modules"), 990),
    Flavor(
        "hardened",
        "Memory and stack initialised, no KASLR, so that runs repeat; native system calls only.",
        (*_FULL, "hardened"),
        1003,
    ),
    Flavor("races", "For several processors, and looks for data races.", (*_FULL, "races"), 1063),
    Flavor("sanitizers", "KASAN, lockdep, and the RCU and sleep checks.", (*_FULL, "sanitizers"), 1063),
    Flavor(
        "coverage",
        "Counts which lines and branches of the code under test are executed.",
        (*_FULL, "coverage"),
        1024,
        profiled=UNDER_TEST,
    ),
    Flavor(
        "mine",
        "A tree's own .config, with only what a guest needs to boot added.",
        ("guest",),
        3000,
        on_own_config=True,
    ),
)

FLAVORS: Mapping[str, Flavor] = MappingProxyType({flavor.name: flavor for flavor in _TABLE})


def flavor(name: str | None) -> Flavor:
    """The flavor of that name, or the default one.  UsageError if there is none, with a list of those there are."""
    try:
        return FLAVORS[name or DEFAULT]
    except KeyError:
        meant = did_you_mean(name or "", FLAVORS)
        raise UsageError(f"no flavor {name!r}{meant}", hint=f"flavors: {', '.join(FLAVORS)}") from None


@cache
def fragment(name: str) -> Fragment:
    return load_fragment(FRAGMENTS / f"{name}.config")
