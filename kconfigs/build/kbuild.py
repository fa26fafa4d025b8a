# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls of Kbuild: always out of tree, always the same way, and every failure explained.

    configure(job, objects)                the final .config, or an error that says what was dropped and why
    compile_kernel(job, objects, config)   into the same directory; after a change, only what depends on it

A failure is a UsageError where the tree or the config is the user's, and a KconformError where both are not.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from common import atomic
from common.errors import UsageError
from common.text import printable
from kconfigs import kconfig
from kconfigs.build import lost_options, profiled_files
from kconfigs.build.build_job import Job, made_from
from kconfigs.build.guest_modules import loaded_by_guests
from kconfigs.build.kernel_tree import refused_by_kbuild
from kconfigs.build.missing_files import require_files
from kconfigs.build.supervised_process import run_logged
from kconfigs.build.unmet_dependencies import Explanation, explain
from kconfigs.kconfig import Config, Option

CONFIGURED = "kconform.configured"
"""In an object directory: what its .config was made from.  It is there only when the .config is finished."""

_COMPLAINT = re.compile(r"\berror:|\bError \d|undefined reference|No rule to make|not found|\*\*\*", re.IGNORECASE)


def configure(job: Job, objects: Path) -> Config:
    """Write .config into the object directory.  An option that Kconfig drops is an error."""
    if refused := refused_by_kbuild(objects):
        raise UsageError(
            f"{job.what} cannot be built in {printable(objects)}: Kbuild does not accept {refused!r} in a path",
            hint="set KCONFORM_CACHE to a directory without it",
        )
    objects.mkdir(parents=True, exist_ok=True)
    (objects / CONFIGURED).unlink(missing_ok=True)
    wanted = objects / "kconform.config"
    wanted.write_text(made_from(job), encoding="utf-8")
    # Kconfig probes the compiler, and has to get the compiler's own answers.
    direct = {"CCACHE_DISABLE": "1"}
    (objects / lost_options.REFUSED).unlink(missing_ok=True)
    if job.own_config:
        shutil.copyfile(wanted, objects / ".config")
    else:
        # allnoconfig sets whatever is not asked for to n; olddefconfig then decides what became visible by that.
        _kbuild(job, objects, ["allnoconfig"], direct | {"KCONFIG_ALLCONFIG": str(wanted)})
    _kbuild(job, objects, ["olddefconfig"], direct)
    final = Config.load(objects / ".config")
    _check_asked(job, objects, final)
    if job.own_config:
        _check_own(job, job.own_config, objects, final)
    require_files(job.what, final, [objects, job.tree.path])
    _kbuild(job, objects, ["syncconfig"], direct)
    atomic.write(objects / CONFIGURED, wanted.read_bytes())
    return final


def _check_asked(job: Job, objects: Path, final: Config) -> None:
    """An error for what the flavor or the user's changes ask for, and the kernel does not have.

    The changes may take away what options of the flavor depend on, and a file such as the kernel's debug.config
    names options that this kernel cannot have: the user may allow both.  An option that was given by itself is what
    is to be tested.
    """
    lost = kconfig.dropped(job.asked, final)
    if not lost:
        return
    known = _explain(job, objects, [item.option for item in lost])
    reasons = known.reasons if known else {}
    lines = [f"{item} ({item.option.where}): {reasons.get(item.option.name, 'reason unknown')}" for item in lost]
    listed = f"{len(lost)} of the {len(job.asked)} options asked for:\n    " + "\n    ".join(lines)
    if not job.changes:
        raise job.failed(
            f"{job.what}: Kconfig drops {listed}",
            hint="enable what they need, or ask only kernels that have them (since, until, on)",
        )
    if not job.allow_dropped or not may_be_dropped(job, [item.option.name for item in lost]):
        raise UsageError(
            f"{job.what}: with these changes, Kconfig drops {listed}",
            hint="change what they need too, or give --allow-dropped if only options of a file or flavor are lost",
        )
    (objects / lost_options.REFUSED).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _check_own(job: Job, own_config: Path, objects: Path, final: Config) -> None:
    """Name the options of the user's config that the kernel does not have.  Those that it refuses are an error."""
    found = lost_options.find(
        Config.load(own_config),
        final,
        overruled=job.asked,
        explain=lambda asked: _explain(job, objects, asked),
    )
    (objects / lost_options.UNKNOWN).write_text(found.list_unknown(), encoding="utf-8")
    with (objects / lost_options.REFUSED).open("a", encoding="utf-8") as file:
        file.write(found.list_refused())
    refuse_dropped(job, found.list_refused())


def may_be_dropped(job: Job, options: Iterable[str]) -> bool:
    """Whether the user may allow that Kconfig does not keep these options: none was given by itself."""
    return not job.changes or job.changes.named.isdisjoint(options)


