# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's log is read from /dev/kmsg's format and searched for splats, and its taint is decoded."""

from __future__ import annotations

import pytest

from guests.log import kernel_log, splats, taint
from guests.log.kernel_log import LogRecord

# Lines by name; `telling` picks the main line.  Written after the format strings of Linux 6.12.
SPLATS = {
    "warn": (
        "------------[ cut here ]------------",
        "WARNING: CPU: 0 PID: 41 at security/yama/yama_lsm.c:123 yama_ptrace_access_check+0x1f0/0x210",
        "Modules linked in:",
    ),
    "warn-with-a-message": (
        "------------[ cut here ]------------",
        "refcount_t: underflow; use-after-free.",
        "WARNING: CPU: 0 PID: 7 at lib/refcount.c:28 refcount_warn_saturate+0xba/0x110",
    ),
    "bug": ("------------[ cut here ]------------", "kernel BUG at mm/slub.c:448!"),
    "null-pointer": ("BUG: kernel NULL pointer dereference, address: 0000000000000018",),
    "page-fault": ("BUG: unable to handle page fault for address: ffffb3a2c0451000",),
    "oops": ("Oops: Oops: 0002 [#1] PREEMPT SMP NOPTI",),
    "oops-of-arm64": ("Internal error: Oops: 0000000096000004 [#1] SMP",),
    "oops-that-is-a-bug": ("Internal error: Oops - BUG: 00000000f2000800 [#1] PREEMPT SMP",),
    "general-protection-of-a-segment": ("segment-related general protection fault: e030 [#1] SMP",),
    "general-protection": ("general protection fault, probably for non-canonical address 0xdead: 0000 [#1] SMP",),
    "invalid-opcode": ("invalid opcode: 0000 [#1] PREEMPT SMP",),
    "double-fault": ("traps: PANIC: double fault, error_code: 0x0",),
    "divide-error": ("divide error: 0000 [#1] SMP",),
    "kasan": ("BUG: KASAN: slab-use-after-free in yama_task_free+0x2c/0x90",),
    "kfence": ("BUG: KFENCE: use-after-free read in task_is_descendant+0x21/0x80",),
    "ubsan": ("UBSAN: array-index-out-of-bounds in kernel/seccomp.c:402:17",),
    "atomic-sleep": ("BUG: sleeping function called from invalid context at mm/page_alloc.c:4500",),
    "scheduling-while-atomic": ("BUG: scheduling while atomic: evil/41/0x00000002",),
    "bad-page": ("BUG: Bad page state in process secret  pfn:00123",),
    "lockdep-circular": ("WARNING: possible circular locking dependency detected",),
    "lockdep-recursive": ("WARNING: possible recursive locking detected",),
    "lockdep-unlock": ("WARNING: bad unlock balance detected!",),
    "lockdep-old": ("INFO: possible irq lock inversion dependency detected",),
    "lockdep-key": ("INFO: trying to register non-static key.",),
    "rcu-usage": ("WARNING: suspicious RCU usage",),
    "rcu-stall": ("rcu: INFO: rcu_preempt self-detected stall on CPU",),
    "rcu-stall-of-others": ("rcu: INFO: rcu_sched detected stalls on CPUs/tasks:",),
    "hung-task": ("INFO: task kworker/0:1:9 blocked for more than 120 seconds.",),
    "soft-lockup": ("watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [evil:41]",),
    "hard-lockup": ("watchdog: Watchdog detected hard LOCKUP on cpu 0",),
    "panic": ("Kernel panic - not syncing: sysrq triggered crash",),
    "warning-since-6.19": ("WARNING: security/yama/yama_lsm.c:123 at yama_init+0x1/0x2, CPU#0: swapper/1",),
    "warning-of-the-unwinder": ("WARNING: kernel stack regs at 0000000000000000 in init:1 has bad 'bp' value",),
    "lockdep-order": ("WARNING: SOFTIRQ-safe -> SOFTIRQ-unsafe lock order detected",),
    "lockdep-nested": ("WARNING: Nested lock was not taken",),
    "lockdep-freed": ("WARNING: held lock freed!",),
    "lockdep-at-return": ("WARNING: lock held when returning to user space!",),
    "lockdep-state": ("WARNING: inconsistent lock state",),
    "lockdep-state-old": ("INFO: inconsistent lock state",),
    "lockdep-contention": ("WARNING: bad contention detected!",),
    "rcu-usage-old": ("INFO: suspicious RCU usage.",),
    "rcu-stall-old": ("INFO: rcu_preempt detected stalls on CPUs/tasks:",),
    "refcount": ("refcount_t: underflow; use-after-free.",),
    "stack-recursion": ("WARNING: stack recursion on stack type 4",),
    "unwinder-access": ("WARNING: can't access registers at asm_exc_page_fault+0x22/0x30",),
    "unwinder-type": ("WARNING: unknown .orc_unwind entry type 7 for ip asm_exc_page_fault+0x22/0x30",),
    "with-level": ("<0>[   12.345678] Kernel panic - not syncing: sysrq triggered crash",),
    "with-level-and-caller": ("<4>[   12.345678][   T41] WARNING: suspicious RCU usage",),
    "with-level-alone": ("<4>BUG: KASAN: null-ptr-deref in yama_init+0x1/0x2",),
    "with-caller-alone": ("[   T41] BUG: KASAN: null-ptr-deref in yama_init+0x1/0x2",),
    "with-time": ("[   12.345678] BUG: KASAN: null-ptr-deref in yama_init+0x1/0x2",),
    "with-time-and-caller": ("[   12.345678][   T41] WARNING: suspicious RCU usage",),
    "with-caller": ("[   T41] WARNING: suspicious RCU usage",),
    "with-level-and-time": ("<4>[   12.345678] WARNING: suspicious RCU usage",),
    "second-line-of-one-record": ("\n=============================\nWARNING: suspicious RCU usage",),
    "cut-here-with-nothing-after-it": ("------------[ cut here ]------------",),
}
# The same, as logged by kernels old and new: each number is that of the complete log in syzkaller's
# pkg/report/testdata/linux/report.
RECORDED = {
    "7-soft-lockup": ("[  536.429346] NMI watchdog: BUG: soft lockup - CPU#1 stuck for 11s! [syz-executor7:16813]",),
    "12-general-protection": (
        "[ 1021.363613] kasan: GPF could be caused by NULL-ptr deref or user memory access",
        "[ 1021.364461] general protection fault: 0000 [#1] SMP DEBUG_PAGEALLOC KASAN",
    ),
    "36-locks-held": ("[  734.270366] [ BUG: syz-executor/31761 still has locks held! ]",),
    "82-slub": ("[  367.131148] BUG kmalloc-8 (Tainted: G    B         ): Object already free",),
    "327-double-fault": ("[  812.717699] PANIC: double fault, error_code: 0x0",),
    "482-task-that-does-not-die": (
        "[  440.207852][ T1045] INFO: task syz-executor.1:12632 can't die for more than 143 seconds.",
    ),
    "522-divide-error": ("[   63.550339][    C1] divide_error: 0000 [#1] PREEMPT SMP KASAN",),
    "524-external-abort": (
        "[  211.592905][    T1] Internal error: synchronous external abort: 96000010 [#1] PREEMPT SMP",
    ),
    "528-invalid-wait-context": (
        "[  513.624689][ T4448] =============================",
        "[  513.625024][ T4448] [ BUG: Invalid wait context ]",
    ),
    "607-oops-of-riscv": ("[  472.675587][ T5233] Oops [#1]",),
    "1000-hung-in-io": (
        "[  584.319520][   T31] INFO: task udevd:5612 blocked in I/O wait for more than 143 seconds.",
    ),
}
SPLATS |= RECORDED
TELLING = dict.fromkeys(("12-general-protection", "528-invalid-wait-context"), 1) | {
    "warn": 1,
    "warn-with-a-message": 1,
    "bug": 1,
}

