# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a kernel makes a promise: by version, stable series, profile, or its own word."""

from __future__ import annotations

import pytest

from reports.judgement.kernel_promises import KernelPromises, Standing
from reports.model.requirements import Requirement

PROBE = "addfd-flag SEND"


def requirement(name: str, since: str = "6.6", until: str | None = None, **more: object) -> Requirement:
    return Requirement(f"seccomp.{name}", "text", "source", since, until, **more)  # type: ignore[arg-type]


KNOWN = {
    each.id: each
    for each in (
        requirement("plain"),
        requirement("probed", probe=PROBE),
        requirement("stable", "6.12.110", stable=("6.1.188", "5.15.210")),
        requirement("old", "5.0", "6.6", successor="seccomp.new"),
        requirement("new", "6.7"),
        requirement("short", "6.3", "6.9", probe=PROBE),
        requirement("of-one", "6.6", arches=("x86_64",)),
    )
}


def standing(
    name: str, version: tuple[int, ...], *, listed: tuple[str, ...] = (), says: bool = False, ask: bool = True
) -> Standing:
    promises = KernelPromises(
        KNOWN,
        version,
        listed=lambda identifier: "we list it" if identifier in listed else "",
        says=lambda probe: probe == PROBE and says,
    )
    return promises.standing(f"seccomp.{name}", ask=ask)


@pytest.mark.parametrize("version", [(6, 6), (6, 6, 13), (7,), ()])
@pytest.mark.parametrize("name", ["plain", "probed"])
def test_the_version_is_enough(name: str, version: tuple[int, ...]) -> None:
    """A kernel whose version makes the promise is not asked: what it denies would be a broken promise."""

    def asked(_: str) -> bool:
        raise AssertionError("asked")

    promises = KernelPromises(KNOWN, version, listed=lambda _: "", says=asked)
    assert promises.standing(f"seccomp.{name}") == Standing()
    assert promises.makes(f"seccomp.{name}")


@pytest.mark.parametrize(
    ("arch", "excluded"), [("x86_64", ""), ("aarch64", "seccomp.of-one is about x86_64, and this is aarch64")]
)
def test_a_promise_of_one_architecture(arch: str, excluded: str) -> None:
    promises = KernelPromises(KNOWN, (6, 12), arch=arch, listed=lambda _: "", says=lambda _: False)
    assert promises.standing("seccomp.of-one").excluded == excluded
    assert promises.makes("seccomp.plain")


OLDER = "since Linux 6.6, this is 5.14"


@pytest.mark.parametrize(
    ("name", "how", "expected"),
    [
        ("plain", {}, Standing(excluded=OLDER)),
        ("plain", {"says": True}, Standing(excluded=OLDER)),
        ("plain", {"listed": ("seccomp.plain",)}, Standing(backported=f"{OLDER}, but we list it")),
        ("plain", {"listed": ("seccomp.probed",)}, Standing(excluded=OLDER)),
        ("probed", {"says": True}, Standing(backported=f"{OLDER}, but the kernel says that it has {PROBE}")),
        ("probed", {"says": False}, Standing(excluded=f"{OLDER}, which does not say that it has {PROBE}")),
        ("probed", {"says": True, "ask": False}, Standing(excluded=OLDER)),
        ("probed", {"listed": ("seccomp.probed",)}, Standing(backported=f"{OLDER}, but we list it")),
    ],
)
def test_an_older_kernel(name: str, how: dict[str, object], expected: Standing) -> None:
    assert standing(name, (5, 14), **how) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("version", "since"),
    [
        ((6, 1, 187), None),
        ((6, 1, 188), "6.1.188"),
        ((6, 1, 192), "6.1.188"),
        ((6, 1), None),
        ((6, 2, 200), None),
        ((5, 15, 210), "5.15.210"),
        ((5, 10, 300), None),
    ],
)
def test_a_stable_series_that_got_it_later(version: tuple[int, ...], since: str | None) -> None:
    """What 6.1 got says nothing about 6.2."""
    found = standing("stable", version)
    assert (found.excluded == "") == (since is not None)
    assert found.backported.endswith(f"but stable kernels have it since {since}") == (since is not None)


@pytest.mark.parametrize("how", [{"listed": ("seccomp.short",)}, {"says": True}])
def test_a_promise_that_has_ended_cannot_be_backported(how: dict[str, object]) -> None:
    assert standing("short", (6, 10), **how) == Standing("until Linux 6.9, this is 6.10")  # type: ignore[arg-type]


def test_a_backport_takes_the_place_of_a_promise() -> None:
    both = ("seccomp.new",)
    assert standing("old", (6, 1)) == Standing()
    assert standing("old", (6, 1), listed=both).excluded == "seccomp.new takes its place: we list it"
    assert standing("new", (6, 1), listed=both).backported == "since Linux 6.7, this is 6.1, but we list it"
