# SPDX-License-Identifier: GPL-2.0-or-later
"""KVM or TCG: proved by a guest that answered, once for each machine, and remembered.

That /dev/kvm opens proves nothing: there are machines where it does, and a guest never gets past its first
instructions, or QEMU aborts.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from guests.errors import BootError, QemuError, UsageError
from guests.qemu import qemu_version

MODES = ("auto", "kvm", "tcg")
KVM_DEADLINE_S = 20.0
"""A boot under KVM that works takes about a second."""


@dataclass(frozen=True)
class Acceleration:
    kvm: bool
    why: str
    """How we know, in words for the report."""

    @property
    def name(self) -> str:
        return "kvm" if self.kvm else "tcg"


def machine_identity() -> str:
    """A digest over what the answer depends on: processor, host kernel, QEMU."""
    model = next(
        (line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), ""
    )
    parts = (platform.node(), platform.release(), model, qemu_version())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def device_trouble(device: Path = Path("/dev/kvm")) -> str | None:
    """Why KVM is out of the question from the start, or None."""
    if not device.exists():
        return f"there is no {device}"
    if not os.access(device, os.R_OK | os.W_OK):
        return f"{device} may not be opened by this user"
    return None


def decide(mode: str, boot: Callable[[bool], None], memory: Path, *, identity: str = "") -> Acceleration:
    """Find out which acceleration works here.

    mode: `auto`, or `kvm` or `tcg` to insist.  boot(kvm) boots a guest until it answers, or raises BootError or
    QemuError.  memory: a file that keeps the answer for the next run.  UsageError: KVM was insisted on, and is not
    usable.  An error of a boot without KVM is passed on: then it is the kernel that does not boot.
    """
    if mode == "tcg":
        return Acceleration(False, "asked for")
    trouble = device_trouble()
    if trouble is None:
        answer = _remembered(memory, identity) or _prove(boot, memory, identity)
    else:
        answer = Acceleration(False, trouble)
    if mode == "kvm" and not answer.kvm:
        raise UsageError(
            f"KVM was asked for and is not usable here: {answer.why}", hint="leave out --accel, or say --accel tcg"
        )
    return answer


def _prove(boot: Callable[[bool], None], memory: Path, identity: str) -> Acceleration:
    try:
        boot(True)
        answer = Acceleration(True, "a guest answered under it")
    except (BootError, QemuError) as error:
        # Does the kernel boot at all?  Only then was it KVM's fault, and worth remembering.
        boot(False)
        answer = Acceleration(False, f"KVM does not work here: {error.message}")
    memory.parent.mkdir(parents=True, exist_ok=True)
    temporary = memory.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps({"identity": identity, "kvm": answer.kvm, "why": answer.why}))
    temporary.rename(memory)
    return answer


def _remembered(memory: Path, identity: str) -> Acceleration | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(memory.read_text())
        if kept["identity"] == identity:
            return Acceleration(bool(kept["kvm"]), str(kept["why"]))
    return None