NO_SPLATS = [
    "Call Trace:",
    "evil[41]: segfault at 0 ip 0000000000401000 sp 000000001003fff8 error 4 in init[401000+4000]",
    "traps: evil[41] general protection fault ip:401000 sp:7ffc error:0 in init[401000+4000]",
    "traps: evil[41] trap invalid opcode ip:401000 sp:1003fff8 error:0 in init",
    "ptrace attach of \"secret\"[42] was attempted by \"evil\"[41]",
    "audit: type=1326 audit(1.5:3): auid=4294967295 uid=1000 pid=41 comm=\"evil\" sig=31 arch=c000003e syscall=110",
    "Spectre V2 : Mitigation: Retpolines",
    "Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on, data leaks possible",
    "MDS: Vulnerable: Clear CPU buffers attempted, no microcode",
    "Debug warning: early ioremap leak",
    "warning: `evil' uses 32-bit capabilities (legacy support in use)",
    "process 'evil' launched '/init' with NULL argv: empty string added",
    "LoadPin: kernel-module pinning-ignored obj=\"/m/test_module.ko\" pid=41 cmdline=\"root\"",
    "INFO: lockdep is turned off.",
    "rcu: Hierarchical RCU implementation.",
    "rcu: RCU calculated value of scheduler-enlistment delay is 25 jiffies.",
    "Modules linked in: test_module(O+) [last unloaded: test_module]",
    "init[1] took syscall #1 [#2 of 3]",
    "[ INFO ] a line of a program's own",
    "clocksource: tsc: mask: 0xffffffffffffffff max_cycles: 0x1",
    "debugging: no BUG: in sight",
    "mount: /dev/vda: WARNING: device write-protected",
    "WARNING: the mand mount option is being deprecated and",
    "WARNING: workqueue cpumask: online intersect > possible intersect",
    "WARNING: polling idle and HT enabled, performance may degrade",
    "sysrq: HELP : loglevel(0-9) reboot(b) crash(c)",
    "Bluetooth: Oopsie",
    "",
]  # fmt: skip


