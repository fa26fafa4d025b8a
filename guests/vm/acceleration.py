# SPDX-License-Identifier: GPL-2.0-or-later
"""KVM or TCG: determined once for each host by booting a guest, and remembered.

Being able to open /dev/kvm proves nothing: on some hosts, the guest still hangs in its first instructions, or QEMU
aborts.
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

from common import atomic
from guests.errors import BootError, QemuError, SlowBootError, UsageError
from guests.vm.qemu_program import QemuProgram, find_qemu, inspect

MODES = ("auto", "kvm", "tcg")
KVM_DEADLINE_S = 20.0
"""The minimum deadline of a boot under KVM, which takes about a second if KVM works."""
KVM_DEADLINE_FACTOR = 4.0
"""On a busy host, the deadline is this many times the duration of the preceding boot without KVM."""


@dataclass(frozen=True)
class Acceleration:
    kvm: bool
    why: str
    """The reason for this choice, for the report."""

    @property
    def name(self) -> str:
        return "kvm" if self.kvm else "tcg"


def machine_identity(program: QemuProgram | None = None) -> str:
    """A digest of everything that the result depends on: host, processor, host kernel and QEMU."""
    try:
        version = (program or inspect(find_qemu(platform.machine()))).version_line
    except QemuError:
        version = ""
    return _digest(platform.node(), version, *_host())


def host_identity() -> str:
    """A digest of everything that the state of a KVM guest depends on: processor, microcode, host kernel."""
    return _digest(*_host())


def _host() -> list[str]:
    """Host kernel, and the first processor's model, stepping, microcode and flags, by the architecture's names."""
    first = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    own = re.compile(
        r"(vendor_id|cpu family|model|stepping|microcode|flags|Features|CPU (implementer|part|revision))\b"
    )
    return [platform.release(), *(line for line in first.splitlines() if own.match(line))]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def device_problem(device: Path = Path("/dev/kvm")) -> str | None:
    """Why KVM cannot be used, without trying a guest; otherwise None."""
    if not device.exists():
        return f"there is no {device}"
    if not os.access(device, os.R_OK | os.W_OK):
        return f"this user has no permission to open {device}"
    return None


def emulated(arch: str, mode: str) -> Acceleration:
    """That of a guest of another architecture than this machine's.  UsageError if KVM is required."""
    why = f"the kernel is for {arch}, and this machine is {platform.machine()}"
    if mode == "kvm":
        raise UsageError(f"KVM was requested, but cannot be used here: {why}", hint="omit --accel for this kernel")
    return Acceleration(False, why)


def decide(
    mode: str, boot: Callable[[bool, float | None], None], memory: Path, *, identity: str = "", again: bool = False
) -> Acceleration:
    """Find out which acceleration works here.

    mode: `auto`, or `kvm` or `tcg` to require one.  boot(kvm, deadline_s) boots a guest until it answers, or raises
    BootError or QemuError; None stands for the usual deadline.  memory: a file that keeps the result for the next
    run, and that is ignored if `again`.  UsageError: KVM is required, but cannot be used.  An error of a boot without
    KVM is raised to the caller, because then it is the kernel that does not boot.
    """
    if mode == "tcg":
        return Acceleration(False, "requested")
    problem = device_problem()
    if problem is None:
        answer = (None if again else _remembered(memory, identity)) or _prove(boot, memory, identity)
    else:
        answer = Acceleration(False, problem)
    if mode == "kvm" and not answer.kvm:
        raise UsageError(
            f"KVM was requested, but cannot be used here: {answer.why}",
            hint="omit --accel, or use --accel=tcg; once KVM is fixed, --probe-accel tests it again",
        )
    return answer


def _prove(boot: Callable[[bool, float | None], None], memory: Path, identity: str) -> Acceleration:
    start = monotonic()
    # First without KVM: if that boot fails, nothing follows about KVM.
    boot(False, None)
    deadline_s = max(KVM_DEADLINE_S, KVM_DEADLINE_FACTOR * (monotonic() - start))
    try:
        boot(True, deadline_s)
        answer = Acceleration(True, "a guest works with it")
    except SlowBootError as error:
        # This may be due to the load on the host, so it is not remembered.
        return Acceleration(False, f"KVM was too slow this time: {error.message}")
    except UsageError as error:
        # QEMU refuses options that it took without KVM.  They may be to blame, so this is not remembered.
        return Acceleration(False, f"KVM does not work here: {error.message}")
    except (BootError, QemuError) as error:
        answer = Acceleration(False, f"KVM does not work here: {error.message}")
    memory.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(memory, json.dumps({"identity": identity, "kvm": answer.kvm, "why": answer.why}))
    return answer


def _remembered(memory: Path, identity: str) -> Acceleration | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(memory.read_text(encoding="utf-8"))
        if kept["identity"] == identity:
            return Acceleration(bool(kept["kvm"]), str(kept["why"]))
    return None
