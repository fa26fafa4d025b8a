# SPDX-License-Identifier: GPL-2.0-or-later
"""What a kernel begins with, as far as its config tells: the modules that start, and whether LoadPin enforces."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from common.text import printable
from common.versions import Version
from kconfigs.builtin_command_line import BuiltinCommandLine, Parameter
from kconfigs.kconfig import Config

LEGACY_MAJORS = ("selinux", "smack", "tomoyo", "apparmor")
"""Security modules of which `security=` leaves only the one that it names (LSM_FLAG_LEGACY_MAJOR)."""

RENAMED_TO_ENFORCE: Version = (4, 20)
"""The first version in which `enabled` is `enforce`, as a parameter of LoadPin and in the name of its option."""


@dataclass(frozen=True)
class LsmOrder:
    """The list of security modules that the kernel starts, if they are built in."""

    names: tuple[str, ...]
    where: str
    """What the list is written in, for a reader."""

    def __str__(self) -> str:
        return f"{self.where} is {','.join(self.names)!r}"


@dataclass(frozen=True)
class InitialState:
    config: Config
    version: Version
    """`()` if it is unknown, which counts as the newest."""
    command_line: BuiltinCommandLine

    @classmethod
    def of(cls, config: Config, version: Version, passed: Iterable[Parameter] | None = None) -> InitialState:
        """With the parameters that the boot loader passes.

        If they are None, nobody knows them, and the built-in line is in force, even if it is only a fallback.
        """
        line = BuiltinCommandLine.of(config)
        return cls(config, version, line if passed is None else line.booted_with(passed))

    @property
    def without_command_line(self) -> InitialState:
        return replace(self, command_line=BuiltinCommandLine())

    @property
    def usual(self) -> InitialState:
        """How the kernel usually begins: a boot loader passes parameters, so a fallback is not used."""
        return self.without_command_line if self.command_line.use == "fallback" else self

    def lsm_order(self) -> LsmOrder | None:
        """What ordered_lsm_parse() in security/ makes of CONFIG_LSM, `lsm=` and `security=`.

        `lsm=` takes the place of CONFIG_LSM (79f7865d844c), and `security=` is ignored beside it (89a9684ea158).
        Alone, `security=` removes the other legacy majors, but never Yama or LoadPin; a module that is not in
        CONFIG_LSM is appended, whichever it is.

        None if there is no list: before 5.1, Yama and LoadPin start if they are built in.
        """
        if not self.config["LSM"].startswith('"'):
            return None
        chosen = self.command_line.last("lsm")
        if chosen is not None:
            return LsmOrder(tuple(chosen.value.split(",")), f"lsm= in {chosen.where}")
        order, security = self.config.string("LSM").split(","), self.command_line.last("security")
        if security is None:
            return LsmOrder(tuple(order), "CONFIG_LSM")
        only = security.value
        kept = [name for name in order if name == only or name not in LEGACY_MAJORS]
        names = [*kept, only] if only and only not in kept else kept
        return LsmOrder(tuple(names), f"CONFIG_LSM, after security={printable(only)} in {security.where},")

    def starts(self, module: str, option: str) -> bool:
        """Whether a security module is built in and started."""
        order = self.lsm_order()
        return self.config.builtin(option) and (order is None or module in order.names)

    @property
    def loadpin_parameter(self) -> str:
        """The parameter that says whether LoadPin enforces."""
        return "loadpin.enabled" if self.version and self.version < RENAMED_TO_ENFORCE else "loadpin.enforce"

    def loadpin_enforces(self) -> bool:
        """What the parameter says, or else the option."""
        option = self.loadpin_parameter.replace("loadpin.", "SECURITY_LOADPIN_").upper()
        decisive = self.loadpin_decided_by()
        return self.config.builtin(option) if decisive is None else bool(number(decisive.value))

    def loadpin_decided_by(self) -> Parameter | None:
        """The parameter that says whether LoadPin enforces; None if the option does."""
        given = self.command_line.given(self.loadpin_parameter)
        return next((one for one in reversed(given) if number(one.value) is not None), None)


def number(text: str) -> int | None:
    """What kstrtoint() in lib/kstrtox.c makes of a parameter; None if it rejects it."""
    match = re.fullmatch(r"([+-]?)(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))", text, re.ASCII)
    if not match:
        return None
    sign, hexadecimal, octal, decimal = match.groups()
    found = int(hexadecimal, 16) if hexadecimal else int(octal, 8) if octal else int(decimal)
    return -found if sign == "-" else found
