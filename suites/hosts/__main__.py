# SPDX-License-Identifier: GPL-2.0-or-later
"""`tox -e hosts -- ARGS`: do the suites give correct results on the hosts that people use?

Creates a minimal installation of each host, runs README's first command there on the distribution's prebuilt kernel,
with ARGS for pytest, then the project's own quick tests, and prints a table.  With `--wheel`, nothing but pipx is
installed there, and the wheel; with `--container`, the host's podman builds the image and runs it.

Exit status as in README.md: 0 all promises held on all hosts, 1 one was broken, 3 a host could not be created or its
results could not be determined, 4 this machine lacks something.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common.commandline import Parser, output, run, say
from common.errors import KconformError, UsageError
from kconfigs.cache import Cache
from suites.hosts import base_system, host_table, settings, trial_ways, wheel
from suites.hosts.distributions import HOSTS, Host, chosen
from suites.hosts.host_table import Row
from suites.hosts.installation import Installation
from suites.hosts.trial import ROOT, Trial, copy_checkout
from suites.hosts.trial_ways import TrialWay

LOGS = Path("reports/out/hosts")


def main(arguments: Sequence[str] | None = None) -> int:
    options, words = parse(sys.argv[1:] if arguments is None else arguments)
    return run(lambda: _try_all(options, words))


def _try_all(options: argparse.Namespace, words: Sequence[str]) -> int:
    hosts = chosen(options.host)
    base_system.require_tools()
    rows: list[Row] = []
    try:
        # All hosts get the same files, even if they are edited meanwhile.
        with tempfile.TemporaryDirectory(prefix="kconform-hosts-") as folder:
            checkout = Path(folder) / "checkout"  # not `folder` itself, which other users cannot enter
            copy_checkout(ROOT, checkout)
            way, files = trial_ways.CONTAINER if options.container else trial_ways.CHECKOUT, checkout
            if options.wheel and not options.make_only:
                built = wheel.build(checkout, Path(folder) / "wheel")
                way, files = trial_ways.of_wheel(built.name), built.parent
            for host in hosts:
                rows.append(_try(host, way, files, options, words))
    finally:
        # Print the results so far even after an interruption.
        if rows and not options.make_only:
            output(f"\n{host_table.render(rows)}")
    return host_table.exit_status(rows)


def _try(host: Host, way: TrialWay, files: Path, options: argparse.Namespace, words: Sequence[str]) -> Row:
    cache = Cache()
    host_settings = settings.of_this_machine()
    logs = ROOT / LOGS
    logs.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    try:
        with cache.lock(f"{base_system.KIND}-trials", waiting="another trial of hosts is running"):
            entry = base_system.Bases(cache, host_settings, logs).get(host, fresh=options.fresh)
            say(f"{host.name}: its base is ready, {time.monotonic() - started:.0f} s")
            if options.make_only:
                return Row(host.name, counts={"pass": 0}, status=0)
            path = logs / f"{host.name}.log"
            say(f"{host.name}: log: {path}")
            with path.open("w", encoding="utf-8") as file, Installation(entry, host_settings) as on:
                trial = Trial(host, on, way, files, file, lambda line: say(f"{host.name}: {line}"))
                row = trial.run(words, logs / host.name)
            cache.remeasure(entry)
            return row
    except base_system.UnreachableError as error:
        say(f"{host.name}: {error}")
        return Row(host.name, why_not="archive not reachable", excused=not host.required)
    except UsageError:
        raise
    except KconformError as error:
        say(f"error: {host.name}: {error}")
        return Row(host.name, why_not=error.message)


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The command's own options, and the arguments for pytest: unknown options, and everything after `--`."""
    words = list(arguments)
    cut = words.index("--") if "--" in words else len(words)
    options, rest = parser().parse_known_args(words[:cut])
    return options, rest + words[cut + 1 :]


def parser() -> Parser:
    made = Parser(prog="kconform hosts", description=__doc__, allow_abbrev=False)
    names = ", ".join(host.name for host in HOSTS)
    made.add_argument("--host", action="append", default=[], metavar="NAME", help=f"repeatable; {names} (all)")
    made.add_argument("--fresh", action="store_true", help="create the hosts again instead of using the cache")
    ways = made.add_mutually_exclusive_group()
    ways.add_argument("--wheel", action="store_true", help="try the wheel with pipx instead of the checkout with tox")
    ways.add_argument("--container", action="store_true", help="try `tox -e container` instead, with podman")
    made.add_argument("--make-only", action="store_true", help="create the hosts, but run nothing there")
    return made


if __name__ == "__main__":
    sys.exit(main())
