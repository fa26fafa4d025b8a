# SPDX-License-Identifier: GPL-2.0-or-later
"""Filters compiled by libseccomp on the host, as users of the library do.

Through pyseccomp, or through libseccomp's own module, whose interface pyseccomp has: distributions package the
latter, and PyPI does not have it.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import struct
from collections.abc import Iterable
from typing import Any

from guests.abis import NATIVE
from guests.bpf import AUDIT_ARCH, Action, Instruction, Program
from guests.errors import KconformError
from guests.uapi import number

_BINDINGS = ("pyseccomp", "seccomp")
"""Python's modules for libseccomp, the one that pyproject.toml names first."""
_INSTRUCTION = struct.Struct("=HBBI")
_API_WITH_KILL_PROCESS = 3
"""seccomp_api_get(3)."""


def allow_list(names: Iterable[str], arch: str = "x86_64", default: Action = Action.KILL_PROCESS) -> Program:
    """The filter that libseccomp compiles to allow only these calls of an architecture."""
    library = _library()
    # Otherwise it asks the host's kernel which actions exist, and in a container another program may answer.
    library.set_api(_API_WITH_KILL_PROCESS)
    compiled = library.SyscallFilter(_as_int(default))
    own = library.system_arch()
    own_abi = next(abi.name for abi in NATIVE.values() if abi.audit_arch == own)
    if AUDIT_ARCH[arch] != own:
        compiled.add_arch(_as_int(AUDIT_ARCH[arch]))
        compiled.remove_arch(_as_int(own))
    for name in names:
        # By number, because the program may make a call that is newer than this libseccomp; by this machine's, which
        # the library translates.
        compiled.add_rule(library.ALLOW, number(name, own_abi))
    with os.fdopen(os.memfd_create("filter"), "rb") as file:
        compiled.export_bpf(file)
        file.seek(0)
        return unpack(file.read())


def _library() -> Any:
    """The first of the modules that is installed.  KconformError if there is none, or if the library is missing."""
    problem = ""
    for name in _BINDINGS:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            problem = problem or str(error)
        except (ImportError, OSError, RuntimeError) as error:
            problem = str(error)
            break
    raise KconformError(f"libseccomp cannot be used: {problem}", hint="install libseccomp2")


def _as_int(value: int) -> int:
    """A uint32_t as a C int has it: libseccomp's own module takes no other."""
    return ctypes.c_int32(value).value


def unpack(program: bytes) -> Program:
    """The filter in these bytes: struct sock_filter, 8 bytes each, in the byte order of this machine."""
    return tuple(Instruction(code, k, jt, jf) for code, jt, jf, k in _INSTRUCTION.iter_unpack(program))
