# SPDX-License-Identifier: GPL-2.0-or-later
"""What the audit record of a filter's action says of the caller and its call."""

from __future__ import annotations

import pytest

from guests.bpf import AUDIT_ARCH, JEQ, RET_K, Action, Instruction, kill_process, load, log, policy, ret, trap
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EBUSY, OK, exited, killed, returned
from guests.promises import breaks
from guests.syscalls.seccomp import FilterFlag
from guests.task import Task
from guests.uapi import Cap, Clone, Prctl, Signal, number
from suites.seccomp.support.audit_records import DEFAULT, LOGGED, AuditRecords, audited, fields
from suites.seccomp.support.filtered_tasks import check_caught, trapped, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")
MOUNTED = "/tmp/mounted"  # noqa: S108 - the guest's


@audited
@pytest.mark.requirement("seccomp.log-record-fields")
def test_fields_of_a_record(guest: Guest) -> None:
    """A record says who made the call: login uid, real uid and gid, pid, name and program.

    It says what the call was: signal, architecture, number, address and action.
    """
    task = guest.spawn("culprit", uid=1000, caps=Cap.SETGID | Cap.SETUID)
    task.write_text("/proc/self/loginuid", "4000").result()
    task.call("setresgid", 2000, 2001, 2001).result()
    task.call("setresuid", 1000, 1001, 1001).result()
    task.set_no_new_privs().result()
    task.install(policy(kill_process("getppid"))).result()
    task.call("getppid")
    record = guest.wait_for_log("type=1326")
    logged = fields(record)
    assert {name: logged[name] for name in ("auid", "uid", "gid", "pid", "comm", "exe")} == {
        "auid": "4000",
        "uid": "1000",
        "gid": "2000",
        "pid": str(task.pid),
        "comm": '"culprit"',
        "exe": '"/init"',
    }
    assert {name: logged[name] for name in ("sig", "arch", "syscall", "compat", "code")} == {
        "sig": "31",
        "arch": f"{task.abi.audit_arch:x}",
        "syscall": str(task.number("getppid")),
        "compat": "0",
        "code": "0x80000000",
    }
    assert int(logged["ip"] or "0", 16) > 0x1000


def record_of_a_kill(guest: Guest, task: Task) -> str:
    """What is recorded when a filter kills the task."""
    task.install(policy(kill_process("getppid"))).result()
    task.call("getppid").require(killed(Signal.SYS))
    return guest.wait_for_log("type=1326")


# fmt: off
NAMES = {
    # name              as it is recorded
    "plain-name":       '"plain-name"',
    'a" sig=0 x="b':    "6122207369673D3020783D2262",
    "a\nsig=0":         "610A7369673D30",
}
# fmt: on


@audited
@pytest.mark.requirement("seccomp.log-record-name")
@pytest.mark.parametrize("name", NAMES, ids=["plain", "with-quotes", "with-a-newline"])
def test_name_in_a_record(guest: Guest, name: str) -> None:
    """A plain name is recorded in quotes, and any other one in hexadecimal: no name looks like other fields."""
    task = unprivileged(guest)
    task.call("prctl", Prctl.SET_NAME, name, 0, 0, 0).result()
    record = record_of_a_kill(guest, task)
    assert fields(record)["comm"] == NAMES[name]
    assert record.count(" sig=") == 1


# fmt: off
PROGRAMS = {
    # name in /tmp      path as it is recorded
    "plain-name":       '"/tmp/plain-name"',
    'a" sig=0 x="b':    "2F746D702F6122207369673D3020783D2262",
    "a\nsig=0":         "2F746D702F610A7369673D30",
}
# fmt: on


@audited
@pytest.mark.requirement("seccomp.log-record-name")
@pytest.mark.parametrize("name", PROGRAMS, ids=["plain", "with-quotes", "with-a-newline"])
def test_program_in_a_record(guest: Guest, name: str) -> None:
    """The path of the caller's program is recorded in quotes, or in hexadecimal: it never looks like other fields."""
    path = f"/tmp/{name}"  # noqa: S108 - the guest's
    guest.root().copy_file(guest.program, path)
    task = unprivileged(guest)
    task.execute(path).result()
    record = record_of_a_kill(guest, task)
    assert fields(record)["exe"] == PROGRAMS[name]
    assert record.count(" sig=") == 1


@audited
@pytest.mark.requirement("seccomp.log-record-program")
def test_the_program_of_a_record_is_released(guest: Guest) -> None:
    """When callers are gone of whom an action was recorded, the file system of their program can be unmounted."""
    root = guest.root()
    root.mount("tmpfs", MOUNTED, "tmpfs", data="mode=0755").result()
    root.copy_file(guest.program, f"{MOUNTED}/program")
    logged, dead = unprivileged(guest, "logged"), unprivileged(guest, "dead")
    for task, judge, wanted in ((logged, log, OK), (dead, kill_process, killed(Signal.SYS))):
        task.execute(f"{MOUNTED}/program").result()
        task.install(policy(judge("getppid"))).result()
        task.call("getppid").require(wanted)
        guest.wait_for_log(f" pid={task.pid} ")
    root.umount(MOUNTED).require(EBUSY)
    logged.exit().require(exited(0))
    assert root.umount(MOUNTED) == OK


