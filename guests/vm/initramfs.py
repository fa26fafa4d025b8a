# SPDX-License-Identifier: GPL-2.0-or-later
"""The agent, compiled for a guest's architecture, and the initramfs that contains it and little else."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath

from common.project_files import COMMAND
from guests.errors import KconformError, UsageError
from guests.vm.cache_checksums import check, with_checksums
from guests.vm.programs_for_guests import program_files
from kconfigs.architectures import ARCHITECTURES
from kconfigs.cache import Cache

AGENT = Path(__file__).parents[1] / "agent"
_FORMAT = b"1"
"""Changed when what an entry of the cache contains changes."""
_FLAGS = (
    *("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"),
    *("-ffreestanding", "-fno-builtin", "-nostdlib", "-static", "-no-pie", "-fno-pic"),
    *("-fno-stack-protector", "-fno-tree-loop-distribute-patterns", "-fno-asynchronous-unwind-tables"),
    *("-s", "-Wl,--build-id=none", "-Wl,-z,noexecstack"),
)
_ARCH_FLAGS: Mapping[str, tuple[str, ...]] = {
    "x86_64": ("-march=x86-64",),
    "aarch64": ("-march=armv8-a", "-mno-outline-atomics"),
    "arm": ("-marm", "-march=armv7-a+fp"),
    "riscv64": ("-march=rv64gc", "-mabi=lp64d"),
    # The linker would put the program where the arena is.
    "ppc64le": ("-mcpu=power8", "-mno-altivec", "-mno-vsx", "-Wl,-Ttext-segment=0x400000"),
    # The warning is about frames that are copied as a whole (wire.h).
    "s390x": ("-march=z10", "-Wno-scalar-storage-order"),
    # Without a 32-bit C library, Debian has the kernel's headers only where they are for all its x86 compilers.
    "i386": ("-m32", "-march=i686", "-idirafter", "/usr/include/x86_64-linux-gnu", "-Wl,-z,noseparate-code"),
}
"""The oldest processor of each architecture: by default, a distribution's compiler may target a newer one than guests
have."""
_TASK_PROGRAM = "task_program.c"
_OF_TASKS = (
    *("arena.c", "libc.c", "task.c", "task_exec.c", "task_meeting.c", "task_plan.c", _TASK_PROGRAM, "task_signal.c"),
    *("task_start.c", "text.c"),
)
"""The C files of the program for tasks alone, which a kernel runs beside its own architecture's."""


def compiler(arch: str) -> str:
    """The C compiler for an architecture: the host's own, or the GNU cross compiler under its usual name.

    The host's is gcc, because `cc` may be Clang, which does not know all of _FLAGS.
    """
    gnu, host = ARCHITECTURES[arch].gnu, ARCHITECTURES.get(platform.machine())
    if host is not None and host.gnu == gnu:
        return "gcc" if shutil.which("gcc") else "cc"
    return f"{gnu}-gcc"


def installed_compiler(arch: str) -> str:
    """The same.  KconformError if it is not installed."""
    program = compiler(arch)
    if shutil.which(program) is None:
        raise KconformError(
            f"no C compiler for {arch}: {program} is not installed",
            hint=f"run `{COMMAND} doctor`, which can install it",
        )
    return program


def compile_command(arch: str, output: Path, *, for_tasks: bool = False) -> list[str]:
    """The command that compiles the agent, or (`for_tasks`) the program for tasks alone."""
    if arch not in _ARCH_FLAGS:
        raise UsageError(
            f"the agent has no entry code for {arch}",
            hint=f"there is one for {', '.join(sorted(_ARCH_FLAGS))}; "
            f"add guests/agent/arch_{arch}.h and arch_{arch}.S, and a row to _ARCH_FLAGS",
        )
    header = f'-DKCONFORM_ARCH_HEADER="arch_{arch}.h"'
    return [
        compiler(arch),
        *_FLAGS,
        *_ARCH_FLAGS[arch],
        header,
        "-o",
        str(output),
        *map(str, sources(arch, for_tasks=for_tasks)),
    ]


