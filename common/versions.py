# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel versions and ranges of them, with one meaning of `since` and `until` wherever they are written."""

from __future__ import annotations

import re
from dataclasses import dataclass

Version = tuple[int, ...]
"""(6, 12, 117); `()` is an unknown version."""

_VERSION = re.compile(r"\d+(?:\.\d+)*", re.ASCII)
_RELEASE = re.compile(r"\d+(?:[.-]\d+)*", re.ASCII)


def parse_version(text: str) -> Version:
    """The numbers of a version such as 6.12 or 6.12.117.  ValueError for anything else."""
    if not _VERSION.fullmatch(text):
        raise ValueError(f"{text!r} is not a kernel version such as 6.12")
    return tuple(map(int, text.split(".")))


def release_version(release: str) -> Version:
    """The numbers that a release begins with: `6.1.0-56-cloud-amd64` is (6, 1, 0).  `()` if there are none."""
    match = _VERSION.match(release)
    return parse_version(match[0]) if match else ()


def parse_release(text: str) -> Version:
    """The numbers of a vendor's release such as 5.14.0-70 or 6.4.0-150600.  ValueError for anything else."""
    if not _RELEASE.fullmatch(text):
        raise ValueError(f"{text!r} is not a kernel release such as 5.14.0-70")
    return tuple(map(int, re.split("[.-]", text)))


def release_numbers(release: str) -> Version:
    """All numbers that a release begins with, also those of the vendor: `5.14.0-70.13.1.el9_0` is
    (5, 14, 0, 70, 13, 1).  `()` if there are none.
    """
    match = _RELEASE.match(release)
    return parse_release(match[0]) if match else ()


SERIES = 2
"""How many numbers the versions of a series have in common: 6.1.188 and 6.1.192 are of the series 6.1."""


def at_or_after_in_series(version: Version, first: Version) -> bool:
    """Whether a version is of the same series as another one, and not older: 6.1.192 is at or after 6.1.188.

    What one series gets later says nothing about any other, so 6.2 is not.
    """
    return version[:SERIES] == first[:SERIES] and _padded(version, first) >= first


def dotted(version: Version) -> str:
    return ".".join(map(str, version))


@dataclass(frozen=True)
class VersionRange:
    """The versions from `since` to `until`, both included; an end that is `()` is open.

    `until` 6.12 includes every 6.12.x: only as many numbers are compared as `until` has.  An unknown version is in
    every range, because leaving something out needs a reason.
    """

    since: Version = ()
    until: Version = ()

    @classmethod
    def parse(cls, since: str = "", until: str = "") -> VersionRange:
        """A range as people write it; an empty text is an open end.  ValueError if no version is in it."""
        found = cls(*(parse_version(text) if text else () for text in (since, until)))
        if found.since and found.since not in cls(until=found.until):
            raise ValueError(f"since {since}, until {until}: no version is in between")
        return found

    def __contains__(self, version: Version) -> bool:
        return not self.excludes(version)

    def excludes(self, version: Version) -> str:
        """Why the version is not in the range, for a reader: `since Linux 6.0, this is 5.10`.  Empty if it is."""
        if version and _padded(version, self.since) < self.since:
            return f"since Linux {dotted(self.since)}, this is {dotted(version)}"
        if version and self.until and version[: len(self.until)] > self.until:
            return f"until Linux {dotted(self.until)}, this is {dotted(version)}"
        return ""


ANY = VersionRange()
"""All versions."""


def _padded(version: Version, like: Version) -> Version:
    """6.5 is 6.5.0, so that it is not older than something new in 6.5.0."""
    return version + (0,) * (len(like) - len(version))
