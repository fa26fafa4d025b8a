# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernels of a run: what the user named, each with a flavor, and how far each has come.

Those that are built are begun together, by one process of the run, and waited for by any; their status files lie in
one folder that all processes of the run know.
"""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from common.errors import KconformError, UsageError
from kconfigs import background, matrix
from kconfigs import profile as profiles
from kconfigs.flavors import DEFAULT
from kconfigs.flavors import flavor as flavor_of
from kconfigs.kernel import Kernel
from kconfigs.matrix import Wanted
from kconfigs.profile import Profile
from kconfigs.sources import SHIPPED, Source
from kconfigs.spec import resolve

PREBUILT = {"debian": "deb:linux-image-cloud-amd64", "ubuntu": "deb:linux-image-virtual"}
"""The small kernel that a distribution ships, whose verdicts come while `source` compiles."""


class Candidate:
    """One kernel to test: a source and, where that is built, a flavor."""

    def __init__(
        self,
        source: Source,
        flavor: str | None,
        kernel_config: Path | None,
        status_folder: Path,
        *,
        name: str = "",
        profile: Profile | None = None,
    ) -> None:
        self.source = source
        self.flavor = flavor if source.builds else None
        self.profile = profile
        """What this kernel must have and begin with."""
        self.kernel_config = kernel_config
        """The .config that the user named for it."""
        self._name = name or source.name
        self.id = f"{self._name}/{self.flavor or SHIPPED}"
        self._status = status_folder / f"{self.id.replace('/', '+')}.json"
        self._builder: subprocess.Popen[bytes] | None = None
        self._kernel: Kernel | None = None
        self.error: KconformError | None = None
        """Why there is no such kernel, once that is known."""

    def __repr__(self) -> str:
        return self.id

    def begin(self) -> None:
        """Start building it beside the run, if it has to be built and is not yet."""
        if self.source.builds and self._builder is None and not self._is_built():
            self._builder = background.start(self.source.spec, self.flavor, self._status, self.kernel_config, self.id)

    def _is_built(self) -> bool:
        # What is wrong with it is for the builder to say.
        with contextlib.suppress(KconformError, OSError):
            return self.source.is_built(self.flavor)
        return False

    def kernel(self) -> Kernel:
        """The kernel, waited for if it is being built.  An error is remembered, not tried again."""
        if self.error is not None:
            raise self.error
        if self._kernel is None:
            try:
                if self._status.exists():
                    background.wait(self._status)
                self._kernel = replace(self.source.kernel(self.flavor), name=self._name)
            except KconformError as error:
                self.error = error
                raise
        return self._kernel

    def digest(self) -> str:
        """The kernel's, or `""` where it would have to be built, or cannot be had."""
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


def wanted(
    specs: Sequence[str] | None,
    flavors: Sequence[str] | None,
    kernel_config: Path | None,
    profile: str | None,
    matrix_file: Path | None,
) -> list[Wanted]:
    """What the options of a run ask for.  UsageError for what cannot be understood."""
    if matrix_file is not None:
        if specs or flavors or kernel_config or profile:
            raise UsageError(
                "--matrix names kernels, flavors, configs and profiles: none can be given beside it",
                hint=f"write it into {matrix_file}, or leave --matrix out",
            )
        return matrix.load(matrix_file)
    chosen = tuple(flavor_of(name).name for name in flavors or [DEFAULT])
    asked = profiles.load(profile) if profile else None
    return [Wanted(spec, chosen, kernel_config, asked) for spec in specs or default_specs()]


def candidates(asked: Sequence[Wanted], status_folder: Path) -> list[Candidate]:
    """The kernels that are asked for, prebuilt ones first.  UsageError, with the place, for what cannot be."""
    sources = [(_source(one), one) for one in asked]
    _refuse_unused_config(sources)
    found: list[Candidate] = []
    taken: dict[str, str] = {}
    for source, one in sorted(sources, key=lambda pair: pair[0].builds):
        # Two trees of one version, say: each has its results.
        name, number = source.name, 1
        while taken.setdefault(name, source.origin) != source.origin:
            number += 1
            name = f"{source.name}-{number}"
        for flavor in dict.fromkeys(one.flavors) if source.builds else [None]:
            candidate = Candidate(source, flavor, one.kernel_config, status_folder, name=name, profile=one.profile)
            same = next((other for other in found if other.id == candidate.id), None)
            if same is None:
                found.append(candidate)
            else:
                for what, there, asked_for in (
                    ("profile", same.profile, one.profile),
                    ("config", same.kernel_config, one.kernel_config),
                ):
                    if there != asked_for:
                        # Both would be one kernel in the report, and only the first would be tested.
                        raise UsageError(
                            f"{one.where}: {candidate.id} is there already, with another {what}",
                            hint="test one of them in a run of its own",
                        )
    return found


def _refuse_unused_config(sources: Sequence[tuple[Source, Wanted]]) -> None:
    """A kernel that is built has its flavor's config, and a named one only if the flavor says so."""
    idle = [
        one
        for source, one in sources
        if one.kernel_config and source.builds and not any(flavor_of(name).on_own_config for name in one.flavors)
    ]
    # Of --kernel-config among the options it is enough that one of the kernels uses it.
    if idle and (idle[0].where or len(idle) == len(sources)):
        raise UsageError(
            f"{idle[0].where or idle[0].spec}: nothing would be built with the config {idle[0].kernel_config}",
            hint="--flavor=mine builds a named config; without one, a flavor's own is built",
        )


def _source(asked: Wanted) -> Source:
    try:
        return resolve(asked.spec, kernel_config=asked.kernel_config)
    except UsageError as error:
        if not asked.where:
            raise
        raise UsageError(f"{asked.where}: {error.message}", hint=error.hint) from error


def default_specs() -> list[str]:
    """The distribution's small prebuilt kernel, and its kernel source."""
    with contextlib.suppress(OSError):
        prebuilt = PREBUILT.get(platform.freedesktop_os_release()["ID"])
        if prebuilt:
            return [prebuilt, "source"]
    return ["source"]
