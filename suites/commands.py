# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands that run the suites or test them: bisection, mutants, benchmarks, other hosts, the list of promises."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from common.child_command import wait_for
from common.project_files import IS_CHECKOUT, pytest_command

PROGRAMS = {
    "mutants": ("suites.mutation.__main__", "build kernels with one fault each, and check that the suites detect it"),
    "coverage": (
        "suites.coverage.__main__",
        "report which lines of the kernel the tests execute, and which tests execute a line",
    ),
    "bench": ("suites.bench.guest_benchmark", "measure the speed of guests"),
    "soak": ("suites.soak.__main__", "run tests many times, and look for drift, lost results and leftovers"),
    "sweep": ("suites.sweep.__main__", "change one option of a kernel at a time, and test each kernel"),
    "site": ("suites.website.__main__", "build the documentation, with a page for each promise, as a web site"),
    "hosts": ("suites.hosts.__main__", "try the suites on minimal installations of other hosts"),
    "container": ("suites.hosts.container", "build the container's image, and try the suites in it"),
    "debian-package": ("suites.hosts.debian_package", "build the Debian package, and try the suites with it"),
    "reproduce": (
        "suites.reproduce_command",
        "build the C program of a test, and run it in a guest of the same kernel",
    ),
    "bisect": (
        "suites.bisection.bisect_command",
        "find the version that broke a promise: of a package, or with git; also for `git bisect run`",
    ),
    "bench-selftest": (
        "suites.bench.selftest_benchmark",
        "compare the seccomp suite's speed with upstream's selftest",
    ),
}
"""Commands with their own argument parsers: module and help text.  Each module has `main(arguments)`."""

OF_CHECKOUTS = ("bench", "hosts", "container", "debian-package", "site", "bench-selftest")
"""The commands that measure the project itself, try it elsewhere, or need its documents."""


def add_commands(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Add the commands; each sets `run`, which takes the parsed options and returns an exit status."""
    for name, (module, text) in PROGRAMS.items():
        if name in OF_CHECKOUTS and not IS_CHECKOUT:
            continue
        command = subparsers.add_parser(name, help=text, add_help=False)
        command.set_defaults(run=_program, module=module, own_parser=True)
    command = subparsers.add_parser(
        "requirements",
        help="list the promises and their tests; further arguments are passed to pytest",
        add_help=False,
    )
    command.set_defaults(run=_requirements, own_parser=True)


def _program(options: argparse.Namespace) -> int:
    # Import the module only if it is used: some need packages, or time, that the other commands do not.
    status: int = importlib.import_module(options.module).main(options.others)
    return status


def _requirements(options: argparse.Namespace) -> int:
    return wait_for(pytest_command("--requirements", *options.others))
