# SPDX-License-Identifier: GPL-2.0-or-later
"""Walks through the model of filters and a guest: after each step, every task makes calls and shows its state."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import invariant

from guests.bpf import Action, Filter, Program, ret
from guests.outcome import OK, error, returned
from guests.protocol.wire import Entry
from suites.seccomp.support.filter_model import MAX_ERRNO, Decision, FilteredProcess
from suites.seccomp.support.filter_population import (
    ARGUMENTS,
    CALLS,
    NO_DESCRIPTOR,
    free,
    is_fatal,
    line_of,
    living,
    roomy,
)
from suites.seccomp.support.filter_results import NUMBERS, abi_of, probe_calls
from suites.seccomp.support.generated_filters import (
    FILTER_ERRNO,
    arithmetic_filters,
    cacheable_filters,
    for_calls,
    for_numbers,
    single_comparisons,
)
from suites.seccomp.support.supervised_walk import SupervisedWalk, able_to_install, privileged
from suites.walks.walk import Prediction, action

SAFE = (
    *("deny({}, errno={})".format("{}", number) for number in (0, 3077, 4095, 5000)),
    *("allow({})", "log({})", "notify({})", "trace({})", "trace({})"),
)
DEADLY = ("kill_thread({})", "kill_process({})", "trap({})")
VERBS = (*SAFE, *DEADLY * 2)
STRONG = (SAFE[1], *DEADLY)
KILLS = (Action.KILL_PROCESS, Action.KILL_THREAD)
ARGUMENTS_OF_32_BITS = tuple(tuple(value & 0xFFFFFFFF for value in arguments) for arguments in ARGUMENTS)
"""Whether filters see the upper halves of `int 0x80` depends on the release (seccomp.data-int80-upper-halves)."""
FIRST_NUMBERS = {Entry.NATIVE: 440, Entry.INT80: 300}
"""From where on filters decide about all numbers: above those of the calls by which tasks do what they are asked."""
CONDITIONS = ("", "", "arg(0) == 7", "arg(1) & 2", "arg(2) > 5", "arg(5) == 1 << 32", "arg(0) != 7")

PROMISES = (
    *("seccomp.allow", "seccomp.errno", "seccomp.errno-data", "seccomp.inheritance"),
    *("seccomp.kill-process", "seccomp.kill-thread", "seccomp.log", "seccomp.modes", "seccomp.no-new-privs"),
    *("seccomp.notif-answer", "seccomp.notif-one-listener", "seccomp.notif-pid", "seccomp.precedence"),
    *("seccomp.privilege", "seccomp.status", "seccomp.status-count", "seccomp.strict", "seccomp.strict-enter"),
    *("seccomp.suspend", "seccomp.trace", "seccomp.trace-recheck", "seccomp.trap"),
    *("seccomp.trap-blocked", "seccomp.tsync", "seccomp.tsync-divergent", "seccomp.tsync-esrch"),
    "seccomp.user-notif",
)
"""The promises from which the model's predictions follow."""


def in_groups(walk: FilterWalk) -> list[str]:
    """Tasks with other threads, more often than others."""
    return privileged(walk) + [name for name in privileged(walk) if len(walk.tasks[name].process.threads) > 1] * 3


def decided_calls(walk: FilterWalk) -> list[tuple[str, str]]:
    """Tasks that may install filters, and calls that their filters object to, those that kill more often."""
    found: list[tuple[str, str]] = []
    for name, call in itertools.product(able_to_install(walk), CALLS):
        decision = walk.tasks[name].decide(call, ARGUMENTS[0])
        if decision.made_by:
            found += [(name, call)] * (4 if decision.action in KILLS else 1)
    return found


def able_parents(walk: FilterWalk) -> list[str]:
    """Tasks that may have children which may install filters."""
    return able_to_install(walk) if roomy(walk) else []


def programs(walk: FilterWalk) -> st.SearchStrategy[Program]:
    """Generated filters, about CALLS alone."""
    arch = walk.guest.arch
    generated = st.one_of(cacheable_filters(arch), single_comparisons(arch), arithmetic_filters(arch))
    return generated.map(lambda program: for_calls(CALLS, arch, program))


