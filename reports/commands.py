# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands that work on reports of runs that have ended.

    diff OLD NEW        what changed; exit status 0, 1 (something newly fails) or 3 (only errors are new)
    history DIR...      many runs: what began to break in which build, and what is flaky; 3 if a file is left out
    merge IN...         one report from several; the exit status that one run would have had
    timings RESULTS...  the durations of tests, by which --shard divides them
    ktap RESULTS        the results as KTAP, version 1
    kcidb RESULTS       the results for KCIDB
    summary RESULTS     a short summary in Markdown
    annotations RESULTS what is broken, as annotations of a GitHub job
    page RESULTS        index.html, for a results.json that has none, or with another baseline
    prune               remove old reports

RESULTS is a results.json or the report directory that holds one.  Wrong use and bad input end with 4 and one
sentence.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from common import atomic, commandline
from common.errors import UsageError
from common.project_files import REPORTS
from common.text import printable
from reports.formats import github_annotations, index_html, kcidb, ktap, markdown_summary
from reports.history import history_page, history_text
from reports.history.fleet_history import history
from reports.history.history_page import HISTORY_JSON, HISTORY_PAGE
from reports.judgement import shard_cut
from reports.judgement.comparison import Comparison, compare
from reports.judgement.exit_status import HELD, UNDETERMINED, meaning
from reports.model.display import one_line
from reports.model.document import Document, load
from reports.model.result import VERDICTS
from reports.tools import diff, merge, prune

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[commandline.Parser]

RESULTS = "a results.json, or the report directory that holds one"


def add_commands(commands: Commands) -> None:
    """Add each command; `args.run(args)` does what the arguments ask for, and returns the exit status."""
    command = commands.add_parser(
        "diff",
        help="show what changed from one run to another",
        description="Show what changed from the run OLD to the run NEW.  Exit status: 0 nothing newly fails; 1 "
        "something newly fails, or is newly flaky; 3 only errors are new; 4 wrong use.",
    )
    command.set_defaults(run=_diff)
    for name in ("old", "new"):
        command.add_argument(name, metavar=name.upper(), type=Path, help=RESULTS)
    command.add_argument(
        "--kernel",
        action="append",
        default=[],
        type=_pair,
        metavar="OLD=NEW",
        help="compare these two kernels, which are given by their ids; repeatable",
    )
    command.add_argument("--format", choices=diff.FORMATS, default="text", help="default: text")
    command.add_argument("--all", action="store_true", help=f"list all changes, not {diff.MOST} of each kind")
    _add_output(command)

    command = commands.add_parser(
        "merge",
        help="make one report from several, such as the shards of a CI",
        description="Make one report from several, such as those of --shard.  The exit status is that of a single "
        "run with all these results.",
    )
    command.set_defaults(run=_merge)
    command.add_argument("results", metavar="IN", type=Path, nargs="+", help=RESULTS)
    command.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the merged report goes")
    _add_origin(command, "--kcidb-origin", default=kcidb.ORIGIN)

    command = commands.add_parser(
        "history",
        help="show, from many runs, in which build promises began to break",
        description="Show, from many runs, in which build promises began to break, and which tests are flaky.  Exit "
        "status: 0, even if promises are broken; 3 a file could not be read; 4 wrong use, or nothing could be read.",
    )
    command.set_defaults(run=_history)
    command.add_argument(
        "paths", metavar="DIR", type=Path, nargs="+", help=f"a folder with reports in it, or {RESULTS}"
    )
    command.add_argument("--kernel", metavar="GLOB", help="only kernels whose name or id matches, such as '*/full'")
    command.add_argument("--promise", metavar="GLOB", help="only promises whose id matches, such as 'yama.*'")
    command.add_argument("--since", type=_day, metavar="DATE", help="only runs since that day, in UTC")
    command.add_argument("--all", action="store_true", help=f"list everything, not {history_text.MOST} of each kind")
    command.add_argument(
        "--output", type=Path, metavar="DIR", help=f"write {HISTORY_PAGE} and {HISTORY_JSON} to this folder"
    )

    command = commands.add_parser("timings", help="write the durations of tests, by which --shard makes its parts")
    command.set_defaults(run=_timings)
    command.add_argument("results", metavar="RESULTS", type=Path, nargs="+", help=RESULTS)
    _add_output(command)

    command = commands.add_parser("ktap", help="write the results as KTAP, version 1")
    command.set_defaults(run=_ktap)
    _add_results(command)
    _add_output(command)

    command = commands.add_parser("kcidb", help="write the results for KCIDB")
    command.set_defaults(run=_kcidb)
    _add_results(command)
    _add_origin(command, "--origin", required=True)
    _add_output(command)

    command = commands.add_parser("summary", help="write a short summary in Markdown")
    command.set_defaults(run=_summary)
    _add_results(command)
    command.add_argument(
        "--baseline", type=Path, metavar="OLD", help=f"show what has changed since this run: {RESULTS}"
    )
    _add_output(command)

    command = commands.add_parser("annotations", help="write what is broken as annotations of a GitHub job")
    command.set_defaults(run=_annotations)
    _add_results(command)

    command = commands.add_parser("page", help="make index.html again, in the directory of the results.json")
    command.set_defaults(run=_page)
    _add_results(command)
    command.add_argument(
        "--baseline", type=Path, metavar="OLD", help=f"show what has changed since this run: {RESULTS}"
    )

    command = commands.add_parser(
        "prune",
        help="remove old reports, but never the latest or one that is being written",
        description="Remove the reports that neither --keep nor --since keeps, but never the latest or one that is "
        "being written.",
    )
    command.set_defaults(run=_prune)
    command.add_argument(
        "directory", type=Path, nargs="?", default=REPORTS, help=f"where the reports are (default: {REPORTS})"
    )
    command.add_argument(
        "--keep", type=commandline.whole_number("reports", 0), metavar="N", help="keep the newest N reports"
    )
    command.add_argument("--since", type=_day, metavar="DATE", help="keep the reports of runs since that day, in UTC")


