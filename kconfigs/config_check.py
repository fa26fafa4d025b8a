# SPDX-License-Identifier: GPL-2.0-or-later
"""What a config says about everything that a profile asks for, without a boot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from common.text import printable
from common.versions import Version
from kconfigs.kconfig import Config
from kconfigs.profile import AREAS, DEFAULTS, SECURITY_MODULES, Profile, ProfileLine

FindingState = Literal["ok", "missing", "warning", "open"]


@dataclass(frozen=True)
class Finding:
    """What a config says about something that is asked for.

    `missing`: the config does not have it.  `warning`: the profile does not ask for it, but something is wrong.
    `open`: only a run can tell.
    """

    name: str
    """As in ProfileLine."""
    state: FindingState
    text: str
    reasons: tuple[str, ...]
    """Who asks for it, and where that is written."""


def check(profile: Profile, config: Config, version: Version) -> list[Finding]:
    """What the config says about everything that is asked of kernels of this version (`()`: all versions)."""
    options: dict[tuple[str, str], list[ProfileLine]] = {}
    for line in profile.config:
        if version in line.versions:
            options.setdefault((line.name, line.value), []).append(line)
    found = [_option(lines, config) for lines in options.values()]
    found += [_default(line, config) for line in profile.defaults if version in line.versions]
    return found + list(_never_started(profile, config, version))


def _option(lines: Sequence[ProfileLine], config: Config) -> Finding:
    """Of lines that ask for the same option and value."""
    name, wanted, value = lines[0].name, lines[0].value, config[lines[0].name]
    state: FindingState = "ok" if value in wanted.split(" or ") else "missing"
    text = f"CONFIG_{name} is {printable(value)}, {printable(wanted)} is asked for"
    return Finding(name, state, text, tuple(line.reason for line in lines))


def _default(line: ProfileLine, config: Config) -> Finding:
    state: FindingState
    match line.name:
        case "lsm":
            order, wanted = config.string("LSM").split(","), line.value.split()
            state = "ok" if in_order(wanted, order) else "missing"
            left_out = [name for name in wanted if name not in order]
            text = f"CONFIG_LSM is {','.join(order)!r}, {line.value!r} in this order is asked for"
            text += f": it leaves out {', '.join(left_out)}" if left_out else ""
        case "loadpin-enforcing":
            enforcing = "yes" if config.builtin("SECURITY_LOADPIN_ENFORCE") else "no"
            state = "ok" if enforcing == line.value else "missing"
            text = f"LoadPin enforces by configuration: {enforcing}, {line.value} is asked for"
        case _:
            state = "open"
            text = f"{DEFAULTS[line.name]} is to be {line.value!r}: a config cannot tell, a run can"
    return Finding(line.name, state, text, (line.reason,))


def _never_started(profile: Profile, config: Config, version: Version) -> Iterator[Finding]:
    """Security modules that are built, but not started because CONFIG_LSM leaves them out.

    That is never intended, so every profile warns about it; for a profile that asks for the module, it is missing.
    """
    if not config["LSM"].startswith('"'):
        return  # before 5.1 there was no such list
    order, expected = config.string("LSM").split(","), profile.default("lsm", version)
    for module in SECURITY_MODULES:
        option = AREAS[module]
        if not config.builtin(option) or module in order or (expected and module in expected.value.split()):
            continue  # not built, or started, or already missing from the order that is expected
        asking = [line for line in profile.config if _needs(line, option)]
        asking += [line for line in profile.defaults if line.name.startswith(module)]
        asked = [line.reason for line in asking if version in line.versions]
        why = "security/security.c: only the modules in CONFIG_LSM, or in the boot parameter lsm=, are started"
        yield Finding(
            option,
            "missing" if asked else "warning",
            f"CONFIG_{option} is y, but CONFIG_LSM is {','.join(order)!r}: without {module} in it, it never starts",
            (*asked, why),
        )


def _needs(line: ProfileLine, option: str) -> bool:
    """Whether the line asks for this option, or for one of its own options."""
    return line.value != "n" and (line.name == option or line.name.startswith(f"{option}_"))


def in_order(wanted: Sequence[str], order: Sequence[str]) -> bool:
    """Whether everything that is wanted is there, in that order, with anything in between."""
    rest: Iterator[str] = iter(order)
    return all(name in rest for name in wanted)
