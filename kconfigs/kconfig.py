# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel configurations as values: read, parsed, merged, rendered, compared.  Nothing here touches a kernel.

Two notations are read.  A `.config` is what Kconfig writes.  A fragment is what we write, and stricter:

    # A heading, a licence: a line that begins with a hash sign is never an option.
    CONFIG_YAMA=y                # why it is asked for; never left out
    CONFIG_LOADPIN_VERITY=y      # since 6.0: 6.0 is the first version that has it
    CONFIG_OLD_NAME=y            # until 6.12: 6.12 is the last version that has it
    CONFIG_X86_X32_ABI=y         # on x86_64: only kernels of that architecture have it; several are joined by `, `

Option names are given without `CONFIG_`; with it is understood too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from common import bounded
from common.errors import UsageError
from common.text import printable
from common.versions import ANY, Version, VersionRange
from kconfigs import input_limits
from kconfigs.architectures import ARCHITECTURES
from kconfigs.decompression import DamagedDataError, TooLargeError, format_of, unpacked

_SET = re.compile(r"CONFIG_(\w+)=(.*)", re.ASCII | re.DOTALL)
_UNSET = re.compile(r"# CONFIG_(\w+) is not set")
VALUE = r'[ymn]|"(?:[^"\\]|\\.)*"|-?\d+|0[xX][0-9a-fA-F]+'
"""What an option may be set to, as Kconfig writes it."""
_ASKED = re.compile(rf"CONFIG_(\w+)=({VALUE})\s+#\s+(.*\S)\s*")
_BOUND = re.compile(r"(since|until) (\d+(?:\.\d+)+): ")
_ARCHES = re.compile(r"on (\w+(?:, \w+)*): ")

FORMERLY = {"X86_X32_ABI": "X86_X32"}
"""Options by their present name, and what older kernels call them; a Config knows both by the present name."""


class Config(Mapping[str, str]):
    """A frozen .config: option -> `y`, `m`, a number, or a string in its double quotes.

    Every option has a value: one that is absent or `is not set` reads as `n`.  Iteration and `in` see only those
    with another value.
    """

    __slots__ = ("_digest", "_options")

    def __init__(self, options: Mapping[str, str]) -> None:
        self._options = {name: options[name] for name in sorted(options) if options[name] != "n"}
        self._digest = hashlib.sha256(self.render().encode()).hexdigest()

    @classmethod
    def parse(cls, text: str) -> Config:
        """The text of a .config.  As in Kconfig, a line that is not an option is ignored.

        Only a newline ends a line: what follows a form feed or U+2028 in a comment is a part of the comment.
        """
        matches = (_SET.fullmatch(line.rstrip(" \t\r")) for line in text.split("\n"))
        return cls({match[1]: match[2] for match in matches if match})

    @classmethod
    def load(cls, path: Path) -> Config:
        """The .config at `path`.  UsageError if it cannot be one (see `read_text`); OSError if it cannot be read."""
        return cls.parse(read_text(path))

    @property
    def digest(self) -> str:
        """sha256 of all options that are set, in hexadecimal; order and comments do not count."""
        return self._digest

    @property
    def complete(self) -> bool:
        """Whether Kconfig wrote all options, so that one that is absent is `n`.

        A defconfig and a fragment leave out what has its default, and all options that have no prompt.
        INIT_ENV_ARG_LIMIT has none, and is in the .config of every kernel.
        """
        return "INIT_ENV_ARG_LIMIT" in self

    def enabled(self, name: str) -> bool:
        """Built in or built as a module."""
        return self[name] in {"y", "m"}

    def builtin(self, name: str) -> bool:
        return self[name] == "y"

    def meets(self, need: str, *, built_in: bool = False) -> bool:
        """Whether an option is enabled, or one of several that are joined by `" or "`."""
        return any((self.builtin if built_in else self.enabled)(name) for name in need.split(" or "))

    def string(self, name: str) -> str:
        """A string option without its quotes; empty if it is not set."""
        value = self[name]
        return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else ""

    def render(self) -> str:
        return "".join(f"CONFIG_{name}={value}\n" for name, value in self._options.items())

    def __getitem__(self, name: str) -> str:
        name = name.removeprefix("CONFIG_")
        return self._options.get(name) or self._options.get(FORMERLY.get(name, ""), "n")

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.removeprefix("CONFIG_") in self._options

    def __iter__(self) -> Iterator[str]:
        return iter(self._options)

    def __len__(self) -> int:
        return len(self._options)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Config) and self._digest == other._digest

    def __hash__(self) -> int:
        return hash(self._digest)

    def __repr__(self) -> str:
        return f"<Config {self._digest[:12]}, {len(self)} options>"


def spelled(need: str) -> str:
    """What Config.meets asks for, as a message says it: CONFIG_A or CONFIG_B."""
    return " or ".join(f"CONFIG_{name}" for name in need.split(" or "))