def _add_results(command: argparse.ArgumentParser) -> None:
    command.add_argument("results", metavar="RESULTS", type=Path, help=RESULTS)


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument("--output", type=Path, metavar="FILE", help="write to this file, not to standard output")


def _add_origin(
    command: argparse.ArgumentParser, option: str, *, default: str | None = None, required: bool = False
) -> None:
    known = f" (default: {default})" if default else ""
    command.add_argument(
        option,
        type=_origin,
        default=default,
        required=required,
        metavar="NAME",
        help=f"the name by which KCIDB knows your CI{known}",
    )


def _pair(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is not a pair of kernel ids: write OLD=NEW")
    return old, new


def _origin(text: str) -> str:
    try:
        return kcidb.check_origin(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(error.message) from error


def _day(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is not a date such as 2026-11-28") from None


def _diff(args: argparse.Namespace) -> int:
    comparison = compare(load(args.old), load(args.new), args.kernel)
    _write(diff.FORMATS[args.format](comparison, most=None if args.all else diff.MOST), args.output)
    return comparison.exit_status


def _merge(args: argparse.Namespace) -> int:
    merged = merge.merge(args.results, args.output, origin=args.kcidb_origin)
    for remark in merged.remarks:
        commandline.say(f"remark: {one_line(remark)}")
    counts = Counter(result.verdict for result in merged.document.results)
    totals = ", ".join(f"{count} {verdict}" for verdict in VERDICTS if (count := counts[verdict])) or "no tests"
    ending = f"exit status {merged.exit_status}: {meaning(merged.exit_status, counts)}"
    _write(f"{totals}\nreport: {printable(args.output)}\n{ending}\n", None)
    return merged.exit_status


def _history(args: argparse.Namespace) -> int:
    made = history(args.paths, kernel=args.kernel, promise=args.promise, since=args.since)
    for remark in history_text.remarks(made):
        commandline.say(f"remark: {remark}")
    said = history_text.as_text(made, most=None if args.all else history_text.MOST)
    if args.output is not None:
        said += f"\npage: {printable(history_page.write(made, args.output))}\n"
    _write(said, None)
    return UNDETERMINED if history_text.unreadable(made) else HELD


def _timings(args: argparse.Namespace) -> int:
    _write(shard_cut.render(shard_cut.Timings.of(map(load, args.results))), args.output)
    return HELD


def _ktap(args: argparse.Namespace) -> int:
    _write(ktap.render(_loaded(args.results)), args.output)
    return HELD


def _annotations(args: argparse.Namespace) -> int:
    if lines := github_annotations.render(_loaded(args.results)):
        commandline.output(lines.removesuffix("\n"))
    return HELD


def _kcidb(args: argparse.Namespace) -> int:
    _write(kcidb.render(_loaded(args.results), args.origin), args.output)
    return HELD


def _summary(args: argparse.Namespace) -> int:
    document = _loaded(args.results)
    _write(markdown_summary.render(document, _compared(document, args.baseline)), args.output)
    return HELD


def _page(args: argparse.Namespace) -> int:
    document = _loaded(args.results)
    try:
        page = index_html.write(document, _compared(document, args.baseline))
    except OSError as error:
        raise UsageError(f"{document.directory}: cannot be written: {error.strerror or error}") from error
    _write(f"{printable(page)}\n", None)
    return HELD


def _prune(args: argparse.Namespace) -> int:
    if args.keep is None and args.since is None:
        raise UsageError("prune needs --keep N or --since DATE, so that it does not remove every report")
    for report in prune.prune(args.directory, keep=args.keep, since=args.since):
        _write(f"removed {printable(report.path)}\n", None)
    return HELD


def _loaded(path: Path) -> Document:
    """The document, with its remarks on standard error: its other form has no place for them."""
    document = load(path)
    for remark in document.remarks():
        commandline.say(f"remark: {one_line(remark)}")
    return document


def _compared(document: Document, baseline: Path | None) -> Comparison | None:
    return compare(load(baseline), document) if baseline else None


def _write(text: str, output: Path | None) -> None:
    """To the file, or to standard output.  UsageError if that cannot be written."""
    if output is None:
        # Any locale can show the names of tests, if need be with escapes.
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        commandline.output(text.removesuffix("\n"))
        return
    try:
        atomic.write(output, text)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{output}: cannot be written: {reason}") from error
