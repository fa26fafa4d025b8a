# SPDX-License-Identifier: GPL-2.0-or-later
"""Profiles: what a kernel must have, and what it must begin with, to be what somebody calls a good one.

A profile is a TOML file.  Those that are shipped lie in kconfigs/profiles/ and go by their names.

    text = "What this profile is about, in a sentence."
    areas = ["yama", "seccomp"]      # what is tested has to be there, and no test of it may be skipped for its lack

    [[config]]                       # an option that the config must have
    option = "SECURITY_LOADPIN_ENFORCE"
    value = "y"                      # "y" takes a module too, if it is written "y or m"
    since = "4.20"                   # optional, as is until: the kernels that this line is for
    source = "who says so"

    [[default]]                      # what the kernel must begin with; a run proves it
    what = "yama-scope"              # one of DEFAULTS
    value = "1"
    source = "who says so"

`check` answers from a config alone, as far as a config can tell.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import UsageError
from common.paths import users_path
from kconfigs.fragments import Config, Version, within
from kconfigs.toml import Toml, check_keys, read

SHIPPED = Path(__file__).with_name("profiles")

AREAS: Mapping[str, str] = {
    "yama": "SECURITY_YAMA",
    "loadpin": "SECURITY_LOADPIN",
    "seccomp": "SECCOMP_FILTER",
}
"""The option without which there is nothing of an area to test."""

DEFAULTS: Mapping[str, str] = {
    "lsm": "these are active, in this order, among others (/sys/kernel/security/lsm)",
    "yama-scope": "kernel.yama.ptrace_scope",
    "loadpin-enforcing": "yes or no: what LoadPin says when it is ready",
    "actions-logged": "kernel.seccomp.actions_logged",
}
"""What a profile may say of a kernel that has just booted, without parameters."""


@dataclass(frozen=True)
class Line:
    """One thing that is asked of a kernel."""

    name: str
    """An option, without CONFIG_, or one of DEFAULTS."""
    value: str
    source: str
    where: str
    """File and place, for messages."""
    since: Version = ()
    until: Version = ()

    def applies(self, version: Version) -> bool:
        """Whether it is for kernels of this version; of an unknown one, `()`, it is."""
        return not version or within(version, self.since, self.until)


@dataclass(frozen=True)
class Finding:
    """What a config says about a line: `ok`, `missing`, or `open` where only a run can tell."""

    line: Line
    state: str
    text: str


@dataclass(frozen=True)
class Profile:
    """What is asked of a kernel."""

    name: str
    text: str
    areas: tuple[str, ...]
    config: tuple[Line, ...]
    defaults: tuple[Line, ...]

    def asks_for(self, option: str, version: Version) -> Line | None:
        """The line that wants this option to be set, of a kernel of this version."""
        lines = (line for line in self.config if line.name == option.removeprefix("CONFIG_") and line.value != "n")
        return next((line for line in lines if line.applies(version)), None)

    def default(self, what: str, version: Version) -> Line | None:
        """The line about one of DEFAULTS, for a kernel of this version."""
        return next((line for line in self.defaults if line.name == what and line.applies(version)), None)


class LackingError(Exception):
    """A kernel lacks what a profile asks for: that is the kernel's failure."""

    verdict = "fail"

    def __init__(self, option: str, profile: Profile, line: Line) -> None:
        super().__init__(f"{option} is missing, which profile {profile.name} asks for: {line.source} ({line.where})")
        self.message = str(self)


def load(name: str) -> Profile:
    """A shipped profile by its name, or one by the path of its file.  UsageError, with the place, if it is none."""
    path = SHIPPED / f"{name}.toml" if name in shipped() else users_path(name)
    if not os.path.lexists(path):
        near = difflib.get_close_matches(name, shipped(), 1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"no profile {name!r}{meant}", hint=f"there is {', '.join(shipped())}; or name a TOML file")
    return _parse(path.stem, read(path, "profile", shown=path.name if path.parent == SHIPPED else ""))


def shipped() -> list[str]:
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def check(profile: Profile, config: Config, version: Version) -> list[Finding]:
    """What the config says of each line for kernels of this version (`()`: not known)."""
    found = [_option(line, config) for line in profile.config if line.applies(version)]
    return found + [_default(line, config) for line in profile.defaults if line.applies(version)]


def _option(line: Line, config: Config) -> Finding:
    value = config[line.name]
    state = "ok" if value in line.value.split(" or ") else "missing"
    return Finding(line, state, f"CONFIG_{line.name} is {value}, {line.value} is asked for")


def _default(line: Line, config: Config) -> Finding:
    match line.name:
        case "lsm":
            order = config.string("LSM")
            state = "ok" if in_order(line.value.split(), order.split(",")) else "missing"
            return Finding(line, state, f"CONFIG_LSM is {order!r}, {line.value!r} in this order is asked for")
        case "loadpin-enforcing":
            enforcing = "yes" if config.builtin("SECURITY_LOADPIN_ENFORCE") else "no"
            state = "ok" if enforcing == line.value else "missing"
            return Finding(line, state, f"LoadPin enforces by configuration: {enforcing}, {line.value} is asked for")
    return Finding(line, "open", f"{DEFAULTS[line.name]} is to be {line.value!r}: no config tells, a run does")


def in_order(wanted: Sequence[str], order: Sequence[str]) -> bool:
    """Whether all that is wanted is there, in that order, whatever is in between."""
    rest: Iterator[str] = iter(order)
    return all(name in rest for name in wanted)


def _parse(name: str, file: Toml) -> Profile:
    where, table = file.where, file.table
    check_keys(where, table, required=("text",), optional=("areas", "config", "default"))
    areas = table.get("areas", [])
    if not isinstance(areas, list) or set(map(str, areas)) - set(AREAS):
        raise UsageError(f"{where}: areas has to be a list of {', '.join(AREAS)}, and is {areas!r}")
    config = [
        Line(AREAS[area], "y", f"the area {area} is to be tested", f"{where}: areas") for area in dict.fromkeys(areas)
    ]
    config += _lines(file, "config", "option")
    defaults = _lines(file, "default", "what")
    for line in defaults:
        if line.name not in DEFAULTS:
            raise UsageError(f"{line.where}: nothing is called {line.name!r}", hint=f"there is {', '.join(DEFAULTS)}")
    return Profile(name, str(table["text"]), tuple(areas), tuple(config), tuple(defaults))


def _lines(file: Toml, kind: str, key: str) -> list[Line]:
    lines = []
    for where, entry in file.tables(kind):
        check_keys(where, entry, required=(key, "value", "source"), optional=("since", "until"))
        for name, value in entry.items():
            if not isinstance(value, str):
                raise UsageError(f"{where}: {name} has to be a text, in quotes")
        since, until = (_version(where, entry.get(name, "")) for name in ("since", "until"))
        if since and until and not within(since, (), until):
            raise UsageError(f"{where}: since {entry['since']}, until {entry['until']}: no version is in between")
        name = entry[key].removeprefix("CONFIG_")
        lines.append(Line(name, entry["value"], entry["source"], where, since, until))
    return lines


def _version(where: str, text: str) -> Version:
    try:
        return tuple(int(part) for part in text.split(".")) if text else ()
    except ValueError:
        raise UsageError(f"{where}: {text!r} is no kernel version such as 6.12") from None
