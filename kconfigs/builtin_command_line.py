# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line that is built into a kernel, CONFIG_CMDLINE: its parameters, and when the kernel uses them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from kconfigs.kconfig import Config

CommandLineUse = Literal["alone", "added", "fallback", "unused"]

FIXED_COMMAND_LINE = ("CMDLINE_OVERRIDE", "CMDLINE_FORCE")
"""Options with which a kernel ignores the command line that it is booted with, on x86 and on arm64."""

# A word ends at a blank that is not in double quotes (lib/cmdline.c: next_arg()).
_WORD = re.compile(r'(?:[^\s"]|"[^"]*(?:"|$))+')

# arch/x86/kernel/setup.c: setup_arch(); drivers/of/fdt.c: early_init_dt_scan_chosen().
_CAVEATS: Mapping[CommandLineUse, str] = {
    "alone": "the boot loader's parameters are ignored",
    "added": "the boot loader's parameters are added to it, and may say otherwise",
    "fallback": "it is used only if the boot loader passes no parameters",
    "unused": "",
}


@dataclass(frozen=True)
class BuiltinCommandLine:
    """What CONFIG_CMDLINE says, as far as the kernel uses it."""

    use: CommandLineUse = "unused"
    """`alone`: whatever the boot loader passes.  `added`: together with what the boot loader passes.
    `fallback`: if the boot loader passes nothing."""
    parameters: tuple[tuple[str, str], ...] = ()
    """Those with a value, in their order; names have underscores."""

    @classmethod
    def of(cls, config: Config) -> BuiltinCommandLine:
        text = config.string("CMDLINE")
        use = _use(config)
        return cls(use, _parameters(text)) if text.strip() and use != "unused" else cls()

    @property
    def caveat(self) -> str:
        """Whether a boot loader can change what the line says, for a reader."""
        return f"CONFIG_CMDLINE: {_CAVEATS[self.use]}"

    def followed_by(self, arguments: Sequence[str]) -> BuiltinCommandLine:
        """The whole command line of a boot whose boot loader passes these arguments."""
        if self.use == "alone":
            return self
        own = self.parameters if self.use == "added" else ()
        return replace(self, parameters=(*own, *_parameters(" ".join(arguments))))

    def values(self, name: str) -> list[str]:
        """All values that a parameter is given, in their order."""
        name = name.replace("-", "_")
        return [value for known, value in self.parameters if known == name]

    def value(self, name: str) -> str | None:
        """The value that counts, which is the last one; None if there is none."""
        return next(reversed(self.values(name)), None)


def _use(config: Config) -> CommandLineUse:
    if any(map(config.builtin, FIXED_COMMAND_LINE)):
        return "alone"
    if any(config.builtin(option) for option in ("CMDLINE_BOOL", "CMDLINE_EXTEND")):
        return "added"
    # x86 has no built-in line without CMDLINE_BOOL.  Elsewhere, as on arm64, the line is a fallback unless an option
    # says otherwise (CMDLINE_FROM_BOOTLOADER, or none at all in older kernels).
    return "unused" if config.builtin("X86") else "fallback"


def _parameters(text: str) -> tuple[tuple[str, str], ...]:
    """What parse_args() in kernel/params.c finds.  Dashes in names are underscores, and `--` ends the kernel's."""
    found: list[tuple[str, str]] = []
    for word in _WORD.findall(text):
        if word == "--":
            break
        bare = word[1:].removesuffix('"') if word.startswith('"') else word
        name, equals, value = bare.partition("=")
        if value.startswith('"'):
            value = value[1:].removesuffix('"')
        if equals:
            found.append((name.replace("-", "_"), value))
    return tuple(found)
