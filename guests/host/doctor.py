# SPDX-License-Identifier: GPL-2.0-or-later
"""`./kconform doctor`: what this machine can do, what it lacks, and how to install that.

Exit status: 0 if everything required is present, 3 if the installation failed, 4 if something is missing that the
user has to install.
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

from common.project_files import COMMAND
from guests.abis import COMPAT
from guests.errors import KconformError, UsageError
from guests.host.dependencies import RUNS_GUESTS, Dependency, Found, find_dependencies, list_dependencies
from guests.host.packages import DistributionFamily, has_apt, host_family, install, privilege, usable
from guests.vm import acceleration, initramfs
from guests.vm.qemu_process import qemu_version
from guests.vm.qemu_program import has_device
from kconfigs.cache import Cache

BUILD_SPACE = 5 << 30
"""Peak disk usage in bytes of the first kernel build, with its unpacked source, and templates."""
_VERSIONED = ("gcc", "ld", "make", "ccache")
"""Programs whose version is of interest when a build fails."""
_KERNELS = {
    True: "every source that --kernel accepts can be tested here",
    False: "trees, images and package files can be tested here; `source` and `deb:PACKAGE` need apt",
}
"""By whether apt is available."""


def examine(arches: Sequence[str] = (), *, qemu: str | None = None) -> int:
    """Print what this machine can do, and what it lacks for kernels of these architectures, too.

    `qemu`: the program that runs the guests, instead of the system's.
    """
    wanted = list_dependencies(guests=arches, qemu=qemu)
    found = find_dependencies(wanted)
    problem = _cache_problem()
    for title, text in facts(found, cached=not problem):
        print(f"{title:<13} {text}")
    print("\ndependencies:")
    width = max(20, *(len(dependency.name) for dependency in wanted))
    for dependency in wanted:
        print(f"  {dependency.name:<{width}} {_state(dependency, found):<14} {dependency.why}")
    missing = found.missing(wanted)
    print()
    if missing:
        print(_advice(missing, host_family()))
    for dependency, version in found.too_old.items():
        print(_too_old(dependency, version))
    if problem:
        print(problem)
    if not missing and not found.too_old and not problem:
        print("nothing is missing")
    return UsageError.exit_status if problem else _status(missing, found)


def install_missing(arches: Sequence[str] = (), *, sure: bool, qemu: str | None = None) -> int:
    """Install what is missing, if permitted; print one line if nothing is.

    `sure`: do not ask on a terminal.  `qemu`: as for `examine`.
    """
    wanted = list_dependencies(guests=arches, qemu=qemu)
    found = find_dependencies(wanted)
    missing = found.missing(wanted)
    if not missing and not found.too_old:
        print(f"kconform: this machine has all dependencies (see {COMMAND} doctor)")
        return 0
    family = host_family()
    if missing and family is not None and _install(missing, family, sure=sure):
        found = find_dependencies(wanted)
        missing = found.missing(wanted)
        _check_installed(missing, family)
        print("kconform: installed")
    if missing:
        print(_advice(missing, family), file=sys.stderr)
    for dependency, version in found.too_old.items():
        print(_too_old(dependency, version), file=sys.stderr)
    return _status(missing, found)


def _install(missing: Sequence[Dependency], family: DistributionFamily, *, sure: bool) -> bool:
    """Whether packages were installed: the package manager can be used, and it has some of them.

    KconformError if one that is required cannot be installed.
    """
    packages = family.packages_for(dependency.name for dependency in missing)
    prefix = privilege() if packages and usable(family.manager) else None
    if prefix is None or not (sure or _confirmed(packages)):
        return False
    required = family.packages_for(dependency.name for dependency in missing if dependency.required)
    if required:
        print(f"kconform: installing {' '.join(required)}", flush=True)
        install(family.manager, required, prefix)
    optional = [package for package in packages if package not in required]
    return _install_optional(optional, family, prefix) or bool(required)


def _install_optional(packages: Sequence[str], family: DistributionFamily, prefix: Sequence[str]) -> bool:
    """Whether packages were installed that a run can do without; if that fails, a note says so."""
    if not packages:
        return False
    print(f"kconform: installing {' '.join(packages)}", flush=True)
    try:
        install(family.manager, packages, prefix)
    except KconformError as error:
        print(f"note: {' '.join(packages)} could not be installed: {error.message}", file=sys.stderr)
        return False
    return True


def _check_installed(missing: Sequence[Dependency], family: DistributionFamily) -> None:
    """KconformError if a required dependency is missing although its package is installed."""
    names = [
        dependency.name for dependency in missing if dependency.required and family.packages_for([dependency.name])
    ]
    if names:
        packages = " ".join(family.packages_for(names))
        raise KconformError(
            f"{family.manager.program} has installed {packages}, but {', '.join(names)} cannot be found",
            hint="; ".join(family.remarks_about(names)),
        )


def facts(found: Found, *, cached: bool = True) -> Iterator[tuple[str, str]]:
    """The first lines of the report, each a title and a text; the cache is only included if it is `cached`."""
    yield "system", _system()
    qemu = next((path for dependency, path in found.present.items() if dependency.why == RUNS_GUESTS), None)
    yield "QEMU", _qemu(qemu) if qemu else "none"
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        yield "virtme-ng", importlib.metadata.version("virtme-ng")
    yield "kernels", _KERNELS[has_apt()]
    programs = {dependency.name: path for dependency, path in found.present.items() if dependency.name in _VERSIONED}
    toolchain = ", ".join(f"{name} {_version(path)}" for name, path in programs.items()) or "none"
    yield "toolchain", toolchain + _without_compat()
    if not cached:
        return
    cache = Cache()
    yield "acceleration", _acceleration(cache.root)
    yield "cache", f"{_gib(cache.size())} of at most {_gib(cache.limit)}, in {cache.root}"
    free = shutil.disk_usage(_existing(cache.root)).free
    scarce = "" if free >= BUILD_SPACE else f"; a first kernel build takes up to {_gib(BUILD_SPACE)}"
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


def _without_compat() -> str:
    abi = COMPAT.get(platform.machine())
    if abi is None or initramfs.compiles(abi.name):
        return ""
    compiler = initramfs.compiler(abi.name)
    return f"; without 32-bit programs ({compiler} cannot compile for {abi.name}): tests of 32-bit tasks are skipped"


def _cache_problem() -> str:
    """Why the cache cannot be used, and what to do; empty if it can."""
    try:
        root = Cache().root
    except UsageError as error:
        return str(error)
    try:
        # Only an attempt shows it: root has write permission everywhere, but cannot write to /proc.
        tempfile.TemporaryFile(dir=_existing(root)).close()
    except OSError as error:
        return (
            f"the cache directory {root} is not writable: {error.strerror}\n"
            "  hint: set KCONFORM_CACHE to a writable directory"
        )
    return ""


class _NotTried(Exception):
    """No guest has been booted here yet, and the doctor does not boot one."""


def _acceleration(root: Path) -> str:
    def boot(_kvm: bool, _deadline_s: float | None) -> None:
        raise _NotTried

    try:
        answer = acceleration.decide(
            "auto", boot, root / "acceleration.json", identity=acceleration.machine_identity()
        )
    except _NotTried:
        return "/dev/kvm exists, but has not been tried yet: the next run tests whether guests work with it"
    return f"{answer.name}: {answer.why}"


def _state(dependency: Dependency, found: Found) -> str:
    if dependency in found.too_old:
        return "too old"
    if dependency in found.present:
        return "present"
    return "MISSING" if dependency.required else "missing"


def _advice(missing: Sequence[Dependency], family: DistributionFamily | None) -> str:
    lines = ["missing on this machine:"]
    lines += [
        f"  {dependency.name:<20} {dependency.why}{'' if dependency.required else ' (not required)'}"
        for dependency in missing
    ]
    names = [dependency.name for dependency in missing]
    packages = family.packages_for(names) if family else []
    if family and packages and usable(family.manager):
        lines.append(f"run: {family.manager.shown(packages)}")
    elif family and packages:
        lines.append(
            f"install them with your package manager; the packages of {family.name} are {' '.join(packages)}"
        )
    else:
        lines.append("install them with your package manager, then try again")
    lines += [f"note: {remark}" for remark in (family.remarks_about(names) if family else [])]
    return "\n".join(lines)


def _too_old(dependency: Dependency, version: str) -> str:
    oldest = ".".join(map(str, dependency.oldest))
    return f"{dependency.name} {version} is too old: {oldest} or later is needed"


def _status(missing: Sequence[Dependency], found: Found) -> int:
    lacking = any(dependency.required for dependency in [*missing, *found.too_old])
    return UsageError.exit_status if lacking else 0


def _confirmed(packages: Sequence[str]) -> bool:
    """Ask the user, if there is a terminal.  The end of the input (Ctrl-D) means no."""
    # A stream that was closed when the program started is None.
    if not all(stream and stream.isatty() for stream in (sys.stdin, sys.stdout)):
        return True
    try:
        answer = input(f"kconform: install {' '.join(packages)}? [Y/n] ")
    except EOFError:
        print()
        return False
    return answer.strip().lower() in {"", "y", "yes"}


def _version(program: str) -> str:
    done = subprocess.run(
        [program, "--version"], capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    match = re.search(r"\d+(?:\.\d+)+", done.stdout)
    return match[0] if match else "of unknown version"


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
