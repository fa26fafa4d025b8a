# SPDX-License-Identifier: GPL-2.0-or-later
"""What a config, and what a system sets beside it, say about everything that a profile asks for, without a boot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from common.text import printable
from common.versions import Version
from kconfigs import sysctl_effects
from kconfigs.boot_parameters import BootParameters
from kconfigs.builtin_command_line import FIXED_COMMAND_LINE
from kconfigs.inert_features import RULES, InertRule
from kconfigs.initial_state import InitialState, LsmOrder
from kconfigs.kconfig import Config
from kconfigs.profile import DEFAULTS, Profile, ProfileLine
from kconfigs.sysctl_effects import Effect
from kconfigs.sysctl_settings import SysctlSettings

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


def check(
    profile: Profile,
    config: Config,
    version: Version,
    boot: BootParameters | None = None,
    settings: SysctlSettings | None = None,
) -> list[Finding]:
    """What the config says about everything that is asked of kernels of this version (`()`: all versions).

    `boot` and `settings` are what the system adds to it, if that is known.
    """
    options: dict[tuple[str, str], list[ProfileLine]] = {}
    for line in profile.config:
        if version in line.versions and line.applies_to(config):
            options.setdefault((line.name, line.value), []).append(line)
    found = [_option(lines, config) for lines in options.values()]
    state = InitialState.of(config, version, boot.parameters if boot else None)
    set_later = settings or SysctlSettings()
    defaults = profile.defaults if settings is None else profile.defaults_after_sysctl
    found += [_default(line, state.usual, set_later) for line in defaults if version in line.versions]
    return [*found, *_ignored(boot, state), *_remarks(state.usual, set_later), *_inert(profile, state)]


def _option(lines: Sequence[ProfileLine], config: Config) -> Finding:
    """Of lines that ask for the same option and value."""
    name, wanted, value = lines[0].name, lines[0].value, config[lines[0].name]
    state: FindingState = "ok" if value in wanted.split(" or ") else "missing"
    text = f"CONFIG_{name} is {printable(value)}, {printable(wanted)} is asked for"
    return Finding(name, state, text, tuple(line.reason for line in lines))


_SET_BY_SYSCTL: Mapping[str, Callable[[InitialState, SysctlSettings], Effect]] = {
    "yama-scope": sysctl_effects.scope,
    "actions-logged": sysctl_effects.actions_logged,
}
"""The defaults of which a config says nothing, so that only what is set later can be compared."""


def _default(line: ProfileLine, begins: InitialState, settings: SysctlSettings) -> Finding:
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
            decisive = begins.loadpin_decided_by()
            origin = f"{decisive.name}= in {decisive.where}" if by_command_line and decisive else "configuration"
            state = "ok" if line.value == _yes(enforces) else "missing"
            text = f"LoadPin enforces by {origin}: {_yes(enforces)}"
            later = sysctl_effects.loadpin(begins, settings)
            if later.value is not None and _yes(later.value == "1") != _yes(enforces):
                # A run can tell whether LoadPin accepts it.  What nobody may set is missing in any case.
                state = "open" if line.value == _yes(later.value == "1") else "missing"
                text += f", and {later.where} sets that to {later.value}, which it may accept"
            text += f", {line.value} is asked for"
        case _:
            later = _SET_BY_SYSCTL[line.name](begins, settings)
            if later.value is None:
                state = "open"
                unset = ", and no sysctl setting sets it" if settings.settings else ""
                text = f"{DEFAULTS[line.name]} is to be {line.value!r}{unset}: a config cannot tell, a run can"
            else:
                state = "ok" if later.value == line.value else "missing"
                text = f"{DEFAULTS[line.name]} is {later.value!r} by {later.where}, {line.value!r} is asked for"
            by_command_line = later.value is not None and later != _SET_BY_SYSCTL[line.name](
                begins.without_command_line, settings
            )
    caveat = [begins.command_line.caveat] if by_command_line and begins.command_line.caveat else []
    return Finding(line.name, state, text, (line.reason, *caveat))


def _yes(answer: bool) -> str:
    return "yes" if answer else "no"


def _ignored(boot: BootParameters | None, state: InitialState) -> Iterator[Finding]:
    """That the kernel does not look at the command line that it is given."""
    if boot is not None and state.command_line.use == "alone":
        option = next(filter(state.config.builtin, FIXED_COMMAND_LINE))
        text = f"CONFIG_{option} is y: the kernel ignores the parameters in {boot.shown}"
        yield Finding(option, "warning", text, ())


def _remarks(state: InitialState, settings: SysctlSettings) -> Iterator[Finding]:
    """Settings that the kernel does not accept, whoever asks for what."""
    for text in sysctl_effects.remarks(state, settings):
        yield Finding("sysctl", "warning", text, ())


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
            reasons = (*(asked if missing else ()), rule.source, *filter(None, caveat))
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
