# SPDX-License-Identifier: GPL-2.0-or-later
"""A strict reader of KTAP, version 1 (Documentation/dev-tools/ktap.rst): it requires what that only recommends."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_RESULT = re.compile(
    r"(?P<verdict>ok|not ok) (?P<number>[1-9]\d*) (?P<name>[^#\s](?:[^#]*[^#\s])?)(?: # (?P<said>[^#]+))?"
)
_PLAN = re.compile(r"1\.\.(\d+)")
_HEADING = re.compile(r"# Subtest: (\S.*)")
DIRECTIVES = {"SKIP", "XFAIL", "TIMEOUT", "ERROR"}


class NotKtapError(Exception):
    """A line that the specification does not know, or that is in the wrong place."""


@dataclass
class Test:
    name: str
    ok: bool
    directive: str
    said: str
    diagnostics: list[str]
    tests: list[Test] = field(default_factory=list)

    def leaves(self) -> list[Test]:
        return [leaf for test in self.tests for leaf in test.leaves()] if self.tests else [self]


def read(text: str) -> list[Test]:
    """The tests at the top.  Raises NotKtapError."""
    if not text.endswith("\n"):
        raise NotKtapError("the last line does not end")
    lines = text.split("\n")[:-1]
    tests, rest, _ = _block(lines, 0, 0)
    if rest != len(lines):
        raise NotKtapError(f"line {rest + 1}: {lines[rest]!r} follows the last test")
    return tests


def _block(lines: list[str], at: int, depth: int) -> tuple[list[Test], int, str]:
    """The tests of one level, which begins at line `at`, the line after them, and the name in their heading."""
    indent = "  " * depth
    head = [line.removeprefix(indent) for line in [*lines[at : at + 3], "", "", ""][:3]]
    # As KUnit has it, and as its reader shows it; the top has no name.
    heading = _HEADING.fullmatch(head.pop(1)) if depth else None
    version, plan = head[:2]
    wanted = _PLAN.fullmatch(plan)
    if version != "KTAP version 1" or wanted is None or (depth and heading is None):
        raise NotKtapError(f"line {at + 1}: {version!r}, {plan!r}: no version line, heading and plan")
    at += 3 if depth else 2
    tests: list[Test] = []
    while len(tests) < int(wanted[1]):
        inner: list[Test] = []
        named = ""
        if lines[at : at + 1] == [f"{indent}  KTAP version 1"]:
            inner, at, named = _block(lines, at, depth + 1)
        diagnostics = []
        while at < len(lines) and lines[at].startswith(f"{indent}# "):
            diagnostics.append(lines[at].removeprefix(f"{indent}# "))
            at += 1
        line = lines[at] if at < len(lines) else ""
        found = _RESULT.fullmatch(line.removeprefix(indent)) if line.startswith(indent) else None
        if found is None or int(found["number"]) != len(tests) + 1:
            raise NotKtapError(f"line {at + 1}: {line!r}: not the result of test {len(tests) + 1}")
        directive, _, said = (found["said"] or "").partition(" ")
        if directive and directive not in DIRECTIVES:
            raise NotKtapError(f"line {at + 1}: {directive!r} is no directive")
        test = Test(found["name"], found["verdict"] == "ok", directive, said, diagnostics, inner)
        if directive in ("ERROR", "TIMEOUT") and test.ok:
            raise NotKtapError(f"line {at + 1}: {directive} is not ok")
        if inner and named != test.name:
            raise NotKtapError(f"line {at + 1}: {test.name!r} has the heading {named!r}")
        if inner and test.ok != all(each.ok for each in inner):
            raise NotKtapError(f"line {at + 1}: {line!r} is not what is in it")
        tests.append(test)
        at += 1
    return tests, at, heading[1] if heading else ""
