# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m guests doctor`: what this machine can do, what it lacks, and how it gets that.

Exit status: 0 everything required is there; 3 it could not be installed; 4 something is missing that the user
has to install.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from guests import accel
from guests.errors import KconformError, UsageError
from guests.needs import Found, Need, has_apt, install, look, needs, packages_of, privilege, shown_command
from guests.qemu import qemu_version
from kconfigs.cache import Cache

BUILD_ROOM = 5 << 30
"""Bytes that the first kernel built from source takes at its peak, with its unpacked source, and templates."""
_VERSIONED = ("gcc", "ld", "make", "ccache")
"""Programs whose version one asks for when a build goes wrong."""


def examine() -> int:
    """Print what this machine can do."""
    wanted = needs()
    found = look(wanted)
    for title, text in facts(found):
        print(f"{title:<13} {text}")
    print("\nneeded:")
    for need in wanted:
        print(f"  {need.name:<20} {_state(need, found):<14} {need.why}")
    missing = found.missing(wanted)
    print()
    if missing:
        print(_advice(missing))
    for need, version in found.too_old.items():
        print(_too_old(need, version))
    if not missing and not found.too_old:
        print("nothing is missing")
    return _status(missing, found)


def install_missing(*, sure: bool) -> int:
    """Install what is missing, if we may.  One line if nothing is.  `sure`: do not ask, even on a terminal."""
    wanted = needs()
    found = look(wanted)
    missing = found.missing(wanted)
    if not missing and not found.too_old:
        print("kconform: everything that this machine needs is there (python -m guests doctor tells more)")
        return 0
    prefix = privilege() if has_apt() else None
    if missing and prefix is not None and (sure or _agreed(missing)):
        packages = packages_of(missing)
        print(f"kconform: installing {' '.join(packages)}", flush=True)
        install(packages, prefix)
        found = look(wanted)
        missing = found.missing(wanted)
        if missing:
            names = ", ".join(need.name for need in missing)
            raise KconformError(f"apt-get has installed {' '.join(packages)}, and there is still no {names}")
        print("kconform: installed")
    if missing:
        print(_advice(missing), file=sys.stderr)
    for need, version in found.too_old.items():
        print(_too_old(need, version), file=sys.stderr)
    return _status(missing, found)


def facts(found: Found) -> Iterator[tuple[str, str]]:
    """The head of the report, line by line: a title and what there is to say."""
    yield "system", _system()
    qemu = next((path for need, path in found.there.items() if need.name.startswith("qemu-system-")), None)
    yield "QEMU", f"{qemu_version(qemu).removeprefix('QEMU emulator version ')}, {qemu}" if qemu else "none"
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        yield "virtme-ng", importlib.metadata.version("virtme-ng")
    cache = Cache()
    yield "acceleration", _acceleration(cache.root)
    programs = {need.name: path for need, path in found.there.items() if need.name in _VERSIONED}
    yield "toolchain", ", ".join(f"{name} {_version(path)}" for name, path in programs.items()) or "none"
    yield "cache", f"{_gib(cache.size())} of at most {_gib(cache.limit)}, in {cache.root}"
    free = shutil.disk_usage(_existing(cache.root)).free
    scarce = "" if free >= BUILD_ROOM else f"; a first kernel build takes up to {_gib(BUILD_ROOM)}"
    yield "free disk", f"{_gib(free)}{scarce}"


def _system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        name = platform.system()
    processors = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return (
        f"{name}, Linux {platform.release()}, {platform.machine()}, {processors} processors, {_gib(memory)},"
        f" Python {platform.python_version()}"
    )


class _NotTried(Exception):
    """Nobody has booted a guest here yet, and a doctor does not either."""


def _acceleration(root: Path) -> str:
    def boot(_kvm: bool, _deadline_s: float | None) -> None:
        raise _NotTried

    try:
        answer = accel.decide("auto", boot, root / "acceleration.json", identity=accel.machine_identity())
    except _NotTried:
        return "KVM is there, and not tried yet: the next run finds out whether a guest answers under it"
    return f"{answer.name}: {answer.why}"


def _state(need: Need, found: Found) -> str:
    if need in found.too_old:
        return "too old"
    if need in found.there:
        return "there"
    return "MISSING" if need.required else "missing"


def _advice(missing: Sequence[Need]) -> str:
    lines = ["missing on this machine:"]
    lines += [f"  {need.name:<20} {need.why}{'' if need.required else ' (not required)'}" for need in missing]
    if has_apt():
        lines.append(f"run: {shown_command(packages_of(missing))}")
    else:
        lines.append("install them by your system's own means, then try again")
    return "\n".join(lines)


def _too_old(need: Need, version: str) -> str:
    oldest = ".".join(map(str, need.oldest))
    return f"{need.name} {version} is too old: {oldest} or later is needed"


def _status(missing: Sequence[Need], found: Found) -> int:
    lacking = any(need.required for need in [*missing, *found.too_old])
    return UsageError.exit_status if lacking else 0


def _agreed(missing: Sequence[Need]) -> bool:
    """Ask, where somebody can answer."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return True
    answer = input(f"kconform: install {' '.join(packages_of(missing))}? [Y/n] ")
    return answer.strip().lower() in {"", "y", "yes"}


def _version(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"\d+(?:\.\d+)+", done.stdout)
    return match[0] if match else "of an unknown version"


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
