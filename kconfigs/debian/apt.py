# SPDX-License-Identifier: GPL-2.0-or-later
"""What this machine's apt offers; nothing is changed but apt's own lists.

Packages are downloaded, never installed, and root is not needed.  On a fresh machine without package lists they are
fetched once, if we are root; other users get lists of their own (kconfigs.debian.package_lists).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from debian.debian_support import Version

from common import atomic, bounded
from common.errors import KconformError, UsageError
from common.project_files import COMMAND
from common.text import nearest, printable
from kconfigs import input_limits
from kconfigs.debian.deb_package import Package, parse_control

Run = Callable[[Sequence[str], Path | None], str]
"""Runs a command in a directory and returns its output.  subprocess.CalledProcessError if it fails."""

_SOURCE = re.compile(r"linux-source-\d+(?:\.\d+)+")
_WATCHED = (Path("/etc/apt"), Path("/var/lib/apt/lists"), Path("/var/lib/dpkg/status"))
_ELSEWHERE = "pass --kernel with a kernel tree or an image file instead"


@dataclass(frozen=True)
class KernelPackages:
    """A kernel in packages: the one that has its name, and all that must be unpacked together."""

    kernel: Package
    all: tuple[Package, ...]
    missing: tuple[str, ...] = ()
    """Packages that it depends on and apt does not offer.  An archive removes what was built from a source package
    together with it, but keeps what was signed separately for longer."""


LONGEST_PATH = 298
"""Bytes of a directory that apt-get can download into.  It downloads into / if the path is longer: SafeGetCWD() in
apt-pkg/contrib/fileutl.cc has a buffer of 300 bytes."""


@contextlib.contextmanager
def _place_for_apt(directory: Path) -> Iterator[Path]:
    """The directory, or a temporary one if its path is too long for apt-get.  UsageError if that is, too."""
    if len(os.fsencode(directory.resolve())) <= LONGEST_PATH:
        yield directory
        return
    with tempfile.TemporaryDirectory(prefix="kconform-apt-") as other:
        if len(os.fsencode(Path(other).resolve())) > LONGEST_PATH:
            raise UsageError(
                f"the path of the cache is longer than the {LONGEST_PATH} bytes that apt-get can handle,"
                " and so is that of the directory for temporary files",
                hint="set KCONFORM_CACHE or TMPDIR to a directory with a shorter path",
            )
        yield Path(other)


class Apt:
    """Questions to apt, whose answers `memory` keeps between runs.

    `options` are given to each command, and may lead apt to other lists than the machine's.  Tests replace `run`.
    """

    def __init__(self, run: Run | None = None, memory: Memory | None = None, options: Sequence[str] = ()) -> None:
        self.run = run or run_command
        self._memory = memory
        self._options = list(options)

    def newest_source(self) -> Package:
        """The newest linux-source-X.Y, by the package's version, not by its name."""
        self.ready("source")
        output = self.ask("apt-cache", "search", "--names-only", "^linux-source-[0-9]")
        names = [name for name in (line.split(" ", 1)[0] for line in output.splitlines()) if is_source(name)]
        packages = self._show(dict.fromkeys(names, ""))
        if not packages:
            raise UsageError("apt offers no package with kernel source (linux-source-*)", hint=_ELSEWHERE)
        return max(packages, key=lambda package: Version(package.version))

    def source(self, name: str, version: str = "") -> Package:
        """A package with kernel source.  UsageError if there is none by that name."""
        self.ready(f"deb:{name}")
        for package in self._show({name: version}):
            return package
        raise self._unknown(name, version)

    def kernel(self, name: str, version: str = "") -> KernelPackages:
        """The kernel that a package holds or, as a metapackage, leads to.  UsageError if there is no such package."""
        self.ready(f"deb:{name}")
        found: dict[str, Package] = {}
        wanted = {name: version}
        while wanted:
            packages = self._show(wanted)
            found.update((package.name, package) for package in packages)
            if not found:
                raise self._unknown(name, version)
            parts = {part: exact for package in packages for part, exact in package.parts.items()}
            wanted = {part: exact for part, exact in parts.items() if part not in found}
        kernels = [package for package in found.values() if package.holds_kernel]
        if not kernels:
            raise UsageError(
                f"the package {printable(name)} holds no kernel, and depends on none",
                hint="name a linux-image package, such as deb:linux-image-cloud-amd64",
            )
        # A package may be named as a kernel and only depend on the next one: the last of them has the kernel.
        kernel = kernels[-1]
        missing = tuple(part for package in found.values() for part in package.parts if part not in found)
        return KernelPackages(kernel, tuple(p for p in found.values() if p.belongs_to(kernel)), missing)

    def download(self, package: Package, into: Path) -> Path:
        """The .deb file, downloaded into a directory.  KconformError if apt cannot get it."""
        with _place_for_apt(into) as place:
            file = self._download(package, place)
            return file if place == into else Path(shutil.move(file, into))

    def _download(self, package: Package, into: Path) -> Path:
        try:
            self._run("apt-get", *as_root(), "download", "-qq", f"{package.name}={package.version}", into=into)
        except subprocess.CalledProcessError as error:
            if "No space left" in str(error.stderr):
                raise OSError(errno.ENOSPC, "No space left on device", str(into)) from error
            if "cannot be authenticated" in str(error.stderr):
                raise UsageError(
                    f"{package.name} {package.version} comes from an archive without a valid signature",
                    hint="use an archive whose key apt knows (apt-secure(8)), or pass the downloaded .deb file",
                ) from error
            refresh = f"{COMMAND} cache clear suites" if self._options else "apt-get update"
            raise KconformError(
                f"{package.name} {package.version} could not be downloaded: {last_line(error)}",
                hint=f"check the network; if the archive has replaced the package, get its new lists ({refresh})",
            ) from error
        files = list(into.glob("*.deb"))
        if len(files) != 1:
            raise KconformError(f"apt-get left {len(files)} files of {package.name}, not one")
        return files[0]

    def ask(self, *question: str) -> str:
        """What apt prints.  subprocess.CalledProcessError if it fails."""
        answer = self._memory.answer(question) if self._memory else None
        if answer is None:
            answer = self._run(*question)
            if self._memory:
                self._memory.keep(question, answer)
        return answer

    def _run(self, program: str, *arguments: str, into: Path | None = None) -> str:
        return self.run([program, *self._options, *arguments], into)

    def _show(self, wanted: Mapping[str, str]) -> list[Package]:
        """Those of the wanted packages, by name and version ('' for any), that apt knows."""
        specs = [f"{name}={version}" if version else name for name, version in wanted.items()]
        if not specs:
            return []
        try:
            output = self.ask("apt-cache", "show", "--no-all-versions", *specs)
        except subprocess.CalledProcessError as error:
            # A single unknown name makes the command fail, but it shows the others.
            output = str(error.stdout or "")
        found = []
        for paragraph in re.split(r"\n\n+", output.strip("\n")) if output.strip() else ():
            try:
                package = parse_control(paragraph)
            except ValueError as error:
                raise UsageError(
                    f"apt has a package, for {printable(specs[0])}, that makes no sense: {error}", hint=_ELSEWHERE
                ) from error
            # For a virtual package apt shows those that provide it.
            if wanted.get(package.name) in {"", package.version}:
                found.append(package)
        return found

    def ready(self, spec: str) -> None:
        """Make sure that apt is there and has lists, and fetch them if we may.  UsageError about the SPEC if not."""
        if not self.is_installed:
            raise UsageError(f"{printable(spec)} needs apt, which this system lacks", hint=_ELSEWHERE)
        if self.has_lists:
            return
        hint = "run: apt-get update"
        if os.geteuid() != 0:
            raise UsageError(f"{printable(spec)}: apt has no package lists yet", hint=hint)
        try:
            self._run("apt-get", "update", "-qq")
        except subprocess.CalledProcessError as error:
            raise KconformError(f"apt's lists could not be fetched: {last_line(error)}", hint=hint) from error
        del self.has_lists

    @property
    def is_installed(self) -> bool:
        return self.run is not run_command or bool(shutil.which("apt-get") and shutil.which("apt-cache"))

    @cached_property
    def has_lists(self) -> bool:
        try:
            return bool(self.ask("apt-get", "indextargets", "Created-By: Packages").strip())
        except subprocess.CalledProcessError:
            return False

    def _unknown(self, name: str, version: str) -> UsageError:
        if version and (there := self._show({name: ""})):
            return UsageError(
                f"apt offers no version {printable(version)} of {name}",
                hint=f"it offers deb:{name}={there[0].version}",
            )
        names = self._run("apt-cache", "pkgnames", "linux-source-" if is_source(name) else "linux-image-").split()
        near = nearest(name, names) or sorted(n for n in names if not re.search(r"\d\.\d|dbg", n))
        hint = f"it knows {', '.join(near[:6])}" if near else "bring apt's lists up to date (apt-get update)"
        return UsageError(f"apt knows no package {printable(name)}", hint=hint)


