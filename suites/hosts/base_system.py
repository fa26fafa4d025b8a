# SPDX-License-Identifier: GPL-2.0-or-later
"""The file system of a host after a minimal installation: created by debootstrap, kept in the cache.

Layout of an entry, `hosts/<suite>`:

    root/       the file system; debootstrap is the only program that ever runs in it
    made        an empty file, whose mtime is the time of creation
    archives/   packages that apt has downloaded there, kept for the next copy
    copy/       a copy of root/ that is in use (installation.py)
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from common.errors import KconformError, UsageError
from kconfigs.build.supervised_process import run_logged
from kconfigs.cache import Cache
from kconfigs.debian.apt import Apt
from kconfigs.debian.archive_suite import KEYRINGS, Archive, archive_of, archives
from suites.hosts import host_commands
from suites.hosts.distributions import Host, host_of
from suites.hosts.installation import ARCHIVES, Installation, remove_copy
from suites.hosts.settings import Bind, Settings

log = logging.getLogger("kconform")

KIND = "hosts"
MAX_AGE_S = 14 * 24 * 3600.0
"""An older base is created again: users install current packages, and those of sid change daily."""

_MAKER = "sid"
"""The Debian suite in which to create the bases of distributions that this machine's debootstrap does not support."""
_MAKER_PACKAGES = ("debootstrap", "ubuntu-archive-keyring")
_TARGET = "/srv/target"
_SCRIPTS = Path("/usr/share/debootstrap/scripts")
_UNREACHABLE = "Failed getting release file"
"""debootstrap's message if an archive does not answer or lacks the suite."""


class UnreachableError(KconformError):
    """The archive of a distribution cannot be reached from this machine."""


def require_tools(which: Callable[[str], str | None] = shutil.which, uid: int | None = None) -> None:
    """UsageError if this machine lacks something that a host needs."""
    if (os.geteuid() if uid is None else uid) != 0:
        raise UsageError(
            "only root can create other hosts: debootstrap, mount and pivot_root need it",
            hint="run: sudo tox -e hosts",
        )
    for program, package in {
        "debootstrap": "debootstrap",
        "unshare": "util-linux",
        "pivot_root": "util-linux-extra",  # up to Debian 13, util-linux has it
    }.items():
        if which(program) is None:
            raise UsageError(f"{program} is not installed", hint=f"run: apt-get install {package}")
    done = subprocess.run(
        host_commands.isolated("true"), capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    if done.returncode:
        raise UsageError(
            f"root may not create namespaces here: {done.stderr.strip()}",
            hint="run it outside of a container, or in a privileged one",
        )


class Bases:
    """The bases of hosts, in a cache; `settings` are those for network access from a host."""

    def __init__(self, cache: Cache, settings: Settings, logs: Path) -> None:
        self._cache = cache
        self._settings = settings
        self._logs = logs
        self._archives: list[Archive] | None = None

    def get(self, host: Host, *, fresh: bool = False) -> Path:
        """The entry of the cache.  UnreachableError, or KconformError if debootstrap fails.

        `fresh`: create it again instead of using the cache.
        """
        if fresh or self._age(host) > MAX_AGE_S:
            remove_copy(self._cache.root / KIND / host.suite)
            if not self._cache.discard(KIND, host.suite):
                raise KconformError(f"{host.name} is in use by another process", hint="wait until it has ended")
        return self._cache.get(KIND, host.suite, lambda folder: self._make(host, folder))

    def _age(self, host: Host) -> float:
        try:
            return time.time() - (self._cache.root / KIND / host.suite / "made").stat().st_mtime
        except OSError:
            return 0

    def _make(self, host: Host, folder: Path) -> None:
        (folder / "archives/partial").mkdir(parents=True)
        root = folder / "root"
        root.mkdir()
        path = self._logs / f"{host.name}-debootstrap.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        log.info("%s: debootstrap %s, log: %s", host.name, host.suite, path)
        with path.open("w", encoding="utf-8") as file:
            status = self._debootstrap(host, root, file)
        output = path.read_text(errors="replace", encoding="utf-8")
        if _UNREACHABLE in output:
            raise UnreachableError(f"the archive of {host.distribution} cannot be reached", hint=f"see {path}")
        if status:
            last = output.strip().splitlines()[-1:] or [f"exit status {status}"]
            raise KconformError(f"debootstrap {host.suite} failed: {last[0]}", hint=f"see {path}")
        self._complete(host, root)
        (folder / "made").touch()

    def _debootstrap(self, host: Host, root: Path, file: IO[str]) -> int:
        """Run debootstrap, and return its exit status."""
        mirror = next((one.uri for one in self._known() if one.label == one.origin == host.distribution), "")
        keyring = KEYRINGS[host.distribution]
        if keyring.exists() and (_SCRIPTS / host.suite).exists():
            command = host_commands.debootstrap(host, str(root), mirror, keyring)
            return run_logged(host_commands.bootstrapping(command), file, env=os.environ)
        if host.suite == _MAKER:
            raise UsageError(
                f"this machine cannot check the archive of {host.distribution}: {keyring} is missing",
                hint=f"run: apt-get install {keyring.stem}",
            )
        maker = host_of(_MAKER)
        log.info("%s is created in %s, whose debootstrap supports it", host.name, maker.name)
        with Installation(self.get(maker), self._settings) as made_on:
            made_on.bind(Bind(root, _TARGET, writable=True))
            for command in (list(host_commands.UPDATE), ["apt-get", "install", "-y", *_MAKER_PACKAGES]):
                if made_on.run(command, file):
                    raise KconformError(f"{' '.join(command)} failed on {maker.name}", hint=f"see {file.name}")
            return made_on.run(host_commands.debootstrap(host, _TARGET, mirror, keyring), file)

    def _complete(self, host: Host, root: Path) -> None:
        """Do what an installer also does: add the sources of updates, and the hostname."""
        written = (root / "etc/apt/sources.list").read_text(encoding="utf-8").split()
        mirror = written[1]
        security = (
            archive_of(f"{host.suite}-security", self._known()).uri if host.distribution == "Debian" else mirror
        )
        (root / "etc/apt/sources.list").write_text(
            host_commands.sources_list(host, mirror, security), encoding="utf-8"
        )
        (root / "etc/hostname").write_text(f"{host.name}\n", encoding="utf-8")
        for package in (root / ARCHIVES.lstrip("/")).glob("*.deb"):
            package.unlink()

    def _known(self) -> list[Archive]:
        """The distributions' archives that this machine's apt uses; empty if there is no apt."""
        if self._archives is None:
            self._archives = []
            with contextlib.suppress(KconformError, subprocess.CalledProcessError, OSError):
                machine = Apt()
                machine.ready("hosts")
                self._archives = archives(machine)
        return self._archives
