# SPDX-License-Identifier: GPL-2.0-or-later
"""The arguments with which make gives counters to some source files (CONFIG_GCOV_KERNEL), and to no others.

What a line in the Makefile beside a file would say (Documentation/dev-tools/gcov.rst) is said on make's command line,
so the tree stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

_FLAGS = (
    # The kernel's own (the top Makefile's CFLAGS_GCOV).
    "-fprofile-arcs",
    "-ftest-coverage",
    "-fno-tree-loop-im",
    "-fprofile-update=prefer-atomic",
    # gcc counts after its first optimisations.  Without these, `a && b` stays two branches, an assignment that
    # depends on a condition stays a branch, and a function is counted in its own place instead of its callers'.
    "--param=logical-op-non-short-circuit=0",
    "-fno-ssa-phiopt",
    "-fno-thread-jumps",
    "-fno-tree-switch-conversion",
    "-fno-early-inlining",
)


def make_arguments(files: Sequence[str]) -> list[str]:
    """For these source files; none if there are no files."""
    if not files:
        return []
    return [f"CFLAGS_GCOV={' '.join(_FLAGS)}", *(f"GCOV_PROFILE_{PurePosixPath(file).stem}.o=y" for file in files)]
