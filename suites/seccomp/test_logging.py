# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel logs about filters' actions, and the two sysctls that show and control it."""

from __future__ import annotations

import re

import pytest

from guests.bpf import AUDIT_ARCH, JEQ, RET_K, Action, Instruction, kill_process, load, log, policy, ret, rule, trap
from guests.call_arguments import Out
from guests.guest import Guest
from guests.outcome import EACCES, EFAULT, EINVAL, EIO, EOPNOTSUPP, EPERM, OK, Expected, Outcome, killed, returned
from guests.syscalls.seccomp import DATA_SIZE, GET_NOTIF_SIZES, NOTIF_SIZE, RESPONSE_SIZE, FilterFlag
from guests.task import Task
from guests.uapi import O_RDONLY, O_WRONLY, Cap, Clone, PtraceOption, Signal, number
from suites.seccomp.support.filtered_tasks import GETPPID, SupervisedPair, check_caught, mismatches, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")
audited = pytest.mark.needs("AUDIT")

AVAIL, LOGGED = "kernel.seccomp.actions_avail", "kernel.seccomp.actions_logged"
PATH = "/proc/sys/kernel/seccomp/"
NAMES = "kill_process kill_thread trap errno user_notif trace log allow"
DEFAULT = "kill_process kill_thread trap errno user_notif trace log"
NOWHERE = 0x1000


# The sysctls


@pytest.mark.requirement("seccomp.actions-avail")
def test_actions_avail(guest: Guest) -> None:
    """kernel.seccomp.actions_avail lists all actions, most severe first, and is not writable, not even by root."""
    assert guest.sysctl(AVAIL) == NAMES
    assert guest.root().open(PATH + "actions_avail", O_WRONLY) == EACCES
    found = guest.spawn("reader").read_text(PATH + "actions_avail")
    assert found == OK
    assert found.read().startswith(NAMES.encode())


# fmt: off
WRITES: dict[str, tuple[str, bool, str]] = {
    # what is written                                accepted?  what is read afterwards
    "one":                ("kill_process",            True,   "kill_process"),
    "in-another-order":   ("log trap kill_process",   True,   "kill_process trap log"),
    "the-same-twice":     ("trap trap",               True,   "trap"),
    "nothing":            ("",                        True,   ""),
    "a-newline":          ("errno\n",                 True,   "errno"),
    "all-but-allow":      (DEFAULT,                   True,   DEFAULT),
    "allow":              ("allow",                   False,  DEFAULT),
    "allow-among-others": ("kill_process allow log",  False,  DEFAULT),
    "an-unknown-name":    ("kill",                    False,  DEFAULT),
    "unknown-at-the-end": ("trap errno no_such",      False,  DEFAULT),
    "capital-letters":    ("TRAP",                    False,  DEFAULT),
    "commas":             ("trap,errno",              False,  DEFAULT),
}
# fmt: on


@pytest.mark.requirement("seccomp.actions-logged")
def test_actions_logged(guest: Guest) -> None:
    """Any set of names without allow is accepted, and read back in order of severity; others change nothing."""
    found: dict[str, tuple[object, object]] = {"at first": (guest.sysctl(LOGGED), DEFAULT)}
    for name, (text, taken, afterwards) in WRITES.items():
        guest.set_sysctl(LOGGED, DEFAULT)
        found[name] = (_write(guest, text), OK if taken else EINVAL)
        found[f"{name}, read"] = (guest.sysctl(LOGGED), afterwards)
    assert mismatches(found) == []


def _write(guest: Guest, text: str) -> Outcome:
    # A sysctl that accepts a line accepts its newline too.
    return guest.write_file(PATH + "actions_logged", text if text.endswith("\n") else text + "\n")


