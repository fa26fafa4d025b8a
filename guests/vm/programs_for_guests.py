# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of the host, with the libraries that they need, for guests, whose file system is empty.

The program with a given name differs between hosts: GNU coreutils of some version, uutils or BusyBox, with glibc or
musl.  Its behaviour is not a promise of the kernel, so any problem with it is a ProgramError, which names the program
and its version, and never a failure.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from guests.errors import KconformError

_LISTED = re.compile(r"^\s*(?:(?P<name>\S.*?) => )?(?P<path>/.*?|not found)(?: \(0x[0-9a-f]+\))?$", re.MULTILINE)
"""A line of `ld.so --list`, of glibc and of musl; the vdso has no path."""
_FOR_THIS_PROCESSOR = re.compile(r"/glibc-hwcaps/[^/]+(?=/)")
_SIZE_LIMIT_MIB = 32
"""Size limit: a guest's memory contains the initramfs twice while it is unpacked."""
_ELF_64 = b"\x7fELF\x02\x01"
_PT_INTERP = 3
_HINT = "install GNU coreutils"
_OF_COREUTILS = b"--coreutils-prog-shebang="
_LONGEST_SHEBANG = 4096


class ProgramError(KconformError):
    """A program of the host cannot be run in a guest, or does not do what a test needs."""


@dataclass(frozen=True)
class HostProgram:
    """A program of the host that guests run."""

    name: str
    path: Path
    version: str
    """The first line of its --version that contains a version."""
    libraries: Mapping[str, Path]
    """Its dynamic linker and libraries: the path in a guest, and the path on the host."""

    def __str__(self) -> str:
        return self.version if self.name in self.version else f"{self.name} ({self.version})"

    @property
    def library_path(self) -> str:
        """Its LD_LIBRARY_PATH in a guest, which has no ld.so.cache, and where $ORIGIN is another directory."""
        return ":".join(dict.fromkeys(os.path.dirname(where) for where in self.libraries))  # noqa: PTH120 - a guest's


def program_files(names: Sequence[str]) -> dict[str, bytes]:
    """The files of these programs, by path without a leading slash: `bin/NAME`, dynamic linkers and libraries."""
    programs = [find(name) for name in names]
    found: dict[str, bytes] = {}
    for program in programs:
        found[f"bin/{program.name}"] = program.path.read_bytes()
        found |= {where.removeprefix("/"): path.read_bytes() for where, path in program.libraries.items()}
    size = sum(map(len, found.values())) >> 20
    if size > _SIZE_LIMIT_MIB:
        listed = " and ".join(map(str, programs))
        raise ProgramError(f"{listed} need {size} MiB, and a guest has room for {_SIZE_LIMIT_MIB} MiB", hint=_HINT)
    return found


@cache
def find(name: str) -> HostProgram:
    """The host's program with this name, or at this path; the GNU one, if there are several."""
    candidates = (name,) if "/" in name else (f"gnu{name}", name)
    paths = [path for candidate in candidates if (path := shutil.which(candidate)) is not None]
    if not paths:
        raise ProgramError(f"this machine has no program {name}, which the test runs in the guest", hint=_HINT)
    versions = {path: _version(path) for path in paths}
    chosen = next((path for path in paths if "GNU coreutils" in versions[path]), paths[-1])
    program = _without_script(Path(chosen).resolve(), Path(name).name)
    return HostProgram(Path(name).name, program, versions[chosen], _libraries(program))


def _without_script(path: Path, name: str) -> Path:
    """The program with all of coreutils in it, if `path` is its script for one of them, as in Fedora's containers.

    It does what argv[0] says (launch_program() in src/coreutils.c), so it can be in a guest under this name.
    """
    with path.open("rb") as file:
        words = file.readline(_LONGEST_SHEBANG).split()
    named = len(words) == 2 and words[0].startswith(b"#!/") and words[1] == _OF_COREUTILS + os.fsencode(name)
    return Path(os.fsdecode(words[0].removeprefix(b"#!"))).resolve() if named else path


def _version(path: str) -> str:
    # BusyBox prints it to standard error, after an error message about the option.
    output = _run([path, "--version"]).stdout.splitlines()
    return next((line.strip() for line in output if re.search(r"\d+\.\d", line)), "unknown version")


def _libraries(program: Path) -> dict[str, Path]:
    linker = _interpreter(program)
    if linker is None:
        return {}
    # ldd only supports its own C library, and musl's ldd is not always installed.
    listed = _run([linker, "--list", str(program)])
    libraries = {linker: Path(linker)}
    for line in _LISTED.finditer(listed.stdout):
        if line["path"] == "not found":
            raise ProgramError(f"{program} cannot be run on this machine: {line['name']} is not found")
        path = _for_any_processor(Path(line["path"]))
        libraries.setdefault(str(path.parent.resolve() / path.name if ".." in path.parts else path), path)
    if listed.returncode:
        error = listed.stdout.strip().splitlines()[-1:] or [f"exit status {listed.returncode}"]
        raise ProgramError(f"the libraries of {program} cannot be determined: {linker}: {error[0]}")
    return libraries


def _for_any_processor(library: Path) -> Path:
    """The library's baseline build, if glibc has chosen one for this host's processor: a guest's may be older."""
    baseline = Path(_FOR_THIS_PROCESSOR.sub("", str(library)))
    return baseline if baseline.exists() else library


def _interpreter(program: Path) -> str | None:
    """The program's dynamic linker (PT_INTERP); None if it is linked statically."""
    content = program.read_bytes()
    if not content.startswith(_ELF_64):
        raise ProgramError(f"{program} is not a 64-bit ELF program, and guests cannot run others", hint=_HINT)
    (table,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    for at in range(table, table + size * count, size):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", content, at)
        if kind == _PT_INTERP:
            return content[offset : offset + length].rstrip(b"\0").decode()
    return None


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command, without environment variables that could select other libraries or another language."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env=environment,
            check=False,
        )
    except OSError as error:
        raise ProgramError(f"{command[0]} cannot be run on this machine: {error.strerror}") from error
