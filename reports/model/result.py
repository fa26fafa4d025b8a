# SPDX-License-Identifier: GPL-2.0-or-later
"""The records of results and kernels in results.json, one class for each kind of object; `run_record` has the others.

msgspec writes them, reads them back, and makes results.schema.json from them (see `schema`).  The descriptions below
are the schema's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeAlias, get_args

from msgspec import UNSET, Meta, Struct, UnsetType, field

from common.versions import Version, release_version

SCHEMA = 3
"""Version of results.json.  It grows when a reader of the former version could be misled.

1: the duration of a test contained what it waited for its kernel, and kernels had no `preparation`.
2: no outcome and no promise was `flaky`; a program that looks for `fail` would overlook it.
"""

JSON: TypeAlias = bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"] | None

Verdict = Literal["pass", "fail", "error", "skip", "waived", "unexpected-pass", "flaky"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""What a test ended with.  results.json calls it `outcome`.

`waived` and `unexpected-pass` exist only where there are waivers, `flaky` only where a test is run more than once."""

SEVERITY: Mapping[Verdict, int] = {
    "fail": 6, "flaky": 5, "error": 4, "waived": 3, "unexpected-pass": 2, "skip": 1, "pass": 0,
}  # fmt: skip
"""Which of several verdicts on one test counts: the most severe, and among equals the first."""

BROKE: tuple[Verdict, ...] = ("fail", "flaky")
"""A promise was seen broken: in all attempts at the test, or in some of them."""

PromiseStatus = Literal["held", "broken", "unknown", "waived", "skipped", "untested", "flaky"]
STATUSES: tuple[PromiseStatus, ...] = get_args(PromiseStatus)
"""What a promise can be on a kernel."""

NO_KERNEL = "(no kernel)"
"""What stands for the kernel of a test that had none, for example because it could not be built."""

