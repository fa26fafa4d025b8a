# SPDX-License-Identifier: GPL-2.0-or-later
"""A map of lines, of a small file and three tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from suites.coverage.execution_counts import FunctionExtent
from suites.coverage.line_map import LineMap, make_map

FILE = "security/yama/yama_lsm.c"
SOURCE = """\
#define LIMIT 3

static int scope(int value)
{
	/* Not more. */
	if (value > LIMIT)
		return -1;
	return value;
}

static int other(int value)
{
	return scope(value + 1 +
			2);
}
"""
TALK = "suites/yama/test_talk.py"
DENIED = f"{TALK}::test_secret_with_yama"
GRANTED = f"{TALK}::test_secret_without_yama"
OTHER = "suites/yama/test_scopes.py::test_other[a]"


def line_map(
    executed: Mapping[str, tuple[float, Sequence[int]]],
    version: str = "6.12.7",
    unmeasured: Mapping[str, float] = MappingProxyType({}),
) -> LineMap:
    """Of the file above: of each test, its seconds, and the lines that it executes."""
    functions = {FILE: {"scope": FunctionExtent(3, 9), "other": FunctionExtent(11, 15)}}
    lines = {FILE: [3, 6, 7, 8, 9, 11, 13, 15]}
    tests = {name: (seconds, {FILE: of_it}) for name, (seconds, of_it) in executed.items()}
    return make_map("linux/coverage", version, {FILE: SOURCE}, functions, lines, tests, unmeasured)


LINES = line_map(
    {
        DENIED: (0.5, [3, 6, 7, 9]),
        GRANTED: (0.2, [3, 6, 8, 9]),
        OTHER: (0.1, [3, 6, 8, 9, 11, 13, 15]),
    }
)
