# SPDX-License-Identifier: GPL-2.0-or-later
"""Results as KTAP, version 1 (Documentation/dev-tools/ktap.rst), for programs that read the results of the kernel's
own tests.

KTAP version 1
1..1
  KTAP version 1
  # Subtest: debian-6.12.117/full
  1..1
    KTAP version 1
    # Subtest: yama
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

from reports.model.display import one_line
from reports.model.document import Document
from reports.model.names_of_tests import ktap_name
from reports.model.result import BROKE, NO_KERNEL, KernelRecord, PromiseRecord, Result, Verdict

VERSION = "KTAP version 1"
NO_AREA = "other"

WORDS: Mapping[Verdict, tuple[str, str]] = {
    "skip": ("ok", "SKIP"),
    "waived": ("ok", "XFAIL"),
    "error": ("not ok", "ERROR"),
    "fail": ("not ok", ""),
    "flaky": ("not ok", ""),
}
"""What is in front of a test's name, and the directive after it; a verdict that is not here is a plain `ok`.

A waived failure is `ok`: the directive says that it was expected, kselftest's XFAIL is `ok` too
(ksft_test_result_xfail() in tools/testing/selftests/kselftest.h), and a reader that does not know XFAIL goes by the
first word.  An error is `not ok`, as ktap.rst wants it.  KTAP has no word for a flaky test: its
reason begins with one."""


def render(document: Document) -> str:
    """The whole run: kernels, in each its areas, in each its tests."""
    kernels: dict[str, dict[str, list[Result]]] = {}
    for result in document.tests():
        areas = kernels.setdefault(result.kernel or NO_KERNEL, {})
        areas.setdefault(result.area or NO_AREA, []).append(result)
    lines = [VERSION, f"1..{len(kernels)}"]
    for number, (kernel, areas) in enumerate(kernels.items(), 1):
        lines += [f"  {text}" for text in _heading(kernel, len(areas))]
        for count, (area, results) in enumerate(areas.items(), 1):
            tests = [*_heading(area, len(results)), *_tests(results, document.promises)]
            lines += [f"    {text}" for text in tests]
            lines.append("  " + _parent(count, area, results))
        if kernel in document.kernels:
            lines.append(f"# {_about(document.kernels[kernel])}")
        lines.append(_parent(number, kernel, [result for results in areas.values() for result in results]))
    return "".join(f"{text}\n" for text in lines)


def _heading(name: str, count: int) -> list[str]:
    """As KUnit begins a group of so many tests; kunit.py shows the name while it reads them."""
    return [VERSION, f"# Subtest: {ktap_name(name)}", f"1..{count}"]


def _tests(results: Sequence[Result], promises: Mapping[str, PromiseRecord]) -> list[str]:
    lines = []
    for number, result in enumerate(results, 1):
        if result.reason:
            flaky = "flaky: " if result.verdict == "flaky" else ""
            lines.append(f"# {flaky}{one_line(result.reason)}")
        if result.verdict in BROKE:
            lines += [
                f"# breaks {one_line(name)}: {one_line(promises[name].text)}"
                for name in result.subjects
                if name in promises
            ]
        word, directive = WORDS.get(result.verdict, ("ok", ""))
        # A reason is repeated only after a directive: without one, its first word might be read as a directive.
        said = f" # {directive} {_data(result.reason)}".rstrip() if directive else ""
        lines.append(f"{word} {number} {ktap_name(result.nodeid)}{said}")
    return lines


def _parent(number: int, name: str, results: Iterable[Result]) -> str:
    """A group's own result: not ok if anything in it is not, skipped if everything is."""
    verdicts = {result.verdict for result in results}
    word = "not ok" if verdicts & {*BROKE, "error"} else "ok"
    skipped = " # SKIP nothing in it applies" if verdicts == {"skip"} else ""
    return f"{word} {number} {ktap_name(name)}{skipped}"


def _about(kernel: KernelRecord) -> str:
    known = {
        "release": kernel.release,
        "arch": kernel.arch,
        "accel": kernel.accel,
        "target": kernel.target,
        "machine": kernel.machine_options,
        "digest": kernel.digest,
    }
    return one_line(", ".join(f"{key} {value}" for key, value in known.items() if value) or kernel.id)


def _data(reason: str) -> str:
    """A second hash sign might begin a second directive."""
    return one_line(reason).replace("#", "%23")
