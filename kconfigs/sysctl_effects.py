# SPDX-License-Identifier: GPL-2.0-or-later
"""How a kernel's initial settings change when a system boots: by parameters `sysctl.KEY=`, and by sysctl.d.

The kernel obeys the parameters before it starts init (do_sysctl_args() in fs/proc/proc_sysctl.c).  What it refuses
has no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile
from types import MappingProxyType

from common.text import printable
from common.versions import Version
from kconfigs.initial_state import RENAMED_TO_ENFORCE, InitialState, number
from kconfigs.kconfig import Config
from kconfigs.sysctl_settings import Setting, SysctlSettings

SCOPE = "kernel/yama/ptrace_scope"
ACTIONS_LOGGED = "kernel/seccomp/actions_logged"
LOADPIN = "kernel/loadpin/enforce"
FORMER_LOADPIN = "kernel/loadpin/enabled"

KEYS_OF_PROFILES = (SCOPE, ACTIONS_LOGGED, LOADPIN, FORMER_LOADPIN)
"""What a profile's initial settings are about."""

PARAMETERS_SINCE: Version = (5, 8)
"""3db978d480e2, kernel/sysctl: support setting sysctl parameters from kernel command line."""

NO_ATTACH = "3"
"""The scope of Yama that stays until the system is booted again."""

ACTIONS: Mapping[str, Version] = MappingProxyType(
    {
        "kill_process": (4, 14),
        "kill_thread": (4, 14),
        "trap": (4, 14),
        "errno": (4, 14),
        "user_notif": (5, 0),
        "trace": (4, 14),
        "log": (4, 14),
    }
)
"""The names in kernel.seccomp.actions_logged in the kernel's order, and since when it knows them."""


@dataclass(frozen=True)
class Effect:
    """What is left of everything that sets a key."""

    value: str | None = None
    """As the kernel prints it; None if the kernel's own value stays."""
    where: str = ""
    """What set it, for messages."""
    remarks: tuple[str, ...] = ()
    """A sentence for each value that the kernel refuses, or may refuse."""


NONE = SysctlSettings()


def scope(state: InitialState, settings: SysctlSettings = NONE) -> Effect:
    """Yama's scope (security/yama/yama_lsm.c: yama_dointvec_minmax()), if Yama starts."""

    def accepted(value: str, current: str | None) -> str:
        found = _integer(value)
        if found not in {0, 1, 2, 3}:
            raise ValueError("a scope is 0, 1, 2 or 3")
        if current == NO_ATTACH and str(found) != NO_ATTACH:
            raise ValueError("scope 3 stays until the next boot")
        return str(found)

    if not state.starts("yama", "SECURITY_YAMA"):
        return Effect()
    effect = _effect(state, settings, SCOPE, accepted)
    lowered = [
        f"{one}: {effect.where} overrides it, so systemd-sysctl does not write it; a program that writes every line,"
        " such as busybox's sysctl, stays at scope 3"
        for one in settings.overridden
        if one.key == SCOPE and str(_integer(one.value)) == NO_ATTACH != effect.value and effect.value is not None
    ]
    return replace(effect, remarks=(*effect.remarks, *lowered))


def actions_logged(state: InitialState, settings: SysctlSettings = NONE) -> Effect:
    """Which actions seccomp logs (kernel/seccomp.c: seccomp_actions_logged_from_names()), if it has filters."""

    def accepted(value: str, _: str | None) -> str:
        # The list ends before an empty name, so where there are two blanks.
        names = list(takewhile(bool, value.split(" ")))
        for name in names:
            if name == "allow":
                raise ValueError("`allow` cannot be logged")
            if name not in ACTIONS or (state.version and state.version < ACTIONS[name]):
                raise ValueError(f"it knows no action {printable(name)!r}")
        return " ".join(name for name in ACTIONS if name in names)

    return _effect(state, settings, ACTIONS_LOGGED, accepted) if state.config.builtin("SECCOMP_FILTER") else Effect()


def loadpin(state: InitialState, settings: SysctlSettings = NONE) -> Effect:
    """Whether LoadPin, if it starts, is to enforce: `0` or `1`.

    It may refuse that: it accepts 0 only after it has pinned a device that can be written to
    (security/loadpin/loadpin.c: set_sysctl()).
    """

    def accepted(value: str, _: str | None) -> str:
        found = _integer(value)
        if found not in {0, 1}:
            raise ValueError("it has to be 0 or 1")
        return str(found)

    if not state.starts("loadpin", "SECURITY_LOADPIN"):
        return Effect()
    former = state.version and state.version < RENAMED_TO_ENFORCE
    return _effect(state, settings, FORMER_LOADPIN if former else LOADPIN, accepted)


def remarks(state: InitialState, settings: SysctlSettings = NONE) -> list[str]:
    """What a kernel that begins in this state refuses of all this, or may refuse."""
    return [text for effect in (scope, actions_logged, loadpin) for text in effect(state, settings).remarks]


def remarks_of_any_kernel(settings: SysctlSettings) -> list[str]:
    """What no kernel accepts."""
    options = ("SYSCTL", "SECURITY_YAMA", "SECCOMP_FILTER", "SECURITY_LOADPIN")
    return remarks(InitialState.of(Config(dict.fromkeys(options, "y")), (), []), settings)


def _effect(
    state: InitialState, settings: SysctlSettings, key: str, accepted: Callable[[str, str | None], str]
) -> Effect:
    """`accepted` returns what the kernel makes of a value while it has another one; ValueError if it refuses it."""
    if state.config.complete and not state.config.builtin("SYSCTL"):
        return Effect()
    value, where = None, ""
    remarks: list[str] = []
    for setting in _attempts(state, settings, key):
        try:
            value, where = accepted(setting.value, value), setting.where
        except ValueError as error:
            remarks.append(f"{setting}: the kernel refuses it, because {error}")
    return Effect(value, where, tuple(remarks))


def _attempts(state: InitialState, settings: SysctlSettings, key: str) -> Iterator[Setting]:
    """Everything that sets a key, in the order of a boot."""
    if not state.version or state.version >= PARAMETERS_SINCE:
        for name, value, where in state.command_line.parameters:
            for prefix in ("sysctl.", "sysctl/"):
                if name.startswith(prefix) and name.removeprefix(prefix).replace(".", "/") == key:
                    yield Setting(key, value, where)
    if setting := settings.of(key):
        yield setting


def _integer(text: str) -> int | None:
    """What proc_dointvec() in kernel/sysctl.c takes: the first number; it ignores what follows after a blank."""
    words = text.split()
    return number(words[0]) if words and not words[0].startswith("+") else None
