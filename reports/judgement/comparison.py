# SPDX-License-Identifier: GPL-2.0-or-later
"""What changed from one run to another: two documents in, a `Comparison` out.

A test is the same in both if its name without the kernel's id is the same, and if the kernels are counterparts: they
have the same id, or the user named the pair, or they are the only two alike (`debian-6.12.117/full`,
`debian-6.12.118/full`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from common.errors import UsageError
from reports.judgement.counterparts import pair_kernels
from reports.judgement.exit_status import BROKEN, HELD, UNDETERMINED
from reports.model.document import Document
from reports.model.names_of_tests import kernel_in, without_kernel
from reports.model.result import BROKE, NO_KERNEL, SEVERITY, KernelRecord, PromiseStatus, Result, Verdict

HOLDS: tuple[Verdict, ...] = ("pass", "unexpected-pass")

KINDS = {
    "failing": "newly failing",
    "flaky": "newly flaky",
    "errors": "new errors",
    "waived": "newly waived",
    "passing": "newly passing",
    "not applicable": "no longer applicable",
    "applicable": "applicable now",
    "reason": "changed reason",
    "new": "new",
    "gone": "gone",
}
"""Every kind of change and its title, the most important first."""

# What differs between two runs with the same result: numbers of tasks, addresses, times in the log, attempts.
_INCIDENTAL = re.compile(
    r"(?<=\w)\[\d+|\b0x[0-9a-f]{5,}\b|\[ *\d+\.\d+\]|^broken (?:again )?in \d+ of \d+ attempts[^:]*: "
)
_VERSION = re.compile(r"[-_.]?\d[\w.+~]*")


@dataclass(frozen=True)
class Change:
    """A test whose result has changed.  One of the two is None if only the other run has the test."""

    kind: str
    old: Result | None
    new: Result | None

    @property
    def nodeid(self) -> str:
        """Its name in the newer run that has it."""
        result = self.new or self.old
        assert result is not None
        return result.nodeid

    @property
    def verdicts(self) -> str:
        """The verdict before, and the one now: `pass -> fail`."""
        old, new = (result.verdict if result else "absent" for result in (self.old, self.new))
        return old if old == new else f"{old} -> {new}"

    @property
    def newly_broken(self) -> list[str]:
        """If the test failed before, too: the promises that only the new failure breaks."""
        return _newly_broken(self.old, self.new)


@dataclass(frozen=True)
class PromiseChange:
    """A requirement whose status on a kernel has changed; None where it has no status."""

    id: str
    text: str
    kernel: str
    old: PromiseStatus | None
    new: PromiseStatus | None


@dataclass(frozen=True)
class Comparison:
    """All that is different."""

    old: Document
    new: Document
    pairs: Sequence[tuple[str | None, str | None]]
    """Kernel ids that are counterparts; None where one has no counterpart."""
    changes: Mapping[str, Sequence[Change]]
    """All kinds of KINDS, each with its changes."""
    promises: Sequence[PromiseChange]
    same: int
    """Tests with the same result."""
    remarks: Sequence[str] = field(default_factory=tuple)

    def totals(self) -> str:
        """One line: how many tests have changed in each way, and how many have not."""
        counted = [f"{len(self.changes[kind])} {title}" for kind, title in KINDS.items() if self.changes[kind]]
        return ", ".join([*counted, f"{self.same} as before"])

    @property
    def exit_status(self) -> int:
        """1 if something newly fails, or is flaky and did not fail before, 3 if only errors are new, otherwise 0.

        A run with --flaky=undetermined takes flaky tests for errors here, too.
        """
        found = self.changes["flaky"]
        flaky = any(each.old is None or each.old.verdict != "fail" or each.newly_broken for each in found)
        if self.changes["failing"] or (flaky and self.new.run.certainty.flaky == "broken"):
            return BROKEN
        return UNDETERMINED if self.changes["errors"] or flaky else HELD


def compare(old: Document, new: Document, named: Iterable[tuple[str, str]] = ()) -> Comparison:
    """Compare two runs; `named` are pairs of kernel ids, (old, new), that the user names as counterparts.

    UsageError if it is unclear which kernels are counterparts, or if no test is in both runs.
    """
    named = list(named)
    flavors = {kernel.flavor for each in (old, new) for kernel in each.kernels.values() if kernel.flavor}
    olds = _by_kernel(old, [pair[0] for pair in named], flavors)
    news = _by_kernel(new, [pair[1] for pair in named], flavors)
    pairs = pair_kernels(_identified(olds, old), _identified(news, new), named)
    changes: dict[str, list[Change]] = {kind: [] for kind in KINDS}
    same = 0
    sides = [(_tests(olds, one), _tests(news, other)) for one, other in pairs]
    for before, after in (*sides, (olds.get(None, {}), news.get(None, {}))):
        for name in dict.fromkeys((*after, *before)):
            change = _change(before.get(name), after.get(name))
            if change is None:
                same += 1
            else:
                changes[change.kind].append(change)
    if not same and not any(change.old and change.new for found in changes.values() for change in found):
        # A gate that compares nothing must stay shut.
        raise UsageError(
            f"{old.path} and {new.path}: no test is in both, so there is nothing to compare",
            hint=f"old: {', '.join(old.kernels) or 'no kernel'}; new: {', '.join(new.kernels) or 'none'}; "
            "--kernel OLD=NEW names counterparts",
        )
    unasked = {
        (change.old.kernel, promise)
        for change in changes["gone"]
        if change.old and change.old.verdict not in (*HOLDS, "skip")
        for promise in change.old.subjects
    }
    promises = _promises(old, new, pairs, unasked)
    return Comparison(old, new, pairs, changes, promises, same, (*old.remarks(), *new.remarks()))


def _by_kernel(
    document: Document, named: Collection[str], flavors: Collection[str]
) -> dict[str | None, dict[str, Result]]:
    """Kernel -> name without it -> result: the most severe, if a test ran more than once."""
    found: dict[str | None, dict[str, Result]] = {identifier: {} for identifier in document.kernels}
    for result in document.results:
        kernel = result.kernel
        if kernel is None and result.verdict == "error":
            # A kernel that could not be built or unpacked is known only from the names of its tests.
            kernel = kernel_in(result.nodeid, (*document.kernels, *named), flavors)
        tests = found.setdefault(kernel, {})
        name = without_kernel(result.nodeid, kernel)
        known = tests.get(name)
        if known is None or SEVERITY[result.verdict] > SEVERITY[known.verdict]:
            tests[name] = result
    return found


def _identified(found: Iterable[str | None], document: Document) -> dict[str, tuple[str, str]]:
    """Kernel id -> (its name without the version, flavor)."""
    identified = {}
    for kernel in found:
        if kernel is not None:
            known = document.kernels.get(kernel) or KernelRecord.of({"id": kernel})
            name, _, flavor = kernel.partition("/")
            identified[kernel] = (_VERSION.sub("", name), known.flavor or flavor)
    return identified


def _tests(found: Mapping[str | None, Mapping[str, Result]], kernel: str | None) -> Mapping[str, Result]:
    return {} if kernel is None else found[kernel]


def _change(old: Result | None, new: Result | None) -> Change | None:
    """How a test has changed, or None if it has not."""
    kind = _kind(old, new)
    return None if kind is None else Change(kind, old, new)


def _kind(old: Result | None, new: Result | None) -> str | None:
    before, after = (result.verdict if result else None for result in (old, new))
    if before != after or _newly_broken(old, new):
        # Whatever it was before, or if it did not exist: this was not known to be broken.
        for verdict, kind in (("fail", "failing"), ("flaky", "flaky"), ("error", "errors")):
            if after == verdict:
                return kind
        if old is None or new is None:
            return "new" if old is None else "gone"
        if after == "skip":
            return "not applicable"
        if before == "skip":
            return "applicable" if after in HOLDS else "waived"
        if after == "waived":
            return "waived"
        # A pass and an unexpected pass differ only by a waiver.
        return None if before in HOLDS else "passing"
    if old is not None and new is not None and before not in HOLDS and _essence(old) != _essence(new):
        return "reason"
    return None


def _newly_broken(old: Result | None, new: Result | None) -> list[str]:
    if old is None or new is None or not {old.verdict, new.verdict} <= set(BROKE):
        return []
    return [promise for promise in new.subjects if promise not in old.subjects]


def _essence(result: Result) -> str:
    return _INCIDENTAL.sub("", result.reason)


def _promises(
    old: Document,
    new: Document,
    pairs: Iterable[tuple[str | None, str | None]],
    unasked: Collection[tuple[str | None, str]],
) -> list[PromiseChange]:
    """Requirements whose status differs between counterparts.

    `unasked`: an old kernel and a promise, one of whose tests did not hold there and is gone: nobody knows whether
    the promise is held now.
    """
    found = []
    for one, other in (*pairs, (NO_KERNEL, NO_KERNEL)):
        if one is None or other is None:
            continue
        for identifier, promise in new.promises.items():
            before = old.promises[identifier].status.get(one) if identifier in old.promises else None
            after = promise.status.get(other)
            if (one, identifier) in unasked and after not in ("broken", "flaky", "unknown"):
                continue
            if before != after and not {before, after} <= {None, "untested"}:
                found.append(PromiseChange(identifier, promise.text, other, before, after))
        found += [
            PromiseChange(identifier, promise.text, one, promise.status.get(one), None)
            for identifier, promise in old.promises.items()
            if identifier not in new.promises and promise.status.get(one) not in (None, "untested")
        ]
    return found