def programs_for_numbers(walk: FilterWalk) -> st.SearchStrategy[tuple[Entry, Program]]:
    """Generated filters about all calls of an entry from a number on; half of them deny all of these."""
    entries = (Entry.NATIVE, Entry.INT80) if walk.calls_by_int80 else (Entry.NATIVE,)
    arch = walk.guest.arch
    generated = st.one_of(st.just((ret(Action.ERRNO, FILTER_ERRNO),)), cacheable_filters(arch))
    return st.tuples(st.sampled_from(entries), generated).map(
        lambda drawn: (drawn[0], for_numbers(FIRST_NUMBERS[drawn[0]], abi_of(drawn[0], arch), drawn[1]))
    )


def tasks_with_denied_numbers(walk: FilterWalk) -> list[tuple[str, Entry]]:
    """Tasks that have filters about all calls of an entry from a number on."""
    return [
        (name, entry)
        for name in free(walk)
        for entry, filters in walk.about_numbers.items()
        if any(each.program in filters for each in walk.tasks[name].filters)
    ]


def is_denial(decision: Decision) -> bool:
    """Whether a filter returns an errno that no call itself returns."""
    return decision.action is Action.ERRNO and FILTER_ERRNO <= decision.data <= MAX_ERRNO


def consecutive(numbers: Iterable[int]) -> list[range]:
    """Ascending numbers as ranges without gaps."""
    groups = itertools.groupby(enumerate(numbers), lambda numbered: numbered[1] - numbered[0])
    found = [[nr for _, nr in group] for _, group in groups]
    return [range(each[0], each[-1] + 1) for each in found]