class Memory:
    """Answers of apt in a JSON file, valid as long as apt's lists and sources do not change.

    In container images apt keeps no binary cache, and each question takes most of a second.
    """

    def __init__(self, path: Path, watched: Sequence[Path] = _WATCHED) -> None:
        self._path = path
        self._watched = watched

    def answer(self, question: Sequence[str]) -> str | None:
        return self._answers().get(" ".join(question))

    def keep(self, question: Sequence[str], answer: str) -> None:
        answers = {**self._answers(), " ".join(question): answer}
        # If the file cannot be written, apt is asked again next time.
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            atomic.write(self._path, json.dumps({"stamp": _stamp(self._watched), "answers": answers}))

    def _answers(self) -> dict[str, str]:
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            return dict(kept["answers"]) if kept["stamp"] == _stamp(self._watched) else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}


def _stamp(watched: Sequence[Path]) -> str:
    """A digest that changes when a file at or below one of these paths does."""
    content = hashlib.sha256()
    for top in watched:
        for path in sorted([top, *top.rglob("*")]):
            with contextlib.suppress(OSError):
                stat = path.stat()
                content.update(f"{path} {stat.st_size} {stat.st_mtime_ns} {stat.st_ino}\n".encode())
    return content.hexdigest()


def is_source(name: str) -> bool:
    """Whether a package of that name has kernel source."""
    return _SOURCE.fullmatch(name) is not None


