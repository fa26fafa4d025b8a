# SPDX-License-Identifier: GPL-2.0-or-later
"""`tox -e container -- ARGS`: does the image of packaging/Containerfile do what docs/container.md says?

Builds the wheel and the image, and runs kconform in it with ARGS (the talk on the distribution's prebuilt kernel):
podman as an ordinary user, everything read-only but for the cache and the reports.  Prints the size of the image, and
the time to the first verdict.  The exit status is kconform's, 3 if the image cannot be built, and 4 if this machine
lacks something.

Run by root, it reaches no registry: the base is what debootstrap installs.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from common.commandline import Parser, output, run, say
from common.errors import KconformError, UsageError
from kconfigs.build.supervised_process import run_logged
from kconfigs.cache import Cache
from suites.hosts import base_system, settings, wheel
from suites.hosts import container_commands as commands
from suites.hosts.container_commands import PodmanFolder
from suites.hosts.distributions import chosen
from suites.hosts.settings import Settings
from suites.hosts.trial import ROOT, copy_checkout

LOGS = Path("reports/out/container")
RELEASE = "debian-13"
"""The host whose base the image is made of."""

_VERDICT = re.compile(r"(?=.*::)(?=.*\b(PASSED|FAILED|ERROR)\b)")
"""A test's line of `pytest -v`, if the test is not skipped."""
PODMANS_OWN = range(125, 128)
"""Exit statuses of `podman run` if it does not start the program, podman-run(1)."""
_SIZE = re.compile(r"(\d+) bytes")


def main(arguments: Sequence[str] | None = None) -> int:
    options, words = parser().parse_known_args(sys.argv[1:] if arguments is None else arguments)
    return run(lambda: _try(options, [word for word in words if word != "--"]))


def parser() -> Parser:
    made = Parser(prog="kconform container", description=__doc__, allow_abbrev=False)
    made.add_argument("--base", default="", metavar="IMAGE", help="build on this image instead")
    return made


def _try(options: argparse.Namespace, words: Sequence[str]) -> int:
    require_tools()
    cache = Cache()
    network = settings.of_this_machine()
    logs = ROOT / LOGS
    logs.mkdir(parents=True, exist_ok=True)
    with cache.lock("container-trials", waiting="another trial of the image is running"), _folder(cache) as folder:
        as_root = os.geteuid() == 0
        place = PodmanFolder(Path(commands.HOME) if as_root else folder)
        user = f"{commands.UID}:{commands.UID}" if as_root else f"{os.geteuid()}:{os.getegid()}"
        base = options.base or _make_base(cache, network, folder, logs)
        _lay_out(folder, network)
        steps = {"import": commands.import_base(place)} if base == commands.BASE else {}
        steps |= {
            "build": commands.build(place, base, network),
            "size": commands.size(place),
            "run": commands.run(place, network, ["-v", *(words or commands.ARGUMENTS)], user, devices()),
        }
        return _run(folder, place, commands.script(steps), logs)


def require_tools(which: Callable[[str], str | None] = shutil.which) -> None:
    """UsageError if this machine lacks something that rootless containers need."""
    for program, package in {"podman": "podman", "newuidmap": "uidmap"}.items():
        if which(program) is None:
            raise UsageError(f"{program} is not installed", hint=f"run: apt-get install {package}")


def devices(exists: Callable[[str], bool] = os.path.exists) -> list[str]:
    """The devices of this machine that a container gets."""
    return [device for device in ("/dev/kvm",) if exists(device)]


@contextmanager
def _folder(cache: Cache) -> Iterator[Path]:
    """A folder below the cache, which is removed with everything that podman has stored there."""
    parent = cache.root / ".container"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent))
    try:
        yield folder
    finally:
        # Files of subordinate ids are the user's only in the user namespace that podman makes.
        inside = [] if os.geteuid() == 0 else ["podman", "unshare"]
        subprocess.run([*inside, "rm", "--recursive", "--force", "--one-file-system", str(folder)], check=False)


def _make_base(cache: Cache, network: Settings, folder: Path, logs: Path) -> str:
    """The name of the base that is to be used: '' for that of the Containerfile."""
    if os.geteuid() != 0:
        return ""
    base_system.require_tools()
    # A base is only read, so a trial of hosts may go on meanwhile.
    entry = base_system.Bases(cache, network, logs).get(*chosen([RELEASE]))
    packing = commands.pack(entry / "root", folder / "base.tar")
    done = subprocess.run(packing, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode:
        raise KconformError(f"the base could not be packed: {done.stderr.strip().splitlines()[-1]}")
    return commands.BASE


def _lay_out(folder: Path, network: Settings) -> None:
    """Make the files that podman needs."""
    for name in commands.FOLDERS:
        (folder / name).mkdir()
    (folder / "run").chmod(0o700)
    with tempfile.TemporaryDirectory(prefix="kconform-container-") as name:
        copy_checkout(ROOT, Path(name) / "checkout")
        wheel.build(Path(name) / "checkout", folder / "wheel")
    shutil.copy(ROOT / commands.CONTAINERFILE, folder / commands.CONTAINERFILE)
    files = {
        Path(commands.APT_CONF).name: network.apt,
        Path(commands.PIP_CONF).name: commands.pip_conf(network.environment),
    }
    if os.geteuid() == 0:
        present = {name: Path("/etc", name).read_text(encoding="utf-8") for name in commands.accounts({})}
        files |= commands.accounts(present)
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    if os.geteuid() == 0:
        for path in (folder, *(folder / name for name in commands.FOLDERS)):
            os.chown(path, commands.UID, commands.UID)


def _run(folder: Path, place: PodmanFolder, script: str, logs: Path) -> int:
    """Run the steps; returns the exit status of the last one.  KconformError if an earlier one fails."""
    command = commands.as_trial_user(folder, script) if os.geteuid() == 0 else commands.as_caller(place, script)
    path = logs / "container.log"
    say(f"log: {path}")
    watch = Watch(say)
    with path.open("w", encoding="utf-8") as file:
        status = run_logged(command, file, env=os.environ, on_line=watch.see)
    if watch.step != "run" or status in PODMANS_OWN:
        last = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:] or ["nothing was printed"]
        raise KconformError(f"podman failed ({watch.step or 'start'}): {last[0]}", hint=f"see {path}")
    reports = logs / "reports"
    shutil.rmtree(reports, ignore_errors=True)
    shutil.copytree(folder / "reports", reports, symlinks=True)
    output(watch.summary())
    return status


class Watch:
    """Follows the output of the steps, and measures them; `tell` is called with a message about each."""

    def __init__(self, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._began = clock()
        self.step = ""
        self.size: int | None = None
        self.first_verdict_s: float | None = None

    def see(self, line: str) -> None:
        if line.startswith(commands.STEP):
            self._end()
            self.step, self._began = line.removeprefix(commands.STEP).strip(), self._clock()
        elif self.step == "size" and (match := _SIZE.match(line)):
            self.size = int(match[1])
        elif self.step == "run":
            if self.first_verdict_s is None and _VERDICT.search(line):
                self.first_verdict_s = self._clock() - self._began
            self._tell(line.rstrip("\n"))

    def summary(self) -> str:
        self._end()
        size = "unknown" if self.size is None else f"{self.size / 1e6:.0f} MB"
        first = "none" if self.first_verdict_s is None else f"after {self.first_verdict_s:.0f} s"
        return f"size of the image: {size}\nfirst verdict: {first}"

    def _end(self) -> None:
        if self.step:
            self._tell(f"{self.step}: {self._clock() - self._began:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