class FilterWalk(SupervisedWalk):
    """Tasks that install filters, alone and for all threads."""

    imports: ClassVar[Mapping[str, str]] = {
        **SupervisedWalk.imports,
        **dict.fromkeys(("arg", "allow", "deny", "kill_process", "kill_thread"), "guests.bpf"),
        **dict.fromkeys(("log", "trace", "trap", "Instruction"), "guests.bpf"),
        "FilterFlag": "guests.syscalls.seccomp",
        "Entry": "guests.protocol.wire",
        "sweep": "guests.syscall_sweep",
    }

    def __init__(self) -> None:
        super().__init__()
        self.about_numbers: dict[Entry, set[Filter]] = {Entry.NATIVE: set(), Entry.INT80: set()}

    # Filters

    @action(
        6,
        task=privileged,
        call=lambda _: CALLS + CALLS[:1] * 5,
        verb=lambda _: VERBS + SAFE,
        when=lambda _: CONDITIONS,
        arch=lambda walk: ("", "", "", "i386") if walk.calls_by_int80 else ("",),
    )
    def install(self, task: str, call: str, verb: str, when: str, arch: str) -> None:
        source = self._policy(call, verb, when, arch)
        prediction = self.tasks[task].install(self.value(source))
        self.compare(f"{task}.install({source})", prediction)

    @action(3, decided=decided_calls, verb=lambda _: VERBS)
    def contradict(self, decided: tuple[str, str], verb: str) -> None:
        """Another filter about a call that a filter is about already."""
        task, call = decided
        self.install(task, call, verb, "", "")

    @action(2, parent=able_parents, older=lambda _: STRONG, newer=lambda _: STRONG)
    def kill_or_deny(self, parent: str, older: str, newer: str) -> None:
        """Two filters about a call of a thread, which may be the end of the thread alone or of its process."""
        self.child(parent)
        self.thread(self.newest)
        task, call = self.newest, (self.newest, CALLS[0], ARGUMENTS[0])
        for verb in (older, newer):
            self.install(task, CALLS[0], verb, "", "")
        prediction = self.tasks[task].call(*call[1:])
        if prediction and is_fatal(prediction):
            self.die((call, prediction))

    @action(4, task=in_groups, call=lambda _: CALLS, verb=lambda _: SAFE, esrch=lambda _: (False, False, True))
    def synchronize(self, task: str, call: str, verb: str, esrch: bool) -> None:
        esrch = esrch and self.guest.kernel.version >= (5, 7)
        source = self._policy(call, verb, "")
        flags = "FilterFlag.TSYNC" + " | FilterFlag.TSYNC_ESRCH" * esrch
        found = self.tasks[task].synchronize(self.value(source), esrch=esrch)
        if isinstance(found, Prediction):
            self.compare(f"{task}.install({source}, {flags})", found)
        else:
            expected = Prediction(returned(self.names[found.name].tid), "seccomp.tsync-divergent")
            self.compare(f"{task}.install({source}, {flags})", expected, written=f"returned({found.name}.tid)")

    @action(5, task=privileged, program=programs)
    def install_generated(self, task: str, program: Program) -> None:
        self.compare(f"{task}.install({program!r})", self.tasks[task].install(program))

    @action(2, task=privileged, filtered=programs_for_numbers)
    def install_for_numbers(self, task: str, filtered: tuple[Entry, Program]) -> None:
        entry, program = filtered
        self.about_numbers[entry].add(program)
        self.install_generated(task, program)

    @property
    def calls_by_int80(self) -> bool:
        return bool(self.guest.kernel.config.enabled("IA32_EMULATION"))

    def _policy(self, call: str, verb: str, when: str, arch: str = "") -> str:
        condition = f", when={when}" if when and not verb.startswith(("trap", "log", "notify", "kill")) else ""
        return f"policy({verb.format(repr(call)).removesuffix(')')}{condition}){f', arch={arch!r}' if arch else ''})"

    # Calls

    @action(2, parent=able_to_install, verb=lambda _: VERBS)
    def make_directory(self, parent: str, verb: str) -> None:
        """A call with an effect, by a child that may be killed for it: has it run?"""
        name = next(self.free_names)
        source, path = self._policy("mkdirat", verb, ""), f"/tmp/{name}"  # noqa: S108 - the guest's
        self.do(f'{name} = {parent}.spawn("{name}")')
        child = self.tasks[parent].child(name, FilteredProcess())
        self.compare(f"{name}.install({source})", child.install(self.value(source)))
        if (prediction := child.call("mkdirat", (0,) * 6)) is not None:
            # The path is absolute, so the descriptor does not matter.
            self.compare(f'{name}.call("mkdirat", 0, "{path}", 0o700)', prediction)
            self.compare_value(f'guest.exists("{path}")', prediction.expected == OK, prediction.promise)
            if not is_fatal(prediction):
                self.do(f"{name}.exit().require(exited(0))")

    @action(3, task=living, call=lambda _: CALLS, arguments=lambda _: ARGUMENTS_OF_32_BITS)
    def call_by_int80(self, task: str, call: str, arguments: tuple[int, ...]) -> None:
        if self.tasks[task].strict:
            call, arguments = "read", NO_DESCRIPTOR
        prediction = self.tasks[task].call(call, arguments, compat=True)
        if prediction and not is_fatal(prediction) and self.calls_by_int80:
            self.compare(line_of(task, call, arguments, "call32"), prediction)

    @action(3, who=tasks_with_denied_numbers)
    def call_denied_numbers(self, who: tuple[str, Entry]) -> None:
        """Calls that may not exist, or be anything, but that filters deny."""
        name, entry = who
        arch, task = abi_of(entry, self.guest.arch), self.tasks[name]
        numbers = set(range(FIRST_NUMBERS[entry], NUMBERS)) - probe_calls(entry, self.guest.arch)
        decisions = {nr: task.decide_number(nr, (0,) * 6, arch) for nr in sorted(numbers)}
        denied = {nr: each for nr, each in decisions.items() if is_denial(each)}
        for run in consecutive(denied):
            for nr, outcome in self.value(f"sweep({name}, {run}, entry=Entry.{entry.name})").items():
                if outcome.errno != denied[nr].data:
                    prediction = Prediction(error(denied[nr].data), denied[nr].promise)
                    self.recheck(f"{name}.call({nr}, entry=Entry.{entry.name})", prediction, outcome)

    @invariant()
    def everyone_makes_the_calls(self) -> None:
        self.compare_calls(living(self))

    @invariant()
    def everyone_shows_its_state(self) -> None:
        with self.harness_errors_stop():
            for name, task in sorted(self.tasks.items()):
                seen, expected = self.value(f"seccomp_state(guest, {name})"), task.state()
                if seen != expected:
                    promises = ("seccomp.no-new-privs", "seccomp.status", "seccomp.status-count")
                    differing = next(at for at in range(3) if seen[at] != expected[at])
                    self.compare_value(f"seccomp_state(guest, {name})", expected, promises[differing])
