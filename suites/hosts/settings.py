# SPDX-License-Identifier: GPL-2.0-or-later
"""This machine's settings for access to PyPI and to archives, for use on a host: pip, apt, proxies, certificates.

A setting may contain the path of a file or directory of this machine.  It is bound into the host below MOUNT, and the
path is changed accordingly, so that it hides no files of the host.
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

PASSED = ("PIP_*", "*_proxy", "*_PROXY", "REQUESTS_CA_BUNDLE", "SSL_CERT_*")
"""Variables that are passed to a host; tox passes the same ones."""
NOT_PASSED = frozenset({"PIP_CACHE_DIR", "PIP_LOG", "PIP_CONFIG_FILE"})
"""Variables with paths that pip writes to, or with settings that `pip config` already includes."""

MOUNT = "/mnt"

_APT = re.compile(r'^(Acquire::(?:https?|ftp|Retries|Check-|Force).*) "(.*)";$')
"""Lines of `apt-config dump` about access to archives, and about the age of their lists."""
_SETTING = re.compile(r"^(global\.|:env:\.)([\w-]+)=(.*)$")


@dataclass(frozen=True)
class Bind:
    """A file or directory of this machine that is bound into the host."""

    source: Path
    target: str
    """An absolute path on the host."""
    writable: bool = False


@dataclass(frozen=True)
class Settings:
    environment: Mapping[str, str]
    """Environment variables for all programs on the host."""
    apt: str = ""
    """The content of an apt.conf(5)."""
    binds: tuple[Bind, ...] = field(default=())


def variables(pip_config: str) -> dict[str, str]:
    """The environment variables equivalent to the output of `pip config list`.

    Settings for a single command of pip have no variable, and are omitted.
    """
    found: dict[str, dict[str, str]] = {"global.": {}, ":env:.": {}}
    for line in pip_config.splitlines():
        if match := _SETTING.match(line):
            section, name, value = match.groups()
            found[section][f"PIP_{name.upper().replace('-', '_')}"] = " ".join(str(ast.literal_eval(value)).split())
    return found["global."] | found[":env:."]


def settings_for_host(
    environment: Mapping[str, str],
    pip_config: str,
    apt_config: str = "",
    exists: Callable[[str], bool] = os.path.exists,
) -> Settings:
    """The settings for a host from an environment and the output of `pip config list` and `apt-config dump`."""
    wanted = variables(pip_config) | {
        name: value
        for name, value in environment.items()
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in PASSED)
    }
    binds: dict[str, Bind] = {}

    def translated(value: str) -> str:
        words = list(_words(value, exists))
        binds.update((bind.target, bind) for _, bind in words if bind is not None)
        return " ".join(word for word, _ in words)

    passed = {name: translated(value) for name, value in sorted(wanted.items()) if name not in NOT_PASSED}
    lines = (match.groups() for match in map(_APT.match, apt_config.splitlines()) if match)
    apt = "".join(f'{name} "{translated(value)}";\n' for name, value in lines)
    return Settings(passed, apt, tuple(binds.values()))


def _words(value: str, exists: Callable[[str], bool]) -> Iterator[tuple[str, Bind | None]]:
    for word in value.split():
        scheme = "file://" if word.startswith("file://") else ""
        path = word.removeprefix(scheme)
        if path.startswith("/") and exists(path):
            # The links of a package index may refer to a sibling directory.
            source = Path(path).parent if scheme else Path(path)
            yield f"{scheme}{MOUNT}{path}", Bind(source, f"{MOUNT}{source}")
        else:
            yield word, None


def of_this_machine() -> Settings:
    return settings_for_host(os.environ, _pip("config", "list"), _output("apt-config", "dump"))


def pip_cache() -> Path | None:
    """The directory of pip's cache; None if it is disabled."""
    path = _pip("cache", "dir").strip()
    return Path(path) if path else None


def _pip(*arguments: str) -> str:
    return _output(sys.executable, "-m", "pip", *arguments)


def _output(*command: str) -> str:
    """The output of a command; empty if there is no such command."""
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False).stdout
