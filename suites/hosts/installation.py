# SPDX-License-Identifier: GPL-2.0-or-later
"""The file system of a host in which commands run: a temporary copy of its base."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from common.errors import KconformError
from kconfigs.build.supervised_process import run_logged
from suites.hosts import host_commands
from suites.hosts.settings import Bind, Settings

ARCHIVES = "/var/cache/apt/archives"
"""The directory of apt's downloaded packages, which are kept in the base's entry for the next copy."""


class Installation:
    """A copy of the base in `entry`.  A copy that a killed process left there is removed first."""

    def __init__(self, entry: Path, settings: Settings) -> None:
        self.root = entry / "copy"
        remove_copy(entry)
        copying = ["cp", "--archive", "--reflink=auto", str(entry / "root"), str(self.root)]
        done = subprocess.run(copying, capture_output=True, encoding="utf-8", errors="replace", check=False)
        if done.returncode:
            raise KconformError(f"{entry / 'root'} could not be copied: {done.stderr.strip().splitlines()[-1]}")
        for name in ("etc/resolv.conf", "etc/hosts"):  # the same as here, because the host shares the network
            self.path(name).unlink(missing_ok=True)
            if Path("/", name).exists():
                shutil.copy(Path("/", name), self.path(name))
        self.path("etc/apt/apt.conf.d/90host").write_text(settings.apt, encoding="utf-8")
        # The data need not survive a power failure, and syncing takes most of an installation's time.
        self.path("etc/dpkg/dpkg.cfg.d/unsafe-io").write_text("force-unsafe-io\n", encoding="utf-8")
        self._environment = settings.environment
        self._binds: list[Bind] = []
        for each in (*settings.binds, Bind(entry / "archives", ARCHIVES, writable=True)):
            self.bind(each)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        remove_copy(self.root.parent)

    def path(self, name: str) -> Path:
        """The path on this machine of a path on the host."""
        return self.root / name.lstrip("/")

    def bind(self, bind: Bind) -> None:
        """Bind a file or directory into the host, for all later commands."""
        target = self.path(bind.target)
        if bind.source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        self._binds.append(bind)

    def run(
        self,
        command: Sequence[str],
        log: IO[str],
        *,
        folder: str = "/",
        on_line: Callable[[str], None] | None = None,
    ) -> int:
        """Run a command on the host, and return its exit status; its output goes to `log`, each line to `on_line`."""
        return run_logged(self._entered(command, folder), log, env=os.environ, on_line=on_line)

    def ask(self, command: Sequence[str]) -> str:
        """The output of a command on the host."""
        done = subprocess.run(
            self._entered(command, "/"), capture_output=True, encoding="utf-8", errors="replace", check=False
        )
        return done.stdout

    def _entered(self, command: Sequence[str], folder: str) -> list[str]:
        return host_commands.enter(
            self.root, command, environment=self._environment, folder=folder, binds=self._binds
        )


def remove_copy(entry: Path) -> None:
    """Remove the copy.  KconformError if something is mounted in it, which could be this machine's own files."""
    copy = entry / "copy"
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()]
    if inside := [place for place in mounted if Path(place).is_relative_to(copy)]:
        raise KconformError(f"{inside[0]} is mounted, so {copy} is not removed", hint=f"run: umount {inside[0]}")
    # rm removes the approximately 50 000 files in a fraction of the time that Python takes.
    removing = ["rm", "--recursive", "--force", "--one-file-system", str(copy)]
    done = subprocess.run(removing, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode:
        raise KconformError(f"{copy} could not be removed: {done.stderr.strip().splitlines()[-1]}")
