# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernels of two runs are compared with each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from common.errors import UsageError
from common.text import printable


def pair_kernels(
    old: Mapping[str, tuple[str, str]], new: Mapping[str, tuple[str, str]], named: Iterable[tuple[str, str]] = ()
) -> list[tuple[str | None, str | None]]:
    """Counterparts among kernels, each given by its id with its (family, flavor).

    The named pairs first; then equal ids; then the only two of a family and flavor; then the only two of a flavor.
    UsageError if kernels of one flavor are left over on both sides.
    """
    pairs: dict[str, str] = {}
    for one, other in named:
        for identifier, known, side in ((one, old, "old"), (other, new, "new")):
            if identifier not in known:
                raise UsageError(
                    f"--kernel {one}={other}: the {side} run has no kernel {printable(identifier)!r}",
                    hint=f"it has {', '.join(known) or 'none'}",
                )
        if one in pairs or other in pairs.values():
            raise UsageError(f"--kernel {one}={other}: one of the two has a counterpart already")
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
            raise UsageError(
                f"which kernels are counterparts? old: {', '.join(rivals)}; new: {', '.join(others)}",
                hint=f"name them with --kernel {one}={others[0]}",
            )
    ordered: list[tuple[str | None, str | None]] = [(kernel, pairs.get(kernel)) for kernel in old]
    return ordered + [(None, kernel) for kernel in new if kernel not in pairs.values()]


def _grouped(kernels: Iterable[str], key: Callable[[str], object]) -> dict[object, list[str]]:
    groups: dict[object, list[str]] = {}
    for kernel in kernels:
        groups.setdefault(key(kernel), []).append(kernel)
    return groups
