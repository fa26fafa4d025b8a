# SPDX-License-Identifier: GPL-2.0-or-later
"""Probes: what a kernel itself says that it has, however old its version is.

A probe is a kind and a name, as in `filter-flag WAIT_KILLABLE_RECV`; KINDS lists the kinds.  Each asks for an
interface, rather than for the behaviour that a test judges: a number, a flag or a file that the kernel knows or not.
The answer decides whether a test applies to a kernel whose version is too old (reports/judgement/kernel_promises.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from common.text import did_you_mean, printable
from guests.bpf import Action, ret
from guests.call_arguments import InOut
from guests.errors import GuestBroke, StartError, UsageError
from guests.guest import Guest
from guests.outcome import EBADF, EFAULT, EINVAL, ENOSYS, OK
from guests.syscalls.seccomp import NOTIF_ADDFD, NOTIF_SET_FLAGS, SET_MODE_FILTER, AddFd, FilterFlag, addfd_request
from guests.task import Task
from guests.uapi import Prctl, number
from kconfigs.kernel import Kernel

Answer = Callable[[Guest, str], bool]

# The names that a probe can have, with what the kernel is asked for.  To ask changes nothing, whatever it answers.
SYSCALLS = {"lsm_list_modules": number("lsm_list_modules")}
"""Calls that reject flags that are all ones."""
PRCTLS: dict[str, int] = {"SET_SYSCALL_USER_DISPATCH": Prctl.SET_SYSCALL_USER_DISPATCH}
"""Options with which zeros turn off what is off."""
FILTER_FLAGS: dict[str, int] = {"WAIT_KILLABLE_RECV": FilterFlag.WAIT_KILLABLE_RECV}
ADDFD_FLAGS: dict[str, int] = {"SEND": AddFd.SEND}
LISTENER_IOCTLS = {"SET_FLAGS": NOTIF_SET_FLAGS}
"""Ioctls for which 0, or NULL, is without effect."""
PERF_ATTR_SIZES = {"128": 128}
"""PERF_ATTR_SIZE_VER7: with a field for the signals of events."""
_ALL_ONES = (-1,) * 6
_NOWHERE = 1 << 30
"""A descriptor that is not open."""


def _asking(guest: Guest) -> Task:
    return guest.spawn("asking", quiet=True)


def _has_file(guest: Guest, name: str) -> bool:
    return guest.exists(name)


def _has_syscall(guest: Guest, name: str) -> bool:
    return _asking(guest).call(SYSCALLS[name], *_ALL_ONES) != ENOSYS


def _has_prctl(guest: Guest, name: str) -> bool:
    return _asking(guest).call("prctl", PRCTLS[name], 0, 0, 0, 0) != EINVAL


def _has_filter_flag(guest: Guest, name: str) -> bool:
    # seccomp(2): an unknown flag is EINVAL, before the pointer is looked at.  WAIT_KILLABLE_RECV needs NEW_LISTENER.
    flags = FILTER_FLAGS[name] | FilterFlag.NEW_LISTENER
    return _asking(guest).call("seccomp", SET_MODE_FILTER, flags, None) == EFAULT


def _has_listener_ioctl(guest: Guest, name: str) -> bool:
    task = _asking(guest)
    listener = _listener(task)
    return listener >= 0 and task.call("ioctl", listener, LISTENER_IOCTLS[name], None) != EINVAL


def _has_addfd_flag(guest: Guest, name: str) -> bool:
    # seccomp_notify_addfd(): an unknown flag is EINVAL, before the descriptor is looked for.
    task = _asking(guest)
    request = addfd_request(task.abi, 0, _NOWHERE, flags=ADDFD_FLAGS[name])
    listener = _listener(task)
    return listener >= 0 and task.call("ioctl", listener, NOTIF_ADDFD, request) == EBADF


def _listener(task: Task) -> int:
    """A listener of the task's own, which never gets a notification; -1 if the kernel has none."""
    task.set_no_new_privs().result()
    installed = task.listen((ret(Action.ALLOW),))
    return installed.value if installed == OK else -1