def read_text(path: Path) -> str:
    """The text of a .config, which may be packed by gzip, as /proc/config.gz is.

    UsageError if it has a NUL, is larger than input_limits.CONFIG, or is damaged; OSError if it cannot be read.
    """
    content = bounded.read(path, input_limits.CONFIG, "kernel configuration")
    try:
        if format_of(content) == "gzip":
            content = b"".join(unpacked("gzip", [content], input_limits.CONFIG))
    except TooLargeError as error:
        raise bounded.too_large(printable(path), input_limits.CONFIG, "kernel configuration") from error
    except DamagedDataError as error:
        raise UsageError(f"{printable(path)} cannot be read: {error}", hint="copy it again") from error
    if b"\0" in content:
        raise UsageError(
            f"{printable(path)} is not a kernel configuration: there is a NUL in it",
            hint="one has lines such as CONFIG_64BIT=y",
        )
    return content.decode(errors="replace")


_EXPANDED = re.compile(r"[$`]")
"""Kbuild includes the values of a .config in its makefiles, and make runs $(shell ...)."""


def refuse_command(where: str, name: str, value: str) -> None:
    """UsageError if a build would run a part of this value as a command."""
    if _EXPANDED.search(value):
        raise UsageError(
            f"{where} cannot be used: a build would run a part of CONFIG_{name}, which is {printable(value, 80)}",
            hint="no value has a dollar sign or a backquote; look at where it comes from",
        )


@dataclass(frozen=True)
class Option:
    """One line of a fragment: what is asked for, of which kernel versions, and why."""

    name: str
    value: str
    reason: str
    where: str
    """File and line, for messages."""
    versions: VersionRange = ANY
    arches: frozenset[str] = frozenset()
    """By `uname -m`; empty if it is asked for on every architecture."""

    def applies(self, version: Version, arch: str) -> bool:
        """Whether a kernel is asked for it.  An unknown version, `()`, and architecture, "", are accepted."""
        return version in self.versions and not (arch and self.arches and arch not in self.arches)


@dataclass(frozen=True)
class Fragment:
    name: str
    options: tuple[Option, ...]


@dataclass(frozen=True)
class Dropped:
    """An option whose value is not the one that was asked for."""

    option: Option
    got: str

    def __str__(self) -> str:
        return f"CONFIG_{self.option.name}={self.option.value} came out as {self.got}"


def parse_fragment(name: str, text: str) -> Fragment:
    """Read a fragment.  UsageError, with file and line, for a line that is not an option with a reason."""
    options: list[Option] = []
    seen: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{name}:{number}"
        if _UNSET.match(line):
            raise UsageError(
                f"{where}: `{printable(line.strip())}` would be a comment", hint="write CONFIG_...=n  # reason"
            )
        if not line.strip() or line.startswith("#"):
            continue
        match = _ASKED.fullmatch(line)
        if not match:
            raise UsageError(
                f"{where}: not an option with its reason: {printable(line.strip())}",
                hint="write CONFIG_NAME=value  # reason",
            )
        if match[1] in seen:
            raise UsageError(f"{where}: CONFIG_{match[1]} was already asked for in {seen[match[1]]}")
        seen[match[1]] = where
        reason, bounds, arches = match[3], dict[str, str](), frozenset[str]()
        if on := _ARCHES.match(reason):
            arches, reason = frozenset(on[1].split(", ")), reason[on.end() :]
        if unknown := sorted(arches - ARCHITECTURES.keys()):
            raise UsageError(f"{where}: no architecture {unknown[0]}", hint=f"they are {', '.join(ARCHITECTURES)}")
        while bound := _BOUND.match(reason):
            bounds[bound[1]] = bound[2]
            reason = reason[bound.end() :]
        try:
            versions = VersionRange.parse(**bounds)
        except ValueError as error:
            raise UsageError(f"{where}: {error}") from None
        options.append(Option(match[1], match[2], reason, where, versions, arches))
    return Fragment(name, tuple(options))


def load_fragment(path: Path) -> Fragment:
    return parse_fragment(path.name, path.read_text(encoding="utf-8"))


def merge(fragments: Iterable[Fragment], version: Version = (), arch: str = "") -> dict[str, Option]:
    """What all fragments together ask for, by option name.  A later fragment overrules an earlier one.

    With a kernel version, or an architecture (`uname -m`), only what is asked of that.
    """
    merged: dict[str, Option] = {}
    for fragment in fragments:
        for option in fragment.options:
            if option.applies(version, arch):
                merged[option.name] = option
    return merged


def render(asked: Mapping[str, Option]) -> str:
    """The options in Kconfig's own notation, for KCONFIG_ALLCONFIG."""
    return "".join(
        f"# CONFIG_{name} is not set\n" if option.value == "n" else f"CONFIG_{name}={option.value}\n"
        for name, option in sorted(asked.items())
    )


def dropped(asked: Mapping[str, Option], final: Config) -> list[Dropped]:
    """What was asked for and has another value, by name.  Built in where a module was asked for counts too."""
    return [Dropped(option, final[name]) for name, option in sorted(asked.items()) if final[name] != option.value]
