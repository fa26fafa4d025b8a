# SPDX-License-Identifier: GPL-2.0-or-later
"""Suites of the distribution's archive that this machine's apt was not told of: `deb:PACKAGE@SUITE`.

apt is asked with lists of its own, which lie in our cache and are fetched anew once a day; the machine's settings,
lists and pins stay as they are, and out of it.  The archive is the one that the machine uses already, and its
signature is checked against the distribution's keyring (apt-secure(8)): a suite without a good one is refused.
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
from kconfigs.apt import Apt, Memory, as_root, last_line
from kconfigs.cache import Cache

log = logging.getLogger("kconform")

KEYRINGS = {
    "Debian": Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    "Ubuntu": Path("/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
}
"""Of the `Origin` of a Release file.  Where the file is missing, apt's own trusted keys are asked."""

KIND = "suites"

_NAME = re.compile(r"[a-z][a-z0-9.-]*")
_SECURITY = "-security"


@dataclass(frozen=True)
class Archive:
    """A repository that this machine's apt uses."""

    uri: str
    origin: str
    """`Debian` or `Ubuntu`."""
    label: str
    """`Debian`; of its security archive, `Debian-Security`."""

    def line(self, suite: str) -> str:
        """What sources.list(5) calls it; of its indexes only the packages are fetched."""
        keyring = KEYRINGS[self.origin]
        signed = f"signed-by={keyring} " if keyring.exists() else ""
        return f"deb [{signed}target=Packages] {self.uri} {suite} main\n"


def archives(machine: Apt) -> list[Archive]:
    """The distribution's, of those that the machine's apt uses."""
    output = machine.ask("apt-get", "indextargets", "Created-By: Packages")
    found = [
        Archive(str(one.get("Repo-URI", "")), str(one.get("Origin", "")), str(one.get("Label", "")))
        for one in Deb822.iter_paragraphs(output.splitlines(), use_apt_pkg=False)
    ]
    return list(dict.fromkeys(one for one in found if one.origin in KEYRINGS))


def archive_of(suite: str, known: list[Archive]) -> Archive:
    """Where the suite should be: what fixes Debian's security lies in an archive of its own.

    UsageError if this machine uses none of the distribution's archives.
    """
    main = next((one for one in known if one.label == one.origin), None)
    secure = next((one for one in known if one.label == f"{one.origin}-Security"), None)
    if suite.endswith(_SECURITY) and secure is not None:
        return secure
    if main is None:
        raise UsageError(
            f"this machine's apt uses no archive of Debian or Ubuntu, where {suite} might be",
            hint="pass the downloaded .deb file instead",
        )
    if suite.endswith(_SECURITY) and main.origin == "Debian":
        return Archive(main.uri.rstrip("/") + _SECURITY, main.origin, f"{main.label}-Security")
    return main


def apt_of(suite: str, machine: Apt, cache: Cache, today: datetime.date | None = None) -> Apt:
    """An apt that knows this suite and no other.

    UsageError if the archive has no such suite, or none with a good signature; KconformError if it cannot be
    reached and no lists of an earlier day are there.
    """
    if not _NAME.fullmatch(suite):
        raise UsageError(f"{suite!r} is no name of a suite", hint="such as deb:linux-image-amd64@trixie-backports")
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
            raise _why(error, suite, archive) from error
        if not there.strip():
            raise KconformError(f"the lists of {suite} could not be fetched from {archive.uri}", hint=_NETWORK)

    try:
        entry = cache.get(KIND, f"{suite}_{today.isoformat()}", fetch)
    except KconformError as error:
        if isinstance(error, UsageError) or not earlier:
            raise
        log.warning("%s; those of %s are taken", error, earlier[-1].removeprefix(f"{suite}_"))
        entry = cache.get(KIND, earlier[-1], fetch)
    for old in earlier:
        if old != entry.name:
            cache.discard(KIND, old)
    return Apt(machine.run, Memory(entry / "answers.json", [entry / "state/lists"]), options(entry))


_NETWORK = "look at the network, or at the archive that apt uses (/etc/apt/sources.list.d)"


def options(folder: Path) -> list[str]:
    """What keeps apt to this folder: neither the machine's sources, lists and pins count, nor what is installed."""
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


def _why(error: subprocess.CalledProcessError, suite: str, archive: Archive) -> KconformError:
    said = str(error.stderr)
    first = said.strip().splitlines()[0] if said.strip() else last_line(error)
    if "does not have a Release file" in said:
        return UsageError(
            f"{archive.uri} has no suite {suite}",
            hint="Debian's are such as trixie, trixie-backports, bookworm-security, sid and experimental",
        )
    if missing := re.findall(r"NO_PUBKEY (\w+)", said):
        return UsageError(
            f"the signature of {suite} cannot be checked, for the key {missing[0]} is not known",
            hint=f"install or update {KEYRINGS[archive.origin].stem}",
        )
    if "is not signed" in said or "signature" in said:
        return UsageError(
            f"{archive.uri} has no good signature for {suite}: {first}",
            hint=f"install or update {KEYRINGS[archive.origin].stem}, or use another mirror",
        )
    return KconformError(f"the lists of {suite} could not be fetched: {first}", hint=_NETWORK)
