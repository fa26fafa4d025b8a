# SPDX-License-Identifier: GPL-2.0-or-later
"""`kconform site`: the documentation as a web site, with a page for each promise.

    kconform site                                            from the specification and the tests
    kconform site --results a/results.json b/results.json    also what each promise was on these runs' kernels
    kconform site --mutants reports/out/mutants.json         also which tests detected which mutants

The pages work from the file system and fetch nothing.  A link to a page or a section that does not exist is an error.
Exit status: 0 the site was built; 3 it could not be, or a link is wrong; 4 wrong usage.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from common.commandline import Parser, output, run
from common.errors import KconformError, UsageError
from common.paths import users_path
from common.project_files import ROOT
from reports.model import document
from suites.website import proving_tests
from suites.website.accessible_html import amend
from suites.website.promise_book import make_book
from suites.website.promise_pages import generated
from suites.website.site_sources import ROOT_PAGE, STYLE, write_sources

OUTPUT = Path("build/site")
MARK = Path("_static") / STYLE.name
"""A file that every site of ours has: its folder may be replaced."""
MODULES = ("sphinx", "myst_parser", "furo")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    return run(lambda: build(options.output, options.results, options.mutants))


def build(site: Path, results: Sequence[Path] = (), mutants: Sequence[Path] = ()) -> None:
    """Build the site in the folder `site`, which is replaced if it holds one already."""
    lacking = [module for module in MODULES if importlib.util.find_spec(module) is None]
    if lacking:
        raise UsageError(f"not installed: {', '.join(lacking)}", hint="tox -e docs has all that the site needs")
    if site.exists() and not (site.is_dir() and (not any(site.iterdir()) or (site / MARK).is_file())):
        raise UsageError(f"{site} is not empty and is no site of ours", hint="name another folder, or empty this one")
    runs = [document.load(path) for path in results]
    book = make_book(ROOT / "suites", proving_tests.collect(), runs, mutants)
    with tempfile.TemporaryDirectory(prefix="kconform-site-") as scratch:
        sources, built = Path(scratch) / "sources", Path(scratch) / "built"
        sources.mkdir()
        write_sources(ROOT, sources, generated(book))
        command = [sys.executable, "-m", "sphinx", "--quiet", "--jobs=auto", "--fail-on-warning", "--keep-going"]
        command += ["-b", "html", "-d", str(Path(scratch) / "doctrees"), str(sources), str(built)]
        done = subprocess.run(command, check=False)
        if done.returncode:
            raise KconformError(f"Sphinx ended with {done.returncode}", hint="its warnings are above")
        amend(built)
        shutil.copyfile(built / f"{ROOT_PAGE}.html", built / "index.html")
        if site.exists():
            shutil.rmtree(site)
        site.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(built, site)
    output(f"site: {len(book.promises)} promises, in {site / 'index.html'}")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="kconform site", description="Build the documentation as a web site.")
    parser.add_argument(
        "--output",
        type=users_path,
        default=OUTPUT,
        metavar="DIR",
        help=f"the site's folder, which is replaced (default: {OUTPUT})",
    )
    parser.add_argument(
        "--results",
        type=users_path,
        nargs="+",
        default=[],
        metavar="RESULTS",
        help="results.json of runs, or their folders: what each promise was on their kernels",
    )
    parser.add_argument(
        "--mutants",
        type=users_path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="results that `kconform mutants` wrote: which test detected which fault",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
