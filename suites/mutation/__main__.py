# SPDX-License-Identifier: GPL-2.0-or-later
"""`kconform mutants AREA`: do the area's tests detect broken kernels?

Each mutant of suites/<area>/mutants.toml is applied to a copy of the kernel's source, built, and tested until a test
fails.
Exit status: 0 all were detected, 1 one survived, 3 one could not be built or tested, or its edit does not match the
source, 4 wrong usage.
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
from suites.mutation.mutant_builder import MutantBuilder, MutantResult, unfit
from suites.mutation.mutant_table import Mutant, MutantTableError, areas, load


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="mutants: %(message)s", stream=sys.stderr)
    try:
        mutants = _chosen(load(options.area), options.only)
        cache = Cache()
        if options.check:
            return _check(options.source or source_tree(packaged_source()), mutants)
        with cache.lock("mutants", waiting="another run builds mutants here"):
            results = _run(options, mutants, cache)
    except (MutantTableError, UsageError) as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 4
    except KconformError as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 3
    print("\n" + summary(results))
    if any(result.status == "SURVIVED" for result in results):
        return 1
    return 3 if any(result.status in ("error", "no match") for result in results) else 0


def _run(options: argparse.Namespace, mutants: list[Mutant], cache: Cache) -> list[MutantResult]:
    if options.objects:
        builder = MutantBuilder(options.source.resolve(), options.objects.resolve(), cache)
    else:
        builder = MutantBuilder.prepare(options.source or source_tree(packaged_source()), cache)
    print(f"mutants: {len(mutants)} of {options.area}, in {builder.tree.path}", flush=True)
    results: list[MutantResult] = []
    builder.check_unchanged(options.area, options.pytest.split())
    for result in _results(builder, mutants, options.area, options.pytest.split()):
        results.append(result)
        print(line(result), flush=True)
        options.results.parent.mkdir(parents=True, exist_ok=True)
        options.results.write_text(json.dumps([one.json() for one in results], indent=1) + "\n", encoding="utf-8")
        if result.status == "SURVIVED" and not options.keep_going:
            break
    return results


def _check(source: Path, mutants: list[Mutant]) -> int:
    """Print the mutants whose edit does not match the source, and return the exit status."""
    found = list(unfit(source, mutants))
    for result in found:
        print(f"mutants: {result.by}")
    print(f"mutants: {len(mutants) - len(found)} of {len(mutants)} match {source}")
    return 3 if found else 0


def _results(
    builder: MutantBuilder, mutants: list[Mutant], area: str, arguments: list[str]
) -> Iterator[MutantResult]:
    """The results, in order.  One mutant is tested while the next is built."""
    with ThreadPoolExecutor(max_workers=1) as tester:
        under_test: Future[MutantResult] | None = None
        for mutant in mutants:
            done: MutantResult | None = None
            try:
                image = None if mutant.equivalent else builder.build_mutant(mutant)
            except KconformError as error:
                image, done = None, MutantResult(mutant, "error", error.message)
            except MutantTableError as error:
                image, done = None, MutantResult(mutant, "no match", str(error))
            if under_test is not None:
                yield under_test.result()
                under_test = None
            if image is not None:
                under_test = tester.submit(builder.test, mutant, image, area, arguments)
            else:
                yield done or MutantResult(mutant, "equivalent", mutant.equivalent)
        if under_test is not None:
            yield under_test.result()


def line(result: MutantResult) -> str:
    """A result as it is printed."""
    return (
        f"{result.status:<10}  {result.mutant.id:<40}  {result.seconds:5.0f} s  {result.by}\n"
        f"{'':<12}{result.mutant.text}"
    )


def summary(results: Sequence[MutantResult]) -> str:
    statuses = [result.status for result in results]
    counts = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
    named = [result for result in results if result.status in ("SURVIVED", "no match")]
    return f"mutants: {counts or 'none'}" + "".join(f"\n  {each.status}: {each.mutant.id}" for each in named)


def _chosen(mutants: list[Mutant], only: Sequence[str]) -> list[Mutant]:
    unknown = set(only) - {mutant.id for mutant in mutants}
    if unknown:
        raise MutantTableError(f"no mutant has the id {', '.join(sorted(unknown))}")
    return [mutant for mutant in mutants if not only or mutant.id in only]


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="kconform mutants", description=__doc__)
    parser.add_argument("area", choices=areas(), metavar="AREA", help=", ".join(areas()))
    parser.add_argument("--only", action="append", default=[], metavar="ID", help="only this mutant; can be repeated")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first survivor")
    parser.add_argument(
        "--check", action="store_true", help="only list the mutants whose edit is not for this source"
    )
    parser.add_argument("--source", type=Path, metavar="DIR", help="a kernel tree (default: the distribution's)")
    parser.add_argument(
        "--objects",
        type=Path,
        metavar="DIR",
        help="the tree's object directory, already built; then both are used in place instead of being copied",
    )
    parser.add_argument("--pytest", default="-n 2", metavar="ARGS", help="further arguments for pytest (-n 2)")
    default = Path("reports/out/mutants.json")
    parser.add_argument("--results", type=Path, default=default, metavar="FILE", help=f"default: {default}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