@audited
@pytest.mark.requirement("seccomp.log-record-session")
def test_session_of_a_record(guest: Guest) -> None:
    """Records of two logins have their sessions, as /proc shows them."""
    sessions = []
    for login in ("4000", "4001"):
        task = guest.spawn(login)
        task.write_text("/proc/self/loginuid", login).result()
        task.set_no_new_privs().result()
        task.install(policy(log("getppid"))).result()
        task.call("getppid").result()
        session = fields(guest.wait_for_log(f" pid={task.pid} "))["ses"]
        assert session == guest.read_file(f"/proc/{task.pid}/sessionid")
        sessions.append(session)
    assert sessions[0] != sessions[1]


@audited
@pytest.mark.requirement("seccomp.log-record-fields")
def test_address_in_a_record(guest: Guest) -> None:
    """A record's address is the one that a TRAP handler gets."""
    task = unprivileged(guest)
    task.catch(Signal.SYS).result()
    task.install(policy(trap("getppid")), FilterFlag.LOG).result()
    task.call("getppid").require(trapped(task))
    caught = check_caught(task)
    assert fields(guest.wait_for_log("type=1326"))["ip"] == f"{caught.call_address:#x}"


@audited
@pytest.mark.requirement("seccomp.log-record-fields")
def test_a_record_of_a_thread(guest: Guest) -> None:
    """A record's pid is that of the process, whichever thread made the call, and its name that of the thread."""
    leader = unprivileged(guest, "leader")
    thread = leader.thread("thread")
    thread.call("prctl", Prctl.SET_NAME, "thread", 0, 0, 0).result()
    thread.install(policy(log("getppid"))).result()
    thread.call("getppid").result()
    logged = fields(guest.wait_for_log("type=1326"))
    assert logged["pid"] == str(leader.pid) != str(thread.tid)
    assert logged["comm"] == '"thread"'


@audited
@pytest.mark.needs("IA32_EMULATION")
@pytest.mark.requirement("seccomp.log-record-fields")
def test_a_record_of_int80(guest: Guest) -> None:
    """A record of an int 0x80 call has i386's architecture and number, and marks it as a 32-bit call."""
    task = unprivileged(guest)
    task.install((ret(Action.LOG),)).result()
    task.call32("getppid").result()
    logged = fields(guest.wait_for_log("type=1326"))
    assert (logged["arch"], logged["syscall"], logged["compat"]) == (
        f"{AUDIT_ARCH['i386']:x}",
        str(number("getppid", "i386")),
        "1",
    )


@audited
@pytest.mark.needs("USER_NS", "PID_NS")
@pytest.mark.requirement("seccomp.log-record-fields")
def test_a_record_of_a_task_in_namespaces(guest: Guest) -> None:
    """A record has the uid, gid and pid of the initial namespaces."""
    inside = guest.spawn("outside").spawn("inside", flags=Clone.NEWUSER | Clone.NEWPID, quiet=True)
    inside.install(policy(log("getppid"))).result()
    require(inside.call("getuid") != returned(1000), f"{inside} has the same uid in its user namespace")
    require(inside.own_tid == 1, f"{inside} is not the first process of its pid namespace")
    inside.call("getppid").result()
    logged = fields(guest.wait_for_log("type=1326"))
    assert (logged["uid"], logged["gid"], logged["pid"]) == ("1000", "1000", str(inside.pid))


@audited
@pytest.mark.requirement("seccomp.log-record-fields", "seccomp.log-silenced")
def test_a_record_of_an_unknown_action(guest: Guest) -> None:
    """An unknown action counts as a kill: it is recorded, with its own value, if kill_process is to be logged."""
    records = AuditRecords(guest)
    getppid = guest.init.number("getppid")
    program = (load(0), Instruction(JEQ, getppid, 1, 0), ret(Action.ALLOW), Instruction(RET_K, 0x00010007))
    recorded, unrecorded = unprivileged(guest, "recorded"), unprivileged(guest, "unrecorded")
    for task, logged in ((recorded, "kill_process"), (unrecorded, DEFAULT.removeprefix("kill_process "))):
        guest.set_sysctl(LOGGED, logged)
        task.install(program).result()
        task.call("getppid").require(killed(Signal.SYS))
    records.wait_for_all()
    with breaks("seccomp.log-record-fields"):
        assert [(fields(one)["sig"], fields(one)["code"]) for one in records.of(recorded)] == [("31", "0x10000")]
    with breaks("seccomp.log-silenced"):
        assert records.of(unrecorded) == []


@audited
@pytest.mark.requirement("seccomp.log-record-fields")
def test_a_record_of_strict_mode(guest: Guest) -> None:
    """A death in strict mode is recorded with signal 9, as KILL_THREAD."""
    task = guest.spawn("strict", quiet=True)
    task.enter_strict_mode().result()
    task.call("getppid").require(killed(Signal.KILL))
    logged = fields(guest.wait_for_log("type=1326"))
    assert (logged["sig"], logged["syscall"], logged["code"]) == ("9", str(task.number("getppid")), "0x0")
