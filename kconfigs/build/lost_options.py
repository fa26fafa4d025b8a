# SPDX-License-Identifier: GPL-2.0-or-later
"""Options of a user's own config that the kernel built from it does not have.

There are two kinds: options that this kernel has never heard of, as when the config is of another version; and those
that Kconfig knows and refuses, because something that they need is missing: another option, or another compiler.
Options that no user sets, because Kconfig computes them, are of neither kind.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from kconfigs import kconfig
from kconfigs.build.unmet_dependencies import NO_SUCH_OPTION, Explanation
from kconfigs.kconfig import Config, Dropped, Option

UNKNOWN = "unknown-options"
REFUSED = "refused-options"
"""Names of files beside the kernel: one option in a line."""


@dataclass(frozen=True)
class LostOptions:
    unknown: Sequence[Dropped] = ()
    refused: Sequence[tuple[Dropped, str]] = ()
    """Each with the reason."""

    def list_unknown(self) -> str:
        return "".join(f"CONFIG_{each.option.name}={each.option.value}\n" for each in self.unknown)

    def list_refused(self) -> str:
        return "".join(f"{each}: {reason}\n" for each, reason in self.refused)


def find(
    own: Config,
    final: Config,
    *,
    overruled: Container[str],
    explain: Callable[[Sequence[Option]], Explanation | None],
) -> LostOptions:
    """What `own` sets and `final` does not have, except for the options that are `overruled` on purpose.

    If nobody can explain them, those whose names say that Kconfig computes them are left out.
    """
    asked = {name: Option(name, value, "", "") for name, value in own.items() if name not in overruled}
    dropped = [each for each in kconfig.dropped(asked, final) if not _has_it(each)]
    if not dropped:
        return LostOptions()
    known = explain([each.option for each in dropped])
    if known is None:
        return LostOptions(
            refused=[(each, "reason unknown") for each in dropped if not _is_computed(each.option.name)]
        )
    reasons = {each.option.name: known.reasons.get(each.option.name, "reason unknown") for each in dropped}
    return LostOptions(
        [each for each in dropped if reasons[each.option.name] == NO_SUCH_OPTION],
        [(each, reasons[each.option.name]) for each in dropped if each.option.name in known.settable],
    )


def _has_it(dropped: Dropped) -> bool:
    """Whether the kernel has what was asked for all the same.

    What guests need is built in, and makes modules that it depends on built in as well.  A number that became a
    switch (BASE_SMALL, in v6.10) is off where it was 0.
    """
    return (dropped.option.value, dropped.got) in {("m", "y"), ("0", "n")}


_COMPUTED = ("ARCH_", "AS_", "CC_", "CLANG_", "GCC_", "HAVE_", "LD_", "LLD_", "PAHOLE_", "RUSTC_", "TOOLS_")


def _is_computed(name: str) -> bool:
    return name.startswith(_COMPUTED)


def read(path: Path) -> str:
    """A list of options; empty if there is none."""
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def names(refused: str) -> list[str]:
    """The options of a list of those that were refused, without CONFIG_."""
    return [line.split("=")[0].removeprefix("CONFIG_") for line in refused.splitlines()]


def sentence(folder: Path) -> str:
    """What a report says of a kernel whose lists are in this directory; empty if it has all options of its config."""
    parts = []
    if unknown := len(read(folder / UNKNOWN).splitlines()):
        parts.append(f"{unknown} options of its config are unknown to this kernel ({folder / UNKNOWN})")
    if refused := names(read(folder / REFUSED)):
        listed = ", ".join(f"CONFIG_{name}" for name in refused)
        parts.append(f"Kconfig did not keep {listed} ({folder / REFUSED})")
    return "; ".join(parts)
