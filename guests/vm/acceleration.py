# SPDX-License-Identifier: GPL-2.0-or-later
"""KVM or TCG: proved by a guest that answered, once for each machine, and remembered.

Being able to open /dev/kvm proves nothing: on some machines a guest then never gets past its first instructions, or
QEMU aborts.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from guests.errors import BootError, QemuError, SlowBootError, UsageError
from guests.vm.qemu_program import QemuProgram, find_qemu, inspect

MODES = ("auto", "kvm", "tcg")
KVM_DEADLINE_S = 20.0
"""At least so long may a boot under KVM take, which takes about a second where KVM works."""
KVM_PATIENCE = 4.0
"""And so many times as long as the same boot without KVM has just taken, on a machine that is busy."""


@dataclass(frozen=True)
class Acceleration:
    kvm: bool
    why: str
    """How we know, in words for the report."""

    @property
    def name(self) -> str:
        return "kvm" if self.kvm else "tcg"


def machine_identity(program: QemuProgram | None = None) -> str:
    """A digest over what the answer depends on: host, processor, host kernel, QEMU (`program`, or the system's)."""
    try:
        said = (program or inspect(find_qemu(platform.machine()))).said
    except QemuError:
        said = ""
    return _digest(platform.node(), said, *_host())


def host_identity() -> str:
    """A digest over what the state of an accelerated guest depends on: processor, microcode, host kernel."""
    return _digest(*_host())


def _host() -> list[str]:
    """Of the first processor: its model, stepping, microcode and flags, by whatever names the architecture has."""
    first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    own = re.compile(
        r"(vendor_id|cpu family|model|stepping|microcode|flags|Features|CPU (implementer|part|revision))\b"
    )
    return [platform.release(), *(line for line in first.splitlines() if own.match(line))]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def device_trouble(device: Path = Path("/dev/kvm")) -> str | None:
    """Why KVM is out of the question from the start, or None."""
    if not device.exists():
        return f"there is no {device}"
    if not os.access(device, os.R_OK | os.W_OK):
        return f"this user may not open {device}"
    return None


def decide(
    mode: str, boot: Callable[[bool, float | None], None], memory: Path, *, identity: str = "", again: bool = False
) -> Acceleration:
    """Find out which acceleration works here.

    mode: `auto`, or `kvm` or `tcg` to insist.  boot(kvm, deadline_s) boots a guest until it answers, or raises
    BootError or QemuError; None is the deadline of any boot.  memory: a file that keeps the answer for the next run,
    which is not looked at if we are to find out `again`.  UsageError: KVM was insisted on, and is not usable.  An
    error of a boot without KVM is passed on: then it is the kernel that does not boot.
    """
    if mode == "tcg":
        return Acceleration(False, "asked for")
    trouble = device_trouble()
    if trouble is None:
        answer = (None if again else _remembered(memory, identity)) or _prove(boot, memory, identity)
    else:
        answer = Acceleration(False, trouble)
    if mode == "kvm" and not answer.kvm:
        raise UsageError(
            f"KVM was asked for and is not usable here: {answer.why}",
            hint="leave out --accel, or say --accel=tcg; after a repair, --probe-accel finds out again",
        )
    return answer


def _prove(boot: Callable[[bool, float | None], None], memory: Path, identity: str) -> Acceleration:
    start = monotonic()
    # First without KVM: what does not boot so says nothing about KVM.
    boot(False, None)
    deadline_s = max(KVM_DEADLINE_S, KVM_PATIENCE * (monotonic() - start))
    try:
        boot(True, deadline_s)
        answer = Acceleration(True, "a guest answered under it")
    except SlowBootError as error:
        # It may have been the machine's bad day, so the next run asks again.
        return Acceleration(False, f"KVM was too slow this time: {error.message}")
    except (BootError, QemuError) as error:
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
