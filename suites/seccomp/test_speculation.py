# SPDX-License-Identifier: GPL-2.0-or-later
"""Filters and speculation: which of them switch off speculative store bypass, by boot parameter and SPEC_ALLOW.

An emulated processor that cannot switch it off shows nothing.  One of AMD's family 23 can: the kernel sets a bit in a
register of the model (arch/x86/kernel/cpu/amd.c, MSR_AMD64_LS_CFG), which QEMU ignores.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

import pytest

from guests.bpf import Action, ret
from guests.guest import Guest
from guests.outcome import EPERM, OK, Expected, error, mismatches, returned
from guests.syscalls.seccomp import FilterFlag
from guests.task import Task
from guests.uapi import Prctl
from suites import initial_settings
from suites.seccomp.support.filtered_tasks import status, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER", "X86_64")

STORE_BYPASS, INDIRECT_BRANCH = 0, 1
BY_PRCTL, ENABLE, DISABLE, FORCE_DISABLE = 1, 2, 4, 8
"""What PR_GET_SPECULATION_CTRL returns (include/uapi/linux/prctl.h: PR_SPEC_*)."""
LINES: dict[int, dict[int, str]] = {
    STORE_BYPASS: {
        0: "not vulnerable",
        ENABLE: "vulnerable",
        DISABLE: "globally mitigated",
        BY_PRCTL | ENABLE: "thread vulnerable",
        BY_PRCTL | DISABLE: "thread mitigated",
        BY_PRCTL | FORCE_DISABLE: "thread force mitigated",
    },
    INDIRECT_BRANCH: {
        0: "not affected",
        ENABLE: "always enabled",
        DISABLE: "always disabled",
        BY_PRCTL | ENABLE: "conditional enabled",
        BY_PRCTL | DISABLE: "conditional disabled",
        BY_PRCTL | FORCE_DISABLE: "conditional force disabled",
    },
}
"""The same in /proc/PID/status (fs/proc/array.c, task_seccomp())."""
NAMES = {STORE_BYPASS: "Speculation_Store_Bypass", INDIRECT_BRANCH: "SpeculationIndirectBranch"}

ALLOW_ALL = (ret(Action.ALLOW),)
ENXIO = error(errno.ENXIO)
OPEN, FORCED = BY_PRCTL | ENABLE, BY_PRCTL | FORCE_DISABLE


def family_23(*arguments: str) -> pytest.MarkDecorator:
    """Boot with a processor that can switch off store bypass, if the processor is emulated."""
    return pytest.mark.boot(*arguments, processor=("family=23",))


def control(task: Task, what: int = STORE_BYPASS) -> int:
    """PR_GET_SPECULATION_CTRL."""
    return task.call("prctl", Prctl.GET_SPECULATION_CTRL, what, 0, 0, 0).result()


def shown(guest: Guest, task: Task) -> str:
    """The line of /proc/PID/status about store bypass."""
    return status(guest, task)[NAMES[STORE_BYPASS]]


@pytest.fixture
def _controllable(request: pytest.FixtureRequest, guest: Guest) -> None:
    """Skip if the command line turns off the mitigation, or the processor has none, whatever filters ask for."""
    line = initial_settings.command_line(request)
    if line.given("nospec_store_bypass_disable") or "off" in (line.value("mitigations") or "").split(","):
        pytest.skip("for a kernel whose command line does not turn off mitigations")
    flags = next(line for line in guest.read_file("/proc/cpuinfo").splitlines() if line.startswith("flags"))
    if "ssbd" not in flags.split():
        pytest.skip("needs a processor that can switch off speculative store bypass (its flag ssbd)")


controllable = pytest.mark.usefixtures("cpu_mitigations", "_controllable")


@dataclass(frozen=True)
class Mode:
    """What a value of spec_store_bypass_disable= means."""

    before: int
    """The state of a task without filters."""
    filtered: int
    """The state with a filter that has been installed without SPEC_ALLOW."""
    enable: Expected
    """The result of an attempt to enable it again."""


# fmt: off
MODES = {
    # spec_store_bypass_disable=     before,  filtered, enabled again
    "seccomp":                  Mode(OPEN,    FORCED,   EPERM),
    "prctl":                    Mode(OPEN,    OPEN,     OK),
    "on":                       Mode(DISABLE, DISABLE,  ENXIO),
    "off":                      Mode(ENABLE,  ENABLE,   ENXIO),
}
# fmt: on


def check_mode(guest: Guest, mode: Mode) -> None:
    """Without SPEC_ALLOW, a filter has the effect of the mode; with it, none.  Strict mode has it too."""
    tasks = {name: unprivileged(guest, name) for name in ("free", "filtered", "allowed", "strict")}
    before = {name: (control(task), mode.before) for name, task in tasks.items()}
    assert mismatches(before) == []
    tasks["filtered"].install(ALLOW_ALL).result()
    tasks["allowed"].install(ALLOW_ALL, FilterFlag.SPEC_ALLOW).result()
    tasks["strict"].enter_strict_mode().result()
    wanted = {"free": mode.before, "filtered": mode.filtered, "allowed": mode.before, "strict": mode.filtered}
    found: dict[str, tuple[object, object]] = {
        f"{name}, in its status": (shown(guest, task), LINES[STORE_BYPASS][wanted[name]])
        for name, task in tasks.items()
    }
    for name in ("free", "filtered", "allowed"):
        found[name] = (control(tasks[name]), wanted[name])
    enable = tasks["filtered"].call("prctl", Prctl.SET_SPECULATION_CTRL, STORE_BYPASS, ENABLE, 0, 0)
    found["enabled again"] = (enable, mode.enable)
    found["in the end"] = (control(tasks["filtered"]), mode.filtered)
    assert mismatches(found) == []


@controllable
@family_23("spec_store_bypass_disable=seccomp")
@pytest.mark.requirement("seccomp.speculation")
def test_by_filters(guest: Guest) -> None:
    """With spec_store_bypass_disable=seccomp, a filter without SPEC_ALLOW switches store bypass off for good."""
    check_mode(guest, MODES["seccomp"])


@controllable
@family_23("spec_store_bypass_disable=prctl")
@pytest.mark.requirement("seccomp.speculation")
def test_by_prctl(guest: Guest) -> None:
    """With spec_store_bypass_disable=prctl, filters have no effect."""
    check_mode(guest, MODES["prctl"])


@controllable
@family_23("spec_store_bypass_disable=on")
@pytest.mark.requirement("seccomp.speculation")
def test_for_all(guest: Guest) -> None:
    """With spec_store_bypass_disable=on, it is off for every task, also with SPEC_ALLOW."""
    check_mode(guest, MODES["on"])


@controllable
@family_23("spec_store_bypass_disable=off")
@pytest.mark.requirement("seccomp.speculation")
def test_for_nobody(guest: Guest) -> None:
    """With spec_store_bypass_disable=off, it is on for every task, also under a filter."""
    check_mode(guest, MODES["off"])


@controllable
@family_23()
@pytest.mark.requirement("seccomp.speculation-default")
def test_the_default(request: pytest.FixtureRequest, guest: Guest) -> None:
    """Without a parameter, filters have no effect: a task switches store bypass off by prctl()."""
    if initial_settings.command_line(request).given("spec_store_bypass_disable"):
        pytest.skip("for a kernel whose command line does not have spec_store_bypass_disable=")
    # Linux 6.12 has made it an option.
    if guest.kernel.version >= (6, 12) and not guest.kernel.config.enabled("MITIGATION_SSB"):
        pytest.skip("needs CONFIG_MITIGATION_SSB")
    check_mode(guest, MODES["prctl"])


@controllable
@family_23("spec_store_bypass_disable=seccomp")
@pytest.mark.requirement("seccomp.speculation")
def test_who_shares_it(guest: Guest) -> None:
    """The state belongs to a thread: TSYNC, children and executed programs carry it on; other threads keep theirs."""
    leader = unprivileged(guest, "leader")
    older = leader.thread("older")
    leader.install(ALLOW_ALL).result()
    found: dict[str, tuple[object, object]] = {"an older thread": (control(older), OPEN)}
    found["a newer thread"] = (control(leader.thread("newer")), FORCED)
    child = leader.spawn("child")
    found["a child"] = (control(child), FORCED)
    child.execute_again().result()
    found["an executed program"] = (control(child), FORCED)
    leader.install(ALLOW_ALL, FilterFlag.TSYNC).result()
    found["an older thread after TSYNC"] = (control(older), FORCED)
    assert mismatches(found) == []


@controllable
@family_23("spec_store_bypass_disable=seccomp")
@pytest.mark.requirement("seccomp.speculation")
def test_tsync_with_spec_allow(guest: Guest) -> None:
    """SPEC_ALLOW counts for every thread that TSYNC reaches: together, they leave store bypass on everywhere."""
    for flags, wanted in ((FilterFlag.TSYNC | FilterFlag.SPEC_ALLOW, OPEN), (FilterFlag.TSYNC, FORCED)):
        caller = unprivileged(guest, "caller")
        other = caller.thread("other")
        assert caller.install(ALLOW_ALL, flags) == returned(0)
        assert (control(caller), control(other)) == (wanted, wanted)


@controllable
@family_23("spec_store_bypass_disable=seccomp")
@pytest.mark.requirement("seccomp.speculation-tsync")
def test_tsync_after_spec_allow(guest: Guest) -> None:
    """A filter without SPEC_ALLOW counts for a thread that TSYNC gives it to, also if that has filters already."""
    caller = unprivileged(guest, "caller")
    other = caller.thread("other")
    assert caller.install(ALLOW_ALL, FilterFlag.TSYNC | FilterFlag.SPEC_ALLOW) == returned(0)
    assert caller.install(ALLOW_ALL, FilterFlag.TSYNC) == returned(0)
    assert control(caller) == FORCED
    assert control(other) == FORCED


@controllable
@family_23("spec_store_bypass_disable=seccomp")
@pytest.mark.requirement("seccomp.speculation")
def test_several_filters(guest: Guest) -> None:
    """Of several filters, one without SPEC_ALLOW is enough, and a later one with it does not undo that."""
    task = unprivileged(guest)
    task.install(ALLOW_ALL, FilterFlag.SPEC_ALLOW).result()
    assert control(task) == OPEN
    task.install(ALLOW_ALL).result()
    assert control(task) == FORCED
    task.install(ALLOW_ALL, FilterFlag.SPEC_ALLOW).result()
    assert control(task) == FORCED


@pytest.mark.requirement("seccomp.speculation-status")
@pytest.mark.parametrize("what", NAMES, ids=NAMES.values())
def test_status(guest: Guest, what: int) -> None:
    """/proc/PID/status says what PR_GET_SPECULATION_CTRL says, with a filter and without, on any processor."""
    task = unprivileged(guest)
    assert status(guest, task)[NAMES[what]] == LINES[what][control(task, what)]
    task.install(ALLOW_ALL).result()
    assert status(guest, task)[NAMES[what]] == LINES[what][control(task, what)]
