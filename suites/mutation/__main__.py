# SPDX-License-Identifier: GPL-2.0-or-later
"""`kconform mutants AREA`: is the area's suite strong enough to notice a broken kernel?

Each mutant of suites/<area>/mutants.toml is applied to a copy of the kernel's source, built, and tested until a test
fails.
Exit status: 0 all noticed, 1 one survived, 3 one could not be built or tested, 4 wrong use.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from common.commandline import Parser
from common.errors import KconformError, UsageError
from kconfigs.cache import Cache
from kconfigs.fetch import source_tree
from kconfigs.resolve import packaged_source
from suites.mutation.lab import Lab, Result
from suites.mutation.table import BadTable, Mutant, areas, load


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="mutants: %(message)s", stream=sys.stderr)
    try:
        mutants = _chosen(load(options.area), options.only)
        cache = Cache()
        with cache.lock("mutants", waiting="another run breeds mutants here"):
            results = _run(options, mutants, cache)
    except (BadTable, UsageError) as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 4
    except KconformError as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 3
    print("\n" + summary(results))
    if any(result.verdict == "SURVIVED" for result in results):
        return 1
    return 3 if any(result.verdict == "error" for result in results) else 0


def _run(options: argparse.Namespace, mutants: list[Mutant], cache: Cache) -> list[Result]:
    if options.objects:
        lab = Lab(options.source.resolve(), options.objects.resolve(), cache)
    else:
        lab = Lab.prepared(options.source or source_tree(packaged_source()), cache)
    print(f"mutants: {len(mutants)} of {options.area}, in {lab.tree.path}", flush=True)
    lab.unchanged(options.area, options.pytest.split())
    results: list[Result] = []
    for result in _results(lab, mutants, options.area, options.pytest.split()):
        results.append(result)
        print(line(result), flush=True)
        options.results.parent.mkdir(parents=True, exist_ok=True)
        options.results.write_text(json.dumps([one.json() for one in results], indent=1) + "\n")
        if result.verdict == "SURVIVED" and not options.keep_going:
            break
    return results


def _results(lab: Lab, mutants: list[Mutant], area: str, arguments: list[str]) -> Iterator[Result]:
    """What becomes of each, in order.  One is tested while the next is built."""
    with ThreadPoolExecutor(max_workers=1) as tester:
        under_test: Future[Result] | None = None
        for mutant in mutants:
            done: Result | None = None
            try:
                image = None if mutant.equivalent else lab.breed(mutant)
            except KconformError as error:
                image, done = None, Result(mutant, "error", error.message)
            if under_test is not None:
                yield under_test.result()
                under_test = None
            if image is not None:
                under_test = tester.submit(lab.test, mutant, image, area, arguments)
            else:
                yield done or Result(mutant, "equivalent", mutant.equivalent)
        if under_test is not None:
            yield under_test.result()


def line(result: Result) -> str:
    """One mutant of the table, as it is printed."""
    return (
        f"{result.verdict:<10}  {result.mutant.id:<40}  {result.seconds:5.0f} s  {result.by}\n"
        f"{'':<12}{result.mutant.text}"
    )


def summary(results: Sequence[Result]) -> str:
    verdicts = [result.verdict for result in results]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts))
    survivors = [result.mutant.id for result in results if result.verdict == "SURVIVED"]
    return f"mutants: {counts}" + "".join(f"\n  SURVIVED: {name}" for name in survivors)


def _chosen(mutants: list[Mutant], only: Sequence[str]) -> list[Mutant]:
    unknown = set(only) - {mutant.id for mutant in mutants}
    if unknown:
        raise BadTable(f"no mutant has the id {', '.join(sorted(unknown))}")
    return [mutant for mutant in mutants if not only or mutant.id in only]


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="kconform mutants", description=__doc__)
    parser.add_argument("area", choices=areas(), metavar="AREA", help=", ".join(areas()))
    parser.add_argument("--only", action="append", default=[], metavar="ID", help="this mutant; may be given again")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first survivor")
    parser.add_argument("--source", type=Path, metavar="DIR", help="a kernel tree (default: the distribution's)")
    parser.add_argument(
        "--objects",
        type=Path,
        metavar="DIR",
        help="the tree's object directory, built; then both are worked in, and not copied",
    )
    parser.add_argument("--pytest", default="-n 2", metavar="ARGS", help="further arguments for pytest (-n 2)")
    default = Path("reports/out/mutants.json")
    parser.add_argument("--results", type=Path, default=default, metavar="FILE", help=f"default: {default}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
