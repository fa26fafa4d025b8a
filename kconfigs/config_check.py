# SPDX-License-Identifier: GPL-2.0-or-later
"""What a config says about everything that a profile asks for, without a boot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from common.text import printable
from common.versions import Version
from kconfigs.inert_features import RULES, InertRule
from kconfigs.initial_state import InitialState, LsmOrder
from kconfigs.kconfig import Config
from kconfigs.profile import DEFAULTS, Profile, ProfileLine

FindingState = Literal["ok", "missing", "warning", "open"]


@dataclass(frozen=True)
class Finding:
    """What a config says about something that is asked for.

    `missing`: the config does not have it.  `warning`: something in the config cannot be intended, or defeats what is
    asked for.  `open`: only a run can tell.
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
        if version in line.versions and line.applies_to(config):
            options.setdefault((line.name, line.value), []).append(line)
    found = [_option(lines, config) for lines in options.values()]
    state = InitialState.of(config, version)
    found += [_default(line, state.usual) for line in profile.defaults if version in line.versions]
    return found + list(_inert(profile, state))


def _option(lines: Sequence[ProfileLine], config: Config) -> Finding:
    """Of lines that ask for the same option and value."""
    name, wanted, value = lines[0].name, lines[0].value, config[lines[0].name]
    state: FindingState = "ok" if value in wanted.split(" or ") else "missing"
    text = f"CONFIG_{name} is {printable(value)}, {printable(wanted)} is asked for"
    return Finding(name, state, text, tuple(line.reason for line in lines))


def _default(line: ProfileLine, begins: InitialState) -> Finding:
    state: FindingState
    by_command_line = False
    match line.name:
        case "lsm":
            order = _order(begins)
            wanted = line.value.split()
            state = "ok" if in_order(wanted, order.names) else "missing"
            left_out = [name for name in wanted if name not in order.names]
            text = f"{order}, {line.value!r} in this order is asked for"
            text += f": it leaves out {', '.join(left_out)}" if left_out else ""
            by_command_line = order != _order(begins.without_command_line)
        case "loadpin-enforcing":
            enforces = begins.loadpin_enforces()
            by_command_line = enforces != begins.without_command_line.loadpin_enforces()
            state = "ok" if line.value == ("yes" if enforces else "no") else "missing"
            origin = f"{begins.loadpin_parameter}= in CONFIG_CMDLINE" if by_command_line else "configuration"
            text = f"LoadPin enforces by {origin}: {'yes' if enforces else 'no'}, {line.value} is asked for"
        case _:
            state = "open"
            text = f"{DEFAULTS[line.name]} is to be {line.value!r}: a config cannot tell, a run can"
    caveat = [begins.command_line.caveat] if by_command_line else []
    return Finding(line.name, state, text, (line.reason, *caveat))


def _order(begins: InitialState) -> LsmOrder:
    return begins.lsm_order() or LsmOrder(("",), "CONFIG_LSM")


def _inert(profile: Profile, state: InitialState) -> Iterator[Finding]:
    """Features that are built in, and defeated by something else in the config."""
    for rule in RULES:
        usual = list(rule.find(state.usual))
        plain = set(rule.find(state.without_command_line))
        # A fallback may never be used, so it adds warnings, and excuses nothing.
        for text in dict.fromkeys([*usual, *rule.find(state)]):
            certain = text in usual
            if certain and _reported(rule, profile, state):
                continue
            asked = [line.reason for line in profile.asking_for(rule.asked_by, state.config, state.version)]
            if rule.severity == "warning-if-asked" and not asked:
                continue
            missing = rule.severity == "missing-if-asked" and asked and certain
            caveat = [state.command_line.caveat] if rule.at_boot and text not in plain else []
            reasons = (*(asked if missing else ()), rule.source, *caveat)
            yield Finding(rule.option, "missing" if missing else "warning", text, reasons)


def _reported(rule: InertRule, profile: Profile, state: InitialState) -> bool:
    """Whether what the profile says about a default leads to a finding about the same."""
    what, word = rule.reported_by
    line = profile.default(what, state.version)
    return line is not None and word in line.value.split()


def in_order(wanted: Sequence[str], order: Sequence[str]) -> bool:
    """Whether everything that is wanted is there, in that order, with anything in between."""
    rest: Iterator[str] = iter(order)
    return all(name in rest for name in wanted)
