# SPDX-License-Identifier: GPL-2.0-or-later
"""Core dumps: where they go, what their handler gets, and what /proc shows of the dying."""

from __future__ import annotations

import pytest

from guests.call_arguments import Out
from guests.guest import Guest
from guests.outcome import EACCES, ENOENT, OK, Outcome, killed
from guests.task import Task
from guests.uapi import AT_FDCWD, RLIMIT_CORE, Prctl, Signal
from suites.ptrace.support.programs import Programs, execute

pytestmark = pytest.mark.needs("COREDUMP", "ELF_CORE", "SYSCTL")

OWN, OTHER = 1000, 1001
CORE_BYTES = 0x10000
"""A core dump of this size is truncated, and written quickly."""
TMP, HOME, CORES, JAIL = "/tmp", "/tmp/home", "/tmp/cores", "/tmp/jail"  # noqa: S108 - the guest's
STATX_MODE_AND_UID = 0xA
ESP, EIP = 29, 30
"""Fields of /proc/PID/stat by their numbers in proc_pid_stat(5)."""


def folder(root: Task, path: str, uid: int, mode: int) -> None:
    root.mkdir(path).result()
    root.chown(path, uid, uid).result()
    root.chmod(path, mode).result()


def dump(root: Task, task: Task) -> str:
    """Have a task die with a core dump, and return the dump's name."""
    root.kill(task, Signal.ABRT).result()
    task.wait_death().require(killed(Signal.ABRT))
    return f"core.{task.pid}"


def owner_and_mode(task: Task, path: str) -> tuple[int, int] | None:
    """The uid and the permission bits of a file; None if there is none."""
    done = task.call("statx", AT_FDCWD, path, 0, STATX_MODE_AND_UID, Out(256), shown=f'owner_and_mode("{path}")')
    if done == ENOENT:
        return None
    uid, _, mode = task.abi.unpack_from("IIH", done.read(), 20)
    return int(uid), int(mode) & 0o7777


@pytest.mark.own_machine("the kernel writes core files below the root of the machine's first process")
@pytest.mark.requirement("ptrace.core-path")
def test_where_core_dumps_go(guest: Guest) -> None:
    """At fs.suid_dumpable 2, what gained by exec dumps below init's root, as root, and not as its user says."""
    root, programs = guest.root(), Programs(guest)
    for path, uid, mode in (
        (HOME, OWN, 0o700),
        (CORES, 0, 0o700),
        (JAIL, 0, 0o755),
        (JAIL + TMP, 0, 0o755),
        (JAIL + CORES, OWN, 0o700),
    ):
        folder(root, path, uid, mode)
    ordinary, gives = programs.create(folder=JAIL), programs.create(mode=0o4755, folder=JAIL)

    def target(name: str, path: str, where: str, *, jailed: bool = False) -> Task:
        """A user's task that has executed a program, in a directory, and with another root directory if jailed."""
        # It may not be dumpable, and so not change its limits in /proc.
        task = guest.root(name)
        task.call("setrlimit", RLIMIT_CORE, task.abi.words(CORE_BYTES, CORE_BYTES)).result()
        if jailed:
            task.call("chroot", JAIL).result()
        task.call("chdir", where).result()
        for call in ("setresgid", "setresuid"):
            task.call(call, OWN, OWN, OWN).result()
        execute(task, path.removeprefix(JAIL) if jailed else path).result()
        return task

    # In this order, the kernel does not warn.
    guest.set_sysctl("kernel.core_pattern", f"{CORES}/core.%p")
    guest.set_sysctl("fs.suid_dumpable", 2)
    core = dump(root, target("in-its-home", gives, HOME))
    assert owner_and_mode(root, f"{CORES}/{core}") == (0, 0o600)
    core = dump(root, target("jailed", gives, CORES, jailed=True))
    assert owner_and_mode(root, f"{JAIL}{CORES}/{core}") is None
    assert owner_and_mode(root, f"{CORES}/{core}") == (0, 0o600)
    core = dump(root, target("ordinary-jailed", ordinary, CORES, jailed=True))
    assert owner_and_mode(root, f"{JAIL}{CORES}/{core}") == (OWN, 0o600)
    guest.set_sysctl("kernel.core_pattern", "core.%p")
    core = dump(root, target("in-its-home-by-name", gives, HOME))
    assert owner_and_mode(root, f"{HOME}/{core}") is None
    core = dump(root, target("ordinary-in-its-home", ordinary, HOME))
    assert owner_and_mode(root, f"{HOME}/{core}") == (OWN, 0o600)
    assert guest.spawn("own", uid=OWN).open(f"{HOME}/{core}") == OK
    assert guest.spawn("other", uid=OTHER).open(f"{HOME}/{core}") == EACCES


@pytest.mark.own_machine("the kernel writes core files below the root of the machine's first process")
@pytest.mark.requirement("ptrace.core-new-file")
def test_file_that_is_there_already(guest: Guest) -> None:
    """A core dump is a new file: what was there before under its name, and may be open, does not become the core."""
    root, target = guest.root(), guest.spawn("target", uid=OWN)
    folder(root, HOME, OWN, 0o700)
    path = f"{HOME}/core"
    guest.spawn("own", uid=OWN).write_text(path, "old", create=True).result()
    old = root.open(path).result()
    guest.set_sysctl("kernel.core_uses_pid", 0)
    guest.set_sysctl("kernel.core_pattern", path)
    target.call("setrlimit", RLIMIT_CORE, target.abi.words(CORE_BYTES, CORE_BYTES)).result()
    dump(root, target)
    assert root.read(old, 4).read() == b"old\0"
    assert root.content(path)[:4] == b"\x7fELF"


