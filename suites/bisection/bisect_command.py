# SPDX-License-Identifier: GPL-2.0-or-later
"""`kconform bisect`: find the version that broke a promise.

    kconform bisect --good deb:PACKAGE=VERSION --bad deb:PACKAGE=VERSION ARGS     between two packages of the archive
    kconform bisect --tree DIR --good v6.1 --bad v6.2 ARGS                        between two revisions of a git tree
    git bisect run kconform bisect --kernel=DIR ARGS                              one step, for git bisect run

ARGS are those of a run: options, and the tests that show the fault.  The last form exits with what git takes for
good, bad or undetermined (reports/tools/bisect.py).  The others exit with 0 if the first bad version was found, 3 if
versions that nothing could be found out about may be it, 2 after Ctrl-C, and 4 if --good is not good, --bad is not
bad, or something else is wrong.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from common.commandline import Parser, run
from common.errors import UsageError
from reports.tools import bisect
from suites.bisection import package_bisection, tree_bisection

NAMED = ("--good", "--bad", "--tree", "--suite", "--help", "-h")


def main(arguments: Sequence[str]) -> int:
    if not any(word.partition("=")[0] in NAMED for word in arguments):
        return bisect.main(arguments)
    options, others = parser_of_names().parse_known_args(arguments)
    return run(lambda: _bisect(options, others))


def parser_of_names() -> Parser:
    """The parser of the options that name versions; the other arguments are pytest's."""
    parser = Parser(
        prog="kconform bisect",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="kconform bisect [--tree DIR] --good NAME --bad NAME [ARGS]",
        allow_abbrev=False,
    )
    parser.add_argument("--tree", type=Path, metavar="DIR", help="a git tree, in which git bisect checks out commits")
    parser.add_argument(
        "--good",
        action="append",
        required=True,
        metavar="NAME",
        help="deb:PACKAGE[=VERSION][@SUITE]; with --tree, a revision, repeatable",
    )
    parser.add_argument("--bad", required=True, metavar="NAME", help="the same, in which the promise is broken")
    parser.add_argument(
        "--suite",
        action="append",
        default=[],
        metavar="NAME",
        help="look for versions in this suite of the archive, too; repeatable",
    )
    return parser


def _bisect(options: argparse.Namespace, others: list[str]) -> int:
    if any(word.partition("=")[0] == "--kernel" for word in others):
        raise UsageError("--kernel cannot be combined with --good and --bad, which choose the kernels")
    if options.tree is not None:
        if options.suite:
            raise UsageError("--suite is for packages, and a tree has none")
        return tree_bisection.bisect_tree(options.tree, options.good, options.bad, others)
    if len(options.good) > 1:
        raise UsageError("two packages are compared, so --good can be given only once")
    return package_bisection.bisect_packages(options.good[0], options.bad, options.suite, others)
