# SPDX-License-Identifier: GPL-2.0-or-later
"""Turns what a phase of a test raised into a verdict: pass, fail, error or skip.

The kernel is accused only where it was seen to be at fault: by an assertion that failed in the test itself, or by an
exception with the attribute `verdict = "fail"` (the guest crashed or hung while it was tested).  Everything else is
an error: the answer could not be determined.

Exceptions are read by attribute, so that no package has to import the classes of another: `verdict` ("fail" or
"error"), `hint` (what to do next), `exit_status` (3 or 4), `message` (str(exception) without the hint), `evidence`
(title -> text) and `breaks` (the promises that a failed comparison broke).  All of them are optional.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from reports.model.result import Verdict, clean_text

BEYOND_PROMISES = ("the kernel complained: ", "the kernel went down during ", "the kernel has hung since ")
"""How the messages begin in which GuestBroke says that the whole kernel is at fault, and not the answer to a call."""

REASON_LIMIT = 500
"""Characters of a reason; the whole story is in longrepr and in the evidence."""


@dataclass(frozen=True)
class Judgement:
    """The verdict on one phase of one test, with its reason."""

    verdict: Verdict
    reason: str = ""
    exit_status: int | None = None
    """What an error wants the run to end with (3 or 4); None where there is no error."""
    evidence: Mapping[str, str] = field(default_factory=dict)
    breaks: tuple[str, ...] = ()
    """The promises that a failure broke; empty for all promises of the test."""
    beyond_promises: bool = False
    """Whether the kernel crashed, hung as a whole or complained: no promise of the test says how bad that is."""


def judge(report: pytest.TestReport, raised: BaseException | None, *, xfail_raises: bool) -> Judgement:
    """The judgement on the phase that `report` is about.

    `raised` is the exception that ended the phase, if one did.  `xfail_raises` says whether an xfail mark of the test
    names its exception: a mark that does not excuses failures of the kernel, and no errors.
    """
    if raised is not None and not report.passed:
        blame = _blame(raised, report.when)
        if hasattr(report, "wasxfail"):
            on_purpose = xfail_raises or isinstance(raised, pytest.xfail.Exception)
            if blame.verdict == "error" and not on_purpose:
                return blame
            return Judgement("skip", _one_line(f"expected failure: {_xfail_reason(report)}"))
        if report.skipped:
            return Judgement("skip", _one_line(_skip_reason(report)))
        return blame
    if report.failed:  # nothing was raised: a strict xfail that passed
        return Judgement("fail", _one_line(str(report.longrepr)))
    if report.skipped:
        return Judgement("skip", _one_line(_skip_reason(report)))
    if hasattr(report, "wasxfail"):
        return Judgement("pass", _one_line(f"passed, though expected to fail: {_xfail_reason(report)}"))
    return Judgement("pass")


def judge_collection(report: pytest.CollectReport) -> Judgement:
    """The judgement on a file that could not be collected, or that skipped itself as a whole."""
    if report.skipped:
        return Judgement("skip", _one_line(_skip_reason(report)))
    # The exception itself is gone by now (xdist sends text); its last line names it.
    lines = [line for line in report.longreprtext.splitlines() if line.strip()]
    raised = [line[1:].strip() for line in lines if line.startswith("E ")]
    return Judgement("error", _one_line(f"collection failed: {(raised or lines or ['?'])[-1]}"), 3)


def _blame(raised: BaseException, when: str) -> Judgement:
    """Fail or error, by the most severe exception in `raised`."""
    leaves = list(_leaves(raised))
    verdicts = [_verdict_of(leaf, when) for leaf in leaves]
    verdict: Verdict = "fail" if "fail" in verdicts else "error"
    # The reason is that of the exception which decided, not that of a clean-up that failed after it.
    decisive = leaves[verdicts.index(verdict)]
    evidence: dict[str, str] = {}
    for leaf in leaves:
        found = getattr(leaf, "evidence", None)
        if isinstance(found, Mapping):
            evidence.update({str(title): str(text) for title, text in found.items()})
    statuses = [
        getattr(leaf, "exit_status", 3) for leaf, each in zip(leaves, verdicts, strict=True) if each == "error"
    ]
    exit_status = None if verdict == "fail" else (4 if 4 in statuses else 3)
    broken = [
        tuple(getattr(leaf, "breaks", ())) for leaf, each in zip(leaves, verdicts, strict=True) if each == "fail"
    ]
    beyond = any(each == "fail" and _is_beyond_promises(leaf) for leaf, each in zip(leaves, verdicts, strict=True))
    return Judgement(verdict, reason_of(decisive), exit_status, evidence, all_broken(broken), beyond)


def _is_beyond_promises(raised: BaseException) -> bool:
    """A call that does not return, or a task that has been killed, may be just what a promise is about."""
    # An assertion may quote anything.
    return not isinstance(raised, AssertionError) and str(getattr(raised, "message", "")).startswith(BEYOND_PROMISES)


def all_broken(failures: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """What several failures of one test broke together.  Empty stands for all promises of the test."""
    failures = list(failures)
    return tuple(dict.fromkeys(itertools.chain(*failures))) if all(failures) else ()


def check_breaks(judgement: Judgement, requirements: Collection[str]) -> Judgement:
    """The judgement, or an error if a comparison names a promise that is not one of the test's `requirements`."""
    unknown = [identifier for identifier in judgement.breaks if identifier not in requirements]
    if not unknown:
        return judgement
    reason = f"{judgement.reason} (a comparison breaks {', '.join(unknown)}, which the test's marker does not name)"
    return replace(judgement, verdict="error", reason=_one_line(reason), exit_status=3, breaks=())


def _leaves(raised: BaseException) -> Iterator[BaseException]:
    """The exceptions themselves: pytest groups those that several finalizers raise."""
    if isinstance(raised, BaseExceptionGroup):
        for part in raised.exceptions:
            yield from _leaves(part)
    else:
        yield raised


def _verdict_of(raised: BaseException, when: str) -> Verdict:
    verdict = getattr(raised, "verdict", None)
    if verdict in ("fail", "error"):
        return cast(Verdict, verdict)
    # An assertion in a fixture is about the fixture, one in the test is about the kernel.
    if when == "call" and isinstance(raised, (AssertionError, pytest.fail.Exception)):
        return "fail"
    return "error"


def reason_of(raised: BaseException) -> str:
    """One line that says what `raised` says, with its hint."""
    message = getattr(raised, "message", None)
    text = message if isinstance(message, str) and message else _first_line(str(raised))
    if isinstance(raised, AssertionError):
        # pytest writes `assert` before an explained comparison; ours explain themselves with an arrow.
        text = text.removeprefix("assert ") if " -> " in text else text
        text = text or "an assertion failed"
    elif not hasattr(raised, "verdict") and not isinstance(raised, pytest.fail.Exception):
        text = f"{type(raised).__name__}: {text}" if text else type(raised).__name__
    hint = getattr(raised, "hint", None)
    if isinstance(hint, str) and hint:
        text = f"{text} (hint: {hint})"
    return _one_line(text or type(raised).__name__)


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _one_line(text: str) -> str:
    line = " ".join(clean_text(text).split())
    return line if len(line) <= REASON_LIMIT else line[: REASON_LIMIT - 3] + "..."


def _skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr or "")
    return text.removeprefix("Skipped: ") or "skipped without a reason"


def _xfail_reason(report: pytest.TestReport) -> str:
    return str(report.wasxfail).removeprefix("reason: ") or "no reason given"
