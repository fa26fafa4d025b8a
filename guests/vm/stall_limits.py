# SPDX-License-Identifier: GPL-2.0-or-later
"""How long something must take before a kernel complains of it, as far as its settings say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kconfigs.builtin_command_line import BuiltinCommandLine
from kconfigs.kconfig import Config

_LOCKUP_S = 20.0
"""A soft lockup: twice watchdog_thresh (kernel/watchdog.c, get_softlockup_thresh())."""
_RCU_S = 21.0
"""Kconfig's default of RCU_CPU_STALL_TIMEOUT."""
_LONGEST_RCU_S = 300.0
"""kernel/rcu/tree_stall.h, rcu_jiffies_till_stall_check()."""


@dataclass(frozen=True)
class StallLimits:
    """Seconds, by the kind of complaint."""

    lockup_s: float = _LOCKUP_S
    rcu_s: float = _RCU_S
    expedited_rcu_s: float = _RCU_S

    def of(self, splat: str) -> float:
        """The limit of a complaint about time, given its main line."""
        if re.search("rcu", splat, re.IGNORECASE):
            return self.expedited_rcu_s if "expedited" in splat else self.rcu_s
        # The limits of workqueues and of hung tasks are longer.
        return self.lockup_s


def stall_limits(config: Config, arguments: Sequence[str]) -> StallLimits:
    """The limits of a kernel with these arguments, after its own (CONFIG_CMDLINE); the last of several counts."""
    line = BuiltinCommandLine.of(config).followed_by(arguments)

    def number(parameter: str, option: str, default: float) -> float:
        for value in (line.value(parameter) or "", config[option] if option else ""):
            if re.fullmatch(r"[0-9]{1,9}", value):
                return int(value)
        return default

    rcu_s = number("rcupdate.rcu_cpu_stall_timeout", "RCU_CPU_STALL_TIMEOUT", _RCU_S)
    rcu_s = min(max(rcu_s, 3.0), _LONGEST_RCU_S)
    expedited_ms = number("rcupdate.rcu_exp_cpu_stall_timeout", "RCU_EXP_CPU_STALL_TIMEOUT", 0)
    # 0 turns the watchdog off, until somebody turns it on.
    lockup_s = 2 * number("watchdog_thresh", "", 0)
    return StallLimits(lockup_s or _LOCKUP_S, rcu_s, expedited_ms / 1000 if expedited_ms else rcu_s)
