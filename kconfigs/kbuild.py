# SPDX-License-Identifier: GPL-2.0-or-later
"""Kbuild, as we call it: always out of tree, always the same way, and every failure explained.

    configure(job, objects)        the final .config, or an error that names what was dropped and why
    compile_kernel(job, objects)   into that same directory; after a change it is incremental

A failure is wrong use where the tree is the user's own, and ours where it is the distribution's.
"""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache as cached
from pathlib import Path

from kconfigs import fragments, unmet
from kconfigs.cache import Cache
from kconfigs.errors import KconformError, UsageError
from kconfigs.flavors import Flavor
from kconfigs.fragments import Config, Option
from kconfigs.process import run_logged
from kconfigs.progress import NoAnswer, Progress
from kconfigs.tree import Tree

RECIPE = "1"
"""Part of every key: a change in how kernels are built makes new ones."""

CONFIGURED = "kconform.configured"
"""In an object directory: what its .config was made from, once it is made."""

_COMPLAINT = re.compile(r"\berror:|\bError \d|undefined reference|No rule to make|not found|\*\*\*", re.IGNORECASE)


@dataclass(frozen=True)
class Machine:
    """How Kbuild calls an architecture, what it makes for it, and where."""

    srcarch: str
    target: str
    image: str


MACHINES = {
    "x86_64": Machine("x86", "bzImage", "arch/x86/boot/bzImage"),
    "aarch64": Machine("arm64", "Image", "arch/arm64/boot/Image"),
}


@dataclass(frozen=True)
class Job:
    """One kernel to be built."""

    tree: Tree
    flavor: Flavor
    name: str
    """As in `Kernel.name`."""
    spec: str
    identity: str
    """As in `Kernel.identity`; the same for the same sources."""
    cache: Cache
    progress: Progress = field(default_factory=NoAnswer)
    theirs: bool = True
    """The tree is the user's."""
    own: Path | None = None
    """The config that the flavor's fragments are laid over; without one, allnoconfig."""

    @property
    def what(self) -> str:
        return f"{self.name}/{self.flavor.name}"

    @property
    def asked(self) -> dict[str, Option]:
        return self.flavor.asked(self.tree.version)

    @property
    def key(self) -> str:
        content = "\0".join([RECIPE, self.identity, made_from(self), toolchain(), machine_arch()])
        return f"{self.name}-{self.flavor.name}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"

    @property
    def log(self) -> Path:
        """Where the output of Kbuild goes; it outlives a failure."""
        return self.cache.root / ".logs" / f"{self.name}-{self.flavor.name}.log"

    def failed(self, message: str, hint: str) -> KconformError:
        return (UsageError if self.theirs else KconformError)(message, hint=hint)


def made_from(job: Job) -> str:
    """What a job's .config is made of: later lines count."""
    own = job.own.read_text(encoding="utf-8", errors="replace") + "\n" if job.own else ""
    return own + fragments.render(job.asked)


def configure(job: Job, objects: Path) -> Config:
    """Write .config into the object directory.  An option that does not survive stops everything here."""
    asked = job.asked
    objects.mkdir(parents=True, exist_ok=True)
    wanted = objects / "kconform.config"
    wanted.write_text(made_from(job))
    # Kconfig's questions to the compiler must reach it as they are put.
    direct = {"CCACHE_DISABLE": "1"}
    if job.own:
        shutil.copyfile(wanted, objects / ".config")
    else:
        # It says no to all that is not asked; olddefconfig then settles what that made visible.
        _kbuild(job, objects, ["allnoconfig"], direct | {"KCONFIG_ALLCONFIG": str(wanted)})
    _kbuild(job, objects, ["olddefconfig"], direct)
    final = Config.load(objects / ".config")
    lost = fragments.dropped(asked, final)
    if lost:
        reasons = unmet.explain(job.tree.path, objects / ".config", [item.option for item in lost], environment(job))
        lines = [f"{item} ({item.option.where}): {reasons.get(item.option.name, 'reason unknown')}" for item in lost]
        raise job.failed(
            f"{job.what}: Kconfig drops {len(lost)} of the {len(asked)} options asked for:\n    "
            + "\n    ".join(lines),
            hint="enable what they need, or ask it only of kernels that have it (since, until)",
        )
    _kbuild(job, objects, ["syncconfig"], direct)
    wanted.replace(objects / CONFIGURED)
    return final


