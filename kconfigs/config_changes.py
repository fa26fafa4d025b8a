# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user changes of the config that a kernel is built with (`--config`, repeatable).

    SECURITY_YAMA=n          one option, with or without CONFIG_; a value that is no number nor y, m or n is a string
    more.config              a file in Kconfig's notation, as those in the kernel's kernel/configs
    sanitizers               a fragment of kconform's own

The last change of an option counts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from common.errors import UsageError
from common.paths import users_path
from common.text import did_you_mean, printable
from common.versions import Version
from kconfigs.flavors import FRAGMENTS, fragment
from kconfigs.kconfig import VALUE, Fragment, Option, merge, read_text, refuse_command

_ONE = re.compile(r"(?:CONFIG_)?([A-Z0-9]\w*)=(.*)", re.ASCII)
_SET = re.compile(r"CONFIG_(\w+)=(\"(?:[^\"\\]|\\.)*\"|[^\s#\"]+)(?:\s+#.*)?", re.ASCII)
_UNSET = re.compile(r"# CONFIG_(\w+) is not set", re.ASCII)
_UNSAFE = re.compile(r"[^A-Za-z0-9._=-]+")
_LONGEST = 60
"""Characters of a label."""


@dataclass(frozen=True)
class ConfigChanges:
    """Fragments, each of which overrules those before it and the flavor."""

    label: str
    """What ids call them, such as `SECURITY_YAMA=n`; only letters, digits and `._=+-`."""
    fragments: tuple[Fragment, ...]
    named: frozenset[str] = frozenset()
    """The options that were given by themselves, not by a file or fragment."""

    def applied_to(self, flavor: str) -> str:
        """What ids call this flavor with the changes."""
        return f"{flavor}+{self.label}"

    def asked(self, version: Version = (), arch: str = "") -> dict[str, Option]:
        """The options that they ask of a kernel of that version and architecture, or of any."""
        return merge(self.fragments, version, arch)


def parse_changes(texts: Sequence[str], folder: Path = Path()) -> ConfigChanges | None:
    """What the values of --config ask for, in their order; None if there are none.  A path starts at the folder.

    UsageError for a value that is neither an option nor a fragment.
    """
    if not texts:
        return None
    parsed = [_parse(text, folder) for text in texts]
    label = "+".join(_UNSAFE.sub("-", each.name).strip("-") or "config" for each in parsed)
    if len(label) > _LONGEST:
        label = f"{label[: _LONGEST - 9].rstrip('+')}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"
    named = frozenset(found[1] for text in texts if (found := _ONE.fullmatch(text)))
    return ConfigChanges(label, tuple(parsed), named)


def _parse(text: str, folder: Path) -> Fragment:
    if found := _ONE.fullmatch(text):
        name, value = found.groups()
        refuse_command(f"--config={printable(text, 80)}", name, value)
        if not re.fullmatch(VALUE, value):
            value = '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
        return Fragment(f"{name}={found[2]}", (Option(name, value, "asked for by --config", f"--config={text}"),))
    path = users_path(text, folder)
    if path.is_file():
        return Fragment(path.stem, tuple(_read(path)))
    shipped = [each.stem for each in FRAGMENTS.glob("*.config")]
    if text in shipped:
        return replace(fragment(text), name=text)
    raise UsageError(
        f"{printable(text)} is no option and no config fragment{did_you_mean(text, shipped)}",
        hint="write an option as in SECURITY_YAMA=n, or name a file with lines such as CONFIG_SECURITY_YAMA=y",
    )


def _read(path: Path) -> Iterator[Option]:
    """The options of a file in Kconfig's notation; a comment may follow a value."""
    try:
        lines = read_text(path).splitlines()
    except OSError as error:
        raise UsageError(f"{printable(path)} cannot be read: {error.strerror}", hint="name another file") from error
    options = 0
    for number, line in enumerate(lines, 1):
        where = f"{path.name}:{number}"
        if found := _SET.fullmatch(line.rstrip()) or _UNSET.fullmatch(line.rstrip()):
            name, value = found[1], found[2] if found.lastindex == 2 else "n"
            refuse_command(printable(path), name, value)
            options += 1
            yield Option(name, value, f"asked for by {path.name}", where)
        elif line.strip() and not line.startswith("#"):
            raise UsageError(
                f"{printable(path)}:{number}: not a line of a config: {printable(line.strip(), 80)}",
                hint="write CONFIG_NAME=value or # CONFIG_NAME is not set",
            )
    if not options:
        raise UsageError(f"{printable(path)} sets no option", hint="write lines such as CONFIG_SECURITY_YAMA=y")
