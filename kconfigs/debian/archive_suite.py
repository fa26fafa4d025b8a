# SPDX-License-Identifier: GPL-2.0-or-later
"""What the distribution's archive has and apt's sources lack: another suite, as in `deb:PACKAGE@SUITE`, or another
architecture, as in `deb:PACKAGE:ARCH`.

apt uses separate lists for them, which are in our cache and fetched anew once a day; the machine's settings, lists
and pins are neither used nor changed.  The archive is the one that the machine uses already, and its signature is
checked with the distribution's keyring (apt-secure(8)): a suite without a valid signature is refused.
"""

from __future__ import annotations

import datetime
import hashlib
import re
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

from debian.deb822 import Deb822

from common.errors import KconformError, UsageError
from common.text import printable
from kconfigs.cache import Cache
from kconfigs.debian.apt import Apt, as_root, last_line
from kconfigs.debian.package_lists import NETWORK_HINT, apt_with, daily, private, update

KEYRINGS = {
    "Debian": Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    "Ubuntu": Path("/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
}
"""By the `Origin` in a Release file.  If the file is missing, apt uses its own trusted keys."""

_SECURITY = "-security"


@dataclass(frozen=True)
class Archive:
    """A repository that this machine's apt uses."""

    uri: str
    origin: str
    """`Debian` or `Ubuntu`."""
    label: str
    """`Debian`, or `Debian-Security` for its security archive."""
    suites: tuple[str, ...] = field(default=(), compare=False)
    """Those that the machine's apt uses, as its sources name them."""

    def line(self, suite: str) -> str:
        """The line for sources.list(5); of the indexes, only that of the packages is fetched."""
        keyring = KEYRINGS[self.origin]
        signed = f"signed-by={keyring} " if keyring.exists() else ""
        return f"deb [{signed}target=Packages] {self.uri} {suite} main\n"


def archives(machine: Apt) -> list[Archive]:
    """Those of the archives in the machine's apt sources that are the distribution's."""
    output = machine.ask("apt-get", "indextargets", "Created-By: Packages")
    suites: dict[Archive, list[str]] = {}
    for one in Deb822.iter_paragraphs(output.split("\n"), use_apt_pkg=False):
        archive = Archive(str(one.get("Repo-URI", "")), str(one.get("Origin", "")), str(one.get("Label", "")))
        if archive.origin in KEYRINGS:
            suites.setdefault(archive, []).append(str(one.get("Release", "")))
    return [replace(one, suites=tuple(dict.fromkeys(filter(None, names)))) for one, names in suites.items()]


def archive_of(suite: str, known: list[Archive]) -> Archive:
    """The archive that should have the suite: Debian's security updates are in an archive of their own.

    UsageError if this machine uses none of the distribution's archives.
    """
    main = next((one for one in known if one.label == one.origin), None)
    secure = next((one for one in known if one.label == f"{one.origin}-Security"), None)
    if suite.endswith(_SECURITY) and secure is not None:
        return secure
    if main is None:
        raise UsageError(
            f"this machine's apt uses no archive of Debian or Ubuntu that could have {suite}",
            hint="pass the downloaded .deb file instead",
        )
    if suite.endswith(_SECURITY) and main.origin == "Debian":
        return Archive(main.uri.rstrip("/") + _SECURITY, main.origin, f"{main.label}-Security")
    return main


def apt_of(suite: str, machine: Apt, cache: Cache, today: datetime.date | None = None, *, arch: str = "") -> Apt:
    """An apt that knows this suite and no other; without one, the suites of the distribution that the machine uses.

    `arch`: another architecture, by Debian's name, instead of the machine's.  UsageError if the archive has no such
    suite, or no valid signature for it; KconformError if it cannot be reached and there are no lists from an earlier
    day.
    """
    named = f"@{suite}" if suite else f":{arch}"
    machine.ready(named)
    known = archives(machine)
    places = [(archive_of(suite, known), suite)] if suite else _suites_of(known, named)
    lines = "".join(archive.line(each) for archive, each in places)
    # A cache may be shared by systems with different releases, so that the architecture alone names nothing.
    name = "+".join(filter(None, (suite, arch))) if suite else f"{arch}-{_digest(lines)}"

    def fetch(folder: Path) -> None:
        (folder / "sources.list").write_text(lines, encoding="utf-8")
        try:
            there = update(machine, [*options(folder, arch), *as_root()])
        except subprocess.CalledProcessError as error:
            raise _explained(error, suite or places[0][1], places[0][0]) from error
        if not there:
            raise KconformError(
                f"the lists of {suite or arch} could not be fetched from {places[0][0].uri}", hint=NETWORK_HINT
            )

    return apt_with(daily(cache, name, fetch, today), machine, lambda entry: options(entry, arch))


def _digest(lines: str) -> str:
    return hashlib.sha256(lines.encode()).hexdigest()[:12]


def _suites_of(known: list[Archive], named: str) -> list[tuple[Archive, str]]:
    """Each suite of the distribution that this machine uses, with its archive.  UsageError if there is none."""
    found = [(archive, suite) for archive in known for suite in archive.suites]
    if not found:
        raise UsageError(
            f"this machine's apt uses no archive of Debian or Ubuntu that could have packages for {named[1:]}",
            hint="pass the downloaded .deb file instead",
        )
    return found


def options(folder: Path, arch: str = "") -> list[str]:
    """Options that keep apt to this folder: it ignores the machine's sources, lists, pins and installed packages.

    With `arch`, it behaves as on a machine of that architecture; dpkg is not told.
    """
    settings: dict[str, Path | str] = {"APT::Architecture": arch, "APT::Architectures": arch} if arch else {}
    settings |= {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::Etc::preferences": "-",
        "Dir::Etc::preferencesparts": "-",
    }
    return [*private(folder), *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]


def _explained(error: subprocess.CalledProcessError, suite: str, archive: Archive) -> KconformError:
    said = str(error.stderr)
    first = printable(said.strip().splitlines()[0] if said.strip() else last_line(error))
    if "does not have a Release file" in said:
        return UsageError(
            f"{archive.uri} has no suite {suite}",
            hint="suites of Debian are, for example, trixie, trixie-backports, bookworm-security and sid",
        )
    if missing := re.findall(r"NO_PUBKEY (\w+)", said):
        return UsageError(
            f"the signature of {suite} cannot be checked, because the key {missing[0]} is unknown",
            hint=f"install or update {KEYRINGS[archive.origin].stem}",
        )
    if "is not signed" in said or "signature" in said:
        return UsageError(
            f"{archive.uri} has no valid signature for {suite}: {first}",
            hint=f"install or update {KEYRINGS[archive.origin].stem}, or use another mirror",
        )
    return KconformError(f"the lists of {suite} could not be fetched: {first}", hint=NETWORK_HINT)
