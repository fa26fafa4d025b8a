# SPDX-License-Identifier: GPL-2.0-or-later
"""How this machine reaches PyPI and its archive, told to a host: what pip and apt are set to, proxies, certificates.

A setting may name a file or a directory of this machine.  It is bound into the host below MOUNT, and the setting that
the host gets names it there, so that nothing of the host's own is covered.
"""

from __future__ import annotations

import ast
import fnmatch
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

HANDED_ON = ("PIP_*", "*_proxy", "*_PROXY", "REQUESTS_CA_BUNDLE", "SSL_CERT_*")
"""Variables that a host gets from us.  tox hands on the same."""
NOT_HANDED_ON = frozenset({"PIP_CACHE_DIR", "PIP_LOG", "PIP_CONFIG_FILE"})
"""Variables that name places of this machine which pip writes to, or settings that `pip config` has already told."""

MOUNT = "/mnt"

_APT = re.compile(r'^(Acquire::(?:https?|ftp|Retries|Check-|Force).*) "(.*)";$')
"""Lines of `apt-config dump` that tell how an archive is reached, and how old its lists may be."""
_SETTING = re.compile(r"^(global\.|:env:\.)([\w-]+)=(.*)$")


@dataclass(frozen=True)
class Bind:
    """A file or directory of this machine that the host sees, too."""

    source: Path
    target: str
    """Absolute, within the host."""
    writable: bool = False


@dataclass(frozen=True)
class Settings:
    environment: Mapping[str, str]
    """For every program of the host."""
    apt: str = ""
    """For apt.conf(5)."""
    binds: tuple[Bind, ...] = field(default=())


def variables(pip_config: str) -> dict[str, str]:
    """The environment variables that say what `pip config list` printed.

    Settings for one of pip's commands alone have no variable and are left out.
    """
    found: dict[str, dict[str, str]] = {"global.": {}, ":env:.": {}}
    for line in pip_config.splitlines():
        if match := _SETTING.match(line):
            section, name, value = match.groups()
            found[section][f"PIP_{name.upper().replace('-', '_')}"] = " ".join(str(ast.literal_eval(value)).split())
    return found["global."] | found[":env:."]


def hand_on(
    environment: Mapping[str, str],
    pip_config: str,
    apt_config: str = "",
    exists: Callable[[str], bool] = os.path.exists,
) -> Settings:
    """What a host gets of this environment, of what `pip config list` prints and of what `apt-config dump` does."""
    wanted = variables(pip_config) | {
        name: value
        for name, value in environment.items()
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in HANDED_ON)
    }
    binds: dict[str, Bind] = {}

    def translated(value: str) -> str:
        words = list(_words(value, exists))
        binds.update((bind.target, bind) for _, bind in words if bind is not None)
        return " ".join(word for word, _ in words)

    told = {name: translated(value) for name, value in sorted(wanted.items()) if name not in NOT_HANDED_ON}
    lines = (match.groups() for match in map(_APT.match, apt_config.splitlines()) if match)
    apt = "".join(f'{name} "{translated(value)}";\n' for name, value in lines)
    return Settings(told, apt, tuple(binds.values()))


def _words(value: str, exists: Callable[[str], bool]) -> Iterator[tuple[str, Bind | None]]:
    for word in value.split():
        scheme = "file://" if word.startswith("file://") else ""
        path = word.removeprefix(scheme)
        if path.startswith("/") and exists(path):
            # The links of a package index may lead to a directory beside it.
            source = Path(path).parent if scheme else Path(path)
            yield f"{scheme}{MOUNT}{path}", Bind(source, f"{MOUNT}{source}")
        else:
            yield word, None


def of_this_machine() -> Settings:
    return hand_on(os.environ, _pip("config", "list"), _output("apt-config", "dump"))


def pip_cache() -> Path | None:
    """The directory in which pip keeps what it has downloaded; None if it keeps nothing."""
    path = _pip("cache", "dir").strip()
    return Path(path) if path else None


def _pip(*arguments: str) -> str:
    return _output(sys.executable, "-m", "pip", *arguments)


def _output(*command: str) -> str:
    """What a command prints; nothing where there is no such command."""
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