def configured(job: Job, objects: Path) -> bool:
    """Whether the object directory has the .config of this job, and not of what was asked once."""
    there = objects / CONFIGURED
    return there.exists() and there.read_text() == made_from(job)


def compile_kernel(job: Job, objects: Path, config: Config, on_line: Callable[[str], None] | None = None) -> None:
    """Compile into an object directory that is configured; incremental if it was compiled before."""
    targets = [MACHINES[machine_arch()].target, *(["modules"] if config.builtin("MODULES") else [])]
    _kbuild(job, objects, [f"-j{len(os.sched_getaffinity(0))}", *targets], on_line=on_line)


def command(job: Job, objects: Path, arguments: list[str]) -> list[str]:
    """make's command line."""
    compiler = "ccache gcc" if shutil.which("ccache") else "gcc"
    return [
        *("nice", "-n", "19", "make", "--no-print-directory"),
        *("-C", str(job.tree.path), f"O={objects}"),
        f"ARCH={MACHINES[machine_arch()].srcarch}",
        f"CC={compiler}",
        f"HOSTCC={compiler}",
        # No temporary assembler files.
        "KCFLAGS=-pipe",
        # Else the release, and with it every build, depends on the state of git.
        "LOCALVERSION=",
        *arguments,
    ]


def environment(job: Job) -> dict[str, str]:
    """What Kbuild sees: nothing of ours that could steer it, and nothing that changes from build to build."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return kept | {
        "LC_ALL": "C",
        "KBUILD_BUILD_TIMESTAMP": "Thu Jan  1 00:00:00 UTC 1970",
        "KBUILD_BUILD_USER": "kconform",
        "KBUILD_BUILD_HOST": "kconform",
        "KBUILD_BUILD_VERSION": "1",
        # Scripts in the tree must not leave __pycache__ beside themselves.
        "PYTHONDONTWRITEBYTECODE": "1",
        "CCACHE_DIR": str(job.cache.root / "ccache" / "objects"),
        "CCACHE_BASEDIR": "/",
        "CCACHE_NOHASHDIR": "1",
        # What was preprocessed to look it up is compiled, not preprocessed again: a fifth off a first build.
        "CCACHE_NOCPP2": "1",
        "CCACHE_MAXSIZE": "2G",
    }


@cached
def toolchain() -> str:
    """The versions of compiler and linker.  KconformError if there is none."""
    versions = []
    for tool in ("gcc", "ld"):
        try:
            done = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise KconformError(
                f"no {tool} here to build a kernel with",
                hint="install a C toolchain, or test a kernel that is built",
            ) from error
        versions.append(done.stdout.splitlines()[0])
    return "\n".join(versions)


def machine_arch() -> str:
    return platform.machine()


def _kbuild(
    job: Job,
    objects: Path,
    arguments: list[str],
    env: dict[str, str] | None = None,
    *,
    on_line: Callable[[str], None] | None = None,
) -> None:
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("a") as log:
        start = log.tell()
        status = run_logged(
            command(job, objects, arguments), log, env=environment(job) | (env or {}), on_line=on_line
        )
    if status == 0:
        return
    with job.log.open() as log:
        log.seek(start)
        lines = [line.rstrip() for line in log if line.strip()]
    if any("No space left on device" in line for line in lines[-200:]):
        raise OSError(errno.ENOSPC, "No space left on device", str(objects))
    step = "compiled" if on_line else "configured"
    shown = _telling(lines)
    raise job.failed(
        f"{job.what} could not be {step} (make ended with status {status}):\n    " + "\n    ".join(shown),
        hint=f"the whole output is in {job.log}",
    )


def _telling(lines: list[str]) -> list[str]:
    """Of a failed make's output the first complaint and what follows it, else the end."""
    first = next((number for number, line in enumerate(lines) if _COMPLAINT.search(line)), None)
    return lines[-12:] if first is None else lines[max(0, first - 1) : first + 11]
