# SPDX-License-Identifier: GPL-2.0-or-later
"""`tox -e debian-package -- ARGS`: does the Debian package build, and does it give the README's verdicts?

Makes the source package of packaging/debian, and a minimal installation of Debian sid.  There, dpkg-buildpackage
builds it with nothing but the packages that it names, lintian checks it, and autopkgtest runs its test.  Then another
installation gets the package by apt, and nothing else, and kconform runs there with ARGS (the talk on the
distribution's prebuilt kernel), in an empty directory, as a user without privileges.  The exit status is kconform's,
3 if any step before it fails, and 4 if this machine lacks something.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from common.commandline import Parser, output, run, say
from common.errors import KconformError, UsageError
from common.paths import users_path
from kconfigs.cache import Cache
from suites.hosts import base_system, debian_source, host_commands, host_table, settings, trial_ways
from suites.hosts.distributions import Host, chosen
from suites.hosts.host_table import Row
from suites.hosts.installation import Installation
from suites.hosts.settings import Settings
from suites.hosts.trial import LAST_LINES, ROOT, Trial, copy_checkout
from suites.hosts.trial_ways import Command

LOGS = Path("reports/out/debian-package")
RELEASE = "debian-sid"
"""The only host whose archive has all that the package needs, docs/install.md."""
ARGUMENTS = ("-k", "talk")
"""kconform's, if none are given."""
BUILD = "/srv/build"
"""The directory of the source package on the host."""
_RESULTS = (".dsc", ".deb", ".changes", ".buildinfo", ".gz", ".xz")


def main(arguments: Sequence[str] | None = None) -> int:
    options, words = parser().parse_known_args(sys.argv[1:] if arguments is None else arguments)
    return run(lambda: _try(options, [word for word in words if word != "--"]))


def parser() -> Parser:
    made = Parser(prog="kconform debian-package", description=__doc__, allow_abbrev=False)
    made.add_argument("--fresh", action="store_true", help="create the host again instead of using the cache")
    made.add_argument("--source-only", metavar="DIR", help="make the source package in this directory, and end")
    return made


def installing(*packages: str) -> Command:
    return ("apt-get", "install", "-y", "--no-install-recommends", *packages)


def build_steps() -> tuple[Command, ...]:
    """The commands that build the package in its unpacked source.  Only the package names what it is built with."""
    return (
        host_commands.UPDATE,
        installing("build-essential"),
        ("apt-get", "build-dep", "-y", "--no-install-recommends", "./"),
        ("dpkg-buildpackage", "--no-sign"),
    )


def check_steps() -> tuple[Command, ...]:
    """The commands that look at what was built, beside it."""
    return (
        installing("lintian", "autopkgtest"),
        ("sh", "-c", "lintian --fail-on=error,warning --show-overrides --info *.changes"),
        ("sh", "-c", "autopkgtest --no-built-binaries *.deb *.dsc -- null"),
    )


def _try(options: argparse.Namespace, words: Sequence[str]) -> int:
    if options.source_only is not None:
        return _make_source(users_path(options.source_only))
    base_system.require_tools()
    cache = Cache()
    network = settings.of_this_machine()
    [host] = chosen([RELEASE])
    logs = ROOT / LOGS
    logs.mkdir(parents=True, exist_ok=True)
    say(f"log: {logs / 'debian-package.log'}")
    with (
        cache.lock(f"{base_system.KIND}-trials", waiting="another trial of hosts is running"),
        (logs / "debian-package.log").open("w", encoding="utf-8") as file,
    ):
        entry = base_system.Bases(cache, network, logs).get(host, fresh=options.fresh)
        results = logs / "built"
        shutil.rmtree(results, ignore_errors=True)
        results.mkdir()
        with Installation(entry, network) as builder:
            _build(builder, results, file)
        row = _use(host, entry, network, results, words or ARGUMENTS, file)
        cache.remeasure(entry)
    output(f"\n{host_table.render([row])}")
    return host_table.exit_status([row])


def _make_source(folder: Path) -> int:
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty", hint="name another directory")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kconform-debian-") as name:
        copy_checkout(ROOT, Path(name) / "checkout")
        output(str(debian_source.make(Path(name) / "checkout", folder)))
    return 0


def _build(builder: Installation, results: Path, file: IO[str]) -> None:
    """Build and check the package, and copy what was built to `results`.  KconformError if a step fails."""
    place = builder.path(BUILD)
    with tempfile.TemporaryDirectory(prefix="kconform-debian-") as name:
        copy_checkout(ROOT, Path(name) / "checkout")
        place.mkdir(parents=True)
        source = debian_source.make(Path(name) / "checkout", place)
    for command in build_steps():
        _step(builder, command, f"{BUILD}/{source.name}", file)
    for path in place.iterdir():
        if path.suffix in _RESULTS:
            shutil.copy(path, results)
    for command in check_steps():
        _step(builder, command, BUILD, file)


def _step(on: Installation, command: Command, folder: str, file: IO[str]) -> None:
    shown = shlex.join(command)
    file.write(f"\n$ {shown}\n")
    last: deque[str] = deque(maxlen=LAST_LINES)
    started = time.monotonic()
    status = on.run(command, file, folder=folder, on_line=last.append)
    say(f"{shown}: {time.monotonic() - started:.0f} s, exit status {status}")
    if status:
        say("its last lines:\n" + "".join(f"    {line}" for line in last))
        raise KconformError(f"{shown} ended with status {status}", hint=f"see {file.name}")


def _use(host: Host, entry: Path, network: Settings, results: Path, words: Sequence[str], file: IO[str]) -> Row:
    """Install the package on a fresh host, and run it there."""
    [package] = results.glob("*.deb")
    with Installation(entry, network) as on, tempfile.TemporaryDirectory(prefix="kconform-debian-") as folder:
        files = Path(folder) / "package"
        files.mkdir()
        shutil.copy(package, files)
        trial = Trial(host, on, trial_ways.of_package(package.name), files, file, lambda line: say(line))
        return trial.run(words, ROOT / LOGS / "report")


if __name__ == "__main__":
    sys.exit(main())