def refuse_dropped(job: Job, refused: str) -> None:
    """An error for the options that Kconfig did not keep, one in a line, unless the user allows that."""
    if refused and not (job.allow_dropped and may_be_dropped(job, lost_options.names(refused))):
        raise UsageError(
            f"{job.what}: Kconfig does not keep {len(refused.splitlines())} options of"
            f" {printable(str(job.own_config or job.flavor.name))}:\n    " + "\n    ".join(refused.splitlines()),
            hint="build in what they need, or give --allow-dropped to test the kernel without them",
        )


def _explain(job: Job, objects: Path, options: Sequence[Option]) -> Explanation | None:
    variables = environment(job) | job.toolchain.kconfig_variables(job.architecture)
    return explain(job.tree.path, objects / ".config", options, variables, job.architecture)


def configured(job: Job, objects: Path) -> bool:
    """Whether the object directory has a finished .config that was made from what this job asks for now."""
    there = objects / CONFIGURED
    return there.exists() and there.read_text(encoding="utf-8") == made_from(job)


def compile_kernel(job: Job, objects: Path, config: Config, on_line: Callable[[str], None] | None = None) -> None:
    """Compile into a configured object directory; incremental if it was compiled before.

    A distribution's config has thousands of modules: of a user's own config, only those that guests load are built.
    """
    # On a miss, ccache compiles what was preprocessed for the look-up: a first build takes a fifth less.  But a
    # compiler warns of what it then no longer knows to come from a macro, and such a warning must not be an error.
    # In Kbuild's own programs it always is one, and clang warns of more than gcc.
    fatal = _fatal_warnings(config) or "-Werror" in job.toolchain.kcflags or job.toolchain.uses_clang
    env = {} if fatal else {"CCACHE_NOCPP2": "1"}
    jobs = f"-j{len(os.sched_getaffinity(0))}"
    if config.builtin("MODULES") and not job.own_config:
        _kbuild(job, objects, [jobs, job.architecture.target, "modules"], env, on_line=on_line)
        return
    _kbuild(job, objects, [jobs, job.architecture.target], env, on_line=on_line)
    if modules := loaded_by_guests(config):
        _kbuild(job, objects, [jobs, *modules], env, on_line=on_line)


def _fatal_warnings(config: Config) -> list[str]:
    """The options that make errors of the compiler's warnings, such as WERROR and DRM_WERROR."""
    return [name for name in config if name.endswith("WERROR") and config.builtin(name)]


def command(job: Job, objects: Path, arguments: list[str]) -> list[str]:
    """make's command line."""
    return [
        *("nice", "-n", "19", "make", "--no-print-directory"),
        *("-C", str(job.tree.path), f"O={objects}"),
        f"ARCH={job.architecture.kbuild_arch}",
        *job.toolchain.make_arguments(),
        # Otherwise the release, and with it every build, would depend on the state of git.
        "LOCALVERSION=",
        *profiled_files.make_arguments(job.flavor.profiled),
        *arguments,
    ]


def environment(job: Job) -> dict[str, str]:
    """Kbuild's environment: nothing of ours that could affect it, and nothing that differs from build to build."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return kept | {
        "LC_ALL": "C",
        "KBUILD_BUILD_TIMESTAMP": "Thu Jan  1 00:00:00 UTC 1970",
        "KBUILD_BUILD_USER": "kconform",
        "KBUILD_BUILD_HOST": "kconform",
        "KBUILD_BUILD_VERSION": "1",
        # Scripts in the tree must not leave a __pycache__ there.
        "PYTHONDONTWRITEBYTECODE": "1",
        "CCACHE_DIR": str(job.cache.root / "ccache" / "objects"),
        "CCACHE_BASEDIR": "/",
        "CCACHE_NOHASHDIR": "1",
        "CCACHE_MAXSIZE": "2G",
    }


def _kbuild(
    job: Job,
    objects: Path,
    arguments: list[str],
    env: dict[str, str] | None = None,
    *,
    on_line: Callable[[str], None] | None = None,
) -> None:
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("a", encoding="utf-8") as log:
        start = log.tell()
        status = run_logged(
            command(job, objects, arguments), log, env=environment(job) | (env or {}), on_line=on_line
        )
    if status == 0:
        return
    with job.log.open(encoding="utf-8") as log:
        log.seek(start)
        lines = [line.rstrip() for line in log if line.strip()]
    if any("No space left on device" in line for line in lines[-200:]):
        raise OSError(errno.ENOSPC, "No space left on device", str(objects))
    step = "compiled" if on_line else "configured"
    shown, hint = _relevant(lines), f"the whole output is in {job.log}"
    fatal = _fatal_warnings(Config.load(objects / ".config")) if any("[-Werror" in line for line in shown) else []
    if fatal:
        hint = f"{' '.join(f'--config={name}=n' for name in fatal)} lets warnings pass; {hint}"
    raise job.failed(
        f"{job.what} could not be {step} (make ended with status {status}):\n    " + "\n    ".join(shown), hint=hint
    )


def _relevant(lines: list[str]) -> list[str]:
    """From a failed make's output, the first complaint and what follows it; without one, the end."""
    first = next((number for number, line in enumerate(lines) if _COMPLAINT.search(line)), None)
    return lines[-12:] if first is None else lines[max(0, first - 1) : first + 11]
