# SPDX-License-Identifier: GPL-2.0-or-later
"""Filters as users have them made: by libseccomp, through pyseccomp, on the host."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable

from guests.bpf import Action, Instruction, Program
from guests.errors import KconformError
from guests.uapi import number

_INSTRUCTION = struct.Struct("<HBBI")
_API_WITH_KILL_PROCESS = 3
"""seccomp_api_get(3)."""


def allow_list(names: Iterable[str], default: Action = Action.KILL_PROCESS) -> Program:
    """libseccomp's program that allows these native calls and no others."""
    try:
        import pyseccomp
    except (ImportError, OSError, RuntimeError) as error:
        raise KconformError(f"libseccomp cannot be used: {error}", hint="install libseccomp2") from error
    # Otherwise it would ask the host's kernel which actions there are, and a container may answer for that one.
    pyseccomp.set_api(_API_WITH_KILL_PROCESS)
    made = pyseccomp.SyscallFilter(int(default))
    for name in names:
        # By number: the program may make a call that is newer than this libseccomp.
        made.add_rule(pyseccomp.ALLOW, number(name))
    with os.fdopen(os.memfd_create("filter"), "rb") as file:
        made.export_bpf(file)
        file.seek(0)
        return unpack(file.read())


def unpack(program: bytes) -> Program:
    """A program from its bytes (struct sock_filter, 8 bytes each)."""
    return tuple(Instruction(code, k, jt, jf) for code, jt, jf, k in _INSTRUCTION.iter_unpack(program))