@pytest.mark.parametrize("name", SPLATS)
def test_a_complaint_is_found_among_other_lines(name: str) -> None:
    lines = SPLATS[name]
    assert splats.first([*NO_SPLATS, *lines]) == telling(name)


@pytest.mark.parametrize("name", SPLATS)
def test_a_complaint_is_found_without_the_line_cut_here(name: str) -> None:
    """Only kernels with CONFIG_BUG print that line."""
    lines = SPLATS[name][TELLING.get(name, 0) :]
    assert splats.first(lines) == telling(name)


def telling(name: str) -> str:
    return splats._TIME.sub("", SPLATS[name][TELLING.get(name, 0)]).strip().splitlines()[-1]


class TestUnknownWarning:
    """A line that begins like a warning of the kernel's own, and that no form of these fits."""

    LINE = "WARNING: something new"

    @pytest.mark.parametrize(
        "report",
        ["6.12.7 #1 Not tainted", "CPU: 0 UID: 0 PID: 41 Comm: evil Tainted: G        W  6.12.7 #1", "Call Trace:"],
    )
    def test_it_counts_if_a_report_follows(self, report: str) -> None:
        lines = [self.LINE, *["a line"] * 7, report]
        assert splats.first(lines) == self.LINE
        assert splats.first(lines, lambda line: line == self.LINE) is None
        assert splats.first([self.LINE, *["a line"] * 8, report]) is None

    def test_another_complaint_has_a_report_of_its_own(self) -> None:
        assert splats.first([self.LINE, "BUG: another", "Call Trace:"]) == "BUG: another"


@pytest.mark.parametrize("line", NO_SPLATS)
def test_other_messages_are_no_complaints(line: str) -> None:
    assert splats.first([line, f"[    1.000000] {line}"]) is None


def test_the_first_of_several_is_reported() -> None:
    """The later ones may be consequences of it."""
    assert (
        splats.first(["BUG: first", "WARNING: suspicious RCU usage", "Kernel panic - not syncing: third"])
        == "BUG: first"
    )


