# SPDX-License-Identifier: GPL-2.0-or-later
"""Package lists in our cache, which apt uses instead of the machine's: fetched by any user, anew once a day."""

from __future__ import annotations

import datetime
import hashlib
import logging
import os
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from common.errors import KconformError, UsageError
from kconfigs.cache import Cache
from kconfigs.debian.apt import Apt, Memory, last_line

log = logging.getLogger("kconform")

KIND = "suites"

SOURCES = (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d"))

NETWORK_HINT = "check the network, and the archive that apt uses (/etc/apt/sources.list.d)"


def with_lists(
    machine: Apt, cache: Cache, today: datetime.date | None = None, sources: Iterable[Path] = SOURCES
) -> Apt:
    """The machine's apt; if it has no lists and only root may fetch them, one with its sources and lists of ours.

    The images of containers have no lists.  KconformError if they cannot be fetched.
    """
    if os.geteuid() == 0 or not machine.is_installed or machine.has_lists:
        return machine
    # No suite has such a name.  A cache may be shared by systems with different sources.
    name = f"SOURCES-{_digest(sources)}"

    def fetch(folder: Path) -> None:
        try:
            there = update(machine, [*private(folder), "-o", "Acquire::Languages=none"])
        except subprocess.CalledProcessError as error:
            raise KconformError(
                f"apt has no package lists, and they could not be fetched: {last_line(error)}", hint=NETWORK_HINT
            ) from error
        if not there:
            raise UsageError("apt has no sources of packages", hint="see sources.list(5)")

    return apt_with(daily(cache, name, fetch, today), machine, private)


def update(machine: Apt, options: Sequence[str]) -> bool:
    """Fetch all lists, by these options, and return whether there are any.  CalledProcessError if one is missing.

    What an incomplete update left would be used for a day.
    """
    machine.run(["apt-get", *options, "-o", "APT::Update::Error-Mode=any", "update", "-qq"], None)
    return bool(machine.run(["apt-get", *options, "indextargets", "Created-By: Packages"], None).strip())


def daily(cache: Cache, name: str, fetch: Callable[[Path], None], today: datetime.date | None = None) -> Path:
    """The cache's entry of these lists, which `fetch(folder)` fetches if it is not of today.

    If that fails, those of an earlier day, with a warning; the error, if there are none or it is a UsageError.
    """
    today = today or datetime.datetime.now(tz=datetime.UTC).date()
    earlier = sorted(one.key for one in cache.entries() if one.kind == KIND and one.key.startswith(f"{name}_"))

    def make(folder: Path) -> None:
        for needed in ("state/lists/partial", "cache/archives/partial"):
            (folder / needed).mkdir(parents=True)
        fetch(folder)

    try:
        entry = cache.get(KIND, f"{name}_{today.isoformat()}", make)
    except KconformError as error:
        if isinstance(error, UsageError) or not earlier:
            raise
        log.warning("%s; using those of %s", error, earlier[-1].removeprefix(f"{name}_"))
        entry = cache.get(KIND, earlier[-1], make)
    for old in earlier:
        if old != entry.name:
            cache.discard(KIND, old)
    return entry


def apt_with(entry: Path, machine: Apt, options: Callable[[Path], list[str]]) -> Apt:
    """An apt that uses the lists of this entry, by these options."""
    return Apt(machine.run, Memory(entry / "answers.json", [entry / "state/lists"]), options(entry))


def private(folder: Path) -> list[str]:
    """Options that keep apt's state in this folder: it ignores the machine's lists and installed packages."""
    settings: dict[str, Path | str] = {
        "Dir::State": folder / "state",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": folder / "cache",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _digest(sources: Iterable[Path]) -> str:
    content = hashlib.sha256()
    for top in sources:
        for path in sorted([top, *top.rglob("*")]):
            if path.is_file():
                content.update(f"{path}\n".encode() + path.read_bytes())
    return content.hexdigest()[:12]
