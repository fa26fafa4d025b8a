# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernels of a run: planned once, as values, and then fetched or built.

Those that have to be built are begun together, by one process of the run, and any process may wait for them: their
status files are in one folder that all processes of the run know.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from common import atomic
from common.errors import KconformError, UsageError
from common.stopwatch import UNRECORDED, Stopwatch
from common.text import printable
from kconfigs.build import background_build
from kconfigs.build.background_build import BuildOrder
from kconfigs.build.build_progress import BuildState, PhaseTimes
from kconfigs.build.status_file import read_status
from kconfigs.fetch import fetch, is_built
from kconfigs.flavors import flavor as flavor_of
from kconfigs.kernel import Kernel
from kconfigs.kernel_requests import KernelRequest
from kconfigs.profile import Profile
from kconfigs.resolve import resolve
from kconfigs.sources import SHIPPED, Source


@dataclass(frozen=True)
class PlannedKernel:
    """A kernel to test: a source and, if that is built, a flavor."""

    source: Source
    name: str
    """The source's, or with a number if another source of this run has the same name."""
    flavor: str | None = None
    profile: Profile | None = None
    """What this kernel must have and begin with."""

    @property
    def id(self) -> str:
        """As in `Kernel.id`."""
        if self.flavor is None:
            return f"{self.name}/{SHIPPED}"
        changes = self.source.changes
        return f"{self.name}/{changes.applied_to(self.flavor) if changes else self.flavor}"


def plan(requests: Sequence[KernelRequest]) -> list[PlannedKernel]:
    """The kernels that are asked for, prebuilt ones first.  UsageError, with the place, for what cannot be tested."""
    sources = [(_source(request), request) for request in requests]
    _refuse_unused(sources)
    planned: dict[str, PlannedKernel] = {}
    origins: dict[str, str] = {}
    for source, request in sorted(sources, key=lambda pair: pair[0].builds):
        # Two trees of the same version, for example, are two kernels with results of their own.
        name, number = source.name, 1
        while origins.setdefault(name, source.origin) != source.origin:
            number += 1
            name = f"{source.name}-{number}"
        for flavor in dict.fromkeys(request.flavors) if source.builds else [None]:
            kernel = PlannedKernel(source, name, flavor, request.profile)
            _refuse_conflict(planned.setdefault(kernel.id, kernel), kernel, request)
    return list(planned.values())


def _source(request: KernelRequest) -> Source:
    try:
        source = resolve(
            request.spec, kernel_config=request.kernel_config, modules=request.modules, arch=request.arch
        )
        # Debian's 6.1.0 may be any 6.1.x, which is known once the package is here.
        series = (*source.version[:2], 1 << 16) if source.version[2:] == (0,) else source.version
        if request.profile is not None and request.profile.excludes(series):
            request.profile.require_version(source.version, printable(request.spec.text))
    except UsageError as error:
        if not request.where:
            raise
        raise error.at(request.where) from error
    return replace(source, allow_dropped=request.allow_dropped, changes=request.changes if source.builds else None)


def _refuse_unused(sources: Sequence[tuple[Source, KernelRequest]]) -> None:
    """UsageError for an option that no kernel of the run uses, or a key of a matrix that its kernel does not use."""
    for source, request in sources:
        if request.where:
            _refuse_unused_keys(source, request)
    on_command_line = [request for _, request in sources if not request.where]
    built = [source.builds for source, request in sources if not request.where]
    if any(request.changes for request in on_command_line) and not any(built):
        raise UsageError(
            "--config changes what a kernel is built with, and none of these is built",
            hint="name a kernel tree, source or deb:linux-source-X.Y with --kernel",
        )
    if any(request.arch for request in on_command_line) and not any(built):
        raise UsageError(
            "--arch is for kernels that are built, and none of these is built",
            hint="an image or a package has the architecture that it has; deb:PACKAGE:ARCH names another package",
        )
    if any(request.modules for request in on_command_line) and all(built):
        raise UsageError(
            "--modules is for kernels that are not built, and all of these are built",
            hint="leave it out: a kernel that is built has its modules",
        )
    # A kernel that is built gets its flavor's config; a config that is named is for flavors that say so.
    unused = [
        request
        for source, request in sources
        if request.kernel_config
        and source.builds
        and not any(flavor_of(name).on_own_config for name in request.flavors)
    ]
    # --kernel-config on the command line is for all kernels, and one that uses it is enough.
    if unused and (unused[0].where or len(unused) == len(sources)):
        raise UsageError(
            f"{unused[0].where or printable(unused[0].spec.text)}: nothing would be built with the config"
            f" {printable(str(unused[0].kernel_config))}",
            hint="--flavor=mine builds with it; other flavors have a config of their own",
        )