def sources(arch: str, *, for_tasks: bool = False) -> list[Path]:
    """The sources of the agent for an architecture, or of the program for tasks alone: C files, and the assembly."""
    if for_tasks:
        files = [AGENT / name for name in _OF_TASKS]
    else:
        files = [path for path in _files() if path.suffix == ".c" and path.name != _TASK_PROGRAM]
    return [*files, AGENT / f"arch_{arch}.S"]


def _files() -> list[Path]:
    """The agent's files, without what editors keep beside them: Emacs has a dangling link for each unsaved file."""
    return sorted(path for path in AGENT.iterdir() if not path.name.startswith(".") and path.is_file())


@cache
def _source_digest(arch: str, *, for_tasks: bool = False) -> str:
    command = compile_command(arch, Path("agent"), for_tasks=for_tasks)
    installed_compiler(arch)
    # The location of the checkout does not affect the compiled program.
    digest = hashlib.sha256(_FORMAT + " ".join(command).replace(str(AGENT), "agent").encode())
    version = subprocess.run([compiler(arch), "--version"], capture_output=True, check=False).stdout
    digest.update(version)
    for path in _files():
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@cache
def compiles(arch: str) -> bool:
    """Whether there is a compiler for an architecture."""
    command = compile_command(arch, Path("agent"))
    if shutil.which(command[0]) is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "empty.c"
        source.write_text("#include <asm/unistd.h>\nvoid _start(void) {}\n", encoding="utf-8")
        tried = [command[0], *_FLAGS, *_ARCH_FLAGS[arch], "-o", f"{folder}/empty", str(source)]
        return subprocess.run(tried, capture_output=True, check=False).returncode == 0


def agent(arch: str, store: Cache, *, for_tasks: bool = False) -> Path:
    """The agent, or the program for tasks alone; compiled once for each version of its source."""
    name = "agent"

    def make(directory: Path) -> None:
        command = compile_command(arch, directory / name, for_tasks=for_tasks)
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
        if done.returncode:
            raise KconformError(f"the agent does not compile:\n{done.stderr}")

    key = f"{arch}-{_source_digest(arch, for_tasks=for_tasks)[:24]}"
    return store.get("agents", key, with_checksums(make), check) / name


def initramfs(arch: str, store: Cache, programs: Sequence[str] = (), modules: Sequence[bytes] = ()) -> Path:
    """An initramfs that contains the agent as /init, and programs of the host that a test runs.

    The agent loads the modules, in this order, before it opens its channel.
    """
    init = agent(arch, store)
    files = {"init": (init.read_bytes(), 0o755)}
    key = init.parent.name
    if programs or modules:
        files |= {name: (content, 0o755) for name, content in program_files(programs).items()}
        if len(modules) > 10:
            raise ValueError("the agent numbers modules with one digit")
        files |= {f"modules/{number}.ko": (content, 0o600) for number, content in enumerate(modules)}
        key += "-" + hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:16]

    def make(directory: Path) -> None:
        (directory / "initramfs.cpio").write_bytes(cpio(files))

    return store.get("initramfs", key, with_checksums(make), check) / "initramfs.cpio"


def cpio(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    """A `newc` archive (Documentation/driver-api/early-userspace/buffer-format.rst) of plain files.

    `files` maps a name to content and mode.  Owners, times and inode numbers are fixed, so that the same files
    always produce the same bytes, which no cpio program guarantees.
    """
    directories = {"dev", "proc", "sys", "tmp"}
    for name in files:
        directories |= {str(parent) for parent in PurePosixPath(name).parents if parent != PurePosixPath()}
    # Sorted, so that a directory precedes its contents.
    members = [(name, b"", stat.S_IFDIR | 0o755) for name in sorted(directories)]
    members += [(name, content, stat.S_IFREG | mode) for name, (content, mode) in sorted(files.items())]
    archive = b"".join(_member(*member, inode=number) for number, member in enumerate(members, start=1))
    return archive + _device("dev/console", 5, 1, inode=len(members) + 1) + _member("TRAILER!!!", b"", 0, inode=0)


def _member(name: str, content: bytes, mode: int, *, inode: int, device: tuple[int, int] = (0, 0)) -> bytes:
    encoded = os.fsencode(name) + b"\0"
    fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + encoded) + _padded(content)


def _device(name: str, major: int, minor: int, *, inode: int) -> bytes:
    return _member(name, b"", stat.S_IFCHR | 0o600, inode=inode, device=(major, minor))


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