@pytest.mark.needs("USER_NS")
@pytest.mark.requirement("seccomp.actions-logged-privilege")
def test_who_may_write_actions_logged(guest: Guest) -> None:
    """Everybody can read the sysctl; only uid 0 can open it for writing, and only with CAP_SYS_ADMIN write it."""
    path = PATH + "actions_logged"
    powerless = guest.spawn("powerless", uid=0, caps=Cap.ALL & ~Cap.SYS_ADMIN)
    apart = guest.spawn("outside", uid=0).spawn("apart", flags=Clone.NEWUSER)
    found: dict[str, tuple[object, object]] = {
        "an ordinary user reads": (guest.spawn("user").open(path, O_RDONLY), OK),
        "an ordinary user writes": (guest.spawn("user").write_text(path, "trap\n"), EACCES),
        "with CAP_SYS_ADMIN alone": (guest.spawn("capable", caps=Cap.SYS_ADMIN).write_text(path, "trap\n"), EACCES),
        "uid 0 without CAP_SYS_ADMIN": (powerless.write_text(path, "trap\n"), EPERM),
        "uid 0 with it in its own user namespace": (apart.write_text(path, "trap\n"), EPERM),
        "unchanged so far": (guest.sysctl(LOGGED), DEFAULT),
        "uid 0 with it": (guest.spawn("root", uid=0, caps=Cap.SYS_ADMIN).write_text(path, "trap\n"), OK),
        "changed": (guest.sysctl(LOGGED), "trap"),
    }
    assert mismatches(found) == []


@pytest.mark.requirement("seccomp.action-avail")
def test_get_action_avail(guest: Guest) -> None:
    """SECCOMP_GET_ACTION_AVAIL knows every action and no other value, and requires no privilege."""
    task = guest.spawn("asking")
    found: dict[str, tuple[object, object]] = {action.name: (task.action_avail(action), OK) for action in Action}
    for value in (0x00010000, 0x00030001, 0x00060000, 0x7FFE0000, 0x80010000, 0xFFFFFFFF):
        found[f"{value:#x}"] = (task.action_avail(value), EOPNOTSUPP)
    found["unreadable"] = (task.call("seccomp", 2, 0, NOWHERE), EFAULT)
    assert mismatches(found) == []


@pytest.mark.requirement("seccomp.notif-sizes")
def test_get_notif_sizes(guest: Guest) -> None:
    """SECCOMP_GET_NOTIF_SIZES returns the sizes of three structures, in two bytes each."""
    task = guest.spawn("asking")
    told = task.call("seccomp", GET_NOTIF_SIZES, 0, Out(6))
    assert told == OK
    sizes = told.read()
    assert [sizes[i] | sizes[i + 1] << 8 for i in (0, 2, 4)] == [NOTIF_SIZE, RESPONSE_SIZE, DATA_SIZE]
    assert task.call("seccomp", GET_NOTIF_SIZES, 0, NOWHERE) == EFAULT


# Records