Seconds = Annotated[float, Meta(ge=0, le=2**53)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
# `$` alone would also match in front of a last newline.
OneLine = Annotated[str, Meta(pattern=r"^[^\n]*(?!\n)$")]
Time = Annotated[
    str,
    Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z(?!\n)$", description="UTC."),
]


class Attempt(Struct, frozen=True, kw_only=True):
    """One of several attempts at a test, each on a fresh guest."""

    verdict: Annotated[Verdict, Meta(description="Never flaky.")] = field(name="outcome")
    reason: OneLine
    started: Time
    duration_s: Seconds
    breaks: tuple[str, ...] = ()


class Repetition(Struct, frozen=True, kw_only=True):
    """That a test was run more than once (--repeat, --confirm), and the result."""

    option: Annotated[
        Literal["repeat", "confirm"],
        Meta(
            description="repeat: all attempts count; confirm: not the first, whose failure is why there are others."
        ),
    ]
    broken: Annotated[Count, Meta(description="How many of the attempts that count broke a promise.")]
    of: Annotated[Count, Meta(description="How many attempts count; those that ended in an error do not.")]
    attempts: Annotated[tuple[Attempt, ...], Meta(description="All of them, in their order.")]

    @property
    def words(self) -> str:
        """`broken in 1 of 3 attempts`, or, if the first attempt does not count, `broken again in 1 of 3 attempts`."""
        again = "again " if self.option == "confirm" else ""
        return f"broken {again}in {self.broken} of {self.of} attempts"


class Result(Struct, frozen=True, kw_only=True):
    """What one test ended with."""

    nodeid: Annotated[str, Meta(description="The test's name, as pytest has it.")]
    area: Annotated[
        str, Meta(description="The directory below suites/: boot, ptrace, yama, loadpin, seccomp, harness.")
    ]
    requirements: tuple[str, ...]
    kernel: Annotated[str | None, Meta(description="The id of one of the kernels; null for a test without a kernel.")]
    flavor: str | None
    verdict: Annotated[Verdict, Meta(description="See docs/read-a-report.md.")] = field(name="outcome")
    reason: Annotated[OneLine, Meta(description="Why it is not a plain pass.")]
    duration_s: Annotated[
        Seconds,
        Meta(description="Set-up, call and teardown, without what the test waited for its kernel; of all attempts."),
    ]
    accel: str | None
    worker: Annotated[str | None, Meta(description="pytest-xdist's name for the process that ran the test.")]
    started: Time
    longrepr: Annotated[
        str,
        Meta(
            description="The failure as pytest prints it; empty where nothing failed.  Of an error that many tests"
            " have, only which test has it in full."
        ),
    ]
    evidence: Annotated[dict[str, str], Meta(description="Title, and path relative to the directory of this file.")]
    breaks: Annotated[
        tuple[str, ...],
        Meta(description="Those of the requirements that a failure, waived or not, broke; empty for all of them."),
    ] = ()
    repetition: Repetition | UnsetType = UNSET

    @property
    def subjects(self) -> tuple[str, ...]:
        """The promises that the verdict is about: for a failure those that it broke, otherwise all of the test's."""
        return self.breaks or self.requirements

    def on(self, promise: str) -> Verdict | None:
        """The verdict on one promise of the test.  None: the test failed for another promise and shows nothing."""
        return self.verdict if promise in self.subjects else None


class Preparation(Struct, frozen=True, kw_only=True):
    """What a kernel took besides its tests, measured by the process that did it; 0 for what the cache had."""

    fetch_s: Annotated[Seconds, Meta(description="Download and unpacking, of the kernel or of its source.")] = 0.0
    build_s: Annotated[Seconds, Meta(description="Configuration and compilation, beside the tests.")] = 0.0
    probe_s: Annotated[Seconds, Meta(description="Boots that find out whether KVM works on this host.")] = 0.0
    boot_s: Annotated[Seconds, Meta(description="Boots, each up to its saved state or its failure.")] = 0.0
    boots: Annotated[Count, Meta(description="The number of boots in boot_s.")] = 0

    def __add__(self, more: Preparation) -> Preparation:
        names = self.__struct_fields__
        return Preparation(**{name: round(getattr(self, name) + getattr(more, name), 3) for name in names})


class KernelRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a kernel that was tested.  Later versions may say more."""

    id: Annotated[str, Meta(description="Name and flavor, as in the names of tests.")]
    name: str | None
    flavor: str | None
    release: str | None
    arch: str | None
    spec: Annotated[str | None, Meta(description="What --kernel asked for.")]
    identity: Annotated[str | None, Meta(description="What it was made from.")]
    digest: Annotated[str | None, Meta(description="Equal digests are the same kernel.")]
    accel: str | None
    version: str | tuple[int, ...] | None
    accel_why: Annotated[str | None, Meta(description="Why that acceleration was chosen.")] = None
    boot_complaint: Annotated[str | None, Meta(description="What the kernel complained of while it booted.")] = None
    lost_options: Annotated[
        str | None, Meta(description="Options of the user's config that the kernel does not have.")
    ] = None
    machine_options: Annotated[
        str | None,
        Meta(description="The options of the run that changed its guests; null for none."),
    ] = None
    target: Annotated[
        str | None,
        Meta(
            description="The machine on which it ran already, as --target calls it; null for a kernel that was booted"
            " for the tests.  Not in older files."
        ),
    ] = None
    preparation: Annotated[
        Preparation | None,
        Meta(
            description="What it took besides its tests.  Of a merged or resumed report: the sum of its parts.  Not"
            " in files of version 1."
        ),
    ] = None

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> KernelRecord:
        """The record of a kernel of which at least the `id` is known.  TypeError for a key that is not a field."""
        name, _, flavor = str(info["id"]).partition("/")
        known: dict[str, Any] = dict.fromkeys(cls.__struct_fields__) | {"name": name, "flavor": flavor or None}
        return cls(**known | dict(info))

    @property
    def numbers(self) -> Version:
        """The version as numbers; `()` if it is unknown."""
        return self.version if isinstance(self.version, tuple) else release_version(self.version or "")


class PromiseRecord(Struct, frozen=True, kw_only=True):
    """A requirement, and what the tests found out about it."""

    id: str
    area: str
    text: Annotated[str, Meta(description="The promise, in one sentence.")]
    source: str
    since: str
    until: str | None
    note: str
    status: Annotated[
        dict[str, PromiseStatus],
        Meta(
            description="By kernel id, or (no kernel).  From the tests that ran: broken if one broke it, else flaky"
            " if one broke it in some of its attempts, else unknown if one had an error, else waived if one was, else"
            " held if one passed, else unknown if one failed for another promise, else skipped."
        ),
    ]
    nodeids: Annotated[list[str], Meta(description="Its tests that ran.")]


def promise_status(verdicts: Collection[Verdict | None]) -> PromiseStatus:
    """What a promise is on a kernel, from what each of its tests that have run there says about it (`Result.on`)."""
    meaning: Mapping[Verdict | None, PromiseStatus] = {
        "fail": "broken", "flaky": "flaky", "error": "unknown", "waived": "waived", "pass": "held",
        "unexpected-pass": "held", None: "unknown", "skip": "skipped",
    }  # fmt: skip
    return next((status for verdict, status in meaning.items() if verdict in verdicts), "untested")


def not_run_remark(collected: int, results: Iterable[Result]) -> list[str]:
    """A line if fewer tests have a result than were to run.  One test may have several results."""
    missing = collected - len({result.nodeid for result in results})
    return [f"{missing} of {collected} tests did not run"] if missing > 0 else []


def clean_text(text: str) -> str:
    """`text` without lone surrogates: a console is decoded with surrogateescape, and UTF-8 has none."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def clean(value: Any) -> Any:
    """A copy of a JSON value without lone surrogates in its texts.  TypeError for what JSON cannot express."""
    if isinstance(value, str):
        return clean_text(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {clean_text(str(key)): clean(part) for key, part in value.items()}
    if isinstance(value, Sequence):
        return [clean(part) for part in value]
    raise TypeError(f"{value!r} of type {type(value).__name__} cannot be reported: JSON has no such type")


def utc(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
