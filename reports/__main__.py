# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m reports`: what can be done with the results of runs that are over.

    diff OLD NEW        what changed; exit status 0, 1 (something newly fails) or 3 (only errors are new)
    merge IN...         one report of several; the exit status that one run would have had
    ktap RESULTS        the results as KTAP, version 1
    kcidb RESULTS       the results for KCIDB
    summary RESULTS     a short summary in Markdown
    page RESULTS        index.html, beside a results.json that has none, or with another baseline

Wherever a results.json is asked for, the report directory that it lies in will do.  Wrong use and bad input end with
4 and one sentence.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from reports.formats import index_html as matrix
from reports.formats import kcidb, ktap
from reports.formats import markdown_summary as brief
from reports.judgement import comparison as compare
from reports.judgement.exit_status import HELD, MEANING, WRONG_USE
from reports.model.document import BadInputError, Document, load
from reports.tools import diff, merge

RESULTS = "a results.json, or the report directory that it lies in"


class Parser(argparse.ArgumentParser):
    """argparse, with our exit status for wrong use: its own 2 would say `interrupted`."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(WRONG_USE, f"{self.prog}: error: {message}\n")


def parser() -> Parser:
    """The command line."""
    top = Parser(prog="python -m reports", description="What can be done with the results of runs that are over.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("diff", help="what changed from one run to another")
    command.set_defaults(run=_diff)
    for name in ("old", "new"):
        command.add_argument(name, metavar=name.upper(), type=Path, help=RESULTS)
    command.add_argument(
        "--kernel",
        action="append",
        default=[],
        type=_pair,
        metavar="OLD=NEW",
        help="these two kernels, given by their ids, are counterparts; repeatable",
    )
    command.add_argument("--format", choices=diff.FORMATS, default="text", help="default: text")
    command.add_argument("--all", action="store_true", help=f"list all that changed, not {diff.MOST} of each kind")
    _output(command)

    for name, words in (("ktap", "write the results as KTAP, version 1"), ("kcidb", "write the results for KCIDB")):
        command = commands.add_parser(name, help=words)
        command.set_defaults(run=_convert)
        command.add_argument("results", metavar="RESULTS", type=Path, help=RESULTS)
        if name == "kcidb":
            command.add_argument(
                "--origin", type=_origin, required=True, metavar="NAME", help="the name that KCIDB knows your CI by"
            )
        _output(command)

    command = commands.add_parser("merge", help="make one report of several, such as the shards of a CI")
    command.set_defaults(run=_merge)
    command.add_argument("results", metavar="IN", type=Path, nargs="+", help=RESULTS)
    command.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the merged report goes")
    command.add_argument(
        "--kcidb-origin",
        type=_origin,
        default=kcidb.ORIGIN,
        metavar="NAME",
        help=f"the name that KCIDB knows your CI by (default: {kcidb.ORIGIN})",
    )

    command = commands.add_parser("summary", help="write a short summary in Markdown")
    command.set_defaults(run=_summary)
    command.add_argument("results", metavar="RESULTS", type=Path, help=RESULTS)
    command.add_argument("--baseline", type=Path, metavar="OLD", help="say what changed since; " + RESULTS)
    _output(command)

    command = commands.add_parser("page", help="make index.html, beside the results.json")
    command.set_defaults(run=_page)
    command.add_argument("results", metavar="RESULTS", type=Path, help=RESULTS)
    command.add_argument("--baseline", type=Path, metavar="OLD", help="show what changed since; " + RESULTS)
    return top


def _output(command: argparse.ArgumentParser) -> None:
    command.add_argument("--output", type=Path, metavar="FILE", help="write here, not to standard output")


def _pair(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise argparse.ArgumentTypeError(f"{text!r} is no pair of kernel ids: write OLD=NEW")
    return old, new


def _origin(text: str) -> str:
    if not kcidb.ORIGIN_PATTERN.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r}: an origin is small letters, digits and underscores")
    return text


def _convert(args: argparse.Namespace) -> int:
    document = _loaded(args.results)
    _write(kcidb.render(document, args.origin) if "origin" in args else ktap.render(document), args.output)
    return HELD


def _merge(args: argparse.Namespace) -> int:
    merged = merge.merge(args.results, args.output, origin=args.kcidb_origin)
    for remark in merged.remarks:
        print(f"remark: {remark}", file=sys.stderr)
    counts = merged.document.run["counts"]
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count) or "no tests"
    meaning = MEANING[merged.exit_status]
    _write(f"{told}\nreport: {args.output}\nexit status {merged.exit_status}: {meaning}\n", None)
    return merged.exit_status


def _summary(args: argparse.Namespace) -> int:
    document = _loaded(args.results)
    comparison = compare.compare(load(args.baseline), document) if args.baseline else None
    _write(brief.render(document, comparison), args.output)
    return HELD


def _page(args: argparse.Namespace) -> int:
    document = _loaded(args.results)
    comparison = compare.compare(load(args.baseline), document) if args.baseline else None
    try:
        _write(f"{matrix.write(document, comparison)}\n", None)
    except OSError as error:
        raise BadInputError(f"{document.directory}: cannot be written: {error.strerror or error}") from error
    return HELD


def _loaded(path: Path) -> Document:
    """The document, with its remarks on standard error: its other form has no place for them."""
    document = load(path)
    for remark in document.remarks():
        print(f"remark: {remark}", file=sys.stderr)
    return document


def _diff(args: argparse.Namespace) -> int:
    comparison = compare.compare(load(args.old), load(args.new), args.kernel)
    _write(diff.FORMATS[args.format](comparison, most=None if args.all else diff.MOST), args.output)
    return comparison.exit_status


def _write(text: str, output: Path | None) -> None:
    """To the file, or to standard output.  Raises BadInputError if the file cannot be written."""
    if output is None:
        # Any locale can show the names of tests, if need be with escapes.
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            # A status of ours, such as `something newly fails`, would be a lie: nobody has read what.
            _forget_output()
            raise BadInputError(f"standard output: cannot be written: {error.strerror or error}") from error
        return
    try:
        output.write_text(text, encoding="utf-8", errors="backslashreplace")
    except (OSError, ValueError) as error:
        raise BadInputError(f"{output}: cannot be written: {getattr(error, 'strerror', None) or error}") from error


def _forget_output() -> None:
    """Drop what could not be written: Python would try, and say so, again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says, and return the exit status."""
    args = parser().parse_args(argv)
    try:
        return int(args.run(args))
    except BadInputError as error:
        print(f"Error: {error}", file=sys.stderr)
        return WRONG_USE
    except BrokenPipeError:
        # Whoever reads has seen enough (`| head`).
        _forget_output()
        return WRONG_USE


if __name__ == "__main__":
    sys.exit(main())
