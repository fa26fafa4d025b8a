# SPDX-License-Identifier: GPL-2.0-or-later
"""`kconform mutants AREA`: build kernels with one fault each, and check that the tests detect them.

    kconform mutants AREA                            faults that we made up: suites/AREA/mutants.toml
    kconform mutants AREA --races                    faults that several processors show: suites/AREA/races.toml
    kconform mutants AREA --history                  bugs that the kernel once had: suites/AREA/history.toml
    kconform mutants AREA --mechanical N --seed S    faults that nobody chose, drawn from the area's kernel files

Each fault is put into a copy of the kernel's source, built, and tested until a test fails: by the area's tests, and
with --all-areas, which --history implies, then by those of all other areas.  If `kconform coverage` has recorded
which tests execute what a fault changes, these run first, and with --touched-only no others.

--races builds kernels of the flavor `races`, and repeats the tests in which several tasks act at the same time.

Exit status: 0 all were detected, or need no test; 1 one survived, or a reproducer accuses the kernel without a fault;
3 one could not be built or tested, or its edits do not match the source, or do not change the kernel; 4 wrong usage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from common import atomic
from common.commandline import output, run
from common.errors import UsageError
from common.paths import output_path
from kconfigs.architectures import architecture, machine
from kconfigs.build.kernel_tree import Tree, open_tree
from kconfigs.cache import Cache
from kconfigs.fetch import source_tree
from kconfigs.flavors import DEFAULT, flavor
from kconfigs.resolve import packaged_source
from suites.coverage.line_map import LineMap, find_map
from suites.mutation.c_source import c_parser, live_lines
from suites.mutation.config_plans import plan_configs
from suites.mutation.mechanical_mutants import draw, stale_arguments
from suites.mutation.mutant import Mutant, mismatches
from suites.mutation.mutant_builder import MutantBuilder
from suites.mutation.mutant_report import as_markdown, exit_status, line, read_json, summary, write_json
from suites.mutation.mutant_run import Known, run_sample, run_table
from suites.mutation.mutant_table import LOADERS, MUTANTS, areas, mutants_of_run
from suites.mutation.mutant_tester import SURVIVED, MutantResult, MutantTester
from suites.mutation.mutants_options import parser, pytest_arguments, table_name


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser(__doc__).parse_args(arguments)
    return run(lambda: _check(options) if options.check else _mutants(options))


def _mutants(options: argparse.Namespace) -> int:
    if options.mechanical and options.arch != machine():
        raise UsageError("--mechanical draws from what this machine's architecture compiles", hint="omit --arch")
    if options.seconds and (options.pytest or not options.races):
        raise UsageError("--seconds is for the tests of --races", hint="use --race-seconds in --pytest")
    if options.objects and not options.source:
        raise UsageError("--objects is for the tree that --source names", hint="give --source too")
    if options.table:
        output_path(options.table)
    cache = Cache()
    with cache.lock("mutants", waiting="another run builds mutants here"):
        results = _Results(options)
        for result in _groups(options, cache, results):
            output(line(result))
            results.add(result)
            if result.status == SURVIVED and not options.keep_going:
                break
    output("\n" + summary(results.all, drawn=bool(options.mechanical)))
    return exit_status(results.all, drawn=bool(options.mechanical))


class _Results:
    """The results so far, which are written after each mutant."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._order: dict[str, int] = {}
        self._done: dict[str, MutantResult] = {}
        self.kept: dict[str, MutantResult] = {}
        """Of an earlier run, by id, and not to be had again."""

    def begin(self, mutants: Sequence[Mutant]) -> None:
        """All mutants that there are, in the order in which results are written."""
        self._order = {mutant.id: number for number, mutant in enumerate(mutants)}
        if self._options.resume:
            self.kept = read_json(self._options.results, mutants)

    @property
    def all(self) -> list[MutantResult]:
        """Including those of an earlier run."""
        return sorted((self.kept | self._done).values(), key=lambda result: self._order[result.mutant.id])

    def add(self, result: MutantResult) -> None:
        self._done[result.mutant.id] = result
        write_json(self._options.results, self.all)
        if self._options.table:
            atomic.write(self._options.table, "".join(f"{row}\n" for row in as_markdown(self.all)))


