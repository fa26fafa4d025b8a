# SPDX-License-Identifier: GPL-2.0-or-later
"""The files in /proc/PID: who may open, read and list them, at open and at read."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.call_arguments import Out
from guests.guest import Guest
from guests.outcome import EACCES, EPERM, OK, Expected, Outcome, mismatches, returned
from guests.task import Task
from guests.uapi import AT_FDCWD, O_DIRECTORY, O_RDONLY, O_WRONLY, Cap, Clone
from suites.process_accesses import COMMON_DESCRIPTOR, closed
from suites.ptrace.support.programs import Programs, execute
from suites.ptrace.support.ways import OBSERVER, observer
from suites.user_namespaces import map_ids

STATX_UID_AND_GID = 0x18
OWN, OTHER = 1000, 1001
READABLE = 4
"""R_OK of access()."""

# fmt: off
OF_OTHERS = (
    #   file            open for     by another user    option
    ("stat",            O_RDONLY,    OK,                ""),
    ("status",          O_RDONLY,    OK,                ""),
    ("statm",           O_RDONLY,    OK,                ""),
    ("cmdline",         O_RDONLY,    OK,                ""),
    ("comm",            O_RDONLY,    OK,                ""),
    ("limits",          O_RDONLY,    OK,                ""),
    ("wchan",           O_RDONLY,    OK,                "KALLSYMS"),
    ("uid_map",         O_RDONLY,    OK,                "USER_NS"),
    ("oom_score_adj",   O_RDONLY,    OK,                ""),
    ("task",            O_DIRECTORY, OK,                ""),
    ("comm",            O_WRONLY,    EACCES,            ""),
    ("oom_score_adj",   O_WRONLY,    EACCES,            ""),
    ("uid_map",         O_WRONLY,    EACCES,            "USER_NS"),
    ("coredump_filter", O_WRONLY,    EACCES,            "ELF_CORE"),
    ("clear_refs",      O_WRONLY,    EACCES,            "PROC_PAGE_MONITOR"),
    ("mem",             O_RDONLY,    EACCES,            ""),
    ("mem",             O_WRONLY,    EACCES,            ""),
    ("maps",            O_RDONLY,    EACCES,            ""),
    ("smaps",           O_RDONLY,    EACCES,            "PROC_PAGE_MONITOR"),
    ("pagemap",         O_RDONLY,    EACCES,            "PROC_PAGE_MONITOR"),
    ("environ",         O_RDONLY,    EACCES,            ""),
    ("auxv",            O_RDONLY,    EACCES,            ""),
    ("syscall",         O_RDONLY,    EACCES,            ""),
    ("personality",     O_RDONLY,    EACCES,            ""),
    ("stack",           O_RDONLY,    EACCES,            "STACKTRACE"),
    ("io",              O_RDONLY,    EACCES,            "TASK_IO_ACCOUNTING"),
    ("fd",              O_DIRECTORY, EACCES,            ""),
    ("fdinfo",          O_DIRECTORY, EACCES,            ""),
    ("map_files",       O_DIRECTORY, EACCES,            ""),
    ("ns",              O_DIRECTORY, EACCES,            ""),
)
# fmt: on


def _opened(task: Task, target: Task, file: str, flags: int) -> Outcome:
    return closed(task, task.open_proc(target, file, flags))


READ_BY_ITS_OWNER = ("pagemap", "environ", "auxv", "syscall", "personality", "stack", "io")
OF_PROCESSES = ("task", "map_files", "coredump_filter")
"""What threads do not have."""


@pytest.mark.requirement("ptrace.proc-modes")
@pytest.mark.parametrize("of", ["of-a-process", "of-a-thread"])
@pytest.mark.parametrize("who", ["another-user", "own-user", "own-user-not-dumpable"])
def test_modes(guest: Guest, who: str, of: str) -> None:
    """Another user may read what everybody may; to its own user, a process that is not dumpable is as closed."""
    task, target = guest.spawn("task", uid=OTHER if who == "another-user" else OWN), guest.spawn("target", uid=OWN)
    target.set_dumpable(who != "own-user-not-dumpable").result()
    found = {}
    for file, flags, of_others, option in OF_OTHERS:
        if (option and not guest.kernel.config.enabled(option)) or (of == "of-a-thread" and file in OF_PROCESSES):
            continue
        path = file if of == "of-a-process" else f"task/{target.tid}/{file}"
        found[f"{file}, {flags}"] = _opened(task, target, path, flags), OK if who == "own-user" else of_others
    assert mismatches(found) == []


@pytest.mark.requirement("ptrace.proc-modes")
def test_mode_cannot_be_changed(guest: Guest) -> None:
    """chmod() of a file in /proc/PID is EPERM, for its owner and for root."""
    target = guest.spawn("target")
    for task in (target, guest.root()):
        for file in ("mem", "environ", "maps", "fd", "fdinfo", "ns"):
            assert task.chmod(f"/proc/{target.pid}/{file}", 0o777) == EPERM


@pytest.mark.requirement("ptrace.proc-modes")
def test_mode_of_what_is_closed(guest: Guest) -> None:
    """What nobody else may open nobody else may read by its mode either, of a process and of a thread."""
    target, root = guest.spawn("target"), guest.root()
    for path in (f"/proc/{target.pid}", f"/proc/{target.pid}/task/{target.tid}"):
        names = [name for name in READ_BY_ITS_OWNER if root.access_file(f"{path}/{name}") == OK]
        assert {name: root.mode(f"{path}/{name}") for name in names} == dict.fromkeys(names, 0o400)
        assert root.mode(f"{path}/mem") == 0o600


@pytest.mark.requirement("ptrace.proc-comm")
def test_names_of_threads(guest: Guest) -> None:
    """Threads name one another although their process is not dumpable; nobody else does, nor changes the mode."""
    target = guest.spawn("target")
    thread = target.thread("thread")
    target.set_dumpable(False).result()
    path = f"/proc/{target.pid}/task/{thread.tid}/comm"
    assert target.write_text(path, "renamed") == OK
    assert thread.content(path) == b"renamed\n"
    assert guest.spawn("own").write_text(path, "other") == EACCES
    assert target.chmod(path, 0o666) == EPERM
    assert guest.root().chmod(path, 0o666) == EPERM
    assert thread.content(path) == b"renamed\n"


@pytest.mark.requirement("ptrace.proc-fdinfo")
def test_every_use_of_fdinfo(guest: Guest) -> None:
    """access(), chdir() and openat() agree about /proc/PID/fdinfo, which is readable by its mode."""
    target, own, other = guest.spawn("target", uid=OWN), guest.spawn("own", uid=OWN), guest.spawn("other", uid=OTHER)
    path = f"/proc/{target.pid}/fdinfo"
    for task, wanted in ((own, OK), (other, EACCES)):
        for name in (path, f"{path}/{COMMON_DESCRIPTOR}"):
            assert task.call("faccessat", AT_FDCWD, name, READABLE) == wanted
        assert task.open(path, O_DIRECTORY) == wanted
        assert task.call("chdir", path) == wanted


# Owners


def owner(task: Task, path: str) -> tuple[int, int]:
    """The uid and gid of a file."""
    done = task.call("statx", AT_FDCWD, path, 0, STATX_UID_AND_GID, Out(256), shown=f'owner("{path}")')
    uid, gid = task.abi.unpack_from("II", done.read(), 20)
    return int(uid), int(gid)


@pytest.mark.requirement("ptrace.proc-owner")
def test_owner(guest: Guest) -> None:
    """Files in /proc/PID, but not the directory, belong to root if the process is not dumpable, else to its ids."""
    root = guest.root()
    target = guest.spawn("target", caps=Cap.SETUID | Cap.SETGID)

    def owners() -> dict[str, tuple[int, int]]:
        return {file: owner(root, f"/proc/{target.pid}/{file}") for file in ("", "task", "environ", "stat", "fd")}

    assert owners() == dict.fromkeys(("", "task", "environ", "stat", "fd"), (OWN, OWN))
    target.set_dumpable(False).result()
    of_root = dict.fromkeys(("environ", "stat", "fd"), (0, 0))
    assert owners() == {"": (OWN, OWN), "task": (OWN, OWN), **of_root}
    target.call("setresgid", -1, OTHER, -1).result()
    target.call("setresuid", -1, OTHER, -1).result()
    assert owners() == {"": (OTHER, OTHER), "task": (OTHER, OTHER), **of_root}
    target.set_dumpable(True).result()
    assert owners() == dict.fromkeys(("", "task", "environ", "stat", "fd"), (OTHER, OTHER))


@pytest.mark.needs("USER_NS")
@pytest.mark.requirement("ptrace.proc-owner-namespace")
def test_owner_in_a_namespace(guest: Guest) -> None:
    """What was executed in a user namespace, and is not dumpable, belongs to root of that namespace."""
    inside = guest.spawn("creator").spawn("inside", flags=Clone.NEWUSER)
    map_ids(guest, inside, "0 1000 1")
    root, path = guest.root(), f"/proc/{inside.pid}/environ"
    inside.set_dumpable(False).result()
    assert owner(root, path) == (0, 0)
    execute(inside, Programs(guest).create()).result()
    inside.set_dumpable(False).result()
    assert owner(root, path) == (OWN, OWN)


@pytest.mark.requirement("ptrace.proc-own")
def test_own_descriptors(guest: Guest) -> None:
    """A process that has gained by execve() still opens its own descriptors in /proc, which belong to root."""
    target = guest.spawn("target")
    execute(target, Programs(guest).create(mode=0o4755, uid=OTHER)).result()
    thread = target.thread("thread")
    assert _opened(thread, target, "fd", O_DIRECTORY) == OK
    assert _opened(target, thread, "fd", O_DIRECTORY) == OK
    assert owner(target, f"/proc/{target.pid}/fd") == (0, 0)
    assert target.read_link(target, f"fd/{COMMON_DESCRIPTOR}") == OK
    assert _opened(target, target, "fd", O_DIRECTORY) == OK
    assert _opened(target, target, "maps", O_RDONLY) == OK
    assert _opened(guest.spawn("own", uid=OWN), target, "fd", O_DIRECTORY) == EACCES
    assert _opened(guest.spawn("other", uid=OTHER), target, "fd", O_DIRECTORY) == EACCES


@pytest.mark.requirement("ptrace.proc-own-fdinfo")
def test_own_descriptions(guest: Guest) -> None:
    """A process that is not dumpable still opens what describes its descriptors; others of its user do not."""
    target = guest.spawn("target", dumpable=False)
    assert _opened(target, target, "fdinfo", O_DIRECTORY) == OK
    assert _opened(guest.spawn("own"), target, "fdinfo", O_DIRECTORY) == EACCES


# At open, and at read

Change = Callable[[Guest, Task], None]


def _not_dumpable(_: Guest, target: Task) -> None:
    target.set_dumpable(False).result()


def _gains(guest: Guest, target: Task) -> None:
    execute(target, Programs(guest).create(mode=0o4755, uid=OTHER)).result()


def _cannot_read_its_program(guest: Guest, target: Task) -> None:
    execute(target, Programs(guest).create(mode=0o711)).result()


def _changes_ids(_: Guest, target: Task) -> None:
    target.call("setresuid", OTHER, OTHER, OTHER).result()
    target.set_dumpable(True).result()


CHANGES: dict[str, Change] = {
    "is-not-dumpable": _not_dumpable,
    "gains-by-execve": _gains,
    "executes-what-it-cannot-read": _cannot_read_its_program,
    "changes-its-ids": _changes_ids,
}
EXECUTES = ("gains-by-execve", "executes-what-it-cannot-read")

READ: dict[str, tuple[Expected, str]] = {
    #               at a read that comes too late        option
    "personality": (EPERM, ""),
    "syscall": (EPERM, ""),
    "io": (EACCES, "TASK_IO_ACCOUNTING"),
    "stack": (EPERM, "STACKTRACE"),
}


@pytest.mark.requirement("ptrace.proc-at-read")
@pytest.mark.parametrize("how", CHANGES)
def test_read_after_a_change(guest: Guest, how: str) -> None:
    """syscall, stack and the like are checked at each read: once the process is closed, an open file is of no use."""
    watcher, target = observer(guest, more=Cap.SETUID), guest.spawn("target", caps=Cap.SETUID)
    watcher.set_caps(OBSERVER | Cap.SETUID).result()
    names = [name for name, (_, option) in READ.items() if not option or guest.kernel.config.enabled(option)]
    opened = {name: watcher.open_proc(target, name).result() for name in names}

    def read(name: str) -> Outcome:
        return watcher.call("pread64", opened[name], Out(256), 256, 0, shown=f"read {name}")

    assert mismatches({name: (read(name), OK) for name in names}) == []
    CHANGES[how](guest, target)
    assert mismatches({name: (read(name), READ[name][0]) for name in names}) == []


@pytest.mark.requirement("ptrace.proc-at-lookup")
@pytest.mark.parametrize("how", CHANGES)
def test_look_up_after_a_change(guest: Guest, how: str) -> None:
    """What is below a directory that was opened before is checked when it is looked up."""
    watcher, target = observer(guest, more=Cap.SETUID), guest.spawn("target", caps=Cap.SETUID)
    opened = {name: watcher.open_proc(target, name, O_DIRECTORY).result() for name in ("fd", "fdinfo", "ns")}

    def look_up() -> dict[str, Outcome]:
        number = str(COMMON_DESCRIPTOR)
        return {
            "fd": watcher.call("readlinkat", opened["fd"], number, Out(64), 64),
            "ns": watcher.call("readlinkat", opened["ns"], "mnt", Out(64), 64),
            "fdinfo": watcher.call("openat", opened["fdinfo"], number, O_RDONLY, 0),
        }

    assert [f"{done!r}" for done in look_up().values() if done != OK] == []
    CHANGES[how](guest, target)
    assert [f"{done!r}" for done in look_up().values() if done != EACCES] == []


@pytest.mark.requirement("ptrace.proc-memory")
@pytest.mark.parametrize("how", EXECUTES)
def test_memory_after_exec(guest: Guest, how: str) -> None:
    """A file about memory is about the memory that there was when it was opened, and empty after execve()."""
    watcher, target = guest.spawn("watcher"), guest.spawn("target")
    names = ["maps", "environ"]
    if guest.kernel.config.enabled("PROC_PAGE_MONITOR"):
        names += ["smaps", "pagemap"]
    execute(target, Programs(guest).create()).result()
    opened = {name: watcher.open_proc(target, name).result() for name in names}
    early = {name: watcher.call("pread64", fd, Out(64), 64, 0) for name, fd in opened.items()}
    assert [f"{name}: {done!r}" for name, done in early.items() if done == returned(0)] == []
    CHANGES[how](guest, target)
    late = {name: watcher.call("pread64", fd, Out(64), 64, 0) for name, fd in opened.items()}
    assert [f"{name}: {done!r}" for name, done in late.items() if done != returned(0)] == []
    assert watcher.open_proc(target, "maps") == EACCES
