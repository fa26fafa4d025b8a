# SPDX-License-Identifier: GPL-2.0-or-later
"""What changed from one run to another.  Pure: two documents in, a `Comparison` out.

A test is the same in both if its name is, less the kernel's id, and if the kernels are counterparts: one id in both,
or the pair that the user named, or the only two that are alike (`debian-6.12.117/full`, `debian-6.12.118/full`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from reports.judgement.exit_status import BROKEN, HELD, OURS
from reports.judgement.verdict import SEVERITY
from reports.model.document import BadInputError, Document
from reports.model.result import Result
from reports.model.store import NO_KERNEL
from reports.model.test_names import kernel_in, without_kernel

HOLDS = ("pass", "unexpected-pass")

KINDS = {
    "failing": "newly failing",
    "errors": "new errors of ours",
    "waived": "newly waived",
    "passing": "newly passing",
    "not applicable": "no longer applicable",
    "applicable": "applicable now",
    "reason": "changed reason",
    "new": "new",
    "gone": "gone",
}
"""Every kind of change and its title, the weightiest first."""

# What differs between two runs that tell the same: numbers of tasks, addresses, times of the log.
_INCIDENTAL = re.compile(r"(?<=\w)\[\d+|\b0x[0-9a-f]{5,}\b|\[ *\d+\.\d+\]")
_VERSION = re.compile(r"[-_.]?\d[\w.+~]*")


@dataclass(frozen=True)
class Change:
    """A test that is not what it was.  One of the two is None where the test is in one run only."""

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
    def was(self) -> str:
        """What it came to before, and what it comes to now: `pass -> fail`."""
        old, new = (result.outcome if result else "absent" for result in (self.old, self.new))
        return old if old == new else f"{old} -> {new}"


@dataclass(frozen=True)
class Promise:
    """A requirement that is not what it was on a kernel; a status is None where there is none."""

    id: str
    text: str
    kernel: str
    old: str | None
    new: str | None


@dataclass(frozen=True)
class Comparison:
    """All that is different."""

    old: Document
    new: Document
    pairs: Sequence[tuple[str | None, str | None]]
    """Kernel ids that are counterparts; None where one has no counterpart."""
    changes: Mapping[str, Sequence[Change]]
    """Each kind of KINDS, with nothing in it where nothing is."""
    promises: Sequence[Promise]
    same: int
    """Tests that are what they were."""
    remarks: Sequence[str] = field(default_factory=tuple)

    @property
    def exit_status(self) -> int:
        """What a gate reads: 1 if something newly fails, 3 if only errors are new, otherwise 0."""
        return BROKEN if self.changes["failing"] else OURS if self.changes["errors"] else HELD


def compare(old: Document, new: Document, named: Iterable[tuple[str, str]] = ()) -> Comparison:
    """Compare two runs; `named` are pairs of kernel ids, (old, new), that the user calls counterparts.

    Raises BadInputError if it cannot be told which kernels are, or if nothing is in both.
    """
    named = list(named)
    flavors = {str(kernel.get("flavor")) for each in (old, new) for kernel in each.kernels.values()}
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
        # A gate that compares nothing must not open.
        raise BadInputError(
            f"{old.path} and {new.path}: no test is in both, so there is nothing to compare",
            f"old: {', '.join(old.kernels) or 'no kernel'}; new: {', '.join(new.kernels) or 'none'}; "
            "--kernel OLD=NEW says which are counterparts",
        )
    unasked = {
        (change.old.kernel, promise)
        for change in changes["gone"]
        if change.old and change.old.outcome not in (*HOLDS, "skip")
        for promise in change.old.requirements
    }
    promises = _promises(old, new, pairs, unasked)
    return Comparison(old, new, pairs, changes, promises, same, (*old.remarks(), *new.remarks()))


def _by_kernel(
    document: Document, named: Collection[str], flavors: Collection[str]
) -> dict[str | None, dict[str, Result]]:
    """Kernel -> name without it -> result; the worst, where a test ran more than once."""
    found: dict[str | None, dict[str, Result]] = {identifier: {} for identifier in document.kernels}
    for result in document.results:
        kernel = result.kernel
        if kernel is None and result.outcome == "error":
            # A kernel that could not be built or unpacked is known by its tests' names only.
            kernel = kernel_in(result.nodeid, (*document.kernels, *named), flavors)
        tests = found.setdefault(kernel, {})
        name = without_kernel(result.nodeid, kernel)
        known = tests.get(name)
        if known is None or SEVERITY[result.outcome] > SEVERITY[known.outcome]:
            tests[name] = result
    return found


def _identified(found: Iterable[str | None], document: Document) -> dict[str, tuple[str, str]]:
    """Kernel id -> (what it is called without its version, flavor)."""
    identified = {}
    for kernel in found:
        if kernel is not None:
            known = document.kernels.get(kernel, {})
            name, _, flavor = kernel.partition("/")
            identified[kernel] = (_VERSION.sub("", name), str(known.get("flavor") or flavor))
    return identified


def pair_kernels(
    old: Mapping[str, tuple[str, str]], new: Mapping[str, tuple[str, str]], named: Iterable[tuple[str, str]] = ()
) -> list[tuple[str | None, str | None]]:
    """Counterparts among kernels, each given by its id with its (family, flavor).

    The named pairs; then equal ids; then the only two of one family and flavor; then the only two of one flavor.
    Raises BadInputError where kernels of one flavor are left over on both sides.
    """
    pairs: dict[str, str] = {}
    for one, other in named:
        for identifier, known, side in ((one, old, "old"), (other, new, "new")):
            if identifier not in known:
                raise BadInputError(
                    f"--kernel {one}={other}: the {side} run has no kernel {identifier!r}",
                    f"it has {', '.join(known) or 'none'}",
                )
        if one in pairs or other in pairs.values():
            raise BadInputError(f"--kernel {one}={other}: one of the two has a counterpart already")
        pairs[one] = other
    left = [kernel for kernel in old if kernel not in pairs]
    right = [kernel for kernel in new if kernel not in pairs.values()]
    ways: tuple[Callable[[Mapping[str, tuple[str, str]], str], object], ...] = (
        lambda _, kernel: kernel,
        lambda known, kernel: known[kernel],
        lambda known, kernel: known[kernel][1],
    )
    for alike in ways:
        lefts, rights = _grouped(left, partial(alike, old)), _grouped(right, partial(alike, new))
        for key in lefts.keys() & rights.keys():
            if len(lefts[key]) == len(rights[key]) == 1:
                pairs[lefts[key][0]] = rights[key][0]
        left = [kernel for kernel in left if kernel not in pairs]
        right = [kernel for kernel in right if kernel not in pairs.values()]
    for one in left:
        others = [kernel for kernel in right if new[kernel][1] == old[one][1]]
        if others:
            rivals = [kernel for kernel in left if old[kernel][1] == old[one][1]]
            raise BadInputError(
                f"which kernels are counterparts? old: {', '.join(rivals)}; new: {', '.join(others)}",
                f"say so with --kernel {one}={others[0]}",
            )
    ordered: list[tuple[str | None, str | None]] = [(kernel, pairs.get(kernel)) for kernel in old]
    return ordered + [(None, kernel) for kernel in new if kernel not in pairs.values()]


def _grouped(kernels: Iterable[str], key: Callable[[str], object]) -> dict[object, list[str]]:
    groups: dict[object, list[str]] = {}
    for kernel in kernels:
        groups.setdefault(key(kernel), []).append(kernel)
    return groups


def _tests(found: Mapping[str | None, Mapping[str, Result]], kernel: str | None) -> Mapping[str, Result]:
    return {} if kernel is None else found[kernel]


def _change(old: Result | None, new: Result | None) -> Change | None:
    """What became of a test, or None if nothing did."""
    kind = _kind(old, new)
    return None if kind is None else Change(kind, old, new)


def _kind(old: Result | None, new: Result | None) -> str | None:
    before, after = (result.outcome if result else None for result in (old, new))
    if before != after:
        # Whatever it was before, and if it was not there at all: this was not known to be broken.
        for outcome, kind in (("fail", "failing"), ("error", "errors")):
            if after == outcome:
                return kind
        if old is None or new is None:
            return "new" if old is None else "gone"
        if after == "skip":
            return "not applicable"
        if before == "skip":
            return "applicable" if after in HOLDS else "waived"
        if after == "waived":
            return "waived"
        # A pass and an unexpected pass differ by a waiver only.
        return None if before in HOLDS else "passing"
    if old is not None and new is not None and before not in HOLDS and _essence(old) != _essence(new):
        return "reason"
    return None


def _essence(result: Result) -> str:
    return _INCIDENTAL.sub("", result.reason)


def _promises(
    old: Document,
    new: Document,
    pairs: Iterable[tuple[str | None, str | None]],
    unasked: Collection[tuple[str | None, str]],
) -> list[Promise]:
    """Requirements whose status differs between counterparts.

    `unasked`: an old kernel and a promise, of which a test that did not hold is gone: nobody knows how they are now.
    """
    found = []
    for one, other in (*pairs, (NO_KERNEL, NO_KERNEL)):
        if one is None or other is None:
            continue
        for identifier, requirement in new.requirements.items():
            before = old.statuses.get(identifier, {}).get(one)
            after = new.statuses[identifier].get(other)
            if (one, identifier) in unasked and after not in ("broken", "unknown"):
                continue
            if before != after and not {before, after} <= {None, "untested"}:
                found.append(Promise(identifier, requirement.text, other, before, after))
        found += [
            Promise(identifier, requirement.text, one, old.statuses[identifier].get(one), None)
            for identifier, requirement in old.requirements.items()
            if identifier not in new.requirements and old.statuses[identifier].get(one) not in (None, "untested")
        ]
    return found
