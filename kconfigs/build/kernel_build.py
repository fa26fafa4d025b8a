# SPDX-License-Identifier: GPL-2.0-or-later
"""From a tree and a flavor to a kernel: built once for the same content, and kept in the cache.

An entry holds image, config, System.map, modules/, build.log and made.json (release, image_sha256, objects, seconds);
vmlinux, for debuggers, unless it is large; the lists of lost_options.py, if a user's config has options that the
kernel does not have; and gcov/ (gcov_notes.py), if the kernel counts which lines it executes.
There is never more than one kernel build at a time on a machine.  Kernels of one source share an object directory.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from common import atomic
from common.errors import UsageError
from common.text import printable
from kconfigs.build import gcov_notes, kept_objects, lost_options
from kconfigs.build.build_job import Job
from kconfigs.build.build_progress import BuildState, Phase
from kconfigs.build.guest_modules import loaded_by_guests
from kconfigs.build.kbuild import CONFIGURED, compile_kernel, configure, configured, environment, refuse_dropped
from kconfigs.build.kernel_tree import identify, mirror
from kconfigs.build.supervised_process import run_logged
from kconfigs.image import inspect
from kconfigs.kconfig import Config
from kconfigs.kernel import Kernel, kernel_digest

_OBJECT = re.compile(r"\s+(?:CC|AS)\s+(?:\[M\]\s+)?\S+\.o$")

_LARGEST_VMLINUX = 128 << 20
"""Bytes.  It has 14 MB without debugging information, and hundreds with it."""


def is_built(job: Job) -> bool:
    return job.cache.has("kernels", job.key)


def build(job: Job) -> Kernel:
    """The kernel, from the cache or built now."""
    key = job.key
    entry = job.cache.get("kernels", key, lambda folder: _make(job, key, folder), _check)
    # It may have been built for a user who allowed that.
    refuse_dropped(job, lost_options.read(entry / lost_options.REFUSED))
    made = json.loads((entry / "made.json").read_text(encoding="utf-8"))
    modules, counted = entry / "modules", entry / gcov_notes.FOLDER
    return Kernel(
        name=job.name,
        flavor=job.flavor_name,
        release=made["release"],
        arch=job.arch,
        image=entry / "image",
        config=Config.load(entry / "config"),
        modules=modules if modules.is_dir() else None,
        spec=job.spec,
        identity=job.identity,
        digest=kernel_digest(entry / "image", Config.load(entry / "config")),
        lost_options=lost_options.sentence(entry),
        counted=counted if counted.is_dir() else None,
    )


def _make(job: Job, key: str, folder: Path) -> None:
    asked = job

    def tell(phase: Phase, done: int = 0, total: int = 0, started: float | None = None) -> None:
        job.progress.update(BuildState(phase, job.what, done, total, started or time.time()))

    gcov_notes.require_gcc(job)
    tell("waiting")
    with job.cache.lock("kernel-build", waiting=f"{job.what} is waiting for another kernel build"):
        store = job.cache.get("ccache", "objects", _make_store)
        job.log.parent.mkdir(parents=True, exist_ok=True)
        job.log.write_text("", encoding="utf-8")
        started = time.time()
        tell("configuring", started=started)
        if job.tree.needs_mirror:
            job = _mirrored(job, folder / "source")
        with _objects_folder(job, folder) as objects:
            config = Config.load(objects / ".config") if configured(job, objects) else configure(job, objects)
            is_first = not (objects / job.architecture.image).exists()
            total, done, started = _expected(job), 0, time.time()
            tell("compiling", 0, total, started)

            def on_line(line: str) -> None:
                nonlocal done
                if _OBJECT.match(line.rstrip()):
                    done += 1
                    tell("compiling", done, total, started)

            compile_kernel(job, objects, config, on_line)
            job.cache.remeasure(store)
            _collect(job, objects, folder, config)
            gcov_notes.keep(job, objects, folder / gcov_notes.FOLDER)
            release = (objects / "include/config/kernel.release").read_text(encoding="utf-8").strip()
            _require_unchanged(asked, key)
    (folder / "made.json").write_text(
        json.dumps(
            {
                "release": release,
                "image_sha256": hashlib.sha256((folder / "image").read_bytes()).hexdigest(),
                "objects": done,
                "seconds": round(time.time() - started, 1),
            }
        ),
        encoding="utf-8",
    )
    if is_first:
        _remember(job, done)
    shutil.rmtree(folder / "source", ignore_errors=True)
    job.progress.update(BuildState("done", job.what, done, done))


def _require_unchanged(job: Job, key: str) -> None:
    """UsageError if what the kernel was made from is no longer what the key, under which it would be kept, was for.

    Somebody may edit a tree or a config while make runs, and while the build waits for another one.
    """
    if job.is_users_tree and identify(job.tree.path) != job.identity:
        what = f"the tree {printable(job.tree.path)}"
    elif job.key != key:
        what = "its config or its compiler"
    else:
        return
    raise UsageError(
        f"{job.what} is not kept: {what} changed while it was built",
        hint="run again, and leave the tree and its config as they are until the kernel is built",
    )


@contextlib.contextmanager
def _objects_folder(job: Job, folder: Path) -> Iterator[Path]:
    """The object directory: that of the last build of the same source, or a new one, which is removed, if the config
    is the user's own or Kbuild takes the tree only as a copy.

    Kbuild then compiles only what depends on an option that differs, or on a source that has changed.  It judges
    sources by their times, which is safe for those of a package, because they never change, and for a tree if
    kept_objects.py says so; and it takes no object for finished that a killed build has left.
    """
    if job.own_config or job.tree.path.is_relative_to(folder):
        objects = folder / "objects"
        yield objects
        shutil.rmtree(objects, ignore_errors=True)
        return
    entry = job.cache.get("objects", kept_objects.objects_key(job), _make_objects)
    objects, unfinished, sources = entry / "objects", entry / "unfinished", entry / "sources.json"
    now = kept_objects.remember(job.tree.path) if job.is_users_tree else None
    differing = kept_objects.changed(sources, now) if job.is_users_tree else []
    if unfinished.exists() or differing is None:
        shutil.rmtree(objects, ignore_errors=True)
    elif kept_objects.decide_configuration(differing):
        (objects / CONFIGURED).unlink(missing_ok=True)
    unfinished.touch()
    # It names the modules of the last build, and a kernel without modules does not write it anew.
    (objects / "modules.order").unlink(missing_ok=True)

    def finish() -> None:
        kept_objects.save(sources, now)
        unfinished.unlink()

    with kept_objects.unless_killed(finish):
        yield objects
    job.cache.remeasure(entry)


def _make_store(folder: Path) -> None:
    (folder / "README").write_text("The objects of all kernel builds, kept by ccache.\n", encoding="utf-8")


def _make_objects(folder: Path) -> None:
    (folder / "README").write_text("The object directory of kernel builds from one source.\n", encoding="utf-8")


def _mirrored(job: Job, source: Path) -> Job:
    mirror(job.tree.path, source)
    copy = dataclasses.replace(job, tree=dataclasses.replace(job.tree, path=source))
    with copy.log.open("a", encoding="utf-8") as log:
        run_logged(["make", "-C", str(source), "mrproper"], log, env=environment(copy))
    return copy


def _collect(job: Job, objects: Path, folder: Path, config: Config) -> None:
    shutil.copy2(objects / job.architecture.image, folder / "image")
    shutil.copy2(objects / ".config", folder / "config")
    shutil.copy2(objects / "System.map", folder / "System.map")
    with contextlib.suppress(FileNotFoundError):
        if (objects / "vmlinux").stat().st_size <= _LARGEST_VMLINUX:
            shutil.copy2(objects / "vmlinux", folder / "vmlinux")
    shutil.copy2(job.log, folder / "build.log")
    for name in (lost_options.UNKNOWN, lost_options.REFUSED):
        if text := lost_options.read(objects / name):
            (folder / name).write_text(text, encoding="utf-8")
    for module in _built_modules(job, objects, config):
        (folder / "modules").mkdir(exist_ok=True)
        shutil.copy2(module, folder / "modules" / module.name)


def _built_modules(job: Job, objects: Path, config: Config) -> list[Path]:
    """The modules of the last build.

    modules.order lists them if all were built; Kbuild removes it after a build of single ones (its top Makefile,
    single_modules).
    """
    if job.own_config:
        return [objects / path for path in loaded_by_guests(config)]
    listed = objects / "modules.order"
    lines = listed.read_text(encoding="utf-8").splitlines() if listed.exists() else []
    # It has named object files since 6.3, and modules before that.
    return [(objects / line.strip()).with_suffix(".ko") for line in lines]


def _check(entry: Path) -> None:
    made = json.loads((entry / "made.json").read_text(encoding="utf-8"))
    inspect(entry / "image")
    if hashlib.sha256((entry / "image").read_bytes()).hexdigest() != made["image_sha256"]:
        raise ValueError("the image has changed")
    config = Config.load(entry / "config")
    if not config:
        raise ValueError("the config is empty")
    for path in loaded_by_guests(config):
        if not (module := entry / "modules" / Path(path).name).is_file():
            raise ValueError(f"the module {module.name} is missing")


def _counts(job: Job) -> Path:
    return job.cache.root / ".logs" / "objects.json"


def _expected(job: Job) -> int:
    """How many objects the last build of this flavor had, or else what the table of flavors says."""
    try:
        return int(json.loads(_counts(job).read_text(encoding="utf-8"))[f"{job.name}/{job.flavor_name}"])
    except (OSError, ValueError, KeyError, TypeError):
        return job.flavor.objects


def _remember(job: Job, done: int) -> None:
    path = _counts(job)
    try:
        counts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        counts = {}
    counts[f"{job.name}/{job.flavor_name}"] = done
    atomic.write(path, json.dumps(counts))
