# SPDX-License-Identifier: GPL-2.0-or-later
"""Features that are built into a kernel and have no effect, or less than their names promise.

Each rule of RULES looks at a config as a whole and says what defeats a feature, with its source in the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from kconfigs import inert_loadpin
from kconfigs.initial_state import InitialState

RuleSeverity = Literal["missing-if-asked", "warning", "warning-if-asked"]


@dataclass(frozen=True)
class InertRule:
    """What can defeat a feature."""

    option: str
    """The feature's option."""
    find: Callable[[InitialState], Iterator[str]]
    """A sentence for each thing that defeats it in a kernel that begins in this state."""
    severity: RuleSeverity
    """Of a finding.  `missing-if-asked`: otherwise a warning.  `warning-if-asked`: otherwise nothing."""
    asked_by: tuple[str, ...]
    """The options and defaults by which a profile asks for the feature; an option stands for its own options too."""
    source: str
    """Where the kernel does this."""
    reported_by: tuple[str, str] = ("", "")
    """A default of profiles, and a word in its value: a line with this word reports the same."""
    at_boot: bool = True
    """Whether other parameters of the boot loader can change it, if CONFIG_CMDLINE is the cause."""


_YAMA = ("SECURITY_YAMA", "yama-scope")
_LOADPIN = ("SECURITY_LOADPIN", "loadpin-enforcing")
_SECCOMP = ("SECCOMP", "actions-logged")
_ORDER = "security/security.c, later lsm_init.c: ordered_lsm_parse() starts what CONFIG_LSM lists, or else lsm="


# Which security modules start


def _starts(state: InitialState, module: str) -> bool:
    return state.starts(module, f"SECURITY_{module.upper()}")


def _not_started(module: str) -> Callable[[InitialState], Iterator[str]]:
    def find(state: InitialState) -> Iterator[str]:
        option = f"SECURITY_{module.upper()}"
        if state.config.builtin(option) and not _starts(state, module):
            yield f"CONFIG_{option} is y, but {state.lsm_order()}: without {module} in it, it never starts"

    return find


# Yama


def _scope_is_fixed(state: InitialState) -> Iterator[str]:
    if _starts(state, "yama") and state.config.complete and not state.config.builtin("SYSCTL"):
        yield "CONFIG_SYSCTL is n, so there is no kernel.yama.ptrace_scope, and Yama's scope cannot be changed"


# seccomp


_UNLOGGED = "seccomp's filters take effect, but nothing that they do is logged, not even SECCOMP_RET_LOG"


def _audit_is_left_out(state: InitialState) -> Iterator[str]:
    config = state.config
    if config.builtin("SECCOMP_FILTER") and config.complete and not config.builtin("AUDITSYSCALL"):
        yield f"CONFIG_{'AUDITSYSCALL' if config.builtin('AUDIT') else 'AUDIT'} is n: {_UNLOGGED}"


def _audit_is_off(state: InitialState) -> Iterator[str]:
    audit = state.command_line.last("audit")
    if state.config.builtin("SECCOMP_FILTER") and audit is not None and audit.value.lower() in {"0", "off"}:
        yield f"audit={audit.value} in {audit.where}: {_UNLOGGED}"


RULES = (
    InertRule(
        option="SECURITY_YAMA",
        find=_not_started("yama"),
        severity="missing-if-asked",
        asked_by=_YAMA,
        source=_ORDER,
        reported_by=("lsm", "yama"),
    ),
    InertRule(
        option="SECURITY_LOADPIN",
        find=_not_started("loadpin"),
        severity="missing-if-asked",
        asked_by=_LOADPIN,
        source=_ORDER,
        reported_by=("lsm", "loadpin"),
    ),
    InertRule(
        option="SECURITY_YAMA",
        find=_scope_is_fixed,
        severity="warning",
        asked_by=_YAMA,
        source="security/yama/yama_lsm.c: without CONFIG_SYSCTL, yama_init_sysctl() is empty",
    ),
    InertRule(
        option="SECURITY_LOADPIN_ENFORCE",
        find=inert_loadpin.enforcement_is_off,
        severity="missing-if-asked",
        asked_by=("SECURITY_LOADPIN_ENFORCE",),
        source="security/loadpin/loadpin.c: module_param(enforce) overwrites what the option has set",
        reported_by=("loadpin-enforcing", "yes"),
    ),
    InertRule(
        option="SECURITY_LOADPIN",
        find=inert_loadpin.name_is_another,
        severity="warning",
        asked_by=_LOADPIN,
        source="init/main.c: unknown_bootoption() ignores an unknown name that has a dot",
        at_boot=False,
    ),
    InertRule(
        option="SECURITY_LOADPIN",
        find=inert_loadpin.value_is_no_number,
        severity="warning",
        asked_by=_LOADPIN,
        source="kernel/params.c: parse_args() goes on after a value that kstrtoint() rejects",
        at_boot=False,
    ),
    InertRule(
        option="SECURITY_LOADPIN",
        find=inert_loadpin.kind_is_unknown,
        severity="warning",
        asked_by=_LOADPIN,
        source="security/loadpin/loadpin.c: parse_exclude() ignores what is not in kernel_read_file_str",
        at_boot=False,
    ),
    InertRule(
        option="SECURITY_LOADPIN",
        find=inert_loadpin.kinds_are_excluded,
        severity="warning-if-asked",
        asked_by=_LOADPIN,
        source="security/loadpin/loadpin.c: loadpin_check() allows an excluded kind before it compares anything",
    ),
    InertRule(
        option="SECURITY_LOADPIN_ENFORCE",
        find=inert_loadpin.initramfs_is_pinned,
        severity="warning",
        asked_by=_LOADPIN,
        source="security/loadpin/loadpin.c: loadpin_check(); its Kconfig advises against an initrd",
    ),
    InertRule(
        option="SECURITY_LOADPIN",
        find=inert_loadpin.kernel_memory_is_writable,
        severity="warning-if-asked",
        asked_by=_LOADPIN,
        source="drivers/char/mem.c: without CONFIG_STRICT_DEVMEM, range_is_allowed() allows every address",
    ),
    InertRule(
        option="SECCOMP_FILTER",
        find=_audit_is_left_out,
        severity="warning-if-asked",
        asked_by=_SECCOMP,
        source="include/linux/audit.h: without CONFIG_AUDITSYSCALL, audit_seccomp() is empty",
    ),
    InertRule(
        option="SECCOMP_FILTER",
        find=_audit_is_off,
        severity="warning-if-asked",
        asked_by=_SECCOMP,
        source="kernel/audit.c: audit_enable() sets AUDIT_DISABLED, and audit_log_start() then starts no record",
    ),
)