def as_root() -> list[str]:
    """Options for apt as root, which otherwise warns that its unprivileged user cannot write to our directory."""
    return ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []


def run_command(command: Sequence[str], cwd: Path | None) -> str:
    """As `Run`.  UsageError if it prints more than input_limits.APT_ANSWER."""
    with tempfile.TemporaryFile() as complaint:
        program = subprocess.Popen(
            list(command), cwd=cwd, stdout=subprocess.PIPE, stderr=complaint, env={**os.environ, "LC_ALL": "C"}
        )
        with program:
            assert program.stdout is not None
            answer = program.stdout.read(input_limits.APT_ANSWER + 1)
            if len(answer) > input_limits.APT_ANSWER:
                program.kill()
        complaint.seek(0)
        stderr = complaint.read(input_limits.APT_ANSWER).decode(errors="replace")
    if len(answer) > input_limits.APT_ANSWER:
        raise UsageError(
            f"{command[0]} prints more than {bounded.size(input_limits.APT_ANSWER)},"
            " which no package takes to describe",
            hint="look at the archives that apt uses (/etc/apt/sources.list.d)",
        )
    stdout = answer.decode(errors="replace")
    if program.returncode:
        raise subprocess.CalledProcessError(program.returncode, list(command), stdout, stderr)
    return stdout


def last_line(error: subprocess.CalledProcessError) -> str:
    lines = [line for line in str(error.stderr or error.stdout or "").splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"{error.cmd[0]} ended with status {error.returncode}"
