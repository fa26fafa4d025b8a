# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's command line: what is built into it, CONFIG_CMDLINE, and what a boot loader passes beside that."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from kconfigs.kconfig import Config

CommandLineUse = Literal["alone", "added", "appended", "fallback", "unused", "known"]

FIXED_COMMAND_LINE = ("CMDLINE_OVERRIDE", "CMDLINE_FORCE")
"""Options with which a kernel ignores the command line that it is booted with, on x86 and on arm64."""

# A word ends at a blank that is not in double quotes (lib/cmdline.c: next_arg()).
_WORD = re.compile(r'(?:[^\s"]|"[^"]*(?:"|$))+')

# arch/x86/kernel/setup.c: setup_arch(), where the built-in line comes first; drivers/of/fdt.c:
# early_init_dt_scan_chosen(), and arch/powerpc/kernel/prom_init.c: early_cmdline_parse(), where it comes last.
_CAVEATS: Mapping[CommandLineUse, str] = {
    "alone": "the boot loader's parameters are ignored",
    "added": "the boot loader's parameters are added to it, and may say otherwise",
    "appended": "it comes after the boot loader's parameters, and so decides what both of them say",
    "fallback": "it is used only if the boot loader passes no parameters",
    "unused": "",
    "known": "",
}


class Parameter(NamedTuple):
    """One that has a value."""

    name: str
    """With underscores where it has dashes."""
    value: str
    where: str
    """CONFIG_CMDLINE, or file and line, for messages."""


@dataclass(frozen=True)
class BuiltinCommandLine:
    """What CONFIG_CMDLINE says, as far as the kernel uses it."""

    use: CommandLineUse = "unused"
    """`alone`: whatever the boot loader passes.  `added`: before what the boot loader passes.  `appended`: after it.
    `fallback`: if the boot loader passes nothing.  `known`: what the boot loader passes is in it.
    """
    parameters: tuple[Parameter, ...] = ()
    """In their order."""

    @classmethod
    def of(cls, config: Config) -> BuiltinCommandLine:
        text = config.string("CMDLINE")
        use = _use(config)
        unused = use == "unused" or not text.strip()
        return cls() if unused else cls(use, parse_parameters([(text, "CONFIG_CMDLINE")]))

    @property
    def caveat(self) -> str:
        """Whether a boot loader can change what the line says, for a reader; empty if that is known."""
        return f"CONFIG_CMDLINE: {_CAVEATS[self.use]}" if _CAVEATS[self.use] else ""

    def followed_by(self, arguments: Sequence[str]) -> BuiltinCommandLine:
        """The whole command line of a boot whose boot loader passes these arguments."""
        return self.booted_with(parse_parameters([(" ".join(arguments), "the command line")]))

    def booted_with(self, passed: Iterable[Parameter]) -> BuiltinCommandLine:
        """The whole command line, if the boot loader passes these."""
        if self.use == "alone":
            return self
        before = self.parameters if self.use == "added" else ()
        after = self.parameters if self.use == "appended" else ()
        return BuiltinCommandLine("known", (*before, *passed, *after))

    def given(self, name: str) -> list[Parameter]:
        """Each time that a parameter is given a value, in this order."""
        name = name.replace("-", "_")
        return [parameter for parameter in self.parameters if parameter.name == name]

    def last(self, name: str) -> Parameter | None:
        """The one that counts."""
        return next(reversed(self.given(name)), None)

    def values(self, name: str) -> list[str]:
        """All values that a parameter is given, in their order."""
        return [parameter.value for parameter in self.given(name)]

    def value(self, name: str) -> str | None:
        """The value that counts, which is the last one; None if there is none."""
        found = self.last(name)
        return None if found is None else found.value


def _use(config: Config) -> CommandLineUse:
    if any(map(config.builtin, FIXED_COMMAND_LINE)):
        return "alone"
    # Although Kconfig's help says the contrary: "the command-line arguments provided during boot will be appended".
    if config.builtin("CMDLINE_EXTEND"):
        return "appended"
    if config.builtin("CMDLINE_BOOL"):
        return "added"
    # x86 has no built-in line without CMDLINE_BOOL.  Elsewhere, as on arm64, the line is a fallback unless an option
    # says otherwise (CMDLINE_FROM_BOOTLOADER, or none at all in older kernels).
    return "unused" if config.builtin("X86") else "fallback"


def parse_parameters(lines: Iterable[tuple[str, str]]) -> tuple[Parameter, ...]:
    """What parse_args() in kernel/params.c finds in these lines, each with its place, if they are one line for it.

    Dashes in names are underscores, and `--` ends the kernel's parameters.
    """
    found: list[Parameter] = []
    for text, where in lines:
        for word in _WORD.findall(text):
            if word == "--":
                return tuple(found)
            bare = word[1:].removesuffix('"') if word.startswith('"') else word
            name, equals, value = bare.partition("=")
            if value.startswith('"'):
                value = value[1:].removesuffix('"')
            if equals:
                found.append(Parameter(name.replace("-", "_"), value, where))
    return tuple(found)