class TestExcused:
    """Known splats."""

    WARN = SPLATS["warn-with-a-message"]

    def test_the_next_one_counts(self) -> None:
        lines = ["BUG: known", "BUG: unknown"]
        assert splats.first(lines, lambda line: line == "BUG: known") == "BUG: unknown"
        assert splats.first(lines, lambda line: line.startswith("BUG: ")) is None

    def test_a_warning_is_excused_as_a_whole(self) -> None:
        """Its main line decides for all lines of the report, up to the end trace."""
        lines = [*self.WARN, "---[ end trace 0000000000000000 ]---"]
        assert splats.first(lines, lambda line: line.startswith("refcount_t: underflow")) is None
        assert splats.first([*lines, "BUG: later"], lambda line: "underflow" in line) == "BUG: later"

    def test_a_warning_is_excused_by_its_main_line_only(self) -> None:
        assert splats.first(self.WARN, lambda line: line.startswith("WARNING")) == self.WARN[1]


def test_records_are_read_without_their_dictionaries() -> None:
    """Documentation/ABI/testing/dev-kmsg: prefix, comma-separated fields, a semicolon, the text."""
    raw = (
        "6,339,5140900,-;NET: Registered protocol family\n"
        " SUBSYSTEM=acpi\n"
        " DEVICE=+acpi:PNP0A03:00\n"
        "30,340,5690716,-;udevd[80]: starting; version 181\n"
        "4,341,12000001,c,caller=T41;WARNING: x\n"
        "no record at all\n"
    )
    assert kernel_log.parse(raw) == [
        LogRecord(6, 339, 5140900, "NET: Registered protocol family"),
        LogRecord(6, 340, 5690716, "udevd[80]: starting; version 181"),
        LogRecord(4, 341, 12000001, "WARNING: x"),
    ]


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        ("plain", "plain"),
        (r"a\x09b", "a\tb"),
        (r"back\x5cslash", "back\\slash"),
        (r"back\x5cx41", r"back\x41"),
        (r"caf\xc3\xa9", "café"),
        (r"half \xc3", r"half \xc3"),
        (r"not \xZZ hex", r"not \xZZ hex"),
    ],
)
def test_escapes_are_decoded_once(escaped: str, text: str) -> None:
    assert kernel_log.unescape(escaped) == text


def test_records_are_shown_as_dmesg_shows_them() -> None:
    records = [LogRecord(6, 1, 7, "first"), LogRecord(4, 2, 12345678901, "later")]
    assert kernel_log.render(records) == "[    0.000007] first\n[12345.678901] later\n"


def test_overwritten_records_are_detected_by_their_numbers() -> None:
    def records(*numbers: int) -> list[LogRecord]:
        return [LogRecord(6, number, 0, "") for number in numbers]

    assert kernel_log.lost(338, []) == 0
    assert kernel_log.lost(338, records(339, 340)) == 0
    assert kernel_log.lost(338, records(342, 343)) == 3
    assert kernel_log.lost(338, records(339, 343, 345)) == 4


@pytest.mark.parametrize(
    ("before", "now", "letters"),
    [
        (0, 0, ""),
        (0, 1 << 9, "W"),
        (1 << 9, 1 << 9, ""),
        (1 << 9, 1 << 9 | 1 << 7, "D"),
        (0, 1 << 0 | 1 << 6, "PU"),
        (0, 1 << 13, ""),
    ],
    ids=["none", "warning", "as-at-boot", "one-more", "two", "expected"],
)
def test_a_taint_since_the_boot_is_found(before: int, now: int, letters: str) -> None:
    assert "".join(taint.gained(before, now)) == letters


def test_a_taint_of_a_later_kernel_is_reported_by_its_number() -> None:
    assert taint.gained(0, 1 << 40) == {"bit 40": "not known to kconform"}


def test_taints_have_the_kernels_letters() -> None:
    """kernel/panic.c, taint_flags, in its order."""
    assert "".join(letter for letter, _ in taint.BITS) == "PFSRMBUDAWCIOELKXTNJ"
    assert {*taint.EXPECTED, *taint.OF_SPLATS} <= {letter for letter, _ in taint.BITS}
