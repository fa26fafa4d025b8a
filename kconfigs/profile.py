# SPDX-License-Identifier: GPL-2.0-or-later
"""Profiles: what somebody expects of a good kernel, in its config and as it begins.

A profile is a TOML file.  Those that come with the project are in kconfigs/profiles/, and are known by their names.

    text = "What this profile is about, in one sentence."
    since = "5.10"                   # optional, as is until: the first and the last version that it is for
    areas = ["yama", "seccomp"]      # these must be there, and no test of them may be skipped for a missing option

    [[config]]                       # an option that the config must have
    option = "SECURITY_LOADPIN_ENFORCE"
    value = "y"                      # "y or m" also accepts a module
    since = "4.20"                   # optional, as is until: the first and the last version that this is asked of
    if = "SECURITY_LOADPIN"          # optional: only a config that has this option is asked; for `check` alone
    source = "who says so"

    [[default]]                      # what the kernel must begin with; a test run proves it
    what = "yama-scope"              # one of DEFAULTS
    value = "1"
    sysctl = "0"                     # what it must be after the system's sysctl.d (--sysctl), if that is another
    source = "who says so"           # value or sysctl may be left out: then nothing is asked before, or after

    [[backport]]                     # promises that its kernels make although they are older (docs/extend.md)
    requirements = ["seccomp.kill-not-suppressed"]
    since = "5.14.0-179"             # optional: the first release that has them, for kernels of the series 5.14 alone
    source = "who says so"

kconfigs/config_check.py compares a config with a profile, without a boot.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from common.errors import UsageError
from common.paths import users_path
from common.text import did_you_mean, printable
from common.toml import Table, read
from common.versions import (
    ANY,
    SERIES,
    Version,
    VersionRange,
    at_or_after_in_series,
    parse_release,
    release_numbers,
)
from kconfigs.kconfig import Config

SHIPPED = Path(__file__).with_name("profiles")

AREAS: Mapping[str, str] = {
    "yama": "SECURITY_YAMA",
    "loadpin": "SECURITY_LOADPIN",
    "seccomp": "SECCOMP_FILTER",
}
"""The option without which an area has nothing to test."""

DEFAULTS: Mapping[str, str] = {
    "lsm": "these are active, in this order, among others (/sys/kernel/security/lsm)",
    "yama-scope": "kernel.yama.ptrace_scope",
    "loadpin-enforcing": "yes or no: what LoadPin says when it is ready",
    "actions-logged": "kernel.seccomp.actions_logged",
}
"""What a profile may expect of a kernel that has just booted without parameters."""


@dataclass(frozen=True)
class ProfileLine:
    """One thing that a profile asks for."""

    name: str
    """An option, without CONFIG_, or one of DEFAULTS."""
    value: str
    source: str
    where: str
    """File and place, for messages."""
    versions: VersionRange = ANY
    only_if: str = ""
    """The option that a config must have to be asked; empty if all are asked."""

    def applies_to(self, config: Config) -> bool:
        return not self.only_if or config.enabled(self.only_if)

    @property
    def reason(self) -> str:
        return f"{printable(self.source)} ({self.where})"


@dataclass(frozen=True)
class Backport:
    """Promises that kernels make although their version is older than the promise."""

    requirements: tuple[str, ...]
    """Ids, as in suites/*/requirements.toml; whoever knows these checks them."""
    since: Version
    """The first release that has them: other releases of its series are compared with it.  `()`: all have them."""
    source: str
    where: str
    """File and place, for messages."""

    def is_in(self, release: str) -> bool:
        """Whether a kernel of this release (`uname -r`) has them."""
        return not self.since or at_or_after_in_series(release_numbers(release), self.since)


@dataclass(frozen=True)
class Profile:
    """What is asked of a kernel, and what it has that its version does not tell."""

    name: str
    text: str
    areas: tuple[str, ...]
    config: tuple[ProfileLine, ...]
    defaults: tuple[ProfileLine, ...]
    """What a kernel must begin with."""
    backports: tuple[Backport, ...] = ()
    defaults_after_sysctl: tuple[ProfileLine, ...] = ()
    """What must be once the system has made its sysctl settings."""
    versions: VersionRange = ANY
    """Those that it is for."""

    def excludes(self, version: Version) -> str:
        """Why the profile is not for kernels of this version, in a sentence; empty if it is."""
        reason = self.versions.excludes(version)
        return f"profile {self.name} is not for this kernel: {reason}" if reason else ""

    def require_version(self, version: Version, kernel: str) -> None:
        """UsageError if the profile is not for this kernel."""
        if reason := self.excludes(version):
            raise UsageError(f"{kernel}: {reason}", hint="use another profile, or none, for this kernel")

    def asks_for(self, option: str, version: Version) -> ProfileLine | None:
        """The line that asks every kernel of this version for this option; None if none does."""
        lines = (line for line in self.config if line.name == option.removeprefix("CONFIG_") and line.value != "n")
        return next((line for line in lines if version in line.versions and not line.only_if), None)

    def asking_for(self, names: Collection[str], config: Config, version: Version) -> list[ProfileLine]:
        """The lines that ask for one of these options or for its own options, and those about one of the defaults."""
        wanted = [
            line
            for line in self.config
            if line.value != "n" and any(line.name == name or line.name.startswith(f"{name}_") for name in names)
        ]
        wanted += [line for line in self.defaults if line.name in names]
        return [line for line in wanted if version in line.versions and line.applies_to(config)]

    def default(self, what: str, version: Version, *, after_sysctl: bool = False) -> ProfileLine | None:
        """The line about one of DEFAULTS, for a kernel of this version."""
        lines = self.defaults_after_sysctl if after_sysctl else self.defaults
        return next((line for line in lines if line.name == what and version in line.versions), None)

    def lists(self, requirement: str, release: str) -> str:
        """Who says that a kernel of this release has a promise as a backport; empty if nobody does."""
        for one in self.backports:
            if requirement in one.requirements and one.is_in(release):
                return f"profile {self.name} lists it: {printable(one.source)} ({one.where})"
        return ""


class LackingError(Exception):
    """A kernel lacks what a profile asks for, which is the kernel's failure."""

    verdict = "fail"

    def __init__(self, option: str, profile: Profile, line: ProfileLine) -> None:
        super().__init__(f"{option} is missing, which profile {profile.name} asks for: {line.reason}")
        self.message = str(self)


# Profiles


def load(name: str) -> Profile:
    """One of our profiles by its name, or any by its path.  UsageError, with the place, if it is wrong."""
    path = SHIPPED / f"{name}.toml" if name in shipped() else users_path(name)
    if not os.path.lexists(path):
        meant = did_you_mean(name, shipped())
        raise UsageError(f"no profile {name!r}{meant}", hint=f"profiles: {', '.join(shipped())}; or name a TOML file")
    return _parse(path.stem, read(path, "profile", shown=path.name if path.parent == SHIPPED else ""))


def shipped() -> list[str]:
    """The names of our profiles."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def _parse(name: str, file: Table) -> Profile:
    file.check(required=("text",), optional=("areas", "config", "default", "backport", "since", "until"))
    areas = file.choices("areas", AREAS, [])
    config = [
        ProfileLine(AREAS[area], "y", f"the area {area} is to be tested", file.place("areas")) for area in areas
    ]
    for entry in file.tables("config"):
        entry.check(required=("option", "value", "source"), optional=("since", "until", "if"))
        option, only_if = (text.removeprefix("CONFIG_") for text in (entry.text("option"), entry.text("if", "")))
        config.append(ProfileLine(option, entry.text("value", blank=True), *_rest(entry), only_if))
    defaults, after_sysctl = [], []
    for entry in file.tables("default"):
        entry.check(required=("what", "source"), optional=("value", "sysctl", "since", "until"))
        if "value" not in entry and "sysctl" not in entry:
            raise entry.error("'value' is missing", hint="it is what the kernel must begin with")
        what, last = entry.choice("what", DEFAULTS), "sysctl" if "sysctl" in entry else "value"
        if "value" in entry:
            defaults.append(ProfileLine(what, entry.text("value", blank=True), *_rest(entry)))
        after_sysctl.append(ProfileLine(what, entry.text(last, blank=True), *_rest(entry)))
    return Profile(
        name=printable(name),
        text=file.text("text"),
        areas=tuple(areas),
        config=tuple(config),
        defaults=tuple(defaults),
        backports=tuple(_backport(entry) for entry in file.tables("backport")),
        defaults_after_sysctl=tuple(after_sysctl),
        versions=file.versions(),
    )


def _backport(entry: Table) -> Backport:
    entry.check(required=("requirements", "source"), optional=("since",))
    since = entry.text("since", "")
    try:
        release = parse_release(since) if since else ()
    except ValueError as error:
        raise entry.error(f"'since': {error}", key="since") from None
    if since and len(release) < SERIES:
        raise entry.error(f"'since' must begin with a series such as 5.14, not {printable(since)!r}", key="since")
    return Backport(tuple(entry.texts("requirements")), release, entry.text("source"), entry.place())


def _rest(entry: Table) -> tuple[str, str, VersionRange]:
    """What every line has beside its value."""
    return entry.text("source"), entry.place(), entry.versions()