def _refuse_unused_keys(source: Source, request: KernelRequest) -> None:
    what = f"{request.where}: {printable(request.spec.text)}"
    if request.arch and not source.builds:
        raise UsageError(
            f"{what} is not built, and has the architecture that it has",
            hint="leave out its arch, or name another package, as deb:PACKAGE:ARCH",
        )
    if request.modules and source.builds:
        raise UsageError(f"{what} is built, and its modules with it", hint="leave out its modules")
    if request.changes and not source.builds:
        raise UsageError(
            f"{what} is not built, so its config cannot be changed", hint="leave out its fragments, or name a source"
        )


def _refuse_conflict(first: PlannedKernel, second: PlannedKernel, request: KernelRequest) -> None:
    """Both would be one kernel in the report, and only the first would be tested."""
    for what, there, here in (
        ("profile", first.profile, second.profile),
        ("folder of modules", first.source.modules, second.source.modules),
        ("config", first.source.kernel_config, second.source.kernel_config),
        ("config fragment of that name", first.source.changes, second.source.changes),
    ):
        if there != here:
            message = f"{second.id} has been named before, with another {what}"
            raise UsageError(
                f"{request.where}: {message}" if request.where else message,
                hint="test one of them in a run of its own",
            )


# Fetching and building them


class Candidate:
    """A planned kernel in one process of the run: not there yet, there, or failed."""

    def __init__(self, planned: PlannedKernel, status_folder: Path) -> None:
        self.id, self.source, self.profile = planned.id, planned.source, planned.profile
        self._planned = planned
        self._status = status_folder / f"{self.id.replace('/', '+')}.json"
        self._builder: subprocess.Popen[bytes] | None = None
        self._kernel: Kernel | None = None
        self.error: KconformError | None = None
        """Why there is no such kernel, once that is known."""

    def __repr__(self) -> str:
        return self.id

    def begin(self, after: Candidate | None = None) -> bool:
        """Start building it beside the run, if it has to be built and the cache does not have it: then True.

        The compilers wait until the build of `after` has ended.
        """
        if not self.source.builds or self._builder is not None or self._is_built():
            return False
        first = after._builder.pid if after is not None and after._builder is not None else 0
        order = BuildOrder(self.source, self._planned.flavor, self.id, first)
        self._builder = background_build.start(order, self._status)
        return True

    def _is_built(self) -> bool:
        # If something is wrong with it, the builder reports that.
        with contextlib.suppress(KconformError, OSError):
            return is_built(self.source, self._planned.flavor)
        return False

    def kernel(self, watch: Stopwatch = UNRECORDED) -> Kernel:
        """The kernel, after waiting if it is being built.  An error is remembered, and raised again each time."""
        if self.error is not None:
            raise self.error
        if self._kernel is None:
            with watch.timed(self.id, "wait"):
                try:
                    self._kernel = self._fetched(watch)
                except KconformError as error:
                    self.error = error
                    raise
        return self._kernel

    def _fetched(self, watch: Stopwatch) -> Kernel:
        times = PhaseTimes(watch.clock)
        try:
            if self._status.exists():
                try:
                    background_build.wait(self._status)
                finally:
                    self._record_build(watch)
            kernel = replace(fetch(self.source, self._planned.flavor, times), name=self._planned.name)
            if self.profile is not None:
                self.profile.require_version(kernel.version, self.id)  # the source may not have known it
            return kernel
        finally:
            times.stop()
            for step, seconds in times.seconds.items():
                watch.record(self.id, step, seconds)

    def _record_build(self, watch: Stopwatch) -> None:
        """Record what the build beside the run took, in the first process that waited for it."""
        with contextlib.suppress(FileExistsError, KconformError):
            atomic.create(self._status.with_suffix(".recorded"), "")
            for step, seconds in read_status(self._status).seconds.items():
                watch.record(self.id, step, seconds)

    def building(self) -> BuildState | None:
        """The state of the build beside the run; None if there is none, or if it has ended."""
        with contextlib.suppress(KconformError):
            state = read_status(self._status).state
            if state.phase not in ("done", "failed"):
                return state
        return None

    def digest(self) -> str:
        """The kernel's digest; empty if it would have to be built first, or if it cannot be made."""
        with contextlib.suppress(KconformError):
            if not self.source.builds or self._is_built():
                return self.kernel().digest
        return ""

    def abandon(self) -> None:
        """End a build that nobody waits for any more."""
        if self._builder is not None and self._builder.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._builder.pid, signal.SIGTERM)
            self._builder.wait()
