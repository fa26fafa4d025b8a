# SPDX-License-Identifier: GPL-2.0-or-later
"""Filters compiled by libseccomp on the host, through pyseccomp, as users of the library do."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable

from guests.abis import NATIVE
from guests.bpf import AUDIT_ARCH, Action, Instruction, Program
from guests.errors import KconformError
from guests.uapi import number

_INSTRUCTION = struct.Struct("=HBBI")
_API_WITH_KILL_PROCESS = 3
"""seccomp_api_get(3)."""


def allow_list(names: Iterable[str], arch: str = "x86_64", default: Action = Action.KILL_PROCESS) -> Program:
    """The filter that libseccomp compiles to allow only these calls of an architecture."""
    try:
        import pyseccomp
    except (ImportError, OSError, RuntimeError) as error:
        raise KconformError(f"libseccomp cannot be used: {error}", hint="install libseccomp2") from error
    # Otherwise it asks the host's kernel which actions exist, and in a container another program may answer.
    pyseccomp.set_api(_API_WITH_KILL_PROCESS)
    compiled = pyseccomp.SyscallFilter(int(default))
    own = pyseccomp.system_arch()
    own_abi = next(abi.name for abi in NATIVE.values() if abi.audit_arch == own)
    if AUDIT_ARCH[arch] != own:
        compiled.add_arch(AUDIT_ARCH[arch])
        compiled.remove_arch(own)
    for name in names:
        # By number, because the program may make a call that is newer than this libseccomp; by this machine's, which
        # the library translates.
        compiled.add_rule(pyseccomp.ALLOW, number(name, own_abi))
    with os.fdopen(os.memfd_create("filter"), "rb") as file:
        compiled.export_bpf(file)
        file.seek(0)
        return unpack(file.read())


def unpack(program: bytes) -> Program:
    """The filter in these bytes: struct sock_filter, 8 bytes each, in the byte order of this machine."""
    return tuple(Instruction(code, k, jt, jf) for code, jt, jf, k in _INSTRUCTION.iter_unpack(program))