# fmt: off
WHO_DUMPS = [
    #             mode of the program, if any    PR_SET_DUMPABLE 0    does it dump core?
    pytest.param(None,                           False,               True,  id="dumpable"),
    pytest.param(None,                           True,                False, id="not-dumpable"),
    pytest.param(0o755,                          False,               True,  id="after-an-ordinary-program"),
    pytest.param(0o711,                          False,               False, id="after-an-unreadable-program"),
    pytest.param(0o4755,                         False,               False, id="after-a-set-uid-program"),
]
# fmt: on


@pytest.mark.own_machine("the kernel writes core files below the root of the machine's first process")
@pytest.mark.requirement("ptrace.core-dumpable")
@pytest.mark.parametrize(("mode", "closes", "dumps"), WHO_DUMPS)
def test_who_dumps_core(guest: Guest, mode: int | None, closes: bool, dumps: bool) -> None:
    """The memory of a process that is not dumpable is not written to a file, wherever that would be."""
    root, target = guest.root(), guest.spawn("target", uid=OWN)
    folder(root, CORES, 0, 0o777)
    guest.set_sysctl("kernel.core_pattern", f"{CORES}/core.%p")
    guest.set_sysctl("fs.suid_dumpable", 0)
    target.call("setrlimit", RLIMIT_CORE, target.abi.words(CORE_BYTES, CORE_BYTES)).result()
    if mode is not None:
        execute(target, Programs(guest).create(mode=mode)).result()
    if closes:
        target.set_dumpable(False).result()
    root.kill(target, Signal.ABRT).result()
    assert target.wait_death() == killed(Signal.ABRT, core=dumps)
    assert owner_and_mode(root, f"{CORES}/core.{target.pid}") == ((OWN, 0o600) if dumps else None)


def begin_dump(guest: Guest, task: Task) -> None:
    """Have a task dump to a handler that only waits: it does not read the core dump, which therefore does not end."""
    guest.root().kill(task, Signal.ABRT).result()
    guest.wait_until(lambda: "CoreDumping:\t1\n" in guest.read_file(f"/proc/{task.pid}/status"), "the core dump")
    # From then on it sleeps like this only if it writes to the handler, after all threads have come to rest.
    task.wait_state("S")


def command_lines_since(guest: Guest, task: Task) -> list[Outcome]:
    """The outcomes of reading the command lines of the processes that may have been created after a task."""
    last = int(guest.read_file("/proc/loadavg").split()[-1])
    return [guest.init.read_text(f"/proc/{pid}/cmdline") for pid in range(task.pid + 1, last + 1)]


@pytest.mark.lacks("STATIC_USERMODEHELPER")
@pytest.mark.own_machine("the handler of a core dump is a program of the machine's first process")
@pytest.mark.requirement("ptrace.core-handler-arguments")
@pytest.mark.parametrize("name", ["one", "one two"], ids=["one-word", "two-words"])
def test_arguments_of_the_handler(guest: Guest, name: str) -> None:
    """The handler of core dumps gets the arguments that root has set, however many words a process has for a name."""
    target, handler = guest.spawn("target", uid=OWN), Programs(guest).create_waiting()
    guest.set_sysctl("kernel.core_pattern", f"|{handler} %e %p")
    target.call("prctl", Prctl.SET_NAME, name, 0, 0, 0).result()
    begin_dump(guest, target)
    found = [read.read()[: read.value] for read in command_lines_since(guest, target) if not read.errno]
    words = [line.rstrip(b"\0").split(b"\0") for line in found if line.startswith(handler.encode())]
    assert words == [[handler.encode(), name.encode(), str(target.pid).encode()]]


def registers(reader: Task, path: str) -> tuple[int, int]:
    """The instruction and stack pointers that /proc shows of a thread."""
    fields = reader.content(path).rpartition(b")")[2].split()
    return int(fields[EIP - 3]), int(fields[ESP - 3])


@pytest.mark.lacks("STATIC_USERMODEHELPER")
@pytest.mark.own_machine("the handler of a core dump is a program of the machine's first process")
@pytest.mark.parametrize(
    "which",
    [
        pytest.param(0, id="the-one-that-dumps", marks=pytest.mark.requirement("ptrace.stat-registers-dumping")),
        pytest.param(1, id="another", marks=pytest.mark.requirement("ptrace.stat-registers-dumping-threads")),
    ],
)
def test_registers_during_a_core_dump(guest: Guest, which: int) -> None:
    """The handler of a core dump sees where each thread was; another user does not, and nobody does before."""
    root, own, other = guest.root(), guest.spawn("own", uid=OWN), guest.spawn("other", uid=OTHER)
    target = guest.spawn("target", uid=OWN)
    thread = (target, target.thread("thread"))[which]
    path = f"/proc/{target.pid}/task/{thread.tid}/stat"
    guest.set_sysctl("kernel.core_pattern", f"|{Programs(guest).create_waiting()}")
    for reader in (root, own, other):
        assert registers(reader, path) == (0, 0)
    begin_dump(guest, target)
    for reader in (root, own):
        assert 0 not in registers(reader, path)
    assert registers(other, path) == (0, 0)