class AuditRecords:
    """The guest's audit records of filters, by the task that caused them."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        # Without an audit daemon, the records go to the kernel log, and none must be dropped by rate limiting.
        guest.set_sysctl("kernel.printk_ratelimit", 0)

    def wait_for_all(self) -> None:
        """Wait until all records so far can be read: they come in order, so wait for one more."""
        logged = self.guest.sysctl(LOGGED)
        self.guest.set_sysctl(LOGGED, DEFAULT)
        last = unprivileged(self.guest, "last")
        last.install(policy(log("getppid"))).result()
        last.call("getppid").result()
        self.guest.set_sysctl(LOGGED, logged or "\n")
        self.guest.wait_for_log(f" pid={last.pid} ")

    def of(self, task: Task) -> list[str]:
        return [line for line in self.guest.log() if "type=1326" in line and f" pid={task.pid} " in line]


def fields(record: str) -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S+)", record.partition("): ")[2]))


# fmt: off
RECORDED: dict[Action, tuple[bool, bool, str]] = {
    # action                logged with FILTER_FLAG_LOG, without it, and with which signal
    Action.KILL_PROCESS:   (True,  True,  "31"),
    Action.KILL_THREAD:    (True,  True,  "31"),
    Action.TRAP:           (True,  False, "0"),
    Action.ERRNO:          (True,  False, "0"),
    Action.USER_NOTIF:     (True,  False, "0"),
    Action.TRACE:          (True,  False, "0"),
    Action.LOG:            (True,  True,  "0"),
    Action.ALLOW:          (False, False, ""),
}
# fmt: on


def act(guest: Guest, action: Action, flags: FilterFlag) -> Task:
    task = unprivileged(guest)
    task.catch(Signal.SYS).result()
    task.install(policy(rule(action, "getppid", data=5)), flags).result()
    task.call("getppid")
    return task


@audited
@pytest.mark.requirement("seccomp.log-records")
@pytest.mark.parametrize("flags", [FilterFlag.LOG, FilterFlag.NONE], ids=["with-the-flag", "without-the-flag"])
def test_which_actions_are_recorded(guest: Guest, flags: FilterFlag) -> None:
    """Kills and LOG are always recorded, ALLOW never, and all others if their filter has FILTER_FLAG_LOG."""
    records = AuditRecords(guest)
    tasks = {action: act(guest, action, flags) for action in Action}
    records.wait_for_all()
    found: dict[str, tuple[object, object]] = {}
    for action, (with_flag, without, signal) in RECORDED.items():
        logged = [(fields(one)["sig"], int(fields(one)["code"], 16)) for one in records.of(tasks[action])]
        recorded = with_flag if flags else without
        found[action.name] = (logged, [(signal, int(action))] if recorded else [])
    assert mismatches(found) == []


@audited
@pytest.mark.requirement("seccomp.log-silenced")
@pytest.mark.parametrize("silenced", DEFAULT.split())
def test_an_action_removed_from_actions_logged(guest: Guest, silenced: str) -> None:
    """An action whose name is removed from actions_logged is the only one not recorded, and is still taken."""
    records = AuditRecords(guest)
    guest.set_sysctl(LOGGED, " ".join(name for name in DEFAULT.split() if name != silenced))
    tasks = {action: act(guest, action, FilterFlag.LOG) for action in RECORDED if action is not Action.ALLOW}
    records.wait_for_all()
    found: dict[str, tuple[object, object]] = {
        action.name: (len(records.of(task)), int(action.name.lower() != silenced)) for action, task in tasks.items()
    }
    assert mismatches(found) == []
    assert tasks[Action.KILL_PROCESS].wait_death() == killed(Signal.SYS)


@audited
@pytest.mark.requirement("seccomp.log-silenced")
def test_empty_actions_logged(guest: Guest) -> None:
    """With actions_logged empty, nothing is recorded, and every action is still taken."""
    records = AuditRecords(guest)
    guest.set_sysctl(LOGGED, "\n")
    tasks = [act(guest, action, FilterFlag.LOG) for action in Action]
    records.wait_for_all()
    assert [records.of(task) for task in tasks] == [[]] * 8
    assert tasks[0].wait_death() == killed(Signal.SYS)


@audited
@pytest.mark.requirement("seccomp.log-record-fields")
def test_fields_of_a_record(guest: Guest) -> None:
    """A record says who made the call: login uid, real uid and gid, pid, name and program.

    It says what the call was: signal, architecture, number, address, and the filter's return value.
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
        "arch": f"{AUDIT_ARCH['x86_64']:x}",
        "syscall": str(GETPPID),
        "compat": "0",
        "code": "0x80000000",
    }
    assert int(logged["ip"], 16) > 0x1000


@audited
@pytest.mark.requirement("seccomp.log-record-fields")
def test_address_in_a_record(guest: Guest) -> None:
    """A record's address is the one that a TRAP handler gets."""
    task = unprivileged(guest)
    task.catch(Signal.SYS).result()
    task.install(policy(trap("getppid")), FilterFlag.LOG).result()
    task.call("getppid").result()
    caught = check_caught(task)
    assert int(fields(guest.wait_for_log("type=1326"))["ip"], 16) == caught.call_address


