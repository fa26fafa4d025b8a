# SPDX-License-Identifier: GPL-2.0-or-later
"""What is going to be removed from the stable interface, and the warning of it.

docs/stability.md says what that interface is.  A line of the table below is all that a deprecation takes: for one
release, whoever uses the name is warned, and it works as before.  The line stays when the name has been removed, with
the release in `removed`: then the test that compares the interface with that of the last release lets it go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from common.commandline import say


@dataclass(frozen=True)
class Deprecation:
    """A name that is going to be removed, or has been."""

    kind: str
    """The kind of name, as suites/harness/project/interface.json has it: option, command, promise and so on."""
    name: str
    """The name, as that file has it."""
    since: str
    """The release that warns of it first."""
    instead: str
    """What takes its place; of a promise, the id of the one that does."""
    removed: str = ""
    """The release that does not have it any more."""

    @property
    def warning(self) -> str:
        """What is said to whoever uses it."""
        shown = f"kconform {self.name}" if self.kind == "command" else f"{self.kind} {self.name}"
        gone = "will be removed in the release after it"
        return f"warning: {shown.rstrip('=')} is deprecated since {self.since} and {gone}; use {self.instead}"


DEPRECATIONS: tuple[Deprecation, ...] = ()


def warn_of_arguments(words: Iterable[str], command: str = "") -> None:
    """Warn of the deprecated options among the arguments of a run; with `command`, those of it, and the command."""
    given = {word.partition("=")[0] for word in words}
    for each in DEPRECATIONS:
        if each.removed or each.kind != ("command" if command else "option"):
            continue
        owner, _, option = each.name.rpartition(" ") if "--" in each.name else (each.name, "", "")
        if owner == command and (not option or option.partition("=")[0] in given):
            say(each.warning)


def current_promise(identifier: str) -> tuple[str, str]:
    """The id of the promise that replaces a deprecated one, and the warning; or the same id, and no warning."""
    for each in DEPRECATIONS:
        if each.kind == "promise" and each.name == identifier and not each.removed:
            return each.instead, each.warning
    return identifier, ""
