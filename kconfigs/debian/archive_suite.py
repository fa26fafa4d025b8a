# SPDX-License-Identifier: GPL-2.0-or-later
"""Suites of the distribution's archive that are not in apt's sources: `deb:PACKAGE@SUITE`.

apt uses separate lists for them, which are in our cache and fetched anew once a day; the machine's settings, lists
and pins are neither used nor changed.  The archive is the one that the machine uses already, and its signature is
checked with the distribution's keyring (apt-secure(8)): a suite without a valid signature is refused.
"""

from __future__ import annotations

import datetime
import logging
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from debian.deb822 import Deb822

from common.errors import KconformError, UsageError
from common.text import printable
from kconfigs.cache import Cache
from kconfigs.debian.apt import Apt, Memory, as_root, last_line

log = logging.getLogger("kconform")

KEYRINGS = {
    "Debian": Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    "Ubuntu": Path("/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
}
"""By the `Origin` in a Release file.  If the file is missing, apt uses its own trusted keys."""

KIND = "suites"

_SECURITY = "-security"


@dataclass(frozen=True)
class Archive:
    """A repository that this machine's apt uses."""

    uri: str
    origin: str
    """`Debian` or `Ubuntu`."""
    label: str
    """`Debian`, or `Debian-Security` for its security archive."""

    def line(self, suite: str) -> str:
        """The line for sources.list(5); of the indexes, only that of the packages is fetched."""
        keyring = KEYRINGS[self.origin]
        signed = f"signed-by={keyring} " if keyring.exists() else ""
        return f"deb [{signed}target=Packages] {self.uri} {suite} main\n"


def archives(machine: Apt) -> list[Archive]:
    """Those of the archives in the machine's apt sources that are the distribution's."""
    output = machine.ask("apt-get", "indextargets", "Created-By: Packages")
    found = [
        Archive(str(one.get("Repo-URI", "")), str(one.get("Origin", "")), str(one.get("Label", "")))
        for one in Deb822.iter_paragraphs(output.split("\n"), use_apt_pkg=False)
    ]
    return list(dict.fromkeys(one for one in found if one.origin in KEYRINGS))


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


def apt_of(suite: str, machine: Apt, cache: Cache, today: datetime.date | None = None) -> Apt:
    """An apt that knows this suite and no other.

    UsageError if the archive has no such suite, or no valid signature for it; KconformError if it cannot be reached
    and there are no lists from an earlier day.
    """
    machine.ready(f"@{suite}")
    archive = archive_of(suite, archives(machine))
    today = today or datetime.datetime.now(tz=datetime.UTC).date()
    earlier = sorted(one.key for one in cache.entries() if one.kind == KIND and one.key.startswith(f"{suite}_"))

    def fetch(folder: Path) -> None:
        for needed in ("state/lists/partial", "cache/archives/partial"):
            (folder / needed).mkdir(parents=True)
        (folder / "sources.list").write_text(archive.line(suite), encoding="utf-8")
        command = ["apt-get", *options(folder), *as_root(), "-o", "APT::Update::Error-Mode=any", "update", "-qq"]
        try:
            machine.run(command, None)
            there = machine.run(["apt-get", *options(folder), "indextargets", "Created-By: Packages"], None)
        except subprocess.CalledProcessError as error:
            raise _explained(error, suite, archive) from error
        if not there.strip():
            raise KconformError(f"the lists of {suite} could not be fetched from {archive.uri}", hint=_NETWORK)

    try:
        entry = cache.get(KIND, f"{suite}_{today.isoformat()}", fetch)
    except KconformError as error:
        if isinstance(error, UsageError) or not earlier:
            raise
        log.warning("%s; using those of %s", error, earlier[-1].removeprefix(f"{suite}_"))
        entry = cache.get(KIND, earlier[-1], fetch)
    for old in earlier:
        if old != entry.name:
            cache.discard(KIND, old)
    return Apt(machine.run, Memory(entry / "answers.json", [entry / "state/lists"]), options(entry))


_NETWORK = "check the network, and the archive that apt uses (/etc/apt/sources.list.d)"


def options(folder: Path) -> list[str]:
    """Options that keep apt to this folder: it ignores the machine's sources, lists, pins and installed packages."""
    settings = {
        "Dir::State": folder / "state",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": folder / "cache",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::Etc::preferences": "-",
        "Dir::Etc::preferencesparts": "-",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


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
    return KconformError(f"the lists of {suite} could not be fetched: {first}", hint=_NETWORK)
