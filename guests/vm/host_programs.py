# SPDX-License-Identifier: GPL-2.0-or-later
"""Real programs of the host, with the libraries that they need, for a guest whose own file system is empty."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from guests.errors import KconformError

_LIBRARY = re.compile(r"(/\S+) \(0x[0-9a-f]+\)")


def closure(names: Sequence[str]) -> dict[str, bytes]:
    """`bin/NAME` of each program, and its dynamic linker and libraries at their own paths, without leading slash."""
    found: dict[str, bytes] = {}
    for name in names:
        program = _gnu(name)
        found[f"bin/{name}"] = program.read_bytes()
        linked = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout
        for library in _LIBRARY.findall(linked):
            found[library.removeprefix("/")] = Path(library).read_bytes()
    return found


def _gnu(name: str) -> Path:
    """The GNU program: others of the same name make other system calls, and a policy is written for one program."""
    for candidate in (f"gnu{name}", name):
        path = shutil.which(candidate)
        if path is None:
            continue
        version = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
        if "GNU coreutils" in version:
            return Path(path).resolve()
    raise KconformError(
        f"this machine has no {name} of GNU coreutils, which the test runs in the guest", hint="install coreutils"
    )
