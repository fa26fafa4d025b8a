# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions of the vDSO of 32-bit programs, and the system calls that they make."""

from __future__ import annotations

import pytest

from guests.abi import Abi, AgentProgram
from guests.errors import require
from guests.guest import Guest
from guests.outcome import returned
from guests.uapi import number
from suites.elf_files import ElfLayout
from suites.seccomp.support.compat_tasks import CompatTracedPair, of_x86_64
from suites.seccomp.support.syscall_traced_pair import SYSCALL_STOP

AT_SYSINFO_EHDR, PT_DYNAMIC, DT_STRTAB, DT_SYMTAB = 33, 2, 5, 6
BEGINNING = 0x1000
"""Size in bytes of that part of the vDSO in which its symbols are (arch/x86/entry/vdso/vdso-layout.lds.S)."""
SYMBOL_SIZE = 16

CLOCK_PROCESS_CPUTIME_ID = 2
"""A clock that no vDSO reads."""
STACK_SIZE = 0x400

# fmt: off
MADE = {
    # a function               the system call that it makes for such a clock
    "__vdso_clock_gettime":    "clock_gettime",
    "__vdso_clock_gettime64":  "clock_gettime64",
    "__vdso_clock_getres":     "clock_getres",
}
# fmt: on


def functions(image: bytes, abi: Abi) -> dict[str, int]:
    """The offsets of a vDSO's functions, by their names."""
    dynamic = next(part for part in ElfLayout(image).program_headers(image) if part.kind == PT_DYNAMIC)
    tags = abi.pairs(image[dynamic.offset : dynamic.offset + dynamic.size])
    names, symbols = tags[DT_STRTAB], tags[DT_SYMTAB]
    found = [abi.unpack_from("II", image, at) for at in range(symbols, names, SYMBOL_SIZE)]
    return {image[names + name :].partition(b"\0")[0].decode(): value for name, value in found}


@of_x86_64
@pytest.mark.requirement("seccomp.vdso-32-bit")
@pytest.mark.parametrize("function", MADE)
def test_a_clock_that_the_vdso_cannot_read(compat: AgentProgram, guest: Guest, function: str) -> None:
    """For a clock that it cannot read, the vDSO makes the call of the same name, and no newer one.

    The tracer lets its tracee, which makes another call, call the function instead, as a debugger does.
    """
    pair = CompatTracedPair(guest, compat)
    tracer, tracee = pair.tracer, pair.tracee
    vdso = tracee.abi.pairs(guest.read_bytes(f"/proc/{tracee.pid}/auxv")).get(AT_SYSINFO_EHDR, 0)
    if not vdso:
        pytest.skip("needs a vDSO for 32-bit programs")
    offsets = functions(guest.init.read_memory(tracee, vdso, BEGINNING), tracee.abi)
    if function not in offsets:
        pytest.skip(f"needs {function}() in the vDSO, which a kernel without CONFIG_COMPAT_32BIT_TIME may lack")
    result = tracee.store(bytes(16))
    # What it returns to is never reached.
    frame = tracee.abi.words(0, CLOCK_PROCESS_CPUTIME_ID, result)
    stack = tracee.store(bytes(STACK_SIZE) + frame) + STACK_SIZE

    call = pair.stop_at_entry("getppid")
    tracer.resume_to_syscall(tracee).result()
    require(tracer.wait(tracee).stopped_by == SYSCALL_STOP, f"{tracee} did not stop after its call")
    saved = tracer.registers(tracee)
    tracer.set_registers(tracee, ip=vdso + offsets[function], rsp=stack).result()
    tracer.resume_to_syscall(tracee).result()
    assert tracer.wait(tracee).stopped_by == SYSCALL_STOP
    assert tracer.registers(tracee).nr == number(MADE[function], "i386")
    tracer.resume_to_syscall(tracee).result()
    require(tracer.wait(tracee).stopped_by == SYSCALL_STOP, f"{tracee} did not stop after the function's call")
    tracer.set_registers(tracee, **saved).result()
    tracer.resume(tracee).result()
    assert call.outcome() == returned(tracer.pid)
