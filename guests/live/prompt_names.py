# SPDX-License-Identifier: GPL-2.0-or-later
"""The names that a prompt knows: those of the test and its module, its tasks, and what shows the guest."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from common.text import printable
from guests import outcome, uapi
from guests.errors import GuestBroke, KconformError
from guests.guest import Guest

OWN = ("guest", "transcript()", "tree()", "console()", "failure", "vmcore()")
"""The names that are there in every prompt, as the banner lists them."""


def names_of(guest: Guest, failure: BaseException, module: Mapping[str, Any], function: str) -> dict[str, Any]:
    """The names.  Where several have the same, the test's own variables win, then its tasks.

    `module` has the globals of the test's module, and `function` is the name of the test's function.
    """
    found: dict[str, Any] = {**_public(vars(uapi)), **_public(vars(outcome)), **_public(module)}
    found |= tasks_by_name(guest)
    found |= _public(_variables(failure.__traceback__, function))
    return {
        **found,
        "guest": guest,
        "failure": failure,
        "transcript": _printing(lambda: "\n".join(guest.transcript)),
        "tree": _printing(guest.process_tree),
        "console": _printing(guest.console),
    }


def tasks_by_name(guest: Guest) -> dict[str, Any]:
    """The tasks by their names, as far as these can be written in Python: `evil-parent` is evil_parent."""
    found: dict[str, Any] = {}
    for task in guest.tasks:
        stem = re.sub(r"\W", "_", task.name, flags=re.ASCII)
        stem = f"task_{stem}" if not stem.isidentifier() else stem
        name, count = stem, 1
        while name in found:
            count += 1
            name = f"{stem}_{count}"
        found[name] = task
    return found


def banner(guest: Guest, failure: BaseException, further: Mapping[str, str]) -> str:
    """What the prompt begins with.  `further` are lines after the others, by their titles."""
    tasks = []
    for name, task in tasks_by_name(guest).items():
        end = f", ended: {task.death!r}" if task.death is not None else ""
        tasks.append(f"{name} ({printable(repr(task))}{end})")
    lines = {
        "failure": _reason(failure),
        "guest": f"{guest.kernel.id}, {guest.condition}",
        "calls": "wait as long as it takes, until Ctrl-C" if guest.condition == "running" else "",
        "left": _what_is_left(guest),
        "tasks": ", ".join(tasks),
        "names": f"{', '.join(OWN)}; and those of the test and its module",
        **further,
    }
    return "\n".join(f"{title + ':':<9} {text}" for title, text in lines.items() if text)


def _what_is_left(guest: Guest) -> str:
    """What can still be seen of a guest that does not run; empty if it does."""
    if guest.condition == "running":
        return ""
    seen = "the transcript, the tree, the console, and the log that was read before"
    return f"{seen}; and its memory, with vmcore() or --gdb" if guest.crashed else seen


def _reason(failure: BaseException) -> str:
    text = failure.message if isinstance(failure, GuestBroke | KconformError) else str(failure)
    first = next(iter(text.splitlines()), "")
    return printable(first.removeprefix("assert ")) or type(failure).__name__


def _variables(traceback: TracebackType | None, function: str) -> dict[str, Any]:
    """The local variables of the test, from the traceback of what it raised; none if it did not get that far."""
    while traceback is not None:
        if traceback.tb_frame.f_code.co_name == function:
            return dict(traceback.tb_frame.f_locals)
        traceback = traceback.tb_next
    return {}


def _public(names: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in names.items() if not name.startswith(("_", "@"))}


def _printing(text: Callable[[], str]) -> Callable[[], None]:
    """A function that prints it, line by line as it may be printed."""

    def show() -> None:
        print("\n".join(map(printable, text().splitlines())))

    return show
