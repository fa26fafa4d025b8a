# SPDX-License-Identifier: GPL-2.0-or-later
"""Capabilities and parent-death signal of a task: what it has, and what it sets."""

from __future__ import annotations

from guests.call_arguments import Out
from guests.task import Task
from guests.uapi import Cap, Prctl, Signal

LONG_KNOWN = Cap((1 << 37) - 1)
"""The capabilities that all kernels know."""
_GET_PDEATHSIG, _SET_KEEPCAPS, _CAPBSET_DROP, _CAP_AMBIENT, _AMBIENT_RAISE = 2, 8, 24, 47, 2
_CAPABILITY_VERSION_3 = 0x20080522


def permitted(task: Task) -> int:
    """Its permitted capabilities."""
    data = task.call("capget", task.abi.pack("II", _CAPABILITY_VERSION_3, 0), Out(24), shown="capget()").read()
    _, low, _, _, high, _ = task.abi.unpack("6I", data)
    return int(low | high << 32)


def drop_from_bounding_set(task: Task, cap: Cap) -> None:
    """Drop one capability from the bounding set, for which the task needs CAP_SETPCAP."""
    shown = f"drop_from_bounding_set({cap.name})"
    task.call("prctl", _CAPBSET_DROP, cap.bit_length() - 1, 0, 0, 0, shown=shown).result()


def keep_capabilities(task: Task) -> None:
    """Let the task keep its permitted capabilities when it gives up uid 0."""
    task.call("prctl", _SET_KEEPCAPS, 1, 0, 0, 0, shown="keep_capabilities()").result()


def make_inheritable(task: Task, cap: Cap) -> None:
    """Make one of its low 32 capabilities inheritable, and give up all others."""
    header, shown = task.abi.pack("II", _CAPABILITY_VERSION_3, 0), f"make_inheritable({cap.name})"
    task.call("capset", header, task.abi.pack("6I", cap, cap, cap, 0, 0, 0), shown=shown).result()


def make_ambient(task: Task, cap: Cap) -> None:
    """Make one of its low 32 capabilities inheritable and ambient, and give up all others."""
    make_inheritable(task, cap)
    number = cap.bit_length() - 1
    task.call("prctl", _CAP_AMBIENT, _AMBIENT_RAISE, number, 0, 0, shown=f"make_ambient({cap.name})").result()


def set_death_signal(task: Task, signal: Signal) -> None:
    task.call("prctl", Prctl.SET_PDEATHSIG, signal, 0, 0, 0).result()


def death_signal(task: Task) -> int:
    """The signal that it gets when its parent ends; 0 if none."""
    number = task.store(bytes(4))
    task.call("prctl", _GET_PDEATHSIG, number, 0, 0, 0, shown="death_signal()").result()
    return task.abi.integer(task.load(number, 4))
