# SPDX-License-Identifier: GPL-2.0-or-later
"""Results as KTAP, version 1 (Documentation/dev-tools/ktap.rst), for what reads the kernel's own tests.  Pure.

KTAP version 1
1..1
  KTAP version 1
  1..1
    KTAP version 1
    1..2
    ok 1 suites/yama/test_log.py::test_rate[debian-6.12.117/full]
    # evil[41].attach(secret[40]) -> OK, expected EPERM
    # breaks yama.scope-1: At scope 1 a task may attach only to its descendants.
    not ok 2 suites/yama/test_scope.py::test_siblings[debian-6.12.117/full]
  not ok 1 yama
not ok 1 debian-6.12.117/full
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from reports.formats.markdown import line
from reports.model.document import Document
from reports.model.requirements import Requirement
from reports.model.result import Result
from reports.model.store import NO_KERNEL
from reports.model.test_names import ktap_name

FILE_NAME = "results.ktap"
VERSION = "KTAP version 1"
NO_AREA = "other"

VERDICTS = {"skip": ("ok", "SKIP"), "waived": ("ok", "XFAIL"), "error": ("not ok", "ERROR"), "fail": ("not ok", "")}
"""The words before and behind a test's name; for an outcome that is not here, a plain `ok`.

A waived failure is `ok`: the directive says that it was expected, kselftest's XFAIL is `ok` too
(ksft_test_result_xfail() in tools/testing/selftests/kselftest.h), and a reader that knows no XFAIL must go by the
first word.  An error is `not ok`, as ktap.rst wants it."""


def render(document: Document) -> str:
    """The whole run: kernels, in each its areas, in each its tests."""
    kernels: dict[str, dict[str, list[Result]]] = {}
    for result in document.tests():
        areas = kernels.setdefault(result.kernel or NO_KERNEL, {})
        areas.setdefault(result.area or NO_AREA, []).append(result)
    lines = [VERSION, f"1..{len(kernels)}"]
    for number, (kernel, areas) in enumerate(kernels.items(), 1):
        lines += [f"  {VERSION}", f"  1..{len(areas)}"]
        for count, (area, results) in enumerate(areas.items(), 1):
            lines += [f"    {text}" for text in _tests(results, document.requirements)]
            lines.append("  " + _parent(count, area, results))
        lines += [f"# {text}" for text in _about(document.kernels.get(kernel, {}))]
        lines.append(_parent(number, kernel, [result for results in areas.values() for result in results]))
    return "".join(f"{text}\n" for text in lines)


def _tests(results: Sequence[Result], requirements: Mapping[str, Requirement]) -> list[str]:
    lines = [VERSION, f"1..{len(results)}"]
    for number, result in enumerate(results, 1):
        if result.reason:
            lines.append(f"# {line(result.reason)}")
        if result.outcome == "fail":
            lines += [
                f"# breaks {line(name)}: {line(requirements[name].text)}"
                for name in result.requirements
                if name in requirements
            ]
        verdict, directive = VERDICTS.get(result.outcome, ("ok", ""))
        # A reason is repeated behind a directive only: without one, its first word might be read as one.
        said = f" # {directive} {_data(result.reason)}".rstrip() if directive else ""
        lines.append(f"{verdict} {number} {ktap_name(result.nodeid)}{said}")
    return lines


def _parent(number: int, name: str, results: Iterable[Result]) -> str:
    """A group's own result: not ok if anything in it is not, skipped if everything is."""
    outcomes = {result.outcome for result in results}
    verdict = "not ok" if outcomes & {"fail", "error"} else "ok"
    skipped = " # SKIP nothing in it applies" if outcomes == {"skip"} else ""
    return f"{verdict} {number} {ktap_name(name)}{skipped}"


def _about(kernel: Mapping[str, object]) -> list[str]:
    known = [f"{key} {kernel[key]}" for key in ("release", "arch", "accel", "digest") if kernel.get(key)]
    return [line(", ".join(known))] if known else []


def _data(reason: str) -> str:
    """A second hash sign might begin a second directive."""
    return line(reason).replace("#", "%23")
