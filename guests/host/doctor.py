# SPDX-License-Identifier: GPL-2.0-or-later
"""`./kconform doctor`: what this machine can do, what it lacks, and how it gets that.

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
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from guests.errors import KconformError, UsageError
from guests.host.dependencies import Found, Need, look, needs
from guests.host.packages import Family, has_apt, host_family, install, privilege, usable
from guests.vm import acceleration
from guests.vm.qemu_process import qemu_version
from guests.vm.qemu_program import has_device
from kconfigs.cache import Cache

BUILD_ROOM = 5 << 30
"""Bytes that the first kernel built from source takes at its peak, with its unpacked source, and templates."""
_VERSIONED = ("gcc", "ld", "make", "ccache")
"""Programs whose version one asks for when a build goes wrong."""
_KERNELS = {
    True: "everything that --kernel takes can be tested here",
    False: "trees, images and .deb files can be tested here; `source` and `deb:PACKAGE` need apt",
}
"""By whether there is apt."""


def examine() -> int:
    """Print what this machine can do."""
    wanted = needs()
    found = look(wanted)
    trouble = _cache_trouble()
    for title, text in facts(found, cached=not trouble):
        print(f"{title:<13} {text}")
    print("\nneeded:")
    for need in wanted:
        print(f"  {need.name:<20} {_state(need, found):<14} {need.why}")
    missing = found.missing(wanted)
    print()
    if missing:
        print(_advice(missing, host_family()))
    for need, version in found.too_old.items():
        print(_too_old(need, version))
    if trouble:
        print(trouble)
    if not missing and not found.too_old and not trouble:
        print("nothing is missing")
    return UsageError.exit_status if trouble else _status(missing, found)


def install_missing(*, sure: bool) -> int:
    """Install what is missing, if we may.  One line if nothing is.  `sure`: do not ask, even on a terminal."""
    wanted = needs()
    found = look(wanted)
    missing = found.missing(wanted)
    if not missing and not found.too_old:
        print("kconform: everything that this machine needs is there (./kconform doctor tells more)")
        return 0
    family = host_family()
    if missing and family is not None and _install(missing, family, sure=sure):
        found = look(wanted)
        missing = found.missing(wanted)
        _complain_of_the_installed(missing, family)
        print("kconform: installed")
    if missing:
        print(_advice(missing, family), file=sys.stderr)
    for need, version in found.too_old.items():
        print(_too_old(need, version), file=sys.stderr)
    return _status(missing, found)


def _install(missing: Sequence[Need], family: Family, *, sure: bool) -> bool:
    """Whether packages were installed: there is a manager that we may use, and it offers some of them."""
    packages = family.offers(need.name for need in missing)
    prefix = privilege() if packages and usable(family.manager) else None
    if prefix is None or not (sure or _agreed(packages)):
        return False
    print(f"kconform: installing {' '.join(packages)}", flush=True)
    install(family.manager, packages, prefix)
    return True


def _complain_of_the_installed(missing: Sequence[Need], family: Family) -> None:
    """What is missing although its package is installed."""
    names = [need.name for need in missing if family.offers([need.name])]
    if names:
        packages = " ".join(family.offers(names))
        raise KconformError(
            f"{family.manager.program} has installed {packages}, and there is still no {', '.join(names)}",
            hint="; ".join(family.told(names)),
        )


def facts(found: Found, *, cached: bool = True) -> Iterator[tuple[str, str]]:
    """The head of the report, line by line: a title and what there is to say; of the cache only if it can be had."""
    yield "system", _system()
    qemu = next((path for need, path in found.there.items() if need.name.startswith("qemu-system-")), None)
    yield "QEMU", _qemu(qemu) if qemu else "none"
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        yield "virtme-ng", importlib.metadata.version("virtme-ng")
    yield "kernels", _KERNELS[has_apt()]
    programs = {need.name: path for need, path in found.there.items() if need.name in _VERSIONED}
    yield "toolchain", ", ".join(f"{name} {_version(path)}" for name, path in programs.items()) or "none"
    if not cached:
        return
    cache = Cache()
    yield "acceleration", _acceleration(cache.root)
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


def _qemu(program: str) -> str:
    version = qemu_version(program).removeprefix("QEMU emulator version ")
    without = "" if has_device(program, "virtio-9p-pci") else "; without 9p: tests that share a directory are skipped"
    return f"{version}, {program}{without}"


def _cache_trouble() -> str:
    """Why there can be no cache, and what to do; empty if there can."""
    try:
        root = Cache().root
    except UsageError as error:
        return str(error)
    try:
        # Tried, because root may write everywhere, and yet not to /proc.
        tempfile.TemporaryFile(dir=_existing(root)).close()
    except OSError as error:
        return (
            f"the cache directory {root} cannot be written to: {error.strerror}\n"
            "  hint: set KCONFORM_CACHE to a directory that may be written to"
        )
    return ""


class _NotTried(Exception):
    """Nobody has booted a guest here yet, and a doctor does not either."""


def _acceleration(root: Path) -> str:
    def boot(_kvm: bool, _deadline_s: float | None) -> None:
        raise _NotTried

    try:
        answer = acceleration.decide(
            "auto", boot, root / "acceleration.json", identity=acceleration.machine_identity()
        )
    except _NotTried:
        return "KVM is there, and not tried yet: the next run finds out whether a guest answers under it"
    return f"{answer.name}: {answer.why}"


def _state(need: Need, found: Found) -> str:
    if need in found.too_old:
        return "too old"
    if need in found.there:
        return "there"
    return "MISSING" if need.required else "missing"


def _advice(missing: Sequence[Need], family: Family | None) -> str:
    lines = ["missing on this machine:"]
    lines += [f"  {need.name:<20} {need.why}{'' if need.required else ' (not required)'}" for need in missing]
    names = [need.name for need in missing]
    packages = family.offers(names) if family else []
    if family and packages and usable(family.manager):
        lines.append(f"run: {family.manager.shown(packages)}")
    elif family and packages:
        lines.append(
            f"install them by your system's own means; {family.name} calls the packages {' '.join(packages)}"
        )
    else:
        lines.append("install them by your system's own means, then try again")
    lines += [f"note: {remark}" for remark in (family.told(names) if family else [])]
    return "\n".join(lines)


def _too_old(need: Need, version: str) -> str:
    oldest = ".".join(map(str, need.oldest))
    return f"{need.name} {version} is too old: {oldest} or later is needed"


def _status(missing: Sequence[Need], found: Found) -> int:
    lacking = any(need.required for need in [*missing, *found.too_old])
    return UsageError.exit_status if lacking else 0


def _agreed(packages: Sequence[str]) -> bool:
    """Ask, where somebody can answer."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return True
    answer = input(f"kconform: install {' '.join(packages)}? [Y/n] ")
    return answer.strip().lower() in {"", "y", "yes"}


def _version(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"\d+(?:\.\d+)+", done.stdout)
    return match[0] if match else "of an unknown version"


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