def _groups(options: argparse.Namespace, cache: Cache, results: _Results) -> Iterator[MutantResult]:
    """The results of what the options ask for."""
    source = (options.source or source_tree(packaged_source())).resolve()
    if options.mechanical:
        c_parser()
        builder = _builder(options, source, cache)

        def live(file: str) -> set[int]:
            return live_lines(builder.preprocessed(file), file)

        mutants = list(draw(options.area, builder.tree.path, options.seed, live))
        results.begin(mutants)
        chosen = _chosen(mutants, options.only)
        wanted = len(chosen) if options.only else options.mechanical
        output(f"mutants: {wanted} of {len(mutants)} of {options.area}, in {builder.tree.path}")
        known = _known(options, builder, cache, results)
        yield from run_sample(builder, _tester(options, builder, known.lines), chosen, wanted, known)
        return
    table = table_name(options) or MUTANTS
    mutants = mutants_of_run(table, options.area)
    results.begin(mutants)
    chosen = _chosen(mutants, options.only)
    for folder, config, members in _plans(options, table, open_tree(source), chosen):
        builder = _builder(options, source, cache, folder, config)
        output(f"mutants: {len(members)} of {options.area}, in {builder.tree.path}")
        known = _known(options, builder, cache, results)
        tester = _tester(options, builder, known.lines)
        # A build beside them would leave the guest's processors no host's processor each.
        yield from run_table(builder, tester, members, known, alone=options.races)


def _plans(
    options: argparse.Namespace, table: str, tree: Tree, chosen: Sequence[Mutant]
) -> Iterator[tuple[str, Sequence[str], Sequence[Mutant]]]:
    """The object directories that the mutants are built in: name, options beyond the flavor's, and mutants.

    Those of a table are the same for every area and for --only, so that none has to be configured again.
    """
    if options.objects or options.races:
        yield "objects", (), chosen
        return
    asked = {name: option.value for name, option in flavor(DEFAULT).asked(tree.version, options.arch).items()}
    all_mutants = [mutant for area in areas(table) for mutant in LOADERS[table](area)]
    kind = table.removesuffix(".toml")
    for number, (config, members) in enumerate(plan_configs(all_mutants, asked, architecture(options.arch))):
        ours = [mutant for mutant in chosen if mutant in members]
        if ours:
            yield f"objects-{kind}-{number}" if config else "objects", config, ours


def _builder(
    options: argparse.Namespace, source: Path, cache: Cache, folder: str = "objects", config: Sequence[str] = ()
) -> MutantBuilder:
    if options.objects:
        return MutantBuilder(source, options.objects.resolve(), cache, arch=options.arch)
    if options.races:
        return MutantBuilder.prepare(source, cache, "objects-races", config, options.arch, "races")
    return MutantBuilder.prepare(source, cache, folder, config, options.arch)


def _tester(options: argparse.Namespace, builder: MutantBuilder, lines: LineMap | None) -> MutantTester:
    all_areas = options.history if options.all_areas is None else options.all_areas
    arguments, first = pytest_arguments(options)
    return MutantTester(
        builder.objects,
        options.area,
        arguments,
        all_areas=all_areas,
        first=first,
        touched_only=options.touched_only,
        reproducers=options.reproducers,
        lines=lines,
    )


def _known(options: argparse.Namespace, builder: MutantBuilder, cache: Cache, results: _Results) -> Known:
    """What is known before a run.  What --only names is built again, even with --resume."""
    kept = {name: result for name, result in results.kept.items() if name not in options.only}
    # The lines are those that this machine's architecture executes.
    return Known(kept, find_map(builder.tree.text_version, cache) if options.arch == machine() else None)


def _check(options: argparse.Namespace) -> int:
    """Print what does not match the source, and return the exit status.  Nothing is built."""
    tree = open_tree(options.source or source_tree(packaged_source()))
    if options.mechanical:
        found = [f"{name}: no place has this id" for name in stale_arguments(options.area, tree.path)]
        return _checked(found, f"{len(found)} arguments are of no place in {tree.path}")
    table = table_name(options)
    if table:
        mutants = mutants_of_run(table, options.area)
    else:
        names = [name for name in LOADERS if options.area in areas(name)] or [MUTANTS]
        mutants = [mutant for name in names for mutant in LOADERS[name](options.area)]
    chosen = [mutant for mutant in _chosen(mutants, options.only) if mutant.edits]
    found = list(mismatches(tree, chosen))
    return _checked(found, f"{len(chosen) - len(found)} of {len(chosen)} match {tree.path}")


def _checked(found: Iterable[str], said: str) -> int:
    for each in found:
        output(f"mutants: {each}")
    output(f"mutants: {said}")
    return 3 if found else 0


def _chosen(mutants: Sequence[Mutant], only: Sequence[str]) -> list[Mutant]:
    unknown = set(only) - {mutant.id for mutant in mutants}
    if unknown:
        raise UsageError(
            f"no mutant has the id {', '.join(sorted(unknown))}",
            hint="the ids are in suites/AREA/, in mutants.toml, or in the table that --history or --races chooses",
        )
    return [mutant for mutant in mutants if not only or mutant.id in only]


if __name__ == "__main__":
    sys.exit(main())
