# SPDX-License-Identifier: GPL-2.0-or-later
"""A pytest plugin for looking into guests: --hold opens a prompt in that of a failed test, --gdb lets gdb attach to
it, and a guest that crashes leaves its memory as a vmcore.

A guest is held before its test is torn down, while no time limit applies.  Its evidence has been gathered by then;
what is called at the prompt is added to it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from common.commandline import whole_number
from common.text import printable
from common.workers import run_in_one_process
from guests.errors import GuestBroke, KconformError
from guests.guest import Guest
from guests.live import vmcore
from guests.live.gdb_server import gdb_command, gdb_socket
from guests.live.kernel_symbols import symbols_of
from guests.live.prompt import open_prompt
from guests.live.prompt_names import banner, names_of
from guests.plugin import LIMIT
from kconfigs.cache import Cache
from kconfigs.plugin import FOLDER
from reports.run import notes
from reports.run.options import runs_tests
from suites.reproducers import recorded_guest

VMCORE, CALLS = "vmcore", "calls at the prompt"
"""Titles of evidence.  The dump itself, which is no text, is the file `vmcore` beside the first."""

MOST_VMCORES = 3
"""How many crashes of a run leave a vmcore: the first ones tell what is broken."""

HELD = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kconform")
    group.addoption(
        "--hold",
        action="store_true",
        help="keep the guest of a test that fails, and open a prompt in it; the tests run one at a time (-n 0)",
    )
    group.addoption("--gdb", action="store_true", help="like --hold, and let gdb attach to the kernel of the guest")
    group.addoption(
        "--vmcores",
        type=whole_number("dumps", 0, 100),
        default=MOST_VMCORES,
        metavar="N",
        help="keep the memory of the first N guests that crash, for crash and drgn (default: %(default)s)",
    )


def holds(config: pytest.Config) -> bool:
    """Whether this run holds guests."""
    return bool(config.option.hold or config.option.gdb) and runs_tests(config)


def pytest_cmdline_main(config: pytest.Config) -> None:
    if not holds(config):
        return
    if config.option.target:
        raise pytest.UsageError(
            "--hold and --gdb keep a guest of QEMU, and a machine that somebody else booted (--target) has none\n"
            "  hint: log in there; the test's evidence says which calls it made"
        )
    if (capture := config.pluginmanager.getplugin("capturemanager")) is not None:
        capture.suspend_global_capture(in_=True)  # until a test begins
    if sys.stdin is None or not sys.stdin.isatty():
        raise pytest.UsageError(
            f"--{'hold' if config.option.hold else 'gdb'} opens a prompt, and the standard input is no terminal\n"
            "  hint: run it in a terminal; over ssh, give the command one with `ssh -t`"
        )
    run_in_one_process(config)


def pytest_report_header(config: pytest.Config) -> list[str]:
    return ["hold: one test at a time (-n 0), because the prompt is in this terminal"] if holds(config) else []


# Guests that are held


def pytest_exception_interact(node: pytest.Item | pytest.Collector, call: pytest.CallInfo[object]) -> None:
    """pytest calls this for failures and errors, but not for what is skipped, expected or waived."""
    if not isinstance(node, pytest.Item) or call.excinfo is None or not holds(node.config):
        return
    if node.stash.get(HELD, False):
        return  # with --confirm and --repeat, the first failure counts
    reporter = node.config.pluginmanager.getplugin("terminalreporter")
    guest = recorded_guest(node)
    if guest is None:
        reporter.ensure_newline()
        reporter.write_line(f"not held, because it has no guest: {printable(node.nodeid)}")
        return
    node.stash[HELD] = True
    reporter.ensure_newline()
    reporter.write_sep("=", f"held: {printable(node.nodeid)}")
    with _without_capture(node.config), node.config.stash[LIMIT].suspended():
        try:
            _hold(node, guest, call.excinfo.value)
            reporter.write_sep("=", "the guest ends")
        except OSError as error:
            # Of this test, the result is known, and it must not be lost with the terminal.
            node.session.shouldstop = f"the terminal is gone: {error}"


@contextlib.contextmanager
def _without_capture(config: pytest.Config) -> Generator[None, None, None]:
    """Between the phases of a test, pytest does not capture the output anyway; but in a subtest it does."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        yield
        return
    with capture.global_and_fixture_disabled():
        capture.suspend_global_capture(in_=True)
        yield


