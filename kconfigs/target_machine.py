# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine that somebody else booted: how `--target` names it, and the command lines that run something there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import UsageError
from common.text import printable

_HOST = re.compile(r"(?:(?P<user>[\w.][\w.-]*)@)?(?P<host>[\w.:-]+?|\[[\w.:%-]+\])(?::(?P<port>[0-9]{1,5}))?")
_LIVELY = ("ServerAliveInterval=10", "ServerAliveCountMax=3")
"""So that a machine that is gone is noticed within a minute."""


@dataclass(frozen=True)
class TargetMachine:
    """A machine, reached by ssh, or this one."""

    text: str
    """What --target says."""
    host: str = ""
    """USER@HOST for ssh; empty for this machine."""
    port: str = ""

    @property
    def name(self) -> str:
        """What the kernel there is called after."""
        return self.host.rpartition("@")[2] + (f"-{self.port}" if self.port else "") or "local"

    def command(self, script: str, control: Path | None = None) -> list[str]:
        """What runs a shell script there.  `control` is the socket of a connection that is open already."""
        if not self.host:
            return ["sh", "-c", script]
        return [*self._ssh(control), self.host, f"exec sh -c {shlex.quote(script)}"]

    def connection(self, control: Path) -> list[str]:
        """What opens a connection, and keeps it open until it is ended."""
        return [*self._ssh(control), "-M", "-N", self.host]

    def question(self, control: Path) -> list[str]:
        """What ends with 0 if the connection is open."""
        return [*self._ssh(control), "-O", "check", self.host]

    def _ssh(self, control: Path | None) -> list[str]:
        # With the user's ControlPersist, the connection would go into the background, where nothing ends it.
        sharing = (f"ControlPath={control or 'none'}", "ControlPersist=no")
        options = ("BatchMode=yes", "ConnectTimeout=60", *_LIVELY, *sharing)
        return ["ssh", "-T", *(word for option in options for word in ("-o", option)), *self._port()]

    def _port(self) -> Sequence[str]:
        return ("-p", self.port) if self.port else ()


def parse_target(text: str) -> TargetMachine:
    """What --target says.  UsageError if it is neither `local` nor `ssh:[USER@]HOST[:PORT]`."""
    if text == "local":
        return TargetMachine(text)
    scheme, _, where = text.partition(":")
    found = _HOST.fullmatch(where)
    if scheme != "ssh" or found is None or where.startswith("-"):
        raise UsageError(
            f"{printable(text)} is not a target", hint="write it as in --target=ssh:root@board, or --target=local"
        )
    user, host, port = found.group("user", "host", "port")
    return TargetMachine(text, f"{user}@{host}" if user else host, port or "")