@audited
@pytest.mark.requirement("seccomp.log-record-fields")
def test_a_record_of_a_thread(guest: Guest) -> None:
    """A record's pid is that of the process, whichever thread made the call."""
    leader = unprivileged(guest, "leader")
    thread = leader.thread("thread")
    thread.install(policy(log("getppid"))).result()
    thread.call("getppid").result()
    assert fields(guest.wait_for_log("type=1326"))["pid"] == str(leader.pid) != str(thread.tid)


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
    assert inside.call("getuid") != returned(1000)
    assert inside.own_tid == 1
    inside.call("getppid").result()
    logged = fields(guest.wait_for_log("type=1326"))
    assert (logged["uid"], logged["gid"], logged["pid"]) == ("1000", "1000", str(inside.pid))


@audited
@pytest.mark.requirement("seccomp.log-record-fields", "seccomp.log-silenced")
def test_a_record_of_an_unknown_action(guest: Guest) -> None:
    """An unknown action counts as a kill: it is recorded, with its own value, if kill_process is to be logged."""
    records = AuditRecords(guest)
    program = (load(0), Instruction(JEQ, GETPPID, 1, 0), ret(Action.ALLOW), Instruction(RET_K, 0x00010007))
    recorded, unrecorded = unprivileged(guest, "recorded"), unprivileged(guest, "unrecorded")
    for task, logged in ((recorded, "kill_process"), (unrecorded, DEFAULT.removeprefix("kill_process "))):
        guest.set_sysctl(LOGGED, logged)
        task.install(program).result()
        assert task.call("getppid") == killed(Signal.SYS)
    records.wait_for_all()
    assert [(fields(one)["sig"], fields(one)["code"]) for one in records.of(recorded)] == [("31", "0x10000")]
    assert records.of(unrecorded) == []


@audited
@pytest.mark.requirement("seccomp.log-record-fields")
def test_a_record_of_strict_mode(guest: Guest) -> None:
    """A death in strict mode is recorded with signal 9, as KILL_THREAD."""
    task = guest.spawn("strict", quiet=True)
    task.enter_strict_mode().result()
    assert task.call("getppid") == killed(Signal.KILL)
    logged = fields(guest.wait_for_log("type=1326"))
    assert (logged["sig"], logged["syscall"], logged["code"]) == ("9", str(GETPPID), "0x0")


@audited
@pytest.mark.requirement("seccomp.log-matching-filter")
def test_the_flag_of_the_deciding_filter(guest: Guest) -> None:
    """Of two filters, only the flag of the deciding one counts."""
    records = AuditRecords(guest)
    found: dict[str, tuple[object, object]] = {}
    tasks: dict[str, tuple[Task, int]] = {}
    errno, nothing = policy(rule(Action.ERRNO, "getppid", data=5)), policy(rule(Action.ALLOW, "getppid"))
    for name, flagged, other, recorded in (("deciding", errno, nothing, 1), ("other", nothing, errno, 0)):
        for order in ((flagged, other), (other, flagged)):
            task = unprivileged(guest)
            for program in order:
                task.install(program, FilterFlag.LOG if program is flagged else FilterFlag.NONE).result()
            assert task.call("getppid") == EIO
            tasks[f"{name} flagged, {'first' if order[0] is flagged else 'last'}"] = (task, recorded)
    records.wait_for_all()
    for name, (task, recorded) in tasks.items():
        found[name] = (len(records.of(task)), recorded)
    assert mismatches(found) == []