def _perf_attr_size(guest: Guest, name: str) -> bool:
    # perf_copy_attr() rejects a size that is neither 0 nor at least that of the first version, and writes its own.
    task = guest.spawn("asking")
    attr = task.call("perf_event_open", InOut(task.abi.pack("II", 0, 1)), 0, -1, -1, 0)
    return bool(attr.reads) and bool(task.abi.unpack("II", attr.reads[0])[1] >= PERF_ATTR_SIZES[name])


@dataclass(frozen=True)
class ProbeKind:
    """One kind of probe."""

    meaning: str
    ask: Answer | None
    """None: the config tells, without a guest."""
    names: Collection[str] | None = None
    """The names that it can be asked for; None if any."""


KINDS: Mapping[str, ProbeKind] = {
    "option": ProbeKind("the config has this option, which says that the source has it", None),
    "file": ProbeKind("the file exists after a boot without parameters", _has_file),
    "syscall": ProbeKind("the call is not ENOSYS", _has_syscall, SYSCALLS),
    "prctl": ProbeKind("prctl() with this option and zeros is not EINVAL", _has_prctl, PRCTLS),
    "filter-flag": ProbeKind("seccomp(SECCOMP_SET_MODE_FILTER) accepts the flag", _has_filter_flag, FILTER_FLAGS),
    "listener-ioctl": ProbeKind(
        "a seccomp listener knows SECCOMP_IOCTL_NOTIF_...", _has_listener_ioctl, LISTENER_IOCTLS
    ),
    "addfd-flag": ProbeKind("SECCOMP_IOCTL_NOTIF_ADDFD accepts the flag", _has_addfd_flag, ADDFD_FLAGS),
    "perf-attr-size": ProbeKind(
        "the kernel's struct perf_event_attr has at least this size", _perf_attr_size, PERF_ATTR_SIZES
    ),
}

FORM = "a probe has the form KIND NAME, such as `syscall lsm_list_modules`"


def parse(probe: str) -> tuple[ProbeKind, str]:
    """The kind and the name of a probe.  UsageError for anything else."""
    kind, _, name = probe.partition(" ")
    known = KINDS.get(kind)
    if known is None or not name:
        meant = "" if known else did_you_mean(kind, KINDS) or f"; the kinds are {', '.join(KINDS)}"
        raise UsageError(f"{printable(probe)!r} is not a probe{meant}", hint=FORM)
    if known.names is not None and name not in known.names:
        meant = did_you_mean(name, known.names) or f"; it is one of {', '.join(known.names)}"
        raise UsageError(f"{printable(probe)!r} is not a probe: unknown {kind}{meant}")
    return known, name


def ask(guest: Guest, probe: str) -> bool:
    """Whether the guest's kernel says that it has what the probe names."""
    kind, name = parse(probe)
    return guest.kernel.config.enabled(name) if kind.ask is None else kind.ask(guest, name)


class KernelAnswers:
    """What kernels have said in this process.  Each is asked each probe once, in a guest of its own."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], bool] = {}

    def says(self, kernel: Kernel, probe: str, take: Callable[[], Guest]) -> bool:
        """Whether a kernel says that it has what the probe names; `take` returns a guest of it.

        StartError, with evidence, if it does not answer: nothing is found out about the promise.
        """
        key = (kernel.digest, probe)
        if key not in self._known:
            kind, name = parse(probe)
            self._known[key] = kernel.config.enabled(name) if kind.ask is None else self._answer(take(), probe)
        return self._known[key]

    def _answer(self, guest: Guest, probe: str) -> bool:
        try:
            return ask(guest, probe)
        except GuestBroke as error:
            message = f"{guest.kernel.id} could not be asked for {probe}: {error.message}"
            raise StartError(message, evidence=guest.evidence()) from error
        finally:
            guest.close()
