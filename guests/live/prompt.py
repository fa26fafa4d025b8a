# SPDX-License-Identifier: GPL-2.0-or-later
"""A Python prompt in the user's terminal: IPython's, or Python's own where IPython is not installed.

The prompt ends with Ctrl-D, `exit` or `quit`.  Ctrl-C ends what runs, and the prompt stays.
"""

from __future__ import annotations

import code
import contextlib
import importlib
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from typing import Any

_WORDS = {"exit", "exit()", "quit", "quit()"}
_WITHOUT_IPYTHON = "IPython is not installed, so this is Python's own prompt (pip install ipython)."


def open_prompt(names: dict[str, Any], banner: str) -> None:
    """Run a prompt that knows these names, until the user leaves it."""
    with warnings.catch_warnings(), _in_foreground():
        # pytest makes errors of warnings, of those that IPython's own imports cause too.
        warnings.simplefilter("ignore")
        ipython = _ipython() if sys.stdin.isatty() and sys.stdout.isatty() else None
        if ipython is None:
            _plain_prompt(names, banner)
        else:
            _rich_prompt(ipython, names, banner)


def _ipython() -> Any:
    """IPython's modules; None if they cannot be imported."""
    try:
        importlib.import_module("IPython")
        return importlib.import_module("IPython.terminal.interactiveshell")
    except ImportError:
        return None


def _rich_prompt(ipython: Any, names: dict[str, Any], banner: str) -> None:
    config = importlib.import_module("traitlets.config").Config()
    config.TerminalInteractiveShell.confirm_exit = False
    config.TerminalInteractiveShell.term_title = False
    config.InteractiveShell.xmode = "Minimal"
    # What is done to a guest that ends now is of no use later, and a home may not be writable.
    config.HistoryManager.enabled = False
    main = sys.modules["__main__"]
    # Parts of IPython look for the only instance.
    shell = ipython.TerminalInteractiveShell.instance(config=config, user_ns=names)
    try:
        print(banner, flush=True)
        shell.mainloop()
    finally:
        sys.modules["__main__"] = main
        shell.restore_sys_module_state()
        ipython.TerminalInteractiveShell.clear_instance()
        if (loop := getattr(shell, "pt_loop", None)) is not None:
            loop.close()


class _PlainConsole(code.InteractiveConsole):
    """Python's own prompt; it leaves at the same words as IPython, and shows errors in a line as well."""

    def runsource(self, source: str, filename: str = "<input>", symbol: str = "single") -> bool:
        if source.strip() in _WORDS:
            raise EOFError
        return super().runsource(source, filename, symbol)

    def showtraceback(self) -> None:
        kind, error, _ = sys.exc_info()
        self.write("".join(traceback.format_exception_only(kind, error)))


def _plain_prompt(names: dict[str, Any], banner: str) -> None:
    with contextlib.suppress(ImportError):
        readline, rlcompleter = importlib.import_module("readline"), importlib.import_module("rlcompleter")
        readline.set_completer(rlcompleter.Completer(names).complete)
        readline.parse_and_bind("tab: complete")
    console = _PlainConsole(names)
    with contextlib.suppress(EOFError):
        console.interact(f"{banner}\n{_WITHOUT_IPYTHON}", exitmsg="")


@contextlib.contextmanager
def _in_foreground() -> Iterator[None]:
    """Make this process the terminal's foreground job, as a shell does with a command.

    Otherwise Ctrl-C would also interrupt the program that has started the run, such as tox, which then ends it.
    """
    terminal = sys.stdin.fileno()
    try:
        former_group, former_foreground = os.getpgrp(), os.tcgetpgrp(terminal)
    except OSError:
        yield  # no terminal, or not the one that controls us
        return
    if former_group == os.getpid() or former_foreground != former_group:
        yield  # a job of our own already, or one in the background
        return
    # Whoever is not in the foreground is stopped when it changes that, unless it ignores the signal.  And there is no
    # shell that would continue this job after Ctrl-Z.
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTTOU, signal.SIGTSTP)}
    try:
        os.setpgid(0, 0)
        os.tcsetpgrp(terminal, os.getpgrp())
        yield
    finally:
        with contextlib.suppress(OSError):
            os.tcsetpgrp(terminal, former_foreground)
            os.setpgid(0, former_group)
        for number, handler in handlers.items():
            signal.signal(number, handler)