def _hold(item: pytest.Item, guest: Guest, failure: BaseException) -> None:
    """Open the prompt.  Whatever goes wrong around it must not cost the run."""
    further: dict[str, str] = {}
    before = len(guest.transcript)
    with guest.held(), contextlib.ExitStack() as at_end:
        if item.config.option.gdb:
            try:
                symbols = symbols_of(guest, Cache())
                further["gdb"] = gdb_command(at_end.enter_context(gdb_socket(guest)), symbols)
                further["symbols"] = symbols.missing or str(symbols.vmlinux)
            except KconformError as error:
                further["gdb"] = f"cannot attach: {error.message}"
        further["leave"] = _leaving(item)
        function = getattr(item, "originalname", None) or item.name
        names = names_of(guest, failure, vars(getattr(item, "module", None) or sys), function)
        names |= {"vmcore": _dump(item, guest), "end_run": _end(item.session)}
        open_prompt(names, banner(guest, failure, further))
    if calls := guest.transcript[before:]:
        notes.attach(item, CALLS, "\n".join(calls))


def _leaving(item: pytest.Item) -> str:
    if item.config.option.maxfail == 1:
        return "Ctrl-D, exit or quit: the guest ends, and with -x the run"
    return "Ctrl-D, exit or quit: the guest ends, and the run goes on; end_run() ends the run then"


def _end(session: pytest.Session) -> Callable[[], None]:
    def end_run() -> None:
        """End the run after this test."""
        session.shouldfail = "the run was ended at the prompt of a held guest"

    return end_run


# The memory of guests


def _dump(item: pytest.Item, guest: Guest) -> Callable[[], None]:
    def vmcore_now() -> None:
        """Write the guest's memory to a file, for crash and drgn."""
        directory = notes.evidence_directory(item)
        if directory is not None:
            text = _write(guest, directory)
            print(f"in {printable(directory)}:\n{text}")

    return vmcore_now


def _write(guest: Guest, directory: Path) -> str:
    """Dump the guest's memory into a new file, and return how to open it.  KconformError if that fails."""
    number = 1
    while (path := directory / (VMCORE if number == 1 else f"{VMCORE}-{number}")).exists():
        number += 1
    size = vmcore.write(guest, path)
    symbols = symbols_of(guest, Cache())
    if symbols.vmcoreinfo:
        path.with_name(f"{path.name}info").write_bytes(symbols.vmcoreinfo)
    return vmcore.describe(path.name, size, guest.kernel, symbols)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the memory of a guest that has crashed, before the teardown ends it."""
    guest = recorded_guest(item)
    if guest is not None and call.when != "teardown" and call.excinfo is not None:
        broke = isinstance(call.excinfo.value, GuestBroke) and guest.crashed
        directory = notes.evidence_directory(item)
        if broke and directory is not None and _one_more(item.config):
            try:
                text = _write(guest, directory)
            except KconformError as error:
                text = f"not available: {printable(error.message)}"
            notes.attach(item, VMCORE, text)
    return (yield)


def _one_more(config: pytest.Config) -> bool:
    """Whether one more vmcore may be kept, of all processes of the run together."""
    for number in range(config.option.vmcores):
        with contextlib.suppress(FileExistsError):
            os.close(os.open(config.stash[FOLDER].path / f"vmcore-{number}", os.O_CREAT | os.O_EXCL, 0o600))
            return True
    return False