@audited
@pytest.mark.requirement("seccomp.log-records")
def test_notified_calls_are_recorded_if_answered(guest: Guest) -> None:
    """A notified call is recorded if its supervisor answers it, but not if it lets it continue."""
    records = AuditRecords(guest)
    pair = SupervisedPair(guest, policy(rule(Action.USER_NOTIF, "getppid")), FilterFlag.LOG)
    call, notif = pair.call_and_receive("getppid")
    assert pair.reply(notif, flags=1) == OK
    assert call.outcome() == returned(pair.supervisor.pid)
    records.wait_for_all()
    assert records.of(pair.target) == []
    call, notif = pair.call_and_receive("getppid")
    assert pair.reply(notif) == OK
    assert call.outcome() == OK
    records.wait_for_all()
    assert len(records.of(pair.target)) == 1


GETUID = number("getuid")
# fmt: off
TRACED_CALLS = {
    # what a tracer does with a traced getppid  the records: call and action
    "it-runs":             ({},                    []),
    "it-is-skipped":       ({"orig_rax": -1},      [(-1, Action.TRACE)]),
    "another-is-denied":   ({"orig_rax": GETUID},  [(GETUID, Action.ERRNO)]),
}
# fmt: on


@audited
@pytest.mark.requirement("seccomp.log-records")
def test_records_of_traced_calls(guest: Guest) -> None:
    """A traced call is recorded once: if its tracer skips it, or if the call it is changed to is denied."""
    records = AuditRecords(guest)
    tracer = guest.spawn("tracer")
    tracees: dict[str, Task] = {}
    for name, (changes, _) in TRACED_CALLS.items():
        tracees[name] = tracee = unprivileged(guest, name[:15], parent=tracer)
        program = policy(rule(Action.TRACE, "getppid"), rule(Action.ERRNO, "getuid", data=5))
        tracee.install(program, FilterFlag.LOG).result()
        tracer.seize(tracee, PtraceOption.TRACESECCOMP).result()
        call = tracee.begin("getppid")
        tracer.wait(tracee)
        tracer.set_registers(tracee, **changes).result()
        tracer.resume(tracee).result()
        call.outcome()
    records.wait_for_all()
    found: dict[str, tuple[object, object]] = {}
    for name, (_, wanted) in TRACED_CALLS.items():
        logged = [fields(one) for one in records.of(tracees[name])]
        found[name] = ([(int(one["syscall"]), int(one["code"], 16)) for one in logged], wanted)
    assert mismatches(found) == []


@audited
@pytest.mark.boot("audit=0")
@pytest.mark.requirement("seccomp.log-audit-off")
def test_with_audit_switched_off(guest: Guest) -> None:
    """With audit=0, nothing is recorded, and actions are taken as usual."""
    wanted: dict[Action, Expected] = {Action.KILL_PROCESS: killed(Signal.SYS), Action.LOG: returned(1)}
    for action, outcome in wanted.items():
        task = unprivileged(guest)
        task.install(policy(rule(action, "getppid")), FilterFlag.LOG).result()
        assert task.call("getppid") == outcome
    assert [line for line in guest.log() if "type=1326" in line] == []


@audited
@pytest.mark.boot("audit=1")
@pytest.mark.requirement("seccomp.log-config-change")
def test_writes_to_actions_logged_are_recorded(guest: Guest) -> None:
    """With audit=1, a record of each write has the new actions, the old ones, and whether it succeeded."""
    AuditRecords(guest)
    guest.set_sysctl(LOGGED, "trap log")
    record = guest.wait_for_log("op=seccomp-logging")
    assert "type=1305" in record
    assert f"actions=trap,log old-actions={DEFAULT.replace(' ', ',')} res=1" in record
    assert _write(guest, "allow") == EINVAL
    assert "actions=? old-actions=trap,log res=0" in guest.wait_for_log(" res=0")
    assert _write(guest, "") == OK
    assert "actions=(none) old-actions=trap,log res=1" in guest.wait_for_log("actions=(none)")
    assert _write(guest, "errno") == OK
    assert "actions=errno old-actions=(none) res=1" in guest.wait_for_log("actions=errno")
